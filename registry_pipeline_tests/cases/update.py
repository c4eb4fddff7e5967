"""Rewrite the expected results of cases: python -m registry_pipeline_tests.cases.update [family ...].

Only `expected` in a case.json changes; no case is added, renamed or deleted. By default a result is rewritten if only
the text of messages, hints, clauses or descriptions differs. A result that differs in anything else (a code, a
severity, a location, a written file) is reported and left as it is; `--results` rewrites it too. A case without
`expected` gets one.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from registry_pipeline_tests.cases.families import FAMILIES, run_case
from registry_pipeline_tests.cases.layout import CASE_FILE, Case, find_cases, format_json
from registry_pipeline_tests.copies import make_removable

WORDING = ("message", "hint", "clause", "description")


def without_wording(value: Any) -> Any:
    """Return a result without the texts that may be reworded."""
    if isinstance(value, dict):
        return {key: without_wording(item) for key, item in value.items() if key not in WORDING}
    return [without_wording(item) for item in value] if isinstance(value, list) else value


def compare_result(case: Case) -> tuple[Any, Any]:
    """Return the expected and the actual result of a case; None where nothing is expected yet."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return case.document.get("expected"), run_case(case, Path(scratch))
        finally:
            make_removable(Path(scratch))


def diff_results(case: Case, expected: Any, result: Any) -> Iterator[str]:
    """Yield the lines of a diff of the expected result."""
    before, after = format_json(expected).splitlines(), format_json(result).splitlines()
    yield f"{case.family}/{case.name}/{CASE_FILE}"
    yield from (f"  {line}" for line in list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:])


def update_family(family: str, *, results: bool, write: bool) -> tuple[int, int]:
    """Rewrite what may be rewritten in a family; return the numbers of rewritten and of refused cases."""
    updated = refused = 0
    for case in find_cases(family):
        expected, result = compare_result(case)
        if result == expected:
            continue
        allowed = results or expected is None or without_wording(result) == without_wording(expected)
        sys.stdout.writelines(f"{line}\n" for line in diff_results(case, expected, result))
        if not allowed:
            refused += 1
            sys.stdout.write("  more than the wording differs: not rewritten\n")
            continue
        updated += 1
        if write:
            case.write_expected(result)
    return updated, refused


def main(arguments: Sequence[str] | None = None) -> int:
    """Update the given families, or all; return 1 if a result differs that was not rewritten."""
    parser = argparse.ArgumentParser(prog="python -m registry_pipeline_tests.cases.update", description=__doc__)
    parser.add_argument("family", nargs="*", choices=[*FAMILIES, []], help="all families if none is named")
    parser.add_argument("--results", action="store_true", help="rewrite results that differ in more than wording")
    parser.add_argument("--dry-run", action="store_true", help="show the differences and write nothing")
    options = parser.parse_args(arguments)
    status = 0
    for family in options.family or FAMILIES:
        updated, refused = update_family(family, results=options.results, write=not options.dry_run)
        status |= bool(refused)
        sys.stdout.write(f"{family}: {len(find_cases(family))} cases, {updated} updated, {refused} not rewritten\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
