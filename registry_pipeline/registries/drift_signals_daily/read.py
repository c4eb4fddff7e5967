"""What a past day looked like: the run folders that state a time up to then, the documents of its commit (SPEC 4.3).

The run folders are those that are on the disk now; the configuration is the present one, for it says where to look.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Final

from registry_pipeline.canonical import parse_instant, sha256_hex
from registry_pipeline.config import Config, Repository
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.git.tree import CommittedFiles, CommitTree, Tree
from registry_pipeline.git.values import PathDrift
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.path_drift import read_path_drift
from registry_pipeline.registries.base.reader import BuildInputs
from registry_pipeline.registries.base.values import ExpectedVersions, OperationCatalog
from registry_pipeline.registries.base.versions import (
    parse_expected_versions,
    read_envelope_version,
    read_threshold_version,
)
from registry_pipeline.registries.drift_signals.build import DriftInputs, Past
from registry_pipeline.registries.drift_signals_daily.build import DailyInputs
from registry_pipeline.registries.op_status_table.build import OpStatusInputs
from registry_pipeline.runs.envelope import InputFile
from registry_pipeline.runs.records import RunRow
from registry_pipeline.values import replace, value_type

_LAST_SECOND: Final = time(23, 59, 59, tzinfo=UTC)


def last_second(day: date) -> datetime:
    """Return the instant that a day's partition describes: its last second, UTC."""
    return datetime.combine(day, _LAST_SECOND)


@value_type
class DatedRuns:
    """Lines of the run registry by the time that they state, the oldest first, and how many state none."""

    instants: tuple[datetime, ...]
    rows: tuple[RunRow, ...]
    without_time: int

    def until(self, instant: datetime) -> tuple[RunRow, ...]:
        """Return the runs whose stated time is not after an instant."""
        return self.rows[: bisect_right(self.instants, instant)]


def date_runs(rows: Iterable[RunRow]) -> DatedRuns:
    """Order runs by the instant that each states; one that states no time, or none with a zone, has none."""
    every = list(rows)
    dated = [(instant, row) for row in every if (instant := parse_instant(row.created_utc)) is not None]
    dated.sort(key=lambda pair: pair[0])
    return DatedRuns(tuple(i for i, _ in dated), tuple(row for _, row in dated), len(every) - len(dated))


@value_type
class CommitFacts:
    """What one commit tells, whatever the day: its documents and the hashes of its files.

    `drift` lacks what was observed of registries; `read` are the documents that were read, `findings` those on them.
    """

    catalog: OperationCatalog
    path_drift: PathDrift | None
    drift: DriftInputs
    documents_missing: int
    read: tuple[InputFile, ...]
    findings: tuple[Finding, ...]


def read_commit_facts(repository: Repository, files: CommittedFiles, commit: str) -> CommitFacts:
    """Read the documents of a commit that the present configuration names, and hash its files.

    What was not there cannot be restored, so that a missing document is told as a warning and not as an error.

    Raises:
        NotFoundError: git does not have an object of the commit.
    """
    config = repository.config
    root_tree = files.root_tree(commit)
    tree = CommitTree(files, root_tree)
    catalog, read = read_operation_catalog(tree, config)
    threshold, threshold_files = read_threshold_version(tree, config.threshold_sources)
    expected, expected_files = _read_expected_versions(tree, config.expected_versions)
    drift = DriftInputs(
        expected_path=config.expected_versions,
        expected=expected,
        observed_run_registry=None,
        observed_op_status_table=None,
        observed_run_envelope=read_envelope_version(tree, config.envelope_standard),
        observed_threshold=threshold,
        tracked=files.tracked(root_tree),
        tracked_missing=False,
    )
    # Up to this commit and no further: what came later must not change what is said of the day.
    paths = None if config.op_drift == "commit" else read_path_drift(repository.root, catalog.operations, commit)
    return CommitFacts(
        catalog=catalog,
        path_drift=paths,
        drift=drift,
        documents_missing=sum(found.severity is Severity.ERROR for found in catalog.findings),
        read=tuple(dict.fromkeys((*read, *expected_files, *threshold_files))),
        findings=sorted_findings(map(_as_warning, catalog.findings)),
    )


def gather_day(config: Config, facts: CommitFacts, runs: DatedRuns, instant: datetime, version: str) -> BuildInputs:
    """Return what the builder is given for an instant: what its commit tells, and the runs up to it.

    `version` is that of the lines of the run registry, observed where there is any.
    """
    known = runs.until(instant)
    past = Past(runs.without_time, facts.documents_missing)
    drift = replace(facts.drift, observed_run_registry=version if known else None, past=past)
    status = OpStatusInputs(known, facts.catalog, config.options, None, None, facts.path_drift)
    return BuildInputs(DailyInputs(status, drift, config.stale_days), facts.read, facts.findings)


def _as_warning(found: Finding) -> Finding:
    return replace(found, severity=Severity.WARNING) if found.severity is Severity.ERROR else found


def _read_expected_versions(tree: Tree, path: str) -> tuple[ExpectedVersions | None, tuple[InputFile, ...]]:
    try:
        data = tree.read(path)
    except OSError:
        return None, ()
    return parse_expected_versions(data), (InputFile(path, sha256_hex(data)),)
