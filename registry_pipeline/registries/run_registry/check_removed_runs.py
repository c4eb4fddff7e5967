"""Evidence is never deleted or rewritten: the check `history` of run_registry, `verify --baseline`, tracked files.

The first two compare what was listed once with what is listed now, by the roots that the folders claim; whether a claim
is true is the business of the seal. The third takes what git misses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import replace

ClaimedRoots = Mapping[tuple[str, str], str | None]
"""The ROOT_SHA256 that each run folder claims, by run root and run id; None where it claims none."""


def check_history(
    previous_rows: bytes | None,
    current_rows: bytes,
    run_roots: Collection[str],
    *,
    lister: str = "the previous run registry",
    why_left_out: Callable[[str, str], str | None] = lambda _run_root, _run_id: None,
) -> tuple[Finding, ...]:
    """Return every run that the previous run registry listed and that is gone or has another root now.

    Args:
        previous_rows: The lines of the run registry that was active at build time; None where there was none.
        current_rows: The lines of the run registry that is judged.
        run_roots: The configured run roots; runs of others are left out.
        lister: What findings call the previous run registry.
        why_left_out: Why a run folder that is no longer listed is there all the same; None where it is gone.
    """
    if previous_rows is None:
        return (finding("RUN_HISTORY_UNKNOWN", "run_registry", detail="none was active, or its folder is not there"),)
    before, after = previous_rows.splitlines(), current_rows.splitlines()
    # Nearly all lines are the same bytes in both; only the others need to be parsed.
    same = set(before).intersection(after)
    try:
        now = _claimed(_rows(line for line in after if line not in same))
    except StrictJsonError as error:
        return (finding("SCHEMA_UNPARSABLE", "run_registry", detail=str(error)),)
    try:
        then = _claimed(_rows(line for line in before if line not in same))
    except StrictJsonError as error:
        return (finding("RUN_HISTORY_UNKNOWN", "run_registry", detail=f"the previous one cannot be parsed: {error}"),)
    kept = {key: root for key, root in then.items() if key[0] in run_roots}
    return check_baseline(kept, now, lister, why_left_out)


def check_baseline(
    then: ClaimedRoots, now: ClaimedRoots, lister: str, why_left_out: Callable[[str, str], str | None]
) -> tuple[Finding, ...]:
    """Return every run that was there and is gone, is left out, or has another root now.

    Args:
        then: What `lister`, a git commit for instance, has.
        now: What is there now.
        lister: What findings call it.
        why_left_out: Why a run folder that is not in `now` is there all the same; None where it is gone.
    """
    return sorted_findings(_losses(then, now, lister, why_left_out))


def accept_removed(verdict: Verdict) -> Verdict:
    """Return the verdict of somebody who accepts that runs are gone: told as warnings, they no longer fail it.

    A run that was resealed is no loss but another content under an old name; it is never accepted.
    """
    findings = tuple(replace(f, severity=Severity.WARNING) if f.code == "RUN_REMOVED" else f for f in verdict.findings)
    passed = verdict.verdict == "fail" and findings != verdict.findings and not has_errors(findings)
    return replace(verdict, findings=sorted_findings(findings), verdict="pass" if passed else verdict.verdict)


def _rows(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        row = read_strict_json(line)
        if not isinstance(row, dict):
            raise StrictJsonError("invalid", "a line is not an object")
        yield row


def _claimed(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str | None]:
    return {(str(row.get("run_root")), str(row.get("run_id"))): row.get("manifest_root_sha256") for row in rows}


def _losses(
    then: ClaimedRoots, now: ClaimedRoots, lister: str, why_left_out: Callable[[str, str], str | None]
) -> Iterator[Finding]:
    for (run_root, run_id), known in then.items():
        path = f"{run_root}/{run_id}"
        if (run_root, run_id) in now:
            found = now[run_root, run_id]
            if known not in (None, found):
                yield finding("RUN_RESEALED", path, expected=known, got=found, detail=lister)
            continue
        why = why_left_out(run_root, run_id)
        if why is None:
            yield finding("RUN_REMOVED", path, expected=known, detail=lister)
        else:
            yield finding("RUN_LEFT_OUT", path, expected=known, lister=lister, detail=why)
