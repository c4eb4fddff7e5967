"""The cache of blob digests: a wrong cache is ignored."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.git.blob_digests import NAME, BlobDigests

BLOB, OTHER = "ab" * 20, "cd" * 20
DIGEST = "12" * 32


def saved(folder: Path, *blobs: str, id_bytes: int = 20) -> Path:
    digests = BlobDigests(folder, id_bytes)
    for blob in blobs:
        digests.add(blob, DIGEST)
    digests.save()
    return folder / f"{NAME}_{id_bytes}"


def test_what_was_added_is_there_the_next_time(tmp_path: Path) -> None:
    saved(tmp_path / "cache", BLOB)

    again = BlobDigests(tmp_path / "cache", 20)

    assert (BLOB in again, OTHER in again, again[BLOB]) == (True, False, DIGEST)


def test_the_group_that_shares_the_repository_shares_the_cache(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    umask = os.umask(0o077)
    path = saved(tmp_path / "cache", BLOB)
    os.umask(umask)

    assert path.parent.stat().st_mode & 0o070 == 0o070
    assert path.stat().st_mode & 0o060 == 0o060


def test_ids_of_both_kinds_are_kept_apart(tmp_path: Path) -> None:
    saved(tmp_path, BLOB)
    saved(tmp_path, "ab" * 32, id_bytes=32)

    assert BLOB in BlobDigests(tmp_path, 20)
    assert "ab" * 32 in BlobDigests(tmp_path, 32)
    assert BLOB not in BlobDigests(tmp_path, 32)


def flipped(data: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[:-1],
    "cut to the head": lambda data: data[:10],
    "a record less": lambda data: data[:-52],
    "longer": lambda data: data + b"x",
    "a byte of a digest": flipped,
    "a byte of the hash": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "another program's": lambda data: b"x" * len(data),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_ignored_and_replaced(tmp_path: Path, damage: str) -> None:
    place = saved(tmp_path, BLOB)
    whole = place.read_bytes()
    place.write_bytes(DAMAGES[damage](whole))

    assert BLOB not in BlobDigests(tmp_path, 20)

    saved(tmp_path, BLOB)
    assert place.read_bytes() == whole


def test_what_another_process_saved_meanwhile_is_kept(tmp_path: Path) -> None:
    here = BlobDigests(tmp_path, 20)
    here.add(BLOB, DIGEST)
    saved(tmp_path, OTHER)
    here.save()

    both = BlobDigests(tmp_path, 20)
    assert BLOB in both
    assert OTHER in both
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}_20"], "no temporary file is left"


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    place = saved(tmp_path, BLOB)
    os.utime(place, (1, 1))

    BlobDigests(tmp_path, 20).save()

    assert place.stat().st_mtime == 1


def test_without_a_folder_nothing_is_trusted_and_nothing_is_kept(tmp_path: Path) -> None:
    digests = BlobDigests(None, 20)
    digests.add(BLOB, DIGEST)
    digests.save()

    assert digests[BLOB] == DIGEST
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_and_a_pipe_in_its_place_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    saved(tmp_path / "cache", BLOB)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / f"{NAME}_20")

    assert BLOB not in BlobDigests(tmp_path / "cache", 20)
    assert BLOB not in BlobDigests(tmp_path, 20)
