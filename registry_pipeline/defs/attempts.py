"""How often a sensor has a state of its work tried by runs: not again after a success, and at most three times."""

from __future__ import annotations

from typing import Final

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

_MOST_FAILED: Final = 3
_FAILED: Final = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def find_run_key(
    instance: DagsterInstance, job_name: str, tag: str, state: str, after_success: str
) -> tuple[str | None, str]:
    """Return the key of the next run for a state that the runs of a job have as a tag, or None and why there is none.

    After a success, which the state has outlived, the reason is `after_success`.
    """
    failed = instance.get_runs_count(RunsFilter(job_name=job_name, tags={tag: state}, statuses=_FAILED))
    if failed >= _MOST_FAILED:
        return None, f"{failed} runs failed; fix the cause, then launch {job_name} by hand"
    success = RunsFilter(job_name=job_name, tags={tag: state}, statuses=[DagsterRunStatus.SUCCESS])
    if instance.get_runs_count(success):
        return None, after_success
    # Dagster never launches a run key twice, so the key contains the number of failed runs.
    return f"{state}:{failed}", ""
