"""`verify --inputs` over a built repository; each way in which a lineage can be broken is a case of `cases/inputs`."""

from __future__ import annotations

import pytest

from registry_pipeline.runbook import verification
from registry_pipeline_tests.runbook.conftest import World


def test_every_run_of_two_builds_rests_on_sound_inputs(built: World) -> None:
    built.build(minutes=1)
    runs = verification.all_runs(built.governed)

    judged = list(verification.judge_runs(runs))

    lineage = verification.verify_inputs(built.governed, runs, judged)

    recorded = {recorded.ref.run_id for each in judged for recorded in each.inputs.registries}
    assert lineage.findings == ()
    assert lineage.walked == len(recorded) > 0


def test_only_the_runs_that_are_not_judged_yet_are_read(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = verification.all_runs(built.governed)
    judged = list(verification.judge_runs(runs))
    monkeypatch.setattr("registry_pipeline.runbook.verification.verify_folders", None)

    assert verification.verify_inputs(built.governed, runs, judged).findings == ()
