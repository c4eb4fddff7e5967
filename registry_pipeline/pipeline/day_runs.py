"""The sealed runs of past days, the newest of each day: daily histories, and the scorecards that were built then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from registry_pipeline.canonical import parse_finite_json
from registry_pipeline.config import Repository
from registry_pipeline.pointers.state import find_foreign_id, read_chain_state
from registry_pipeline.registries.base.sealed_input import make_sealed_run
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.system_health.charts import find_first_day
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.scan import list_run_roots
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.schema import check_value
from registry_pipeline.values import replace, value_type

DAILY: Final = "drift_signals_daily"
SCORECARD: Final = "governance_scorecard"


@value_type
class HistoryDay:
    """A past day as its newest run describes it: the rows of its status table, and the flags of its system drift."""

    day: date
    rows: Sequence[Mapping[str, Any]]
    drift: Mapping[str, bool | None]


def find_newest_runs_of_days(repository: Repository, names: Iterable[str], registry_id: str = DAILY) -> dict[str, str]:
    """Return the newest run id by day, of the names of folders in the publish root; runs marked bad do not count.

    The day is the one that a run describes; of a registry without such days it is the one on which it was built.
    """
    spec = catalog_of(repository).spec_of(registry_id)
    parsed = map(RunId.parse, names)
    run_ids = [run_id for run_id in parsed if run_id is not None and run_id.tag == spec.tag]
    # A repository without days does not read the chain for them.
    bad = read_chain_state(repository, from_checkpoint=True).marked_bad if run_ids else {}
    run_ids = [run_id for run_id in run_ids if str(run_id) not in bad]
    run_ids.sort(key=lambda run_id: (run_id.stamp, run_id.number))
    if spec.partitioned:
        return {run_id.partition: str(run_id) for run_id in run_ids if run_id.partition is not None}
    return {str(run_id.stamp.date()): str(run_id) for run_id in run_ids}


def read_run_of_day(
    repository: Repository, run_id: str, registry_id: str = DAILY
) -> tuple[SealedRun, SealReport] | None:
    """Return a run of a day, and its report with its artifacts; None if it does not verify or is foreign."""
    spec = catalog_of(repository).spec_of(registry_id)
    ref = SealedRef(run_id, repository.config.publish_root, spec.relpath, "")
    report = verify_referenced_run(repository, ref, spec.artifacts)
    if report.verdict != "pass" or report.root_sha256 is None or find_foreign_id(repository, report) is not None:
        return None
    return make_sealed_run(registry_id, replace(ref, manifest_sha256=report.root_sha256), report), report


def read_sealed_days(repository: Repository, last: date) -> Iterator[HistoryDay]:
    """Yield the days of a page whose newest sealed run verifies and is of this repository, the oldest first."""
    spec = catalog_of(repository).spec_of(DAILY)
    table = next(name for name in spec.artifacts if name != spec.artifact)
    for day, documents in _read_documents(repository, DAILY, last):
        yield HistoryDay(day, documents[table], documents[spec.artifact]["system_drift"])


def read_scorecards(repository: Repository, last: date) -> Iterator[tuple[date, Mapping[str, Any]]]:
    """Yield the days of a page with their newest scorecard, as `read_sealed_days`."""
    artifact = catalog_of(repository).spec_of(SCORECARD).artifact
    return ((day, documents[artifact]) for day, documents in _read_documents(repository, SCORECARD, last))


def _read_documents(repository: Repository, registry_id: str, last: date) -> Iterator[tuple[date, dict[str, Any]]]:
    """Yield the parsed artifacts of the newest run of each day; what a schema refuses counts as a run that fails."""
    spec, root = catalog_of(repository).spec_of(registry_id), repository.config.publish_root
    listing = list_run_roots(repository, [root], lambda _root, _error: None)
    names = (name for _, entries in listing for name in entries.select_tagged([str(spec.tag)]).folders)
    for text, run_id in sorted(find_newest_runs_of_days(repository, names, registry_id).items()):
        day = date.fromisoformat(text)
        read = read_run_of_day(repository, run_id, registry_id) if find_first_day(last) <= day <= last else None
        documents = {} if read is None else {name: _parse(data) for name, data in read[1].kept.items()}
        # A run of an earlier version may lack a file.
        if not any(name not in documents or check_value(schema, documents[name]) for name, schema in spec.schemas):
            yield day, documents


def _parse(data: bytes) -> Any:
    # The strict parser takes several times as long, and 120 tables may have thousands of rows.
    try:
        return parse_finite_json(data)
    except (ValueError, RecursionError):
        return None
