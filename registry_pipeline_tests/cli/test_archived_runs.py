"""Runs whose folders were removed after an export: they stay registered while `archives` names their archive."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.registries.run_registry import archives
from registry_pipeline.runs.archive_index import read_archive_index
from registry_pipeline_tests.archived_runs import (
    ARCHIVE,
    FIRST,
    OLD,
    RUNS,
    add_sealed_runs,
    name_archives,
    read_lines,
    remove_runs,
)
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.registries.repositories import git

DAYS = [f"2026-03-{day:02}T12:00:00Z" for day in range(2, 9)]


@pytest.fixture
def archived(built: Repository) -> Repository:
    """A built repository that lists three old runs, whose folders were removed after an export."""
    add_sealed_runs(built, *OLD)
    assert built("build", now=DAYS[0]).code == 0
    assert built("export", *OLD, ARCHIVE).code == 0
    name_archives(built, "archives/*.tar.gz")
    remove_runs(built, *OLD)
    return built


def codes(document: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in document["findings"]}


def test_a_removed_run_keeps_its_line_and_an_import_restores_it(built: Repository) -> None:
    add_sealed_runs(built, *OLD)
    assert built("build", now=DAYS[0]).code == 0
    before, total = read_lines(built), built("status", "--json").document("status")["runs"]["total"]

    # (1) Export, name the archive, remove the folders.
    assert built("export", *OLD, ARCHIVE).code == 0
    name_archives(built, ARCHIVE)
    remove_runs(built, *OLD)
    assert built("build", now=DAYS[1]).code == 0
    ending = f',"archived in {ARCHIVE}"]}}'
    assert read_lines(built) == {
        run_id: f"{line[:-2]}{ending.replace(',', '', line.endswith('[]}'))}" for run_id, line in before.items()
    }

    # (2) The archived runs are runs.
    status = built("status", "--json", now=DAYS[1]).document("status")
    own = status["runs"]["by_seal"]["sealed"] + len(OLD)
    assert status["runs"]["by_seal"]["archived"] == len(OLD)
    assert (status["runs"]["total"] > total, status["runs"]["total"] >= own) == (True, True)
    assert sum(status["runs"]["by_seal"].values()) == sum(status["runs"]["by_root"].values()) == status["runs"]["total"]
    assert f"{len(OLD)} archived" in built("status", now=DAYS[1]).out
    records = built("runs", "--state", "archived", "--json").document("runs")["records"]
    assert {(record["run_id"], tuple(record["states"])) for record in records} == {
        (run_id, ("sealed", "archived")) for run_id in OLD
    }

    # (3) Brought back, they have their lines back.
    assert built("import", ARCHIVE).code == 0
    assert built("build", now=DAYS[2]).code == 0
    assert read_lines(built) == before


def test_a_build_after_the_removal_finds_nothing_to_do_the_second_time(tracked: Repository) -> None:
    add_sealed_runs(tracked, *OLD)
    assert tracked("build", now="2026-03-01T12:01:00Z").code == 0
    assert tracked("export", *OLD, ARCHIVE).code == 0
    name_archives(tracked, ARCHIVE)
    remove_runs(tracked, *OLD)
    git(tracked.root, "add", "--force", "--all")
    git(tracked.root, "commit", "-q", "-m", "archived")
    for now in ("2026-03-01T12:02:00Z", "2026-03-01T12:03:00Z"):
        assert tracked("build", now=now).code == 0

    done = tracked("build", now="2026-03-01T12:04:00Z")

    assert "up to date: nothing has changed, so nothing was sealed" in done.out.splitlines()


def test_without_the_archive_in_the_toml_a_removed_run_is_lost(archived: Repository) -> None:
    name_archives(archived)

    done = archived("build", now=DAYS[1])

    assert (done.code, "RUN_REMOVED" in done.out) == (3, True)


def test_a_run_with_a_folder_is_read_from_the_folder(archived: Repository) -> None:
    assert archived("import", ARCHIVE).code == 0

    assert archived("build", "--force", now=DAYS[1]).code == 0

    assert not [line for line in read_lines(archived).values() if "archived in" in line]


def test_an_archived_run_with_another_root_is_resealed(built: Repository) -> None:
    add_sealed_runs(built, *OLD)
    assert built("build", now=DAYS[0]).code == 0
    remove_runs(built, FIRST)
    add_sealed_runs(built, FIRST)
    path = built.runs / FIRST
    for name in ("manifest.json", "MANIFEST.sha256"):
        (path / name).unlink()
    (path / "result.txt").write_text("other\n", encoding="utf-8")
    assert built("seal", "--write", f"{RUNS}/{FIRST}").code == 0
    assert built("export", FIRST, ARCHIVE).code == 0
    name_archives(built, ARCHIVE)
    remove_runs(built, FIRST)

    done = built("build", now=DAYS[1])

    assert (done.code, "RUN_RESEALED" in done.out) == (3, True)


def _damage(archive: Path) -> None:
    data = archive.read_bytes()
    archive.chmod(0o644)
    archive.write_bytes(data[: len(data) // 2])


def _flip(archive: Path) -> None:
    archive.chmod(0o644)
    flip_byte(archive)


@pytest.mark.parametrize(
    ("change", "code"), [(_damage, "ARCHIVE_INVALID"), (_flip, "ARCHIVE_INVALID"), (Path.unlink, "ARCHIVE_MISSING")]
)
def test_a_damaged_or_missing_archive_is_never_silently_fewer_runs(
    change: Any, code: str, archived: Repository
) -> None:
    name_archives(archived, ARCHIVE)
    active = archived.active("run_registry")
    change(archived.root / ARCHIVE)

    done = archived("build", "--json", now=DAYS[1])

    assert done.code == 3
    assert {code, "RUN_LEFT_OUT"} <= codes(done.document("build"))
    assert "RUN_REMOVED" not in done.out
    assert archived.active("run_registry") == active
    for command in ("status", "doctor"):
        found = archived(command, "--json", now=DAYS[1])
        assert (found.code, code in codes(found.document(command))) == (3, True)
    assert archived("verify", "--all").code == 3
    past = archived("build", "drift_signals_daily", "--as-of", "2026-02-01", now=DAYS[1])
    assert (past.code, f"the archive {ARCHIVE} cannot be read" in past.err) == (3, True)


def test_a_glob_without_an_archive_is_a_warning(built: Repository) -> None:
    name_archives(built, "archives/*.tar.gz")

    done = built("status", "--json")

    findings = done.document("status")["findings"]
    assert [f["severity"] for f in findings if f["code"] == "ARCHIVE_MISSING"] == ["warning"]
    assert done.code == 0


def test_two_archives_that_contradict_each_other_are_a_finding(archived: Repository) -> None:
    add_sealed_runs(archived, FIRST)
    for name in ("manifest.json", "MANIFEST.sha256"):
        (archived.runs / FIRST / name).unlink()
    (archived.runs / FIRST / "result.txt").write_text("other\n", encoding="utf-8")
    assert archived("seal", "--write", f"{RUNS}/{FIRST}").code == 0
    assert archived("export", FIRST, "archives/z.tar.gz").code == 0
    remove_runs(archived, FIRST)

    document = archived("status", "--json").document("status")

    assert "ARCHIVE_CONFLICT" in codes(document)
    assert archived("build", now=DAYS[1]).code == 3


def test_runs_outside_the_run_roots_are_a_warning(built: Repository) -> None:
    add_sealed_runs(built, FIRST)
    with tarfile.open(built.root / "archives/x.tar", "w") as archive:
        archive.add(built.runs / FIRST, f"elsewhere/{FIRST}")
    name_archives(built, "archives/x.tar")

    findings = built("status", "--json").document("status")["findings"]

    assert [(f["code"], f["severity"]) for f in findings if f["code"].startswith("ARCHIVE")] == [
        ("ARCHIVE_OUTSIDE_ROOTS", "warning")
    ]


def test_excluded_runs_are_left_out_of_archives_too(archived: Repository) -> None:
    path = archived.root / "registry-pipeline.toml"
    path.write_text('exclude = ["2025-01-1*"]\n' + path.read_text(encoding="utf-8"), encoding="utf-8")

    done = archived("build", now=DAYS[1])

    assert (done.code, "RUN_EXCLUDED" in done.out, "RUN_REMOVED" in done.out) == (3, True, False)


@pytest.mark.parametrize("value", ['"../x.tar.gz"', '"/x.tar"', '"x.zip"', '"archives/"'])
def test_an_archive_outside_or_of_another_kind_is_a_configuration_error(value: str, built: Repository) -> None:
    path = built.root / "registry-pipeline.toml"
    path.write_text(f"archives = [{value}]\n" + path.read_text(encoding="utf-8"), encoding="utf-8")

    done = built("status")

    assert (done.code, "archives" in done.err) == (2, True)


def test_an_archive_that_did_not_change_is_not_read_again(
    archived: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def read(path: str) -> Any:
        reads.append(path)
        return read_archive_index(path)

    monkeypatch.setattr(archives, "read_archive_index", read)
    # Far in the future, so that the archive is older than the build.
    for day in (1, 2, 3):
        assert archived("build", "--force", "--allow-future", now=f"2037-03-0{day}T12:00:00Z").code == 0
    assert archived("status", "--allow-future", now="2037-03-04T12:00:00Z").code == 0
    assert len(reads) == 1
    lines = read_lines(archived)

    # Touched, it is read again; without the cache, the lines are the same.
    (archived.root / ARCHIVE).chmod(0o644)
    assert archived("build", "--force", "--allow-future", now="2037-03-05T12:00:00Z").code == 0
    assert len(reads) == 2
    shutil.rmtree(archived.root / ".codex/cache")
    assert archived("build", "--force", "--allow-future", now="2037-03-06T12:00:00Z").code == 0
    assert (len(reads), read_lines(archived)) == (3, lines)


def test_a_run_that_was_active_may_be_archived_and_the_chain_still_verifies(built: Repository) -> None:
    (built.root / "archives").mkdir()
    first = built.active("run_registry")
    for now in DAYS[:3]:
        assert built("build", "--force", now=now).code == 0
    done = built("export", "--older-than", "1", ARCHIVE, "--json", now="2026-06-01T00:00:00Z").document("export")
    exported = [run["path"] for run in done["runs"]]
    assert f"{RUNS}/{first}" in exported
    for path in exported:
        if path.startswith(RUNS):
            remove_runs(built, path.rpartition("/")[2])
    assert "CHAIN_RUN_MISSING" in built("verify", "--chain").out
    name_archives(built, ARCHIVE)

    assert built("verify", "--chain").code == 0
    assert built("build", "--force", now=DAYS[3]).code == 0
    assert built("doctor", now=DAYS[3]).code == 0
    assert built("verify", "--active", "--inputs", now=DAYS[3]).code == 0

    record = next(path for path in sorted(built.runs.iterdir()) if path.name.endswith("__pointer_activation__02"))
    remove_runs(built, record.name)
    assert "CHAIN_RECORD_MISSING" in built("verify", "--chain").out


def test_a_rollback_to_archived_runs_names_the_archive_and_works_after_an_import(built: Repository) -> None:
    (built.root / "archives").mkdir()
    for now in DAYS[:3]:
        assert built("build", "--force", now=now).code == 0
    document = built("export", "--older-than", "1", ARCHIVE, "--json", now="2026-06-01T00:00:00Z").document("export")
    name_archives(built, ARCHIVE)
    for run in document["runs"]:
        if run["path"].startswith(RUNS):
            remove_runs(built, run["run_id"])
    assert built("rollback", "--reason", "wrong", now=DAYS[3]).code == 0
    pointers = built.pointers.read_bytes()

    refused = built("rollback", "--reason", "wrong", now=DAYS[3])

    assert (refused.code, built.pointers.read_bytes()) == (5, pointers)
    assert f"`registry-pipeline import {ARCHIVE}`" in refused.err
    assert built("import", ARCHIVE).code == 0
    assert built("rollback", "--reason", "wrong", now=DAYS[3]).code == 0


def test_recorded_inputs_are_verified_inside_the_archive(built: Repository) -> None:
    (built.root / "archives").mkdir()
    for now in DAYS[:3]:
        assert built("build", "--force", now=now).code == 0
    document = built("export", "--older-than", "1", ARCHIVE, "--json", now="2026-06-01T00:00:00Z").document("export")
    name_archives(built, ARCHIVE)
    for run in document["runs"]:
        if run["path"].startswith(RUNS):
            remove_runs(built, run["run_id"])
    walked = built("verify", "--active", "--inputs", "--json", now=DAYS[2]).document("verify")
    assert (walked["verdict"], walked["counts"]["inputs_walked"] > len(document["runs"]) // 2) == ("pass", True)

    (built.root / ARCHIVE).chmod(0o644)
    _damage(built.root / ARCHIVE)

    done = built("verify", "--active", "--inputs", "--json", now=DAYS[2]).document("verify")
    findings = {f["code"] for result in done["results"] for f in result["findings"]} | codes(done)
    assert {"INPUT_REF_MISSING", "INPUT_NOT_VERIFIED"} & findings


def test_a_run_of_a_commit_is_found_in_an_archive(tracked: Repository) -> None:
    add_sealed_runs(tracked, *OLD)
    git(tracked.root, "add", "--force", "--all")
    git(tracked.root, "commit", "-q", "-m", "old runs")
    assert tracked("export", *OLD, ARCHIVE).code == 0
    remove_runs(tracked, *OLD)
    lost = tracked("verify", "--baseline", "HEAD")
    assert (lost.code, "RUN_REMOVED" in lost.out) == (3, True)

    name_archives(tracked, ARCHIVE)

    assert "RUN_REMOVED" not in tracked("verify", "--baseline", "HEAD").out


def test_verify_all_verifies_archives_too(archived: Repository) -> None:
    document = archived("verify", "--all", "--json").document("verify")

    paths = {result["path"]: result["verdict"] for result in document["results"]}
    assert {f"{ARCHIVE}/{RUNS}/{run_id}": "pass" for run_id in OLD}.items() <= paths.items()


def test_a_removed_run_is_named_with_its_archive(archived: Repository) -> None:
    done = archived("show", FIRST)

    assert (done.code, ARCHIVE in done.err, f"verify {ARCHIVE}" in done.err) == (7, True, True)


def test_past_days_see_archived_runs(archived: Repository) -> None:
    assert archived("import", ARCHIVE).code == 0
    assert archived("build", "drift_signals_daily", "--as-of", "2026-02-01", now=DAYS[1]).code == 0
    days = [path for path in archived.runs.iterdir() if "drift_signals_daily" in path.name]
    before = {path.name: (path / "OPERATION_STATUS_TABLE_v0_1.json").read_bytes() for path in days}
    remove_runs(archived, *OLD)

    assert archived("build", "drift_signals_daily", "--as-of", "2026-02-01", "--force", now=DAYS[2]).code == 0

    after = [p for p in archived.runs.iterdir() if "drift_signals_daily" in p.name and p.name not in before]
    tables = {json.dumps(json.loads((path / "OPERATION_STATUS_TABLE_v0_1.json").read_bytes())) for path in after}
    assert tables == {json.dumps(json.loads(data)) for data in before.values()}
