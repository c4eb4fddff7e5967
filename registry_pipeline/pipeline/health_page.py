"""Gather what the health page shows: the active runs, the runs of each operation, the history of days, the chain."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, timedelta
from io import BytesIO
from typing import Any, Final

from registry_pipeline.canonical import parse_instant, parse_utc
from registry_pipeline.config import Config, Repository
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline.day_runs import HistoryDay, read_sealed_days
from registry_pipeline.pipeline.inspect import Inspection, describe_active_run, find_check_state
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.upstream import has_adapter_warning
from registry_pipeline.registries.base.values import OperationCounts, count_operations, is_stale
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.system_health.build import describe_outdated_ages, find_outdated_ages
from registry_pipeline.registries.system_health.charts import DAYS, find_first_day
from registry_pipeline.registries.system_health.page import (
    PAGE,
    CheckState,
    HealthPage,
    PageActivation,
    PageDay,
    PageFinding,
    PageOperation,
    PageRegistry,
    PageRun,
    render_health_page,
)
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.stale_limits import propose_limit
from registry_pipeline.values import replace

_CREATED: Final = b'"created_utc":"'
_COPIED: Final = ("run_id", "run_root", "created_utc", "git_commit", "working_tree_state")
_SEALED: Final = b'"has_manifest_sha256":true,"has_manifest_json":true'
_UNSEALED: Final = b'"has_manifest_sha256":false,"has_manifest_json":false'


def read_health_page(
    repository: Repository, run: BuildRun, inspection: Inspection, run_lines: bytes, days: Iterable[HistoryDay]
) -> HealthPage:
    """Return what the page shows, but for the run id of the page; `run_lines` is the active run registry."""
    config, last = repository.config, run.started.astimezone(UTC).date()
    sources = {name: snapshot.ref for name, snapshot in inspection.active.items() if snapshot.verdict is not None}
    records = inspection.chain.records[::-1]
    runs = _read_runs(run_lines, find_first_day(last) - timedelta(DAYS))
    sealed, unsealed, total = run_lines.count(_SEALED), run_lines.count(_UNSEALED), run_lines.count(b"\n")
    rows, table = inspection.status_rows or (), sources.get("op_status_table")
    outdated = find_outdated_ages(rows, run.started)
    counts, drift, limits = count_operations(rows, config.stale_days), inspection.drift, config.stale_days
    # The curves end with the figures of the page, so that both agree.
    flags = (None, None) if drift is None else (drift.schema_drift, drift.threshold_drift)
    today = _make_day(last, counts, *flags)
    return HealthPage(
        title=repository.root.name or "repository",
        run_id="",
        rendered=run.started,
        commit=run.git.commit,
        working_tree_state=run.git.working_tree_state,
        health=inspection.health,
        operations=tuple(_make_operation(config, row, runs) for row in rows),
        counts=counts,
        history_start=config.history_start,
        default_limit_days=None if limits.operations or limits.options else limits.default,
        registries=tuple(_describe_registries(repository, run, inspection)),
        unused_registries=tuple(sorted(inspection.unused)),
        runs_by_seal={"sealed": sealed, "partial": total - sealed - unsealed, "unsealed": unsealed},
        days=(*(summarize_day(config, sealed_day) for sealed_day in days if sealed_day.day < last), today),
        activations=tuple(
            PageActivation(
                sealed.ref.run_id,
                sealed.created_utc,
                sealed.record.action,
                sealed.record.actor,
                sealed.record.reason,
                tuple(move.registry_id for move in sealed.record.moves),
            )
            for sealed in records
            if sealed.record.action != "checkpoint"
        ),
        earlier_activations=max(0, len(inspection.chain.lines or ()) - len(records)),
        findings=tuple(
            PageFinding(f.code, f.severity, f.path, f.message, f.hint or "")
            for f in sorted(inspection.findings, key=_make_severity_key)
            if f.severity is not Severity.INFO
        ),
        outdated=describe_outdated_ages(len(outdated), None if table is None else table.run_id) if outdated else "",
    )


def add_health_page(artifacts: Artifacts, page: HealthPage) -> Artifacts:
    """Return the artifacts of the health report with the page, which names the run that it is sealed in."""

    def files_for(run_id: str) -> Mapping[str, bytes]:
        return {**artifacts.files, PAGE: render_health_page(replace(page, run_id=run_id))}

    return replace(artifacts, files_for=files_for)


def _make_severity_key(finding: Finding) -> tuple[bool, str, str]:
    return finding.severity is not Severity.ERROR, finding.code, finding.path


def _read_runs(run_lines: bytes, first: date) -> Mapping[str, list[PageRun]]:
    """Return the runs since a day by operation id."""
    runs = defaultdict[str, list[PageRun]](list)
    since = str(first).encode()
    # A run registry may have a hundred thousand lines: none is copied before its turn, and only those of these days are
    # parsed.
    for line in BytesIO(run_lines):
        start = line.find(_CREATED) + len(_CREATED)
        if start < len(_CREATED) or line[start : start + 10] < since:
            continue
        row = json.loads(line)
        created = parse_instant(row["created_utc"])
        # As in op_status_table: a run without an envelope proves nothing about an operation.
        is_run = row["has_run_json"] or has_adapter_warning(row["warnings"])
        if row["operation_id"] is not None and created is not None and is_run:
            seal_files = (row["has_manifest_sha256"], row["has_manifest_json"])
            page_run = PageRun(
                created=created.astimezone(UTC),
                sealed=all(seal_files),
                is_partial=any(seal_files) and not all(seal_files),
                **{name: row[name] for name in _COPIED},
            )
            runs[row["operation_id"]].append(page_run)
    return runs


def _make_operation(config: Config, row: Mapping[str, Any], runs: Mapping[str, list[PageRun]]) -> PageOperation:
    name, limits, own = row["operation_id"], config.stale_days, tuple(runs.get(row["operation_id"], ()))
    proposed = propose_limit(name, row["option"], {run.created.date() for run in own}, limits)
    return PageOperation(
        operation_id=name,
        name=row["operation_name"],
        option=row["option"],
        coverage_level=row["coverage_level"],
        evidence=row["run_evidence_state"],
        age_days=row["staleness_days"],
        limit_days=limits.limit_of(name, row["option"]),
        usual_gap_days=None if proposed is None else proposed.usual_gap_days,
        is_stale=is_stale(row, limits),
        drift_reasons=tuple(row["op_drift_reasons"]) if row["op_drift"] else (),
        runs=own,
        last_run_id=row["last_run_id"],
        last_run_utc=row["last_run_created_utc"],
        warnings=tuple(row["warnings"]),
    )


def _describe_registries(repository: Repository, run: BuildRun, inspection: Inspection) -> Iterator[PageRegistry]:
    """Yield each registry in use that can be active, in the order of the catalog."""
    for name, spec in catalog_of(repository).registries.items():
        ref, snapshot = inspection.pointer_file.active(name), inspection.active.get(name)
        if not can_be_active(spec) or name in inspection.unused:
            continue
        if ref is None:
            yield PageRegistry(name, None, None, "unknown", None, None, None, None)
            continue
        states = {find_check_state(snapshot, "seal"), find_check_state(snapshot, "schema")}
        check: CheckState = "missing" if "missing" in states else "invalid" if "fail" in states else "valid"
        as_of = None if snapshot is None else parse_utc(snapshot.as_of_utc)
        active = describe_active_run(inspection, name, ref)
        yield PageRegistry(
            registry_id=name,
            run_id=ref.run_id,
            root_sha256=ref.manifest_sha256,
            check=check,
            age_days=None if as_of is None else (run.started - as_of).days,
            activated_utc=active["activated_utc"],
            actor=active["actor"],
            reason=active["reason"],
        )


def read_days(repository: Repository, last: date) -> Iterator[PageDay]:
    """Yield the days of the page whose newest sealed run verifies and is of this repository, the oldest first."""
    return (summarize_day(repository.config, sealed_day) for sealed_day in read_sealed_days(repository, last))


def summarize_day(config: Config, sealed_day: HistoryDay) -> PageDay:
    """Return the figures of a sealed day."""
    counts, drift = count_operations(sealed_day.rows, config.stale_days), sealed_day.drift
    return _make_day(sealed_day.day, counts, drift["schema_drift"], drift["threshold_drift"])


def _make_day(day: date, counts: OperationCounts, schema_drift: bool | None, threshold_drift: bool | None) -> PageDay:
    return PageDay(
        day=day,
        total=counts.total,
        observed=counts.observed,
        stale=counts.stale,
        drifting=counts.drifting,
        coverage_below_c3=counts.coverage_below_c3,
        schema_drift=schema_drift,
        threshold_drift=threshold_drift,
    )
