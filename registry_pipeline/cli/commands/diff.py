"""`diff`: what leads from one sealed run of a registry to another, path by path and record by record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.cli.run_argument import find_named, repository_of
from registry_pipeline.config import Repository
from registry_pipeline.pipeline.diff import (
    ArtifactDiff,
    FieldChange,
    RunDiff,
    compare_runs,
    counterpart,
    registry_of_run,
)
from registry_pipeline.pointers.find_runs import FoundRun

_MOST: Final = 20
_LONGEST: Final = 60
_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


@click.command(
    "diff",
    cls=Command,
    examples=[
        ("diff active --registry run_registry", "what is in force, against the run before it"),
        ("diff 2026-01-14 active", "from a run to the one in force of its registry"),
        ("diff latest --registry drift_signals --json", "the newest against the one in force, nothing cut"),
    ],
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option("--registry", "registry_id", metavar="REGISTRY", help="Whose `active` and `latest` are meant.")
@click.pass_obj
def command(reporter: Reporter, first: str, second: str | None, registry_id: str | None) -> int:
    """Show what leads from one run to another.

    Files added, removed and modified; in them the records added, removed and changed by their key, field by field. A
    and B are `active`, `active~N`, `latest`, a run id or its beginning, the beginning of a ROOT_SHA256, or a path.
    Without B, A is compared with the active run of its registry, or, if it is that, with the run before it; then the
    older of the two comes first. Both are verified; exits 3 if one does not verify.
    """
    words = [first] if second is None else [first, second]
    repository = repository_of(reporter, words)
    sides = _find_sides(repository, words, registry_id)
    told = compare_runs(*sides)
    reporter.answer(told.to_json(), (), lambda page: _tell(page, told))
    return 0


def _find_sides(
    repository: Repository | None, words: Sequence[str], registry_id: str | None
) -> tuple[FoundRun, FoundRun]:
    """Return both runs; a word that needs a registry is looked up last, when the other may have told it."""
    found: dict[int, FoundRun] = {}
    for place in sorted(range(len(words)), key=lambda place: words[place].startswith(("active", "latest"))):
        found[place] = find_named(repository, words[place], registry_id)
        registry_id = registry_id or registry_of_run(found[place])
    if len(words) > 1:
        return found[0], found[1]
    if repository is None or registry_id is None:
        raise click.UsageError(f"{found[0].shown} belongs to no registry here: name the run to compare it with")
    before, after = sorted([found[0], counterpart(repository, found[0], registry_id)], key=lambda run: run.run_id)
    return before, after


def _tell(page: Page, told: RunDiff) -> None:
    page.line(told.registry_id or "a run of no registry", style="bold")
    width = max(len(side.run_id) for side in (told.before, told.after))
    for word, side in (("from", told.before), ("to", told.after)):
        page.line(f"  {word:<4}  {side.run_id:<{width}}  {short(side.root_sha256)}")
    kinds = (("added", told.paths.added), ("removed", told.paths.removed), ("changed", told.paths.modified))
    if not told.paths.total:
        page.line("the same files, byte for byte")
        return
    page.line(f"files: {', '.join(f'{len(paths)} {kind}' for kind, paths in kinds)}")
    _list(page, [f"{_SIGNS[kind]} {path}" for kind, paths in kinds for path in paths])
    for artifact in told.artifacts:
        page.line()
        page.line(_heading(artifact), style="bold")
        if len(artifact.changed) > 1:
            page.line(f"  changed: {_fields_told(artifact)}")
        _list(page, list(_lines(artifact)))


def _heading(artifact: ArtifactDiff) -> str:
    if artifact.kind == "bytes":
        return f"{artifact.relpath}: its bytes differ"
    if artifact.kind == "object":
        return f"{artifact.relpath}: {len(artifact.fields)} changed"
    counts = f"{len(artifact.added)} added, {len(artifact.removed)} removed, {len(artifact.changed)} changed"
    by = f" by {', '.join(artifact.key)}" if artifact.key else ", whole records"
    return f"{artifact.relpath}{by}: {counts}, {artifact.unchanged} the same"


def _fields_told(artifact: ArtifactDiff) -> str:
    """Return in how many records each field changed."""
    often = Counter(field.field for record in artifact.changed for field in record.fields)
    return ", ".join(f"{field} in {count}" for field, count in sorted(often.items()))


def _lines(artifact: ArtifactDiff) -> Iterator[str]:
    """Yield one line a record added or removed; of one that changed, its key, and under it its fields, aligned.

    Records in which something rare changed come first: what changed in all of them is mostly the clock.
    """
    for kind, records in (("added", artifact.added), ("removed", artifact.removed)):
        for record in records:
            told = record if not artifact.key else {name: record[name] for name in artifact.key}
            yield f"{_SIGNS[kind]} {_key(told)}"
    often = Counter(field.field for record in artifact.changed for field in record.fields)
    for changed in sorted(artifact.changed, key=lambda record: min(often[field.field] for field in record.fields)):
        yield "\n    ".join([f"~ {_key(changed.key)}", *_cut(_fields(changed.fields))])
    yield from _fields(artifact.fields)


def _fields(fields: Sequence[FieldChange]) -> list[str]:
    """Return one aligned line a field."""
    width = max((len(each.field) for each in fields), default=0)
    return [f"{_SIGNS[each.change]} {each.field:<{width}}  {_change(each)}" for each in fields]


def _change(each: FieldChange) -> str:
    if each.change == "changed":
        return f"{_value(each.before)} -> {_value(each.after)}"
    return _value(each.after if each.change == "added" else each.before)


def _key(key: Any) -> str:
    """Return a record's key as people read it: its values, a reference by its run; else the whole record."""
    values = [_named(value) for value in key.values()] if isinstance(key, dict) else [None]
    return ", ".join(map(str, values)) if None not in values else _value(key)


def _named(value: Any) -> str | None:
    named = value.get("run_id") if isinstance(value, dict) else value
    return named if isinstance(named, str) else None


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _list(page: Page, entries: Sequence[str]) -> None:
    """Write so many entries, indented, and one line that counts the others."""
    for entry in _cut(entries):
        for line in entry.split("\n"):
            page.line(f"  {line}")


def _cut(entries: Sequence[str]) -> list[str]:
    rest = len(entries) - _MOST
    return [*entries[:_MOST], *([f"… and {rest} more; --json tells all"] if rest > 0 else [])]
