"""Find the key to sign with and the file of allowed signers: by the environment, the toml, and git's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.git.repository import read_signing_settings
from registry_pipeline.signing.dsse import EnvelopeSigner, read_envelope_signer
from registry_pipeline.signing.ssh import PROGRAM, AllowedSigners, SshSigner

KEY_VARIABLE: Final = "REGISTRY_PIPELINE_SIGNING_KEY"
"""The path of a key, or the text of a public key whose private one an agent has: what sensors and CI sign with."""


def find_signer(repository: Repository, *, wanted: bool = False) -> SshSigner | None:
    """Return what to sign with: the key of the environment, else git's if a signature is `wanted`.

    A key of git is the key of a person, so it signs only what that person asks for. Raises as `require_signer`.
    """
    return require_signer(repository) if wanted or os.environ.get(KEY_VARIABLE) else None


def require_signer(repository: Repository) -> SshSigner:
    """Return what to sign with: the key of the environment, else git's.

    Raises:
        RefusedError: there is no key.
    """
    stated = os.environ.get(KEY_VARIABLE)
    settings = read_signing_settings(repository.root)
    key = stated or (settings.get("user.signingkey") if settings.get("gpg.format") == "ssh" else None)
    if not key:
        raise RefusedError(
            "there is no SSH key to sign with; nothing was changed",
            f"`git config gpg.format ssh` and `git config user.signingKey FILE`, or name the file in {KEY_VARIABLE}",
        )
    return SshSigner(key, settings.get("gpg.ssh.program", PROGRAM))


def find_envelope_signer(repository: Repository, named: Path | None = None) -> EnvelopeSigner:
    """Return what to sign an envelope with: the named key, else that of the environment, else git's.

    Raises:
        RefusedError: there is no key, or it cannot sign an envelope. NotFoundError: as `read_envelope_signer`.
    """
    return read_envelope_signer(require_signer(repository).key if named is None else os.fspath(named))


def find_allowed_signers(repository: Repository, named: Path | None = None) -> AllowedSigners:
    """Return the file of allowed signers: the named one, else that of the toml, else that of git.

    Raises:
        NotFoundError: none is named, or the file cannot be read.
    """
    settings, stated = read_signing_settings(repository.root), repository.config.signing.allowed_signers
    path = named or (None if stated is None else repository.path(stated))
    path = path or _resolve(repository, settings, "allowedsignersfile")
    if path is None:
        raise NotFoundError(
            "no file says who may sign",
            "name it: --allowed-signers FILE, `allowed_signers` of [signing], or git's gpg.ssh.allowedSignersFile",
        )
    revoked = _resolve(repository, settings, "revocationfile")
    for file in (path, revoked):
        if file is not None and not os.access(file, os.R_OK):
            raise NotFoundError(f"{file} cannot be read", "check the path and its permissions")
    return AllowedSigners(path, revoked)


def _resolve(repository: Repository, settings: dict[str, str], name: str) -> Path | None:
    """Return the file that a setting of git names; a relative path starts at the top of the checkout, as in git."""
    value = settings.get(f"gpg.ssh.{name}")
    return repository.root / Path(value).expanduser() if value else None
