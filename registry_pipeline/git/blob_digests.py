"""A cache of the sha256 of git blobs by blob id, kept between backfills.

The file ends with the hash of everything before it: a damaged file is ignored and replaced.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry_pipeline.files.durable import make_folders, share_with_group
from registry_pipeline.files.read import read_regular_file

NAME: Final = "git_blob_sha256"
"""The file's name below `cache/`; SHA-1 and SHA-256 repositories have files of their own, by the length of an id."""
_MAGIC: Final = b"registry-pipeline blob digests 1\n"
_DIGEST_BYTES: Final = 32


class BlobDigests:
    """Digests by blob id, both hexadecimal; without a folder there is no file."""

    def __init__(self, folder: Path | None, id_bytes: int) -> None:
        self._path = None if folder is None else folder / f"{NAME}_{id_bytes}"
        self._record = struct.Struct(f"{id_bytes}s{_DIGEST_BYTES}s")
        self._known = {blob.hex(): digest.hex() for blob, digest in self._read_file().items()}
        self._added: dict[str, str] = {}

    def __contains__(self, blob_id: str) -> bool:
        return blob_id in self._known

    def __getitem__(self, blob_id: str) -> str:
        return self._known[blob_id]

    def add(self, blob_id: str, digest: str) -> None:
        """Add the digest of a blob in memory; `save` writes it to the file."""
        self._known[blob_id] = self._added[blob_id] = digest

    def save(self) -> None:
        """Add the new digests to the file; if it cannot be written, the next backfill hashes again."""
        if self._path is None or not self._added:
            return
        # If two processes write at the same time, the entries of one are lost.
        new = {bytes.fromhex(blob): bytes.fromhex(digest) for blob, digest in self._added.items()}
        body = _MAGIC + b"".join(self._record.pack(*pair) for pair in sorted((self._read_file() | new).items()))
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with suppress(OSError):
            make_folders(temporary.parent)
            try:
                temporary.write_bytes(body + hashlib.sha256(body).digest())
                share_with_group(temporary, temporary.parent)
                temporary.replace(self._path)
            finally:
                temporary.unlink(missing_ok=True)
            self._added.clear()

    def _read_file(self) -> dict[bytes, bytes]:
        """Return the content of the file; empty if it is missing or damaged."""
        if self._path is None:
            return {}
        try:
            data = read_regular_file(self._path)
        except OSError:
            return {}
        body, seal = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        records = body.removeprefix(_MAGIC)
        if len(records) == len(body) or len(records) % self._record.size or hashlib.sha256(body).digest() != seal:
            return {}
        return dict(self._record.iter_unpack(records))
