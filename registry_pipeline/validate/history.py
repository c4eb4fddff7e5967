"""Run folders are never deleted or rewritten: the check `history` of run_registry (SPEC 4.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from registry_pipeline.canon import StrictJsonError, read_strict_json
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding, sorted_findings


def check_history(
    previous_rows: bytes | None, current_rows: bytes, run_roots: Collection[str], shown: str = "run_registry"
) -> tuple[Finding, ...]:
    """Return every run that the previous run registry listed and that is gone or has another root now.

    Args:
        previous_rows: The lines of the run registry that was active at build time; None where there was none.
        current_rows: The lines of the run registry that is judged.
        run_roots: The configured run roots; runs of others are left out.
        shown: What findings name that belong to no one run.
    """
    if previous_rows is None:
        return (finding("RUN_HISTORY_UNKNOWN", shown, detail="none was active, or its folder is not there"),)
    before, after = previous_rows.splitlines(), current_rows.splitlines()
    # Nearly all lines are the same bytes in both; only the others need to be parsed.
    same = set(before).intersection(after)
    try:
        now = {_key(row): row for row in _rows(line for line in after if line not in same)}
    except StrictJsonError as error:
        return (finding("SCHEMA_UNPARSABLE", shown, detail=str(error)),)
    try:
        then = list(_rows(line for line in before if line not in same))
    except StrictJsonError as error:
        return (finding("RUN_HISTORY_UNKNOWN", shown, detail=f"the previous one cannot be parsed: {error}"),)
    return sorted_findings(_losses(then, now, run_roots))


def _rows(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        row = read_strict_json(line)
        if not isinstance(row, dict):
            raise StrictJsonError("invalid", "a line is not an object")
        yield row


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("run_root")), str(row.get("run_id"))


def _losses(
    then: Iterable[Mapping[str, Any]], now: Mapping[tuple[str, str], Mapping[str, Any]], run_roots: Collection[str]
) -> Iterator[Finding]:
    for row in then:
        run_root, run_id = _key(row)
        if run_root not in run_roots:
            continue
        path, known = f"{run_root}/{run_id}", row.get("manifest_root_sha256")
        found = now.get((run_root, run_id))
        if found is None:
            yield finding("RUN_REMOVED", path, expected=known)
        elif known is not None and found.get("manifest_root_sha256") != known:
            yield finding("RUN_RESEALED", path, expected=known, got=found.get("manifest_root_sha256"))
