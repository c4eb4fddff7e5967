"""`diff`: show the differences between two sealed runs, by path and by record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.completion import complete_registry, complete_run
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.cli.run_argument import find_named_run, find_repository_for
from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.diff import (
    ArtifactDiff,
    FieldChange,
    RunDiff,
    compare_runs,
    find_counterpart,
    find_registry_of_run,
)
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.registries.catalog import catalog_of

_MAX_LINES: Final = 20
_MAX_VALUE: Final = 60
_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


@command(
    "diff",
    ("diff active --registry run_registry", "the active run and the run before it"),
    ("diff 2026-01-14 active", "a run and the active run of its registry"),
    ("diff latest --registry drift_signals --json", "the newest run and the active one, in full"),
)
@click.argument("first", metavar="A", shell_complete=complete_run)
@click.argument("second", metavar="[B]", required=False, shell_complete=complete_run)
@click.option(
    "--registry",
    "registry_id",
    metavar="REGISTRY",
    shell_complete=complete_registry,
    help="The registry of `active` and `latest`.",
)
@click.option("--own", is_flag=True, help="Of a run registry, also the runs of this tool.")
def diff_command(reporter: Reporter, first: str, second: str | None, registry_id: str | None, own: bool) -> int:
    """Show the differences between two runs.

    Lists files added, removed and modified, and their records added, removed and changed by key, field by field. A
    and B are `active`, `active~N`, `latest`, a run id or its beginning, the beginning of a ROOT_SHA256, or a path.
    Without B, A is compared with the active run of its registry, or, if A is active, with the run before it; the
    older run comes first. Both are verified; exits 3 if one does not verify.
    """
    names = [first] if second is None else [first, second]
    repository = find_repository_for(reporter, names)
    without_own = None if own or repository is None else repository.config.publish_root
    diff = compare_runs(catalog_of(repository), *_find_runs(repository, names, registry_id), without_own=without_own)
    reporter.print_result(diff.to_json(), (), lambda page: _print_diff(page, diff))
    return 0


def _find_runs(
    repository: Repository | None, names: Sequence[str], registry_id: str | None
) -> tuple[FoundRun, FoundRun]:
    """Return the two runs to compare: as named, or the named one and its counterpart, the older run id first."""
    # `active` and `latest` need a registry, which may be that of the other run: they are looked up last.
    runs: dict[int, FoundRun] = {}
    for index in sorted(range(len(names)), key=lambda index: names[index].startswith(("active", "latest"))):
        runs[index] = find_named_run(repository, names[index], registry_id)
        registry_id = registry_id or find_registry_of_run(catalog_of(repository), runs[index])
    if len(names) > 1:
        return runs[0], runs[1]
    if repository is None or registry_id is None:
        raise click.UsageError(f"{runs[0].shown} belongs to no registry here: name the run to compare it with")
    before, after = sorted([runs[0], find_counterpart(repository, runs[0], registry_id)], key=lambda run: run.run_id)
    return before, after


def _print_diff(page: Page, diff: RunDiff) -> None:
    page.line(diff.registry_id or "a run of no registry", style="bold")
    width = max(len(side.run_id) for side in (diff.before, diff.after))
    for label, side in (("from", diff.before), ("to", diff.after)):
        page.line(f"  {label:<4}  {side.run_id:<{width}}  {short(side.root_sha256)}")
    kinds = (("added", diff.paths.added), ("removed", diff.paths.removed), ("changed", diff.paths.modified))
    if not diff.paths.total:
        page.line("all files are identical")
        return
    page.line(f"files: {', '.join(f'{len(paths)} {kind}' for kind, paths in kinds)}")
    _print_shortened(page, [f"{_SIGNS[kind]} {path}" for kind, paths in kinds for path in paths])
    for artifact in diff.artifacts:
        page.line()
        page.line(_format_heading(artifact), style="bold")
        counts = Counter(field.field for record in artifact.changed for field in record.fields)
        if len(artifact.changed) > 1:
            page.line(f"  changed: {', '.join(f'{field} in {count}' for field, count in sorted(counts.items()))}")
        _print_shortened(page, list(_format_records(artifact, counts)))


def _format_heading(artifact: ArtifactDiff) -> str:
    if artifact.kind == "bytes":
        return f"{artifact.relpath}: the bytes differ"
    if artifact.kind == "object":
        return f"{artifact.relpath}: {len(artifact.fields)} changed"
    counts = f"{len(artifact.added)} added, {len(artifact.removed)} removed, {len(artifact.changed)} changed"
    by = f" by {', '.join(artifact.key)}" if artifact.key else ", whole records"
    own = f"; {plural(artifact.own, 'run')} of this tool left out (--own)" if artifact.own else ""
    return f"{artifact.relpath}{by}: {counts}, {artifact.unchanged} unchanged{own}"


def _format_records(artifact: ArtifactDiff, field_counts: Counter[str]) -> Iterator[str]:
    """Yield a text per added, removed and changed record (its fields on further lines), and per field of an object."""
    for kind, records in (("added", artifact.added), ("removed", artifact.removed)):
        for record in records:
            key = record if not artifact.key else {name: record[name] for name in artifact.key}
            yield f"{_SIGNS[kind]} {_format_key(key)}"
    # Records with a rare change come first: a field that changed in all of them is mostly a timestamp.
    for changed in sorted(artifact.changed, key=lambda record: min(field_counts[f.field] for f in record.fields)):
        yield "\n    ".join([f"~ {_format_key(changed.key)}", *_shorten(_format_fields(changed.fields))])
    yield from _format_fields(artifact.fields)


def _format_fields(fields: Sequence[FieldChange]) -> list[str]:
    width = max((len(field.field) for field in fields), default=0)
    return [f"{_SIGNS[field.change]} {field.field:<{width}}  {_format_change(field)}" for field in fields]


def _format_change(field: FieldChange) -> str:
    if field.change == "changed":
        return f"{_format_value(field.before)} -> {_format_value(field.after)}"
    return _format_value(field.after if field.change == "added" else field.before)


def _format_key(key: Any) -> str:
    """Return the values of a key, a reference by its run id; if that is not possible, the key as JSON."""
    values = key.values() if isinstance(key, dict) else ()
    texts = [value.get("run_id") if isinstance(value, dict) else value for value in values]
    strings = [text for text in texts if isinstance(text, str)]
    return ", ".join(strings) if strings and len(strings) == len(texts) else _format_value(key)


def _format_value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"


def _print_shortened(page: Page, entries: Sequence[str]) -> None:
    for entry in _shorten(entries):
        for line in entry.split("\n"):
            page.line(f"  {line}")


def _shorten(entries: Sequence[str]) -> list[str]:
    """Return the first entries, and a line that counts the rest if there are more than `_MAX_LINES`."""
    rest = len(entries) - _MAX_LINES
    return [*entries[:_MAX_LINES], *([f"… and {rest} more; --json shows all"] if rest > 0 else [])]
