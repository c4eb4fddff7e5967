"""Files that save work and prove nothing: a missing, damaged or older one is ignored, and any can be deleted.

The first line names the format. The file ends with the hash of everything before it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry_pipeline.files.durable import make_folders, share_with_group
from registry_pipeline.files.read import read_regular_file

_DIGEST_BYTES: Final = 32
_MAX_BYTES: Final = 4 * 2**30


def read_cache_file(path: Path, first_line: bytes) -> memoryview | None:
    """Return what follows the first line, or None if there is no such file in this format."""
    try:
        data = memoryview(read_regular_file(path, _MAX_BYTES))
    except OSError:
        return None
    body, seal = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if body[: len(first_line)] != first_line or hashlib.sha256(body).digest() != seal:
        return None
    return body[len(first_line) :]


def write_cache_file(path: Path, first_line: bytes, parts: Iterable[bytes | memoryview]) -> None:
    """Replace a cache file; if that fails, the old one stays."""
    # Of two processes that write at the same time, one loses its entries.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with suppress(OSError):
        make_folders(temporary.parent)
        try:
            digest = hashlib.sha256()
            with temporary.open("wb") as file:
                for part in (first_line, *parts):
                    file.write(part)
                    digest.update(part)
                file.write(digest.digest())
            share_with_group(temporary, temporary.parent)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
