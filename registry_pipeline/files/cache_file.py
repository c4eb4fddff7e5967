"""A file of a cache, which ends with the hash of everything before it: a damaged file is ignored and replaced."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry_pipeline.files.durable import make_folders, share_with_group
from registry_pipeline.files.read import read_regular_file

_HASH_BYTES: Final = 32


def read_cache_file(path: Path, magic: bytes) -> bytes | None:
    """Return the content of a cache file without its first line, or None if it is missing, damaged or another file."""
    try:
        data = read_regular_file(path)
    except OSError:
        return None
    body, seal = data[:-_HASH_BYTES], data[-_HASH_BYTES:]
    return body[len(magic) :] if body.startswith(magic) and hashlib.sha256(body).digest() == seal else None


def write_cache_file(path: Path, magic: bytes, content: bytes) -> None:
    """Replace a cache file; if it cannot be written, the old one stays, because a cache is never needed."""
    body = magic + content
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with suppress(OSError):
        make_folders(temporary.parent)
        try:
            temporary.write_bytes(body + hashlib.sha256(body).digest())
            share_with_group(temporary, temporary.parent)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
