"""The run index and the overrides log in Dagster: rules and append-only block, against the active snapshot and git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.defs.conftest import DagsterRepo, FirstRebuild, handed_on, page_of, troubles, verdicts_of
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.run_index.values import a_run, a_success

PASSED = {"seal": True, "schema": True, "rules": True}
BROKEN = PASSED | {"rules": False}
VOIDED = {
    "record_type": "OVERRIDE_UPDATE",
    "override_id": "OVR-20260107-0855-BBBB",
    "update_utc": "2026-01-08T08:00Z",
    "updated_by": "Tomas Weir",
    "update_type": "STATUS",
    "status": "voided",
}


def _append(root: Path, log: str, *records: dict[str, Any]) -> None:
    with (root / log).open("ab") as file:
        file.write(b"".join(json.dumps(record).encode() + b"\n" for record in records))


def _refusal(repo: DagsterRepo, registry_id: str) -> str:
    """Materialize a registry whose rules are broken; return what its check says."""
    result = repo.materialize(registry_id)
    assert not result.success
    assert verdicts_of(result, registry_id) == BROKEN
    assert repo.skipped()
    check = next(e for e in result.get_asset_check_evaluations() if e.check_name == "rules")
    assert check.blocking
    return check.description or ""


def test_both_are_sealed_with_their_records_counted(first_rebuild: FirstRebuild) -> None:
    index, overrides = (page_of(first_rebuild.result, name) for name in ("run_index", "overrides_log"))

    assert (index["dagster/row_count"], overrides["dagster/row_count"]) == (3, 1)
    assert verdicts_of(first_rebuild.result, "run_index") == PASSED
    assert verdicts_of(first_rebuild.result, "overrides_log") == PASSED


def test_appended_records_are_sealed_checked_and_proposed(activated: DagsterRepo) -> None:
    _append(activated.repository.root, RUN_INDEX, a_success(1))

    result = activated.materialize("overrides_log", "run_index")

    assert result.success, troubles(result)
    assert verdicts_of(result, "run_index") == PASSED
    assert page_of(result, "overrides_log")["state"] == "unchanged"
    assert set(activated.asked_for()) == {"run_index"}


def test_a_gate_without_its_outputs_blocks(activated: DagsterRepo) -> None:
    _append(activated.repository.root, RUN_INDEX, a_run(1, qa_gate2="PASS"))

    assert "RI030: qa_gate2 is PASS without work_id and version_ids" in _refusal(activated, "run_index")


def test_a_voided_override_blocks_the_index_that_did_not_change(activated: DagsterRepo) -> None:
    _append(activated.repository.root, OVERRIDES, VOIDED)

    refusal = _refusal(activated, "run_index")

    assert "RI031: qa_gate2 is PASS although uniqueness_hook is FAIL" in refusal
    assert verdicts_of(activated.materialize("overrides_log"), "overrides_log") == PASSED


@pytest.mark.parametrize("edit", ["changed", "gone"])
def test_an_edited_old_line_blocks_by_the_active_snapshot(activated: DagsterRepo, edit: str) -> None:
    log = activated.repository.root / RUN_INDEX
    first, *rest = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([first.replace(b'"human"', b'"gpt"')] * (edit == "changed") + rest))

    refusal = _refusal(activated, "run_index")

    assert f"RI050: a line of {activated.active()['run_index'].run_id} was removed or changed" in refusal


def test_a_line_that_only_git_contains_blocks_too(activated: DagsterRepo) -> None:
    root = activated.repository.root
    before = (root / OVERRIDES).read_bytes()
    _append(root, OVERRIDES, VOIDED | {"status": "resolved"})
    git(root, "add", "--force", OVERRIDES)
    git(root, "commit", "--quiet", "-m", "an update")
    (root / OVERRIDES).write_bytes(before + json.dumps(VOIDED).encode() + b"\n")

    refusal = _refusal(activated, "overrides_log")

    assert "RI050: a line of commit " in refusal


def test_a_log_that_ends_in_the_middle_of_a_line_is_not_captured(activated: DagsterRepo) -> None:
    with (activated.repository.root / RUN_INDEX).open("ab") as file:
        file.write(b'{"record_type":')

    page = handed_on(activated.materialize("run_index"), "run_index")

    assert page["run_id"] == activated.active()["run_index"].run_id
    assert "CAPTURE_MALFORMED" in [row["code"] for row in page["findings"]]
