"""How an intent is written, and how a torn one is read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import BusyError, RegistryPipelineError
from registry_pipeline.files import atomic_write
from registry_pipeline.pointers.chain import Intent
from registry_pipeline.pointers.state import create_intent, intent_path, read_intent, remove_intent

OLD, NEW = b'{"old": 1}\n', b'{"new": 2}\n'
BEFORE, AFTER = sha256_hex(OLD), sha256_hex(NEW)


@pytest.fixture
def pointer(tmp_path: Path) -> Path:
    path = tmp_path / "POINTERS.json"
    path.write_bytes(OLD)
    return path


def listing(pointer: Path) -> list[str]:
    return sorted(path.name for path in pointer.parent.iterdir())


def test_an_intent_is_read_back_and_removed(pointer: Path) -> None:
    create_intent(pointer, "some-run", BEFORE, AFTER)

    assert read_intent(pointer) == Intent("some-run", BEFORE, AFTER)
    remove_intent(pointer)
    remove_intent(pointer)
    assert read_intent(pointer) is None
    assert listing(pointer) == ["POINTERS.json"]


def test_an_intent_is_never_overwritten(pointer: Path) -> None:
    create_intent(pointer, "some-run", BEFORE, AFTER)

    with pytest.raises(BusyError):
        create_intent(pointer, "other-run", BEFORE, AFTER)
    assert read_intent(pointer) == Intent("some-run", BEFORE, AFTER)


@pytest.mark.parametrize(
    "text", [b"", b'{"run_id": "x', b"[]", b"\xff", b'{"run_id": 1}', b'{"run_id": "x", "before": "0", "after": "1"}']
)
def test_a_torn_intent_names_nothing(pointer: Path, text: bytes) -> None:
    intent_path(pointer).write_bytes(text)

    assert read_intent(pointer) is None


def test_a_failed_write_of_an_intent_leaves_no_file(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(atomic_write, "sync_path", failing)
    with pytest.raises(RegistryPipelineError, match="did not confirm"):
        create_intent(pointer, "some-run", BEFORE, AFTER)

    assert listing(pointer) == ["POINTERS.json"]
