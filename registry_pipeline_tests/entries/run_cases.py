"""Cases of the entries: a request to a small repository, and the result.

`before/` is the repository. `entry.yaml` maps types to entries that are added. The arguments name what is removed
instead (`remove`) or that everything is checked (`check`); other arguments are options of `entries add`. The result
has a diff of every file that changed or is new, and the files that are `gone`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import unified_diff
from pathlib import Path
from typing import Any

from registry_pipeline.cli.commands.entries import read_given_entries
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.change_plan import ChangeRequest
from registry_pipeline.registries.entries.service import add_entries, check_entries, remove_entries
from registry_pipeline_tests.cases.layout import Case

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write_repository(case: Case, root: Path) -> Repository:
    """Write the repository of a case, and its entry.yaml beside it."""
    case.write_to(root.parent / "case")
    (root.parent / "case" / "before").rename(root)
    return load_repository(root)


def files_of(root: Path) -> dict[str, bytes]:
    """Return every file but the writer's own state."""
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {path.as_posix(): (root / path).read_bytes() for path in paths if path.parts[0] != ".codex"}


def describe_findings(found: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Return findings without what their codes say anyway."""
    kept = ("code", "severity", "path", "location", "message", "expected", "got")
    return [{name: value for name, value in each.to_json().items() if name in kept} for each in found]


def run_entries_case(case: Case, folder: Path) -> dict[str, Any]:
    """Return what comes of a case; the repository is `folder / "repository"` afterwards."""
    root = folder / "repository"
    repository = write_repository(case, root)
    before = files_of(root)
    options = case.arguments
    if options.pop("check", False):
        _, found, _ = check_entries(repository)
        assert files_of(root) == before
        return {"outcome": "checked", "findings": describe_findings(found)}
    removed = options.pop("remove", None)
    if removed is None:
        request = ChangeRequest("Ada", NOON, **options)
        given = read_given_entries((), ("entry.yaml",), (), folder / "case")
        written = add_entries(repository, given, request, dry_run=False)
    else:
        written = remove_entries(repository, [(name, key) for name, key in removed], dry_run=False)
    after = files_of(root)
    gone = sorted(before.keys() - after.keys())
    changed = {path: data for path, data in sorted(after.items()) if data != before.get(path)}
    outcome = {
        "outcome": "written" if written.written else "refused",
        "findings": describe_findings(written.change.findings),
        "changed": {path: diff_lines(before.get(path, b""), data) for path, data in changed.items()},
    }
    return outcome | ({"gone": gone} if gone else {})


def diff_lines(before: bytes, after: bytes) -> list[str]:
    """Return a unified diff without context, as `git diff` prints it."""
    old, new = (data.decode("utf-8", "surrogateescape").split("\n") for data in (before, after))
    old, new = ([f"{line}\n" for line in lines[:-1]] + [line for line in lines[-1:] if line] for lines in (old, new))
    diff: list[str] = []
    for line in list(unified_diff(old, new, n=0))[2:]:
        diff += [line.removesuffix("\n")] if line.endswith("\n") else [line, "\\ No newline at end of file"]
    return diff
