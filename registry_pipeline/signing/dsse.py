"""Sign a document in a DSSE envelope with an ed25519 key, the form in which attestations are exchanged.

The envelope and what is signed are defined by DSSE 1.0 (https://github.com/secure-systems-lab/dsse). An SSH signature
has another form, so an envelope needs the private key itself, not ssh-keygen or an agent.
"""

from __future__ import annotations

import base64
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.signing.ssh import KEY_TYPES, LITERAL, find_literal
from registry_pipeline.values import value_type

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_MOST_KEY_BYTES: Final = 64 << 10
_OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_PUBLIC: Final = (*(prefix.encode() for prefix in (LITERAL, *KEY_TYPES)), b"-----BEGIN PUBLIC KEY-----")
_NEW_KEY: Final = "name another file with --key; `ssh-keygen -t ed25519 -N '' -f FILE` makes a key"


@value_type
class EnvelopeSigner:
    """An ed25519 key that signs envelopes.

    `keyid` is what securesystemslib and in-toto compute of the public key, `key` the type and the fingerprint as
    ssh-keygen prints them.
    """

    private: Ed25519PrivateKey
    keyid: str
    key: str

    def sign(self, payload_type: str, payload: bytes) -> dict[str, Any]:
        """Return the envelope of a payload; the same key and payload give the same one."""
        # DSSE calls this the pre-authentication encoding: no payload can be read as one of another type.
        signed = b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode("ascii"), len(payload), payload)
        signature = {"keyid": self.keyid, "sig": _encode_base64(self.private.sign(signed))}
        return {"payload": _encode_base64(payload), "payloadType": payload_type, "signatures": [signature]}


def read_envelope_signer(key: str) -> EnvelopeSigner:
    """Return the signer of a key: the path of an OpenSSH or PEM file, or of the public key beside it.

    Raises:
        NotFoundError: the file cannot be read, or cryptography is not installed.
        RefusedError: it is no ed25519 private key without a passphrase, or only an agent has the private key.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - of the extra `attest`
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    except ImportError:
        raise NotFoundError(
            "the package cryptography, which signs attestations, is not installed",
            "`pip install 'registry-pipeline[attest]'`",
        ) from None
    data = _read_private_key(key)
    load = serialization.load_ssh_private_key if data.startswith(_OPENSSH) else serialization.load_pem_private_key
    try:
        with warnings.catch_warnings(action="ignore"):  # about types of keys that are refused anyway
            private = load(data, None)
    except TypeError:  # there was no password to decrypt it with
        raise RefusedError(f"the key {key} is protected by a passphrase", _NEW_KEY) from None
    except (ValueError, UnsupportedAlgorithm):
        raise RefusedError(f"{key} is not a private key in OpenSSH or PEM form", _NEW_KEY) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise RefusedError(f"the key {key} is not an ed25519 key", _NEW_KEY)
    public = private.public_key()
    # The canonical JSON of a key in securesystemslib, whose `verify` finds a key by this hash.
    description = (
        f'{{"keytype":"ed25519","keyval":{{"public":"{public.public_bytes_raw().hex()}"}},"scheme":"ed25519"}}'
    )
    text = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    fingerprint = bytes.fromhex(sha256_hex(base64.b64decode(text.split()[1])))
    return EnvelopeSigner(
        private, sha256_hex(description.encode()), f"ED25519 SHA256:{_encode_base64(fingerprint).rstrip('=')}"
    )


def _read_private_key(key: str) -> bytes:
    """Return the content of a key file; of `FILE.pub` that of FILE, as ssh-keygen does, if it exists."""
    path = Path(key)
    if path.suffix == ".pub" and path.with_suffix("").is_file():
        path = path.with_suffix("")
    try:
        data = read_regular_file(path, _MOST_KEY_BYTES)
    except OSError as error:
        if find_literal(key) is None:
            raise NotFoundError(
                f"the key {path} cannot be read: {error.strerror}", "check the path and its permissions"
            ) from None
        data = key.encode("utf-8", "replace")
    if data.startswith(_PUBLIC):
        raise RefusedError(
            f"{key} is a public key: an attestation needs the file of the private key, because an agent makes only "
            "SSH signatures",
            _NEW_KEY,
        )
    return data


def _encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
