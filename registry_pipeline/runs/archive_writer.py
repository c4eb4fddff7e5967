"""Write run folders into a tar archive, with the same bytes for the same folders ("Archives" in the specification)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final, cast

from registry_pipeline.files.read import open_regular_file

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_ONLY_FILE: Final = 0o444
_COMPRESSION: Final = 6


def write_archive(path: Path, root: Path, folders: Iterable[str]) -> None:
    """Write folders below `root` into a new archive and sync its bytes, not its name; `.tar` is not compressed.

    The entries are the files, by path. The bytes depend on the paths and contents alone, and on the zlib of Python.

    Raises:
        OSError: a file cannot be read, or the disk refused.
    """
    import gzip  # noqa: PLC0415 - for archives only
    import tarfile  # noqa: PLC0415

    with os.fdopen(os.open(path, _CREATE, _READ_ONLY_FILE), "wb") as file:
        os.fchmod(file.fileno(), _READ_ONLY_FILE)  # whatever the umask took away
        # gzip would store a name and the time.
        packed = None if path.name.endswith(".tar") else gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0)
        target = file if packed is None else cast("IO[bytes]", packed)
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for relpath in sorted(relpath for folder in folders for relpath in _list_files(root, folder)):
                with open_regular_file(root / relpath) as source:
                    entry = tarfile.TarInfo(relpath)
                    entry.size, entry.mode = os.fstat(source.fileno()).st_size, _READ_ONLY_FILE
                    archive.addfile(entry, source)
        if packed is not None:
            packed.close()
        file.flush()
        os.fsync(file.fileno())


def _list_files(root: Path, folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(root / folder):
        for name in names:
            yield os.path.relpath(f"{parent}/{name}", root)
