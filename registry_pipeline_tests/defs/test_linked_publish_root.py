"""publish_root behind a symbolic link: a step fails before it seals anything, with what to do."""

from __future__ import annotations

from registry_pipeline_tests.defs.conftest import DagsterRepo, failure_of


def test_a_step_does_not_seal_behind_a_link(fresh: DagsterRepo) -> None:
    real = fresh.repository.publish_root.with_name("real")
    fresh.repository.publish_root.rename(real)
    fresh.repository.publish_root.symlink_to(real, target_is_directory=True)
    before = fresh.folders()

    result = fresh.materialize("expected_versions")

    assert not result.success
    assert ".codex/RUNS is a symbolic link; nothing was written" in failure_of(result, "expected_versions")
    assert fresh.folders() == before
