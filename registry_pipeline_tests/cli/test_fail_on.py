"""`--fail-on`: which condition failed, which could not be checked, and the conditions that are health states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.cli.exit_codes import FAIL_ON_CONDITIONS, check_conditions
from registry_pipeline.registries.base.values import OperationCounts, SystemDrift
from registry_pipeline.registries.system_health.build import SEVERITY
from registry_pipeline_tests.cli.conftest import Repository

FLAGS = st.sampled_from([True, False, None])
NUMBERS = st.integers(0, 2)


def results_of(repository: Repository, *words: str, verb: str = "status") -> dict[str, Any]:
    """Return the results of the conditions of a command by name, each without its name."""
    document = repository(*words, "--json").document(verb)
    return {row.pop("condition"): row for row in document["fail_on"]}


def test_the_text_names_each_condition_that_failed_and_no_other(seen: Repository) -> None:
    lines = seen("status", "--fail-on", "warning,drift").out.splitlines()

    assert [line.split(":")[0] for line in lines if line.startswith("--fail-on")] == ["--fail-on drift failed"]
    assert not [line for line in seen("status").out.splitlines() if line.startswith("--fail-on")]


def test_a_quiet_command_still_says_why_it_exits_4(seen: Repository) -> None:
    result = seen("-q", "status", "--fail-on", "drift")

    assert result.code == 4
    assert result.out.startswith("--fail-on drift failed: ")


def test_without_the_option_no_condition_was_checked(seen: Repository) -> None:
    assert seen("status", "--json").document("status")["fail_on"] == []


@pytest.mark.parametrize(
    ("state", "code"),
    [("DEGRADED_NON_BLOCKING", 4), ("degraded_non_blocking", 4), ("UNKNOWN", 0), ("RECOVERY_REQUIRED", 0)],
)
def test_a_health_state_fails_if_it_is_reached(seen: Repository, state: str, code: int) -> None:
    assert seen("status", "--json").document("status")["health_state"] == "DEGRADED_NON_BLOCKING"

    assert seen("status", "--fail-on", state).code == code
    (result,) = results_of(seen, "status", "--fail-on", state).values()
    assert result["result"] == ("failed" if code else "passed")
    assert result["reason"].startswith("the health state is DEGRADED_NON_BLOCKING: the working tree is dirty")


def test_every_worse_state_fails_too(built: Repository) -> None:
    built.pointers.unlink()
    before = built("status", "--json").document("status")["health_state"]

    results = results_of(built, "status", "--fail-on", ",".join(SEVERITY[1:]))

    failed = [state for state in SEVERITY[1:] if results[state]["result"] == "failed"]
    assert failed == list(SEVERITY[1 : SEVERITY.index(before) + 1])
    assert len(failed) >= 2


def test_healthy_is_no_condition(seen: Repository) -> None:
    result = seen("status", "--fail-on", "HEALTHY")

    assert result.code == 2
    assert "'HEALTHY' is none of drift, stale, coverage, warning, DEGRADED_NON_BLOCKING, UNKNOWN" in result.err


def test_a_condition_that_nothing_is_known_about_is_not_passed(tmp_path: Path, home: Path) -> None:
    (tmp_path / "registry-pipeline.toml").write_text("")
    repository = Repository(tmp_path, home)

    results = results_of(repository, "status", "--fail-on", "drift,stale,coverage,warning")

    assert [row["result"] for row in results.values()] == ["unknown", "unknown", "unknown", "failed"]
    assert "--fail-on stale unknown: no op_status_table is active" in repository("status", "--fail-on", "stale").out


def test_build_and_verify_say_which_condition_failed(built: Repository) -> None:
    later = "2026-03-02T12:00:00Z"

    verified = built("verify", "--active", "--fail-on", "coverage")
    rebuilt = built("build", "--fail-on", "coverage,warning", now=later)

    assert (verified.code, rebuilt.code) == (4, 4)
    assert "--fail-on coverage failed: " in verified.out
    assert "--fail-on coverage failed: " in rebuilt.out


@pytest.mark.parametrize("words", [("entries", "check"), ("roles", "check"), ("run-index", "check")])
def test_a_check_of_files_refuses_conditions_that_it_cannot_check(seen: Repository, words: tuple[str, ...]) -> None:
    result = seen(*words, "--fail-on", "drift")

    assert result.code == 2
    assert "'drift' is none of warning" in result.err


@given(st.builds(OperationCounts, *[NUMBERS] * 7) | st.none(), st.builds(SystemDrift, FLAGS, FLAGS, FLAGS) | st.none())
def test_drift_fails_if_anything_drifts_and_passes_only_if_all_is_known(
    operations: OperationCounts | None, drift: SystemDrift | None
) -> None:
    results = {row.condition: row for row in check_conditions(FAIL_ON_CONDITIONS, (), operations, drift)}

    flags = [None] if drift is None else [drift.canon_dirty, drift.schema_drift, drift.threshold_drift]
    known = [None if operations is None else operations.drifting > 0, *flags]
    expected = "failed" if True in known else "unknown" if None in known else "passed"
    assert results["drift"].result == expected
    assert tuple(results) == FAIL_ON_CONDITIONS
    assert all(row.reason for row in results.values())
