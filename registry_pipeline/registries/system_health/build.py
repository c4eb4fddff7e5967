"""Derive the health state of the system, and render the health report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.display import markdown_text
from registry_pipeline.findings.finding import Finding, Severity, plural
from registry_pipeline.registries.base.values import (
    OperationCounts,
    Row,
    SystemDrift,
    count_days_since,
    count_operations,
    group_operations,
)
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline.values import asdict, fields, value_type

HealthName = Literal["HEALTHY", "DEGRADED_NON_BLOCKING", "UNKNOWN", "DEGRADED_BLOCKING", "RECOVERY_REQUIRED"]
# UNKNOWN is worse than a degradation that is known not to block, because something that blocks may hide behind it.
SEVERITY: Final[tuple[HealthName, ...]] = (
    "HEALTHY",
    "DEGRADED_NON_BLOCKING",
    "UNKNOWN",
    "DEGRADED_BLOCKING",
    "RECOVERY_REQUIRED",
)
"""The health states from best to worst."""
_BUILD: Final = "registry-pipeline build"
_SHOW_DRIFT: Final = "registry-pipeline status --all"
_UNREADABLE_POINTERS: Final = frozenset({"POINTER_SHAPE", "POINTER_DUPLICATE_KEY"})


@value_type
class HealthCondition:
    """One reason for a health state, in a sentence, and what to do about it: a command, or advice."""

    state: HealthName
    reason: str
    next_step: str = ""


@value_type
class HealthState:
    """The health state, and all conditions that were found, the most severe first."""

    state: HealthName
    conditions: tuple[HealthCondition, ...]


@value_type
class HealthFacts:
    """The inputs of `find_health_state`."""

    # About the active runs, their schemas, the pointer file and the chain.
    findings: tuple[Finding, ...]
    # The registries that are in use, can be active, and of which no run is known to be.
    unknown_pointers: tuple[str, ...]
    # None if no drift_signals are active.
    system_drift: SystemDrift | None
    # None if no op_status_table is active.
    operations: OperationCounts | None
    working_tree_state: str | None
    # Whether the repository states the versions that it expects; a version that nobody expects cannot drift.
    expects_versions: bool = True
    # `expected` of the active drift_signals: the expected and observed versions by name.
    versions: Mapping[str, Any] = MappingProxyType({})


@value_type
class HealthInputs:
    """The inputs of `render_health_report`."""

    # The rows of the active op_status_table.
    status_rows: tuple[Row, ...]
    # The active drift_signals document.
    drift_signals: Mapping[str, Any]
    runs_known: int
    # The active runs that the report is rendered from, by registry id.
    input_sources: Mapping[str, SealedRef]
    stale_limits: StaleLimits
    health: HealthState
    max_list: int = 20


def find_health_state(facts: HealthFacts) -> HealthState:
    """Return the most severe state that a condition causes, and all conditions; HEALTHY if there are none."""
    # Two findings may give the same condition; it is listed once.
    conditions = dict.fromkeys([*_check_findings(facts), *_check_drift(facts), *_check_operations(facts)])
    ordered = sorted(conditions, key=lambda condition: -SEVERITY.index(condition.state))
    return HealthState(ordered[0].state if ordered else "HEALTHY", tuple(ordered))


def _check_findings(facts: HealthFacts) -> Iterator[HealthCondition]:
    for finding in facts.findings:
        if finding.code == "POINTER_FILE_MISSING":
            yield HealthCondition("UNKNOWN", finding.message, finding.hint or "")
        elif finding.severity is Severity.ERROR:
            # While the pointer file or the chain has an error, nothing can be activated, so it must be repaired first.
            needs_recovery = finding.code in _UNREADABLE_POINTERS or family_of(finding) == "chain"
            reason = f"{finding.code} {finding.path}: {finding.message}"
            state: HealthName = "RECOVERY_REQUIRED" if needs_recovery else "DEGRADED_BLOCKING"
            yield HealthCondition(state, reason, finding.hint or "")
    if facts.unknown_pointers:
        names = ", ".join(facts.unknown_pointers)
        yield HealthCondition("DEGRADED_NON_BLOCKING", f"it is not known what is active of {names}", _BUILD)


def _check_drift(facts: HealthFacts) -> Iterator[HealthCondition]:
    drift = facts.system_drift
    # The tree may be dirty now, or may have been when the drift signals were built.
    if facts.working_tree_state == "dirty" or (drift is not None and drift.canon_dirty):
        yield HealthCondition("DEGRADED_NON_BLOCKING", "the working tree is dirty", "git status")
    if drift is None:
        yield HealthCondition("UNKNOWN", "no drift_signals are active", _BUILD)
        return
    for version, name, drifts in (
        ("schema", "schema_version", drift.schema_drift),
        ("threshold", "threshold_pack", drift.threshold_drift),
    ):
        if drifts is None and facts.expects_versions:
            reason = f"it is not known whether the {version} version drifts"
            yield HealthCondition("DEGRADED_NON_BLOCKING", reason, _SHOW_DRIFT)
        elif drifts:
            yield _describe_drift(version, facts.versions.get(name) or {})


def _describe_drift(version: str, comparison: Mapping[str, Any]) -> HealthCondition:
    """Return the condition of a version that drifts, with the versions if they are known."""
    reason, expected, observed = f"the {version} version drifts", comparison.get("expected"), comparison.get("observed")
    if expected is None or observed is None:
        return HealthCondition("DEGRADED_NON_BLOCKING", reason, _SHOW_DRIFT)
    others = (
        ", ".join(f"{name} has {found}" for name, found in sorted(observed.items()) if found != expected)
        if isinstance(observed, Mapping)
        else f"{observed} is used"
    )
    next_step = f"change to {version} version {expected}, or correct {comparison['source_path']}"
    return HealthCondition("DEGRADED_NON_BLOCKING", f"{reason}: {others}, {expected} is expected", next_step)


def _check_operations(facts: HealthFacts) -> Iterator[HealthCondition]:
    # Stale and unobserved operations are listed in the report, but cause no condition.
    counts = facts.operations
    if counts is None:
        yield HealthCondition("UNKNOWN", "no op_status_table is active", _BUILD)
        return
    for number, description, next_step in (
        (counts.drifting, "drift", "run them again at the present commit, from a clean working tree"),
        (counts.coverage_below_c3, "are covered below C3", "enforce more of them, and state it in the coverage matrix"),
    ):
        if number:
            reason = f"{number} of {counts.total} operations {description}"
            yield HealthCondition("DEGRADED_NON_BLOCKING", reason, next_step)


REPORT: Final = "SYSTEM_HEALTH_REPORT_v0_1.md"
SUMMARY: Final = "SYSTEM_HEALTH_SUMMARY_v0_1.json"
_FLAGS: Final = fields(SystemDrift)
_RUN_COLUMNS: Final = ("operation_id", "option", "operation_name", "last_run_id", "staleness_days", "manifest_state")
_NO_RUN_COLUMNS: Final = ("operation_id", "option", "operation_name", "coverage_level")
_SECTIONS: Final = (
    ("Observed", "observed", _RUN_COLUMNS),
    ("Stale", "stale", _RUN_COLUMNS),
    ("Drifting", "drifting", ("operation_id", "option", "operation_name", "op_drift_reasons", "last_run_id")),
    ("Legacy Only", "legacy_only", _NO_RUN_COLUMNS),
    ("Unobserved", "unobserved", _NO_RUN_COLUMNS),
    ("Coverage Below C3", "coverage_below_c3", _NO_RUN_COLUMNS),
)


def render_health_report(inputs: HealthInputs, context: BuildContext) -> Artifacts:
    """Return the Markdown report and its JSON summary, with lists cut after `max_list`; each operation is a record."""
    groups = group_operations(inputs.status_rows, inputs.stale_limits)
    counts = asdict(count_operations(inputs.status_rows, inputs.stale_limits))
    counts = {"total_ops": counts.pop("total"), **counts}
    outdated = find_outdated_ages(inputs.status_rows, context.as_of)
    summary = _render_summary(inputs, groups, counts, context)
    # The content hash leaves out the time of the rendering, and what follows from it.
    timeless = {key: value for key, value in summary.items() if key != "generated_utc"}
    # Absent after a build, which has counted the ages for this moment.
    summary |= {"outdated_ages": outdated} if outdated else {}
    lines = [
        *_render_head(inputs, context),
        *([describe_outdated_ages(len(outdated), _find_table_run(inputs)), ""] if outdated else []),
        *_render_drift(inputs),
        *_render_counts(inputs, counts),
        *(
            line
            for title, name, columns in _SECTIONS
            for line in _render_section(title, groups[name], columns, inputs.max_list)
        ),
    ]
    return Artifacts(
        {REPORT: ("\n".join(lines) + "\n").encode(), SUMMARY: json_document(summary)},
        len(inputs.status_rows),
        sha256_hex(json_document(timeless)),
        {**counts, "runs_known": inputs.runs_known},
    )


def find_outdated_ages(rows: Iterable[Row], as_of: datetime) -> list[str]:
    """Return the operations whose `staleness_days` would be another if the status table were built at `as_of`."""
    return [
        row["operation_id"]
        for row in rows
        if count_days_since(row["last_run_created_utc"], as_of) != row["staleness_days"]
    ]


def _find_table_run(inputs: HealthInputs) -> str | None:
    table = inputs.input_sources.get("op_status_table")
    return None if table is None else table.run_id


def describe_outdated_ages(count: int, table_run_id: str | None) -> str:
    """Return a sentence about so many operations with outdated ages, and what makes them current."""
    source = "" if table_run_id is None else f", {table_run_id}"
    return (
        f"The ages of {plural(count, 'operation')} are those of the active op_status_table{source}. "
        "`registry-pipeline build` counts them again and renders a new report."
    )


def _render_summary(
    inputs: HealthInputs, groups: Mapping[str, list[Row]], counts: dict[str, int], context: BuildContext
) -> dict[str, Any]:
    """Return the summary, with the keys in the specified order."""
    listed = {name: [row["operation_id"] for row in rows] for name, rows in groups.items()}
    limits = _find_own_limits(inputs)
    return {
        "generated_utc": context.generated_utc,
        "stale_threshold_days": inputs.stale_limits.default,
        **({"stale_limits": limits} if limits else {}),
        "max_list": inputs.max_list,
        "counts": counts,
        **{name: ids[: inputs.max_list] for name, ids in listed.items()},
        "truncated": {name: len(ids) > inputs.max_list for name, ids in listed.items()},
        "system_drift": {flag: inputs.drift_signals["system_drift"][flag] for flag in _FLAGS},
        "runs_known": inputs.runs_known,
        "input_sources": {name: ref.to_json() for name, ref in sorted(inputs.input_sources.items())},
        "health_state": inputs.health.state,
        "health_conditions": [asdict(condition) for condition in inputs.health.conditions],
    }


def _render_head(inputs: HealthInputs, context: BuildContext) -> list[str]:
    commit, tree = context.git.commit or "unknown", context.git.working_tree_state or "unknown"
    return [
        "# System Health Report",
        "",
        f"**{inputs.health.state}**",
        "",
        *(f"- {condition.state}: {markdown_text(condition.reason)}" for condition in inputs.health.conditions),
        *([""] if inputs.health.conditions else []),
        f"Rendered {context.generated_utc} at commit {commit}, working tree {tree}, from the active registries:",
        "",
        *_render_table(
            ("registry", "run", "ROOT_SHA256"),
            [(name, ref.run_id, ref.manifest_sha256) for name, ref in sorted(inputs.input_sources.items())],
        ),
        "",
    ]


def _render_drift(inputs: HealthInputs) -> list[str]:
    flags = inputs.drift_signals["system_drift"]
    rows = [(flag, {True: "yes", False: "no"}.get(flags[flag], "unknown")) for flag in _FLAGS]
    warnings = [f"- {markdown_text(str(warning))}" for warning in inputs.drift_signals.get("warnings", ())]
    # The empty line ends the table.
    table = _render_table(("signal", "drifts"), rows)
    return ["## System Drift Summary", "", *table, *(["", *warnings] if warnings else []), ""]


def _render_counts(inputs: HealthInputs, counts: dict[str, int]) -> list[str]:
    table = _render_table(("what", "number"), [*counts.items(), ("runs_known", inputs.runs_known)])
    own = [f"{name} {days}" for name, days in _find_own_limits(inputs).items()]
    rest = f"; of {len(own)} operations with a limit of their own: {', '.join(own)}" if own else ""
    return ["## Counts", "", *table, "", f"Stale is {inputs.stale_limits.default} days or older{rest}.", ""]


def _find_own_limits(inputs: HealthInputs) -> dict[str, int]:
    """Return the limits, in days, of the operations that have another one than the default."""
    limits = {
        row["operation_id"]: inputs.stale_limits.limit_of(row["operation_id"], row["option"])
        for row in inputs.status_rows
    }
    return {name: days for name, days in limits.items() if days != inputs.stale_limits.default}


def _render_section(title: str, rows: Sequence[Row], columns: Sequence[str], max_list: int) -> list[str]:
    if not rows:
        return [f"## {title}", "", "None.", ""]
    cells = [[row[column] for column in columns] for row in rows[:max_list]]
    # The lists of the summary are cut in the same way; `truncated` says which.
    note = ["", f"The first {max_list} of {len(rows)} are shown."] if len(rows) > max_list else []
    return [f"## {title}", "", *(_render_table(columns, cells) if cells else []), *note, ""]


def _render_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(_format_cell(value) for value in row)} |" for row in rows),
    ]


def _format_cell(value: object) -> str:
    if value is None:
        return "unknown"
    return markdown_text(", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value))
