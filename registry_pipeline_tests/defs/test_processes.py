"""Steps in separate processes (the multiprocess executor), which share only the instance and the disk."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    Definitions,
    JobDefinition,
    execute_job,
    multiprocess_executor,
    reconstructable,
)
from dagster import define_asset_job as asset_job

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import REPO_VARIABLE
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.resources import COMMIT_TAG, TREE_TAG
from registry_pipeline_tests.defs.conftest import CHECK_NAMES, DagsterRepo

pytestmark = pytest.mark.process

CHOSEN = ("run_registry", "expected_versions", "op_status_table")  # two that begin together, one that reads another


def rebuild_in_processes() -> JobDefinition:
    """Return the rebuild of the repository that the environment names, with a process for each step."""
    blocking = [AssetCheckKey(AssetKey(name), check) for name in CHOSEN for check in CHECK_NAMES]
    selection = AssetSelection.assets(*CHOSEN) - AssetSelection.checks(*blocking)
    job = asset_job("rebuild_in_processes", selection, executor_def=multiprocess_executor)
    return Definitions.merge(build_defs(), Definitions(jobs=[job])).resolve_job_def("rebuild_in_processes")


def count_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have every process note what it asks git; return the file of the notes."""
    notes, git = folder / "asked", shutil.which("git")
    shim = folder / "git"
    shim.write_text(f'#!/bin/sh\necho "$@" >> "{notes}"\nexec "{git}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return notes


def test_steps_in_separate_processes_share_the_timestamp_and_the_git_state(
    fresh: DagsterRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPO_VARIABLE, str(fresh.repository.root))
    notes = count_git(tmp_path, monkeypatch)

    with execute_job(reconstructable(rebuild_in_processes), instance=fresh.instance) as result:
        run_id = result.run_id
        assert result.success
        made = [result.asset_materializations_for_node(name)[0].metadata["run_id"].value for name in CHOSEN]

    record = fresh.instance.get_run_record_by_id(run_id)
    assert record is not None
    assert record.start_time is not None
    envelopes = [fresh.run_json(str(name)) for name in made]
    tags = record.dagster_run.tags
    assert {e["created_utc"] for e in envelopes} == {utc_text(datetime.fromtimestamp(record.start_time, UTC))}
    assert {(e["git_commit"], e["working_tree_state"]) for e in envelopes} == {(tags[COMMIT_TAG], tags[TREE_TAG])}
    assert sum(" status " in line for line in notes.read_text(encoding="utf-8").splitlines()) == 1
