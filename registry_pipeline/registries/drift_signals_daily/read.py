"""Read the inputs of drift_signals_daily: the documents of a day's commit, and the runs up to the end of the day.

The run folders are those that exist today. The present configuration says where to look.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

from registry_pipeline.canonical import parse_instant, sha256_hex
from registry_pipeline.config import Config, Repository
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.git.tree import CommittedFiles, CommitTree, Tree
from registry_pipeline.git.values import PathDrift
from registry_pipeline.registries.base.drift import read_executable_history
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.reader import BuildInputs
from registry_pipeline.registries.base.upstream import (
    parse_expected_versions,
    read_envelope_version,
    read_threshold_version,
)
from registry_pipeline.registries.base.values import ExpectedVersions, OperationCatalog
from registry_pipeline.registries.drift_signals.build import DriftInputs, Past
from registry_pipeline.registries.drift_signals_daily.build import DailyInputs
from registry_pipeline.registries.op_status_table.build import OpStatusInputs, collect_evidence
from registry_pipeline.runs.envelope import InputFile, RunRow
from registry_pipeline.values import replace, value_type


@value_type
class DatedRuns:
    """The lines of a run registry by stated time, oldest first, and the number of lines without a time."""

    instants: tuple[datetime, ...]
    rows: tuple[RunRow, ...]
    without_time: int

    def until(self, instant: datetime) -> tuple[RunRow, ...]:
        """Return the runs whose stated time is not after an instant, oldest first; those without a time never."""
        return self.rows[: self.count_until(instant)]

    def count_until(self, instant: datetime) -> int:
        """Return the number of runs whose stated time is not after an instant."""
        return bisect_right(self.instants, instant)


def sort_runs_by_time(rows: Sequence[RunRow]) -> DatedRuns:
    """Return the runs by their stated time; a time that is invalid or has no zone counts as none."""
    dated = [(instant, row) for row in rows if (instant := parse_instant(row.created_utc)) is not None]
    dated.sort(key=itemgetter(0))
    return DatedRuns(tuple(i for i, _ in dated), tuple(row for _, row in dated), len(rows) - len(dated))


@value_type
class CommitFacts:
    """What one commit states, whatever the day."""

    catalog: OperationCatalog
    path_drift: PathDrift | None
    # Without the observed versions of registries.
    drift: DriftInputs
    documents_missing: int
    # The documents that were read; `findings` are about them.
    read: tuple[InputFile, ...]
    findings: tuple[Finding, ...]


class CatalogReader:
    """Reads the operations of one commit after another, and parses the documents only if one of them differs."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._paths = [os.fsencode(path) for path in (*config.operations_catalog, *config.coverage_matrix)]
        self._entries: list[tuple[int, str] | None] | None = None
        self._result: tuple[OperationCatalog, tuple[InputFile, ...]] = OperationCatalog((), {}, ()), ()

    def read(self, tree: CommitTree) -> tuple[OperationCatalog, tuple[InputFile, ...]]:
        """Return the result of `read_operation_catalog`."""
        # It reads these documents and nothing else, and an entry names the bytes of its document.
        entries = [tree.find_entry(path) for path in self._paths]
        if entries != self._entries:
            self._result, self._entries = read_operation_catalog(tree, self._config), entries
        return self._result


def read_commit_facts(
    repository: Repository, files: CommittedFiles, catalogs: CatalogReader, commit: str
) -> CommitFacts:
    """Read the configured documents of a commit and hash its files; what the commit lacks is None or a warning.

    Raises:
        NotFoundError: git does not have an object of the commit.
    """
    config = repository.config
    # (1) The documents as the commit has them, at the paths that the present configuration names.
    root_tree = files.root_tree(commit)
    tree = CommitTree(files, root_tree)
    catalog, read = catalogs.read(tree)
    threshold, threshold_files = read_threshold_version(tree, config.threshold_sources)
    expected, expected_files = _read_expected_versions(tree, config.expected_versions)
    drift = DriftInputs(
        expected_path=config.expected_versions,
        expected=expected,
        observed_run_registry=None,
        observed_op_status_table=None,
        observed_run_envelope=read_envelope_version(tree, config.envelope_standard),
        observed_threshold=threshold,
        tracked=files.list_tracked_lines(root_tree),
        tracked_missing=False,
    )
    # (2) The history up to this commit: later commits must not change what is said of the day.
    paths = (
        None if config.op_drift == "commit" else read_executable_history(repository.root, catalog.operations, commit)
    )
    # (3) A document that the past lacks cannot be restored, so its finding is a warning.
    findings = [
        replace(finding, severity=Severity.WARNING) if finding.severity is Severity.ERROR else finding
        for finding in catalog.findings
    ]
    return CommitFacts(
        catalog=catalog,
        path_drift=paths,
        drift=drift,
        documents_missing=sum(finding.severity is Severity.ERROR for finding in catalog.findings),
        read=tuple(dict.fromkeys((*read, *expected_files, *threshold_files))),
        findings=sorted_findings(findings),
    )


def collect_day_inputs(
    config: Config, facts: CommitFacts, runs: DatedRuns, instant: datetime, version: str
) -> BuildInputs:
    """Return the inputs for an instant from the facts of a commit and the runs; `version` is that of registry lines."""
    known_runs = runs.until(instant)
    past = Past(runs.without_time, facts.documents_missing)
    drift = replace(facts.drift, observed_run_registry=version if known_runs else None, past=past)
    evidence = collect_evidence(known_runs)
    status = OpStatusInputs(evidence, facts.catalog, config.options, None, None, facts.path_drift)
    return BuildInputs(DailyInputs(status, drift, config.stale_days), facts.read, facts.findings)


def _read_expected_versions(tree: Tree, path: str) -> tuple[ExpectedVersions | None, tuple[InputFile, ...]]:
    """Return the expected versions and the file that states them; None and no file if it cannot be read."""
    try:
        data = tree.read(path)
    except OSError:
        return None, ()
    return parse_expected_versions(data), (InputFile(path, sha256_hex(data)),)
