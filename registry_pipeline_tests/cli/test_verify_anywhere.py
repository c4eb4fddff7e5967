"""`verify` of archives, and of folders where there is no repository."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from registry_pipeline_tests.cli.conftest import CommandResult, Repository, call, environment

RUN = "2026-03-01__120000__run_registry_build"
ENTRIES = "2026-03-01__120000__module_registry_build"
ARTIFACT = "RUN_REGISTRY_v0_1.jsonl"
_LEFT_OUT = "not checked, because only a repository shows it: pointer file, activation chain, marks of bad runs, "


def _pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as tar:
        tar.add(folder, folder.name)
    return archive


@pytest.fixture
def nowhere(tmp_path: Path, home: Path) -> Repository:
    """A folder that is no repository, in which commands run."""
    (tmp_path / "nowhere").mkdir()
    return Repository(tmp_path / "nowhere", home)


def _verify(place: Repository, *words: str) -> CommandResult:
    return call("verify", *words, cwd=place.root, env=environment(place.home))


@pytest.mark.parametrize("name", ["run.tar.gz", "run.tgz", "run.tar"])
def test_an_archive_has_the_verdict_the_registry_and_the_root_of_its_folder(
    name: str, seen: Repository, nowhere: Repository
) -> None:
    _pack(seen.runs / RUN, nowhere.root / name)
    (folder,) = seen("verify", RUN, "--json").document("verify")["results"]

    result = _verify(nowhere, name, "--json")

    (archive,) = result.document("verify")["results"]
    assert result.code == 0
    assert archive == folder | {"path": name}
    assert archive["registry_id"] == "run_registry"


def test_the_schemas_decide_about_an_archive_too(seen: Repository, nowhere: Repository) -> None:
    old = "2026-01-10__101010__run_registry_build"
    _pack(seen.runs / old, nowhere.root / "old.tar.gz")

    codes = [finding["code"] for finding in seen("verify", old, "--json").document("verify")["results"][0]["findings"]]
    (result,) = _verify(nowhere, "old.tar.gz", "--json").document("verify")["results"]

    assert [finding["code"] for finding in result["findings"]] == codes != []


def test_a_registry_of_many_files_is_validated_in_an_archive(seen: Repository, nowhere: Repository) -> None:
    _pack(seen.runs / ENTRIES, nowhere.root / "entries.tar.gz")

    assert _verify(nowhere, "entries.tar.gz").code == 0


def test_a_changed_byte_in_an_archive_is_found(built: Repository, nowhere: Repository) -> None:
    built.tamper(RUN, ARTIFACT)
    _pack(built.runs / RUN, nowhere.root / "run.tar.gz")

    result = _verify(nowhere, "run.tar.gz")

    assert result.code == 3
    assert result.out.splitlines()[0] == "fail      run.tar.gz"
    assert f"SEAL_INVALID: HASH_MISMATCH run.tar.gz/{ARTIFACT}: " in result.out


def test_an_archive_that_does_not_fit_on_the_disk_could_not_be_checked(
    seen: Repository, nowhere: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pack(seen.runs / RUN, nowhere.root / "run.tar.gz")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))

    result = _verify(nowhere, "run.tar.gz")

    assert result.code == 7
    assert "ARCHIVE_NOT_UNPACKED" in result.out
    assert "set TMPDIR to a folder with enough free space" in result.out


def test_a_run_that_is_marked_bad_is_found_in_an_archive_inside_the_repository(built: Repository) -> None:
    assert built("mark-bad", RUN, "--reason", "tried").code == 0
    _pack(built.runs / RUN, built.root / "run.tar.gz")

    result = built("verify", "run.tar.gz")

    assert result.code == 3
    assert "RUN_MARKED_BAD" in result.out
    assert _LEFT_OUT not in result.out


@pytest.mark.parametrize("word", [RUN, f"./{RUN}"])
def test_a_folder_is_verified_where_there_is_no_repository_and_the_text_says_what_is_not_checked(
    word: str, seen: Repository, nowhere: Repository
) -> None:
    shutil.copytree(seen.runs / RUN, nowhere.root / RUN)

    result = _verify(nowhere, word)

    assert result.code == 0
    assert result.out.splitlines()[1].startswith(_LEFT_OUT)
    assert result.out.splitlines()[-1].startswith("pass: 1 run, 1 sealed and valid")


def test_what_is_not_checked_is_in_json_and_beside_annotations(seen: Repository, nowhere: Repository) -> None:
    shutil.copytree(seen.runs / RUN, nowhere.root / RUN)

    document = _verify(nowhere, RUN, "--json").document("verify")
    annotated = _verify(nowhere, RUN, "--format", "github")

    assert document["not_checked"] == ["pointer file", "activation chain", "marks of bad runs", "recorded inputs"]
    assert (annotated.out, annotated.err.startswith(_LEFT_OUT)) == ("", True)
    assert seen("verify", RUN, "--json").document("verify")["not_checked"] == []


def test_what_is_not_checked_is_skipped_in_junit(seen: Repository, nowhere: Repository) -> None:
    report = _verify(nowhere, str(seen.runs / RUN), "--format", "junit")

    cases = ET.fromstring(report.out).iter("testcase")  # noqa: S314 - written by the command
    skipped = [case.get("name") for case in cases if case.find("skipped") is not None]
    assert report.code == 0
    assert skipped == ["pointer file", "activation chain", "marks of bad runs", "recorded inputs"]


def test_inside_a_repository_a_run_comes_before_a_folder_of_the_same_name(built: Repository) -> None:
    (built.root / RUN).mkdir()
    shutil.copytree(built.runs / RUN, built.root / "elsewhere")

    results = built("verify", RUN, "elsewhere", "--json").document("verify")["results"]

    assert [(result["path"], result["verdict"]) for result in results] == [
        (f".codex/RUNS/{RUN}", "pass"),
        ("elsewhere", "fail"),
    ]


def test_a_word_that_names_nothing_is_exit_7_everywhere(seen: Repository, nowhere: Repository) -> None:
    assert (seen("verify", "nothing").code, _verify(nowhere, "nothing").code) == (7, 7)
    assert _verify(nowhere, "nothing.tar.gz").code == 7


def test_options_that_need_a_repository_say_so(seen: Repository, nowhere: Repository) -> None:
    shutil.copytree(seen.runs / RUN, nowhere.root / RUN)

    result = _verify(nowhere, RUN, "--chain")

    assert (result.code, result.out) == (7, "")
    assert "no repository at or above" in result.err
