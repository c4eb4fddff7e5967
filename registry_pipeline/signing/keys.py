"""Find the key to sign with and the file of allowed signers: by the environment, the toml, and git's settings."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from stat import S_ISREG
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.read import expand_path, read_regular_file
from registry_pipeline.git.repository import read_signing_settings, read_top_level
from registry_pipeline.signing.dsse import EnvelopeSigner, read_envelope_signer
from registry_pipeline.signing.ssh import PROGRAM, AllowedSigners, SshSigner, find_literal

KEY_VARIABLE: Final = "REGISTRY_PIPELINE_SIGNING_KEY"
"""The path of a key, or the text of a public key whose private one an agent has: what sensors and CI sign with."""
# The armor of a private key, and how the body begins in the form of OpenSSH and of PKCS 8 for ed25519.
_PRIVATE: Final = ("PRIVATE KEY-----", "b3BlbnNzaC1rZXktdjE", "MC4CAQAwBQYDK2Vw")
_MOST_BYTES: Final = 16 << 20


def find_signer(repository: Repository, *, wanted: bool = False) -> SshSigner | None:
    """Return what to sign with: the key of the environment, else git's if a signature is `wanted`.

    A key of git is the key of a person, so it signs only what that person asks for. Raises as `require_signer`.
    """
    return require_signer(repository) if wanted or os.environ.get(KEY_VARIABLE) else None


def require_signer(repository: Repository) -> SshSigner:
    """Return what to sign with: the key of the environment, else git's.

    Raises:
        RefusedError: there is no key, or its text instead of its file. NotFoundError: the file is none.
    """
    settings, stated = read_signing_settings(repository.root), os.environ.get(KEY_VARIABLE)
    if stated:
        key = _check_key(stated, KEY_VARIABLE, Path())
    elif settings.get("gpg.format") == "ssh" and settings.get("user.signingkey"):
        key = _check_key(settings["user.signingkey"], "git's user.signingKey", _find_top(repository))
    else:
        raise RefusedError(
            "there is no SSH key to sign with; nothing was changed",
            f"`git config gpg.format ssh` and `git config user.signingKey FILE`, or name the file in {KEY_VARIABLE}",
        )
    program = settings.get("gpg.ssh.program", PROGRAM)
    return SshSigner(key, str(expand_path(program, Path())) if program.startswith("~") else program)


def find_envelope_signer(repository: Repository, named: Path | None = None) -> EnvelopeSigner:
    """Return what to sign an envelope with: the named key, else that of the environment, else git's.

    Raises:
        RefusedError: there is no key, or it cannot sign an envelope. NotFoundError: as `read_envelope_signer`.
    """
    if named is None:
        return read_envelope_signer(require_signer(repository).key)
    return read_envelope_signer(_check_key(os.fspath(named), "--key", Path()))


def find_allowed_signers(repository: Repository, named: Path | None = None) -> AllowedSigners:
    """Return the allowed signers: of the named file, else of that of the toml, else of that of git.

    Raises:
        NotFoundError: none is named, or the file cannot be read.
    """
    settings, stated = read_signing_settings(repository.root), repository.config.signing.allowed_signers
    path = named or (None if stated is None else repository.path(stated))
    path = path or _find_setting(repository, settings, "allowedsignersfile")
    if path is None:
        raise NotFoundError(
            "no file says who may sign",
            "name it: --allowed-signers FILE, `allowed_signers` of [signing], or git's gpg.ssh.allowedSignersFile",
        )
    revoked = _find_setting(repository, settings, "revocationfile")
    return AllowedSigners(_read_file(path), None if revoked is None else _read_file(revoked))


def _check_key(text: str, source: str, base: Path) -> str:
    """Return the path of a key, or the text of a public key; a text that may be secret is never printed.

    Raises:
        RefusedError: it is a private key and not its path. NotFoundError: it names a pipe, a device or a folder.
    """
    advice = "write the key to a file that only you can read, and name that; replace it if others saw it"
    if any(part in text for part in _PRIVATE):
        raise RefusedError(f"{source} contains a private key; it must name its file", advice)
    if "\n" in text.strip():
        raise RefusedError(f"{source} has several lines; it must name a file", advice)
    if find_literal(text) is not None:
        return text.strip()
    path = expand_path(text, base)
    try:
        is_file = S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise RefusedError(f"{source} is too long for a path; it must name a file", advice) from None
        is_file = True  # the program that reads it says why it cannot
    if not is_file:  # a pipe would be waited for
        raise NotFoundError(f"the key {path} cannot be read: not a regular file", "name the file of the key")
    return str(path)


def _read_file(path: Path) -> bytes:
    try:
        return read_regular_file(path, _MOST_BYTES)
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "check the path and its permissions") from None


def _find_setting(repository: Repository, settings: dict[str, str], name: str) -> Path | None:
    """Return the file that a setting of git names; a relative path starts at the top of the checkout, as in git."""
    value = settings.get(f"gpg.ssh.{name}")
    return expand_path(value, _find_top(repository)) if value else None


def _find_top(repository: Repository) -> Path:
    return read_top_level(repository.root) or repository.root
