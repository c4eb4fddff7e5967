"""A folder of the state, a log or the entries is a link: inside the repository it is used, outside it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.cli.test_entries import GAUGE
from registry_pipeline_tests.cli.test_run_index import VOIDED
from registry_pipeline_tests.role_packs import PACK, SMALL
from registry_pipeline_tests.run_index.values import a_run

ADD = ("entries", "add", "--type", "module_type", "--entry-json", GAUGE)
APPEND = ("run-index", "append", "--record", json.dumps(a_run(7)))
FOLDERS = {
    "the state, with the lock of the entries": (".codex", ADD),
    "the state, with the lock of the role pack": (".codex", ("roles", "bump", "chart_designer", "C")),
    "the stage folder of the entries": (".codex/entries", ADD),
    "the cache with the lock of the role pack": (".codex/cache", ("roles", "bump", "chart_designer", "C")),
    "the folder of the run index": (str(Path(RUN_INDEX).parent), APPEND),
    "a folder above the run index": (RUN_INDEX.split("/", maxsplit=1)[0], APPEND),
    "the folder of the overrides log": (
        str(Path(OVERRIDES).parent),
        ("overrides", "append", "--record", json.dumps(VOIDED)),
    ),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def move_behind_link(folder: Path, target: Path) -> None:
    """Move a folder away, or make it there, and put a link to it in its place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        folder.rename(target)
    else:
        target.mkdir()
    folder.symlink_to(target)


@pytest.fixture
def linked(known: Repository) -> Repository:
    (known.root / PACK).parent.mkdir(parents=True, exist_ok=True)
    (known.root / PACK).write_text(SMALL)
    return known


@pytest.mark.parametrize(("folder", "words"), FOLDERS.values(), ids=FOLDERS)
def test_a_link_to_outside_is_refused_and_nothing_is_written_there(
    linked: Repository, tmp_path: Path, folder: str, words: tuple[str, ...]
) -> None:
    outside = tmp_path / "outside"
    move_behind_link(linked.root / folder, outside)
    before, pack = contents(outside), (linked.root / PACK).read_bytes()

    result = linked(*words)

    assert (result.code, result.err.count("\n")) == (5, 1), result
    assert "a folder of its path is a link" in result.err
    assert contents(outside) == before
    assert (linked.root / PACK).read_bytes() == pack


@pytest.mark.parametrize(("folder", "words"), FOLDERS.values(), ids=FOLDERS)
def test_a_link_to_a_folder_inside_is_used(linked: Repository, folder: str, words: tuple[str, ...]) -> None:
    move_behind_link(linked.root / folder, linked.root / "inside/it")

    result = linked(*words)

    assert result.code == 0, result
