"""Compare the run folders of a baseline with those of today: runs are never removed or resealed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import replace

ClaimedRoots = Mapping[tuple[str, str], str | None]
"""The ROOT_SHA256 that each run folder claims, by (run root, run id); None if it claims none."""
ExplainMissing = Callable[[str, str], str | None]
"""Returns why a run folder (run root, run id) exists but is not listed, or None if it does not exist."""


def check_history(
    previous_rows: bytes | None,
    current_rows: bytes,
    run_roots: Collection[str],
    *,
    baseline_name: str = "the previous run registry",
    explain_missing: ExplainMissing = lambda _run_root, _run_id: None,
) -> tuple[Finding, ...]:
    """Return a finding for each run of the previous run registry that is missing, left out or resealed.

    Args:
        previous_rows: the lines of the run registry that was active at build time; None if there was none.
        current_rows: the lines of the run registry that is checked.
        run_roots: the configured run roots; runs of other roots are ignored.
        baseline_name: the previous run registry, as findings name it.
        explain_missing: why an existing run folder is not listed.
    """
    if previous_rows is None:
        return (finding("RUN_HISTORY_UNKNOWN", "run_registry", detail="none was active, or its folder is missing"),)
    previous_lines, current_lines = previous_rows.splitlines(), current_rows.splitlines()
    # Nearly all lines are the same bytes in both; only the others need to be parsed.
    same = set(previous_lines).intersection(current_lines)
    try:
        current = _parse_roots(line for line in current_lines if line not in same)
    except StrictJsonError as error:
        return (finding("SCHEMA_UNPARSABLE", "run_registry", detail=str(error)),)
    try:
        previous = _parse_roots(line for line in previous_lines if line not in same)
    except StrictJsonError as error:
        return (finding("RUN_HISTORY_UNKNOWN", "run_registry", detail=f"the previous one cannot be parsed: {error}"),)
    configured = {key: root for key, root in previous.items() if key[0] in run_roots}
    return check_baseline(configured, current, baseline_name, explain_missing)


def check_baseline(
    baseline: ClaimedRoots, current: ClaimedRoots, baseline_name: str, explain_missing: ExplainMissing
) -> tuple[Finding, ...]:
    """Return a finding for each run of a baseline that is missing, left out or resealed.

    The roots are compared as the folders claim them; the seal check decides whether a claim is true.
    """
    findings = []
    for (run_root, run_id), expected in baseline.items():
        path = f"{run_root}/{run_id}"
        if (run_root, run_id) in current:
            got = current[run_root, run_id]
            # A run that was sealed since the baseline has a root now, and had none then.
            if expected not in (None, got):
                findings.append(finding("RUN_RESEALED", path, expected=expected, got=got, detail=baseline_name))
            continue
        # A folder that exists but cannot be listed is not lost: making it readable is enough.
        reason = explain_missing(run_root, run_id)
        if reason is None:
            findings.append(finding("RUN_REMOVED", path, expected=expected, detail=baseline_name))
        else:
            findings.append(finding("RUN_LEFT_OUT", path, expected=expected, lister=baseline_name, detail=reason))
    return sorted_findings(findings)


def accept_removed(verdict: Verdict) -> Verdict:
    """Return a verdict in which removed runs are warnings and no longer a reason to fail."""
    # A resealed run stays an error: its name now refers to other content.
    findings = tuple(replace(f, severity=Severity.WARNING) if f.code == "RUN_REMOVED" else f for f in verdict.findings)
    passed = verdict.verdict == "fail" and findings != verdict.findings and not has_errors(findings)
    return replace(verdict, findings=sorted_findings(findings), verdict="pass" if passed else verdict.verdict)


def _parse_roots(lines: Iterable[bytes]) -> dict[tuple[str, str], str | None]:
    roots: dict[tuple[str, str], str | None] = {}
    for line in lines:
        row = read_strict_json(line)
        if not isinstance(row, dict):
            raise StrictJsonError("invalid", "a line is not an object")
        roots[str(row.get("run_root")), str(row.get("run_id"))] = row.get("manifest_root_sha256")
    return roots
