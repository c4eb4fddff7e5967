"""The sealed runs of past days: the newest run of each day, and what a run contains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.pointers.state import find_foreign_id, read_chain_state
from registry_pipeline.registries.base.sealed_input import make_sealed_run
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline.values import replace

DAILY: Final = "drift_signals_daily"


def find_newest_runs_of_days(repository: Repository, names: Iterable[str]) -> dict[str, str]:
    """Return the newest run id by day, of the names of folders in the publish root; runs marked bad do not count."""
    tag, bad = catalog_of(repository).spec_of(DAILY).tag, read_chain_state(repository, from_checkpoint=True).marked_bad
    parsed = map(RunId.parse, names)
    run_ids = [run_id for run_id in parsed if run_id is not None and run_id.tag == tag and str(run_id) not in bad]
    run_ids.sort(key=lambda run_id: (run_id.stamp, run_id.number))
    return {run_id.partition: str(run_id) for run_id in run_ids if run_id.partition is not None}


def read_run_of_day(repository: Repository, run_id: str) -> tuple[SealedRun, Mapping[str, bytes]] | None:
    """Return a run of a day and its artifacts; None if it does not verify or is of another repository."""
    spec = catalog_of(repository).spec_of(DAILY)
    ref = SealedRef(run_id, repository.config.publish_root, spec.relpath, "")
    report = verify_referenced_run(repository, ref, spec.artifacts)
    if report.verdict != "pass" or report.root_sha256 is None or find_foreign_id(repository, report) is not None:
        return None
    return make_sealed_run(DAILY, replace(ref, manifest_sha256=report.root_sha256), report), report.kept
