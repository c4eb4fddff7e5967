from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import Config, Repository
from registry_pipeline.runs.scan import find_dated_runs, list_run_folder_names, list_run_folders


def _repository(root: Path) -> Repository:
    return Repository(root, Config())


def _list_names(repository: Repository) -> list[str]:
    ((_, names),) = list_run_folder_names(
        repository, ["runs"], lambda run_root, error: pytest.fail(f"{run_root} {error}")
    )
    return list(names)


def _folder(root: Path, name: str, *files: str) -> Path:
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_text("x")
    return folder


_STAMP = "2026-03-01__120000__"


def test_folders_are_classified_by_which_seal_files_exist(tmp_path: Path) -> None:
    _folder(tmp_path, f"{_STAMP}both", "manifest.json", "MANIFEST.sha256")
    _folder(tmp_path, f"{_STAMP}one", "manifest.json")
    _folder(tmp_path, f"{_STAMP}none", "run.json")

    listing = list_run_folders(_repository(tmp_path), ["runs", "not/there"], ["both", "one", "none"])

    seals = {folder.run_id.removeprefix(_STAMP): folder.seal for folder in listing.folders}
    assert seals == {"both": "sealed", "none": "unsealed", "one": "partial"}
    assert listing.count_by_seal() == {"sealed": 1, "partial": 1, "unsealed": 1}
    assert (listing.count_by_root(), listing.findings) == ({"runs": 3}, ())


def test_all_folders_are_counted_on_request_and_those_with_a_tag_are_listed(tmp_path: Path) -> None:
    _folder(tmp_path, f"{_STAMP}build", "manifest.json", "MANIFEST.sha256")
    _folder(tmp_path, f"{_STAMP}other", "manifest.json")
    _folder(tmp_path, "build")

    counted = list_run_folders(_repository(tmp_path), ["runs"], ["build"], count_all=True)
    listed = list_run_folders(_repository(tmp_path), ["runs"], ["build"])

    assert [folder.run_id for folder in counted.folders] == [f"{_STAMP}build"]
    assert counted.folders == listed.folders
    assert counted.count_by_seal() == {"sealed": 1, "partial": 1, "unsealed": 1}
    assert listed.count_by_seal() == {"sealed": 1, "partial": 0, "unsealed": 0}


def test_links_are_neither_run_folders_nor_seal_files(tmp_path: Path) -> None:
    real = _folder(tmp_path, f"{_STAMP}real", "manifest.json")
    (real / "MANIFEST.sha256").symlink_to(real / "manifest.json")
    (tmp_path / "runs" / f"{_STAMP}real__02").symlink_to(real)

    listing = list_run_folders(_repository(tmp_path), ["runs"], ["real"], count_all=True)

    assert [(folder.run_id, folder.seal) for folder in listing.folders] == [(f"{_STAMP}real", "partial")]
    assert listing.count_by_root() == {"runs": 1}


def test_a_run_root_that_is_a_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("x")

    assert [f.code for f in list_run_folders(_repository(tmp_path), ["runs"], ["build"]).findings] == [
        "RUN_ROOT_UNREADABLE"
    ]


def test_one_build_lists_a_run_root_again_only_if_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _folder(tmp_path, "first")
    repository = _repository(tmp_path).remembering(safe_change=sys.maxsize)
    listed: list[str] = []

    def scan_folder(path: str) -> Any:
        listed.append(path)
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", scan_folder)

    assert [_list_names(repository), _list_names(repository)] == [["first"], ["first"]]
    assert len(listed) == 1
    # Two changes within one tick of the clock have one time, so the folder gets another inode.
    (tmp_path / "runs").rename(tmp_path / "earlier")
    _folder(tmp_path, "second")
    assert _list_names(repository) == ["second"]


def test_a_run_root_that_has_just_changed_is_listed_each_time(tmp_path: Path) -> None:
    repository = _repository(tmp_path).remembering(safe_change=0)
    _folder(tmp_path, "first")

    assert _list_names(repository) == ["first"]
    _folder(tmp_path, "second")
    assert _list_names(repository) == ["first", "second"]


def test_without_a_memo_a_run_root_is_listed_each_time(tmp_path: Path) -> None:
    repository = _repository(tmp_path)
    _folder(tmp_path, "first")

    assert _list_names(repository) == ["first"]
    _folder(tmp_path, "second")
    assert _list_names(repository) == ["first", "second"]


def test_runs_of_a_tag_come_by_moment_and_then_by_number(tmp_path: Path) -> None:
    for name in (
        "2026-03-01__120000__build__100",
        "2026-03-01__120000__build__11",
        "2026-03-01__120000__build",
        "2026-02-01__120000__build",
        "2026-03-01__120000__other",
        "2026-03-01__120000__build_more",
        "build",
    ):
        _folder(tmp_path, name)

    dated = find_dated_runs(list_run_folders(_repository(tmp_path), ["runs"], {"build"}), {"build"})

    assert [folder.run_id for _, folder in dated] == [
        "2026-02-01__120000__build",
        "2026-03-01__120000__build",
        "2026-03-01__120000__build__11",
        "2026-03-01__120000__build__100",
    ]
