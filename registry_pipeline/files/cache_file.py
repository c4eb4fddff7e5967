"""Files that save work and prove nothing: a missing, damaged or older one is ignored, and any can be deleted.

The first line names the format. The file ends with the hash of everything before it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.atomic_write import temporary_path
from registry_pipeline.files.durable import make_folders, share_with_group
from registry_pipeline.files.lock import open_locked
from registry_pipeline.files.read import read_regular_file

_DIGEST_BYTES: Final = 32
_MAX_BYTES: Final = 4 * 2**30
_MARGIN_NS: Final = 2 * 10**9
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_PACKAGE: Final = Path(__file__).resolve().parents[1]


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
    """Replace a cache file; if that fails, or another process is writing it, the old one stays."""
    # A killed writer leaves its temporary file, which the next one takes over.
    temporary = temporary_path(path)
    with suppress(OSError, RegistryPipelineError):
        make_folders(temporary.parent)
        with os.fdopen(open_locked(temporary, _WRITE, "cache", wait_seconds=0), "wb") as file:
            try:
                file.truncate(0)
                digest = hashlib.sha256()
                for part in (first_line, *parts):
                    file.write(part)
                    digest.update(part)
                file.write(digest.digest())
                file.flush()
                share_with_group(temporary, temporary.parent)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise


def find_safe_change(started: datetime) -> int:
    """Return a time in nanoseconds: what changed before it shows a later change by another time.

    `started` is a time before the first reading.
    """
    # Some file systems record times in steps of two seconds.
    return int(started.timestamp()) * 10**9 - _MARGIN_NS


def hash_maker(*others: object) -> str:
    """Return a hash of this program, this user and others: another version, or user, may find other things."""
    return hashlib.sha256(
        repr((hash_program(), os.geteuid(), os.getegid(), sorted(os.getgroups()), *others)).encode()
    ).hexdigest()


@cache
def hash_program() -> str:
    """Return a hash that changes with the Python version and any file of this package, wherever that is."""
    # The version number of a checkout that is being edited stays the same, so the files themselves are hashed.
    digest, count = hashlib.sha256(sys.version.encode()), 0
    for folder, folders, names in os.walk(_PACKAGE):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = f"{folder}/{name}"
            digest.update(
                f"{path.removeprefix(str(_PACKAGE))}\n".encode(errors="surrogateescape")
                + hashlib.sha256(read_regular_file(path)).digest()
            )
            count += 1
    # In a zip there are no files: then nothing equals anything.
    return digest.hexdigest() if count else os.urandom(_DIGEST_BYTES).hex()
