"""`exclude`: run folders that are not registered, and the runs that the active registry lists all the same."""

from __future__ import annotations

import json

import pytest

from registry_pipeline.config import Config
from registry_pipeline_tests.cli.conftest import Repository

LATER, LAST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"


def exclude(repository: Repository, *globs: str) -> None:
    path = repository.root / "registry-pipeline.toml"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("exclude")]
    path.write_text("\n".join([f"exclude = {json.dumps(globs)}", *lines]) + "\n", encoding="utf-8")


def add_run(repository: Repository, name: str, root: str = "reports/runs") -> None:
    folder = repository.root / root / name
    folder.mkdir(parents=True)
    (folder / "out.txt").write_text("x\n", encoding="utf-8")


def listed(repository: Repository) -> set[str]:
    artifact = repository.runs / repository.active("run_registry") / "RUN_REGISTRY_v0_1.jsonl"
    return {json.loads(line)["run_id"] for line in artifact.read_bytes().splitlines()}


def excluded(repository: Repository, *words: str, now: str = LATER) -> dict[str, str]:
    findings = json.loads(repository(*words, "--json", now=now).out)["findings"]
    return {f["path"]: f["severity"] for f in findings if f["code"] == "RUN_EXCLUDED"}


@pytest.mark.parametrize("glob", ["scratch-*", "reports/runs/scratch-*", "reports/*-1", "scratch-[0-9]"])
def test_an_excluded_folder_is_not_registered_not_counted_and_not_listed(built: Repository, glob: str) -> None:
    exclude(built, glob)
    before = json.loads(built("status", "--json", now=LATER).out)["runs"]["total"]
    add_run(built, "scratch-1")

    assert json.loads(built("status", "--json", now=LATER).out)["runs"]["total"] == before
    assert "scratch-1" not in built("verify", "--all", now=LATER).out
    assert built("build", now=LATER).code == 0
    assert "scratch-1" not in listed(built)
    exclude(built)
    assert built("build", now=LAST).code == 0
    assert "scratch-1" in listed(built)


def test_a_sealed_folder_is_verified_although_it_is_excluded(built: Repository) -> None:
    run = built.active("drift_signals")
    add_run(built, "x")
    assert built("build", now=LATER).code == 0
    assert built.active("drift_signals") != run
    built.tamper(run, "DRIFT_SIGNALS_v0_1.json")
    exclude(built, "*")

    result = built("verify", "--all", now=LATER)

    assert result.code == 3
    assert run in result.out
    assert json.loads(built("status", "--json", now=LATER).out)["runs"]["by_seal"]["sealed"] > 0


def test_an_excluded_run_that_the_active_registry_lists_is_reported_by_name(built: Repository) -> None:
    add_run(built, "scratch-1")
    assert built("build", now=LATER).code == 0
    active = built.active("run_registry")
    exclude(built, "scratch-*")

    assert excluded(built, "status") == {"reports/runs/scratch-1": "warning"}
    assert excluded(built, "build", now=LAST) == {"reports/runs/scratch-1": "error"}
    assert built.active("run_registry") == active


def test_the_loss_can_be_accepted_with_the_command_that_the_finding_names(built: Repository) -> None:
    add_run(built, "scratch-1")
    assert built("build", now=LATER).code == 0
    exclude(built, "scratch-*")
    assert built("build", now=LAST).code == 3

    words = ["activate", "run_registry", "latest", "--accept-removed", "--allow-mixed", "--reason", "dropped"]
    assert built(*words, now=LAST).code == 0

    assert "scratch-1" not in listed(built)
    assert excluded(built, "status", now=LAST) == {}
    assert built("build", now="2026-03-04T12:00:00Z").code == 0
    assert built("verify", "--active", "--chain", now="2026-03-05T12:00:00Z").code == 0


def test_a_run_that_is_excluded_and_gone_is_removed(built: Repository) -> None:
    add_run(built, "scratch-1")
    assert built("build", now=LATER).code == 0
    exclude(built, "scratch-*")
    (built.root / "reports/runs/scratch-1/out.txt").unlink()
    (built.root / "reports/runs/scratch-1").rmdir()

    findings = json.loads(built("build", "--json", now=LAST).out)["findings"]

    assert [f["path"] for f in findings if f["code"] == "RUN_REMOVED"] == ["reports/runs/scratch-1"]
    assert excluded(built, "status") == {}


@pytest.mark.parametrize("glob", ["", "/runs/*", "../*", "runs/", "a//b", 3])
def test_a_glob_that_could_match_nothing_is_refused(built: Repository, glob: str) -> None:
    exclude(built, glob)

    refused = built("status")

    assert refused.code == 2
    assert "exclude.0" in refused.err


@pytest.mark.parametrize(
    ("glob", "run_root", "name", "matches"),
    [
        ("a", "runs", "a", True),
        ("a", "a", "b", False),
        ("A", "runs", "a", False),
        ("runs/a*", "runs", "ab", True),
        ("runs/a*", "other/runs", "ab", False),
        ("*/runs/*", "x/y/runs", "b", True),
        ("[!a]", "runs", "b", True),
    ],
)
def test_a_glob_without_a_slash_is_for_a_name_and_another_for_a_path(
    glob: str, run_root: str, name: str, matches: bool
) -> None:
    found = Config(exclude=(glob,)).find_exclusion(run_root, name)

    assert found == (glob if matches else None)
