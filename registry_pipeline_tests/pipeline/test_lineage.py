"""`verify --inputs` in a built repository; each way in which inputs can be invalid is a case of `cases/inputs`."""

from __future__ import annotations

import pytest

from registry_pipeline.pipeline import verify as pipeline_verify
from registry_pipeline.pointers import find_runs
from registry_pipeline_tests.pipeline.conftest import World


def test_every_run_of_two_builds_has_valid_inputs(built: World) -> None:
    built.build(minutes=1)
    runs = find_runs.list_all_runs(built.repository)

    checked_runs = list(pipeline_verify.check_runs(runs, None))

    lineage = pipeline_verify.verify_inputs(built.repository, runs, checked_runs)

    recorded = {recorded.ref.run_id for each in checked_runs for recorded in each.inputs.registries}
    assert lineage.findings == ()
    assert lineage.walked == len(recorded) > 0


def test_only_runs_that_are_not_verified_yet_are_read(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = find_runs.list_all_runs(built.repository)
    checked_runs = list(pipeline_verify.check_runs(runs, None))
    monkeypatch.setattr("registry_pipeline.pipeline.verify.verify_folder", None)

    assert pipeline_verify.verify_inputs(built.repository, runs, checked_runs).findings == ()
