"""Why the newest run is not the active one: every reason of `status`, and its next command."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.cli.conftest import Repository

LATER = "2026-03-02T12:00:00Z"
LAST = "2026-03-03T12:00:00Z"
REASON = ("--reason", "a test")


def new(registry_id: str) -> str:
    return f"2026-03-02__120000__{registry_id}_build"


def built_alone(repository: Repository, registry_id: str) -> None:
    assert repository("build", registry_id, "--only", "--force", now=LATER).code == 0


def built_and_not_activated(repository: Repository) -> None:
    assert repository("build", "--no-activate", now=LATER).code == 0


def edited(repository: Repository) -> None:
    built_alone(repository, "drift_signals")
    repository.pointers.write_bytes(repository.pointers.read_bytes().replace(b'"build"', b'"tidied"'))


def altered(repository: Repository) -> None:
    built_alone(repository, "drift_signals")
    repository.tamper(new("drift_signals"), "DRIFT_SIGNALS_v0_1.json")


def stopped_by_a_check(repository: Repository) -> None:
    shutil.rmtree(repository.runs / "2026-02-01__010000__op-a02")
    assert repository("build", now=LATER).code == 3


def half_sealed(repository: Repository) -> None:
    built_alone(repository, "drift_signals")
    (repository.runs / new("drift_signals") / "MANIFEST.sha256").unlink()


def unreadable(repository: Repository) -> None:
    built_alone(repository, "drift_signals")
    path = repository.runs / new("drift_signals") / "run.json"
    path.chmod(0o644)
    path.write_text("{")


def rolled_back(repository: Repository) -> None:
    assert repository("build", now=LATER).code == 0
    assert repository("rollback", *REASON, now=LATER).code == 0


def marked_bad(repository: Repository) -> None:
    built_alone(repository, "drift_signals")
    assert repository("mark-bad", new("drift_signals"), "--reason", "wrong clock", now=LATER).code == 0


def of_another_repository(repository: Repository) -> None:
    toml = repository.root / "registry-pipeline.toml"
    own = toml.read_text(encoding="utf-8")
    toml.write_text(
        re.sub(r'(?m)^repository_id = ".*"$', 'repository_id = "another-repository"', own), encoding="utf-8"
    )
    built_alone(repository, "governance_scorecard")
    toml.write_text(own, encoding="utf-8")


@dataclass(frozen=True)
class Row:
    """How the reason comes about; of which registry; its words; the next command and how that ends."""

    make: Callable[[Repository], None]
    registry_id: str
    because: str
    next_command: str
    code: int


ROWS = {
    "built alone, what depends on it waits": Row(
        lambda repository: built_alone(repository, "run_registry"),
        "run_registry",
        "after this change drift_signals would depend on a run of run_registry that is not active (expected 2026-03-02",
        "build run_registry",
        0,
    ),
    "never activated": Row(
        lambda repository: built_alone(repository, "drift_signals"),
        "drift_signals",
        "it was built with --only or --no-activate, or a check stopped its activation",
        f"activate drift_signals {new('drift_signals')} --reason TEXT",
        0,
    ),
    "all sealed and not activated": Row(
        built_and_not_activated,
        "op_status_table",
        "got 2026-03-01__120000__op_status_table_build",
        "build op_status_table",
        0,
    ),
    "altered since": Row(
        altered, "drift_signals", "it was built with --only or --no-activate", "activate drift_signals", 5
    ),
    "stopped by a check": Row(
        stopped_by_a_check, "run_registry", "would depend on a run of run_registry", "build run_registry", 3
    ),
    "half of its seal": Row(half_sealed, "drift_signals", "the run does not verify: partial", "build drift_signals", 0),
    "unreadable": Row(
        unreadable,
        "drift_signals",
        "run.json or the root hash of the run cannot be read",
        f"verify {new('drift_signals')}",
        3,
    ),
    "rolled back": Row(rolled_back, "op_status_table", "a rollback deactivated this run", "build op_status_table", 0),
    "marked bad": Row(marked_bad, "drift_signals", "the run is marked bad: wrong clock", "build drift_signals", 0),
    "of another repository": Row(
        of_another_repository,
        "governance_scorecard",
        "the run belongs to another repository",
        f"activate governance_scorecard {new('governance_scorecard')} --allow-foreign --reason TEXT",
        0,
    ),
    "pointer file edited": Row(
        edited, "drift_signals", "has an error; nothing can be activated until it is fixed", "doctor", 3
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_status_gives_the_reason_and_a_next_command_that_works(built: Repository, name: str) -> None:
    row = ROWS[name]
    row.make(built)

    result = built("status", "--json", now=LAST)

    status_row = next(r for r in result.document("status")["registries"] if r["registry_id"] == row.registry_id)
    assert row.because in status_row["newest_not_active_because"]
    assert status_row["next_command"].startswith(f"registry-pipeline {row.next_command}")
    assert status_row["newest_run_id"].startswith("2026-03-02")
    assert f"    -> {status_row['next_command']}\n" in built("status", "--all", now=LAST).out
    words = shlex.split(status_row["next_command"])[1:]
    assert built(*words, now=LAST).code == row.code


def test_a_built_run_is_active_after_the_next_command_and_needs_no_reason(built: Repository) -> None:
    built_alone(built, "run_registry")
    assert built("build", "run_registry", now=LAST).code == 0

    registries = built("status", "--json", now=LAST).document("status")["registries"]

    pointed = [r for r in registries if SHIPPED.registries[r["registry_id"]].pointer]
    assert {r["newest_not_active_because"] for r in pointed if r["kind"] in ("built", "captured")} == {None}


def test_an_altered_active_run_does_not_block_the_newest(built: Repository) -> None:
    built_alone(built, "drift_signals")
    built.tamper("2026-03-01__120000__seal_expected_versions", "EXPECTED_VERSIONS_v0_1_snapshot.json")

    status = built("status", "--json", now=LAST)

    row = next(r for r in status.document("status")["registries"] if r["registry_id"] == "drift_signals")
    assert (status.code, row["newest_not_active_because"].startswith("it was built with --only or --no-activate")) == (
        3,
        True,
    )
