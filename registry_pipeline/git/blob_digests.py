"""A cache of the sha256 of git blobs by blob id, kept between backfills."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from registry_pipeline.files.cache_file import read_cache_file, write_cache_file

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
        pairs = sorted((self._read_file() | new).items())
        write_cache_file(self._path, _MAGIC, [self._record.pack(*pair) for pair in pairs])
        self._added.clear()

    def _read_file(self) -> dict[bytes, bytes]:
        """Return the content of the file; empty if it is missing or damaged."""
        records = None if self._path is None else read_cache_file(self._path, _MAGIC)
        # A file that another program wrote with a valid hash may end in the middle of a record.
        if records is None or len(records) % self._record.size:
            return {}
        return dict(self._record.iter_unpack(records))
