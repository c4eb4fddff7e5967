"""Sign bytes with an SSH key, and check signatures against a file of allowed signers: both with `ssh-keygen -Y`.

The form of a signature is PROTOCOL.sshsig of OpenSSH; that of the file is the section ALLOWED SIGNERS of ssh-keygen(1).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.values import value_type

NAMESPACE: Final = "registry-pipeline"
"""What a signature is for: ssh-keygen accepts one for git or for a file in no other place."""
PROGRAM: Final = "ssh-keygen"
FIRST_LINE: Final = b"-----BEGIN SSH SIGNATURE-----"
"""How a signature begins."""
LITERAL: Final = "key::"
KEY_TYPES: Final = ("ssh-", "ecdsa-", "sk-")
"""How the text of a public key begins; git's `user.signingKey` may also have `key::` before it."""

Verdict = Literal["good", "unknown", "bad"]


@value_type
class CheckedSignature:
    """A signature: `good` by an allowed signer, by an `unknown` key, or `bad`: not one of these bytes.

    `principal` is the name in the file of allowed signers, `key` the type and the fingerprint.
    """

    verdict: Verdict
    principal: str | None = None
    key: str | None = None

    @property
    def shown(self) -> str:
        """The signer in a message."""
        return self.principal or self.key or "nobody"


def is_signature_of(data: bytes, signature: bytes) -> bool:
    """Return whether any key made this signature of these bytes; raises as `AllowedSigners.check`."""
    return _find_signing_key(data, signature) is not None


def find_literal(key: str) -> str | None:
    """Return the public key that is stated as a text instead of a path, as git's `user.signingKey` may; else None."""
    # A path can begin like the type of a key, but the text of a key has a blank after it.
    is_literal = key.startswith(LITERAL) or (key.startswith(KEY_TYPES) and " " in key)
    return key.removeprefix(LITERAL) if is_literal else None


@value_type
class SshSigner:
    """A key: the path of a file, or the text of a public key whose private one an agent has."""

    key: str
    program: str = PROGRAM

    def sign(self, data: bytes) -> bytes:
        """Return a signature of the bytes; the program may ask for a passphrase or for a touch.

        Raises:
            NotFoundError: ssh-keygen is not installed.
            RefusedError: it made no signature; nothing was changed.
        """
        literal = find_literal(self.key)
        command = ["-Y", "sign", "-n", NAMESPACE]
        if literal is None:
            done = _run([*command, "-f", str(Path(self.key).expanduser())], data, program=self.program)
        else:
            with _hold_in_memory(f"{literal}\n".encode()) as number:
                done = _run([*command, "-U", "-f", f"/dev/fd/{number}"], data, program=self.program, keep=number)
        if done.returncode != 0 or not done.stdout.startswith(FIRST_LINE):
            raise RefusedError(
                f"the key {self.key} did not sign: {_last_line(done.stderr)}",
                "check the key, its passphrase and the agent with `ssh-add -l`, or leave out --sign",
            )
        return done.stdout


@value_type
class AllowedSigners:
    """The file that says which keys may sign under which name, and a file of revoked keys."""

    path: Path
    revoked: Path | None = None

    def check(self, data: bytes, signature: bytes, moment: datetime, *, namespace: str = NAMESPACE) -> CheckedSignature:
        """Return whose signature of the bytes it is, by the lines of the file that are valid at a moment.

        Raises:
            NotFoundError: ssh-keygen is not installed.
        """
        # ssh-keygen reads the time in the time zone of the process.
        at = f"-Overify-time={moment:%Y%m%d%H%M%S}"
        with _hold_in_memory(signature) as number:
            path = f"/dev/fd/{number}"
            found = _run(["-Y", "find-principals", "-s", path, "-f", str(self.path), at], keep=number)
            for principal in found.stdout.decode("utf-8", "replace").splitlines() if found.returncode == 0 else ():
                revoked = [] if self.revoked is None else ["-r", str(self.revoked)]
                signer = ["-I", principal, "-f", str(self.path), *revoked]
                done = _run(["-Y", "verify", "-s", path, *signer, "-n", namespace, at], data, keep=number)
                if done.returncode == 0:
                    return CheckedSignature("good", principal, _find_key(done.stdout))
        key = _find_signing_key(data, signature, namespace)
        return CheckedSignature("bad" if key is None else "unknown", key=key)


def _find_signing_key(data: bytes, signature: bytes, namespace: str = NAMESPACE) -> str | None:
    """Return the key that made a signature of these bytes, whether or not it is allowed; None if none did."""
    with _hold_in_memory(signature) as number:
        done = _run(["-Y", "check-novalidate", "-s", f"/dev/fd/{number}", "-n", namespace], data, keep=number)
    return _find_key(done.stdout) if done.returncode == 0 else None


def _find_key(output: bytes) -> str:
    """Return the type and the fingerprint of the key, of what ssh-keygen prints about a good signature."""
    return output.decode("utf-8", "replace").strip().rpartition(" with ")[2].replace(" key ", " ")


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it gave no reason"


@contextmanager
def _hold_in_memory(data: bytes) -> Iterator[int]:
    """Yield the number of an open file in memory with these bytes: neither a key nor a signature becomes a file."""
    number = os.memfd_create(PROGRAM)
    try:
        os.write(number, data)
        yield number
    finally:
        os.close(number)


def _run(
    arguments: Sequence[str], given: bytes = b"", *, program: str = PROGRAM, keep: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    command, environment = [program, *arguments], {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    kept = () if keep is None else (keep,)
    try:
        return subprocess.run(command, input=given, capture_output=True, env=environment, check=False, pass_fds=kept)
    except OSError as error:
        reason = error.strerror or "it could not be started"
        raise NotFoundError(f"{program} cannot be run: {reason}", "install OpenSSH 8.2 or newer") from None
