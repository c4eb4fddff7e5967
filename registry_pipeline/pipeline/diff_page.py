"""Render the differences between two runs as one unsealed page (`diff --format html`)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from itertools import takewhile
from typing import Any, Final

from registry_pipeline.canonical import parse_instant
from registry_pipeline.config import Repository
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.diff import (
    ArtifactDiff,
    FieldChange,
    RunDiff,
    Side,
    count_fields,
    find_key_text,
    order_by_rarity,
)
from registry_pipeline.registries.system_health.template import render_template
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import PointerFile
from registry_pipeline.values import value_type

MAX_ARTIFACTS: Final = 40
MAX_PATHS: Final = 60
MAX_INPUTS: Final = 40
MAX_FIELDS: Final = 20
_MAX_VALUE: Final = 160
# In bytes of HTML: all records of the page, and the tags of a row.
_BUDGET: Final = 150_000
_TAGS: Final = 250
_MOODS: Final = {"added": "good", "removed": "bad", "changed": "warn"}


@value_type
class _Record:
    """A record that differs: its fields with the value of each side, None for a side without it."""

    kind: str
    key: str
    rows: tuple[tuple[str, str | None, str | None], ...]

    @property
    def mood(self) -> str:
        return _MOODS[self.kind]

    @property
    def size(self) -> int:
        cells = (self.key, *(cell or "" for row in self.rows for cell in row))
        texts = sum(len(escape(cell).encode("utf-8", "backslashreplace")) for cell in cells)
        return texts + _TAGS * (len(self.rows) + 1)


def render_diff_page(repository: Repository | None, diff: RunDiff, now: datetime) -> bytes:
    """Return the page as UTF-8; `repository` says which run is active."""
    pointers = None if repository is None else read_pointers(repository)
    # The file with the most differences comes first; files of the same number keep their order.
    artifacts = sorted(diff.artifacts, key=lambda artifact: -_count_differences(artifact))
    shown = artifacts[:MAX_ARTIFACTS]
    budget = _BUDGET // max(len(shown), 1)
    facts = list(_list_facts(diff, pointers))
    by_kind = sorted(_list_paths(diff), key=lambda row: -len(row[1]))
    sides = (diff.before.path, diff.after.path)
    return render_template(
        "diff.html",
        title="Differences",
        unsealed="Its content is what `registry-pipeline diff` prints.",
        rendered=now,
        registry_id=diff.registry_id or "a run of no registry",
        before=diff.before,
        after=diff.after,
        paths=diff.paths,
        facts=facts[:MAX_INPUTS],
        more_facts=max(0, len(facts) - MAX_INPUTS),
        tiles=_make_tiles(diff),
        files=[_shorten_list(kind, paths) for kind, paths in by_kind if paths],
        artifacts=[_describe_artifact(artifact, budget) for artifact in shown],
        more_artifacts=len(artifacts) - len(shown),
        json_command=shlex.join(("registry-pipeline", "diff", *sides, "--json")),
        verify_command=shlex.join(("registry-pipeline", "verify", *sides)),
    )


def _shorten_list(kind: str, paths: Sequence[str]) -> tuple[str, str, list[str], int]:
    """Return a kind of change, its colour, the paths that the page shows, and the number of the others."""
    return kind, _MOODS[kind], [_shorten(path) for path in paths[:MAX_PATHS]], max(0, len(paths) - MAX_PATHS)


def _list_facts(diff: RunDiff, pointers: PointerFile | None) -> Iterator[tuple[str, str, str]]:
    """Yield a name and the value of each side: the runs, what built them, and from what."""
    sides = (diff.before, diff.after)

    def row(name: str, values: Sequence[Any]) -> tuple[str, str, str]:
        old, new = ("unknown" if value is None else _shorten(str(value)) for value in values)
        return name, old, new

    yield row("run", [side.run_id for side in sides])
    yield row("ROOT_SHA256", [side.root_sha256 for side in sides])
    yield row("verdict", ["verified", "verified"])
    yield row("active", [_find_state(side, diff.registry_id, pointers) for side in sides])
    yield row("created", [_read_time(side) for side in sides])
    yield row("describes", [side.envelope.get("as_of_utc") for side in sides])
    yield row("builder", [_format_builder(side.envelope.get("builder")) for side in sides])
    for name in ("git_commit", "working_tree_state", "repository_id"):
        yield row(name, [side.envelope.get(name) for side in sides])
    schemas = [f"{path} {kind}" for kind, paths in _list_paths(diff) for path in paths if path.endswith(".schema.json")]
    yield row("schemas", ["as in the other run", ", ".join(schemas) or "as in the other run"])
    inputs = [Inputs.from_json(side.envelope.get("inputs")) for side in sides]
    runs = [{f"{i.role} {i.registry_id}": i.ref.run_id for i in side.registries} for side in inputs]
    files = [{f"input {file.path}": file.sha256 for file in side.files} for side in inputs]
    for old, new in (runs, files):
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                yield row(name, [old.get(name, "none"), new.get(name, "none")])


def _list_paths(diff: RunDiff) -> tuple[tuple[str, Sequence[str]], ...]:
    return ("added", diff.paths.added), ("removed", diff.paths.removed), ("changed", diff.paths.modified)


def _find_state(side: Side, registry_id: str | None, pointers: PointerFile | None) -> str | None:
    if pointers is None or registry_id is None:
        return None
    ref = pointers.active(registry_id)
    return "active" if ref is not None and ref.identity == (side.run_id, side.root_sha256) else "not active"


def _read_time(side: Side) -> str | None:
    created = side.envelope.get("created_utc")
    return created if isinstance(created, str) and parse_instant(created) is not None else None


def _format_builder(builder: Any) -> str | None:
    return f"{builder.get('name')} {builder.get('version')}" if isinstance(builder, dict) else None


def _make_tiles(diff: RunDiff) -> list[tuple[int, str]]:
    """Return the figures at the top: the number of files and of records that differ, by kind."""
    records = [artifact for artifact in diff.artifacts if artifact.kind == "records"]
    added, removed, changed = (
        sum(len(getattr(artifact, kind)) for artifact in records) for kind in ("added", "removed", "changed")
    )
    return [
        (diff.paths.total, "files differ"),
        (added, "records added"),
        (removed, "records removed"),
        (changed, "records changed"),
        (sum(artifact.unchanged for artifact in records), "records unchanged in these files"),
    ]


def _count_differences(artifact: ArtifactDiff) -> int:
    return len(artifact.added) + len(artifact.removed) + len(artifact.changed) + len(artifact.fields)


def _describe_artifact(artifact: ArtifactDiff, budget: int) -> dict[str, Any]:
    """Return what the page shows of a file; records are shown as long as their characters are within the budget."""
    records: list[_Record] = []
    for record in _list_records(artifact):
        budget -= record.size
        if budget < 0:
            break
        records.append(record)
    total = len(artifact.added) + len(artifact.removed) + len(artifact.changed) + bool(artifact.fields)
    return {
        "relpath": artifact.relpath,
        "summary": _summarize(artifact),
        "fields": [(_shorten(name), count) for name, count in count_fields(artifact.changed).most_common(MAX_FIELDS)],
        "records": records,
        "more": total - len(records),
    }


def _summarize(artifact: ArtifactDiff) -> str:
    if artifact.kind == "bytes":
        return "The bytes differ."
    if artifact.kind == "object":
        return f"{plural(len(artifact.fields), 'field')} changed."
    counts = ", ".join(f"{len(getattr(artifact, kind))} {kind}" for kind in _MOODS)
    by = f" by {', '.join(artifact.key)}" if artifact.key else ", whole records"
    own = f" {plural(artifact.own, 'run')} of this tool left out (--own)." if artifact.own else ""
    return f"Records{by}: {counts}, {artifact.unchanged} unchanged.{own}"


def _list_records(artifact: ArtifactDiff) -> Iterator[_Record]:
    """Yield the records that differ, the most frequent kind first, and the fields of an object as one record."""
    if artifact.fields:
        yield _Record("changed", "", tuple(_list_rows(artifact.fields)))

    def list_whole(kind: str, records: Sequence[Any]) -> Iterator[_Record]:
        for record in records:
            key = record if not artifact.key else {name: record[name] for name in artifact.key}
            text = _format_value(record)
            sides = (None, text) if kind == "added" else (text, None)
            yield _Record(kind, _describe_key(key), (("record", *sides),))

    kinds = {
        "added": (len(artifact.added), list_whole("added", artifact.added)),
        "removed": (len(artifact.removed), list_whole("removed", artifact.removed)),
        "changed": (
            len(artifact.changed),
            (
                _Record("changed", _describe_key(record.key), tuple(_list_rows(record.fields)))
                for record in order_by_rarity(artifact.changed)
            ),
        ),
    }
    for _, records in sorted(kinds.values(), key=lambda kind: -kind[0]):
        yield from records


def _list_rows(changes: Sequence[FieldChange]) -> Iterator[tuple[str, str | None, str | None]]:
    for change in changes[:MAX_FIELDS]:
        if change.change == "changed":
            yield _shorten(change.field), *_format_pair(change.before, change.after)
        elif change.change == "added":
            yield _shorten(change.field), None, _format_value(change.after)
        else:
            yield _shorten(change.field), _format_value(change.before), None
    if len(changes) > MAX_FIELDS:
        yield f"and {plural(len(changes) - MAX_FIELDS, 'more field')}", None, None


def _describe_key(key: Any) -> str:
    return _shorten(find_key_text(key) or _format_value(key))


def _format_value(value: Any) -> str:
    return _shorten(json.dumps(value, ensure_ascii=False))


def _format_pair(before: Any, after: Any) -> tuple[str, str]:
    """Return two values that differ; of long ones the part that begins shortly before the first difference."""
    old, new = (printable(json.dumps(value, ensure_ascii=False)) for value in (before, after))
    same = takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
    start = sum(1 for _ in same) - _MAX_VALUE // 4
    if start <= 0 or max(len(old), len(new)) <= _MAX_VALUE:
        return _shorten(old), _shorten(new)
    return f"…{_shorten(old[start:])}", f"…{_shorten(new[start:])}"


def _shorten(text: str) -> str:
    # Escapes count, too: a hidden character is shown with up to ten.
    text = printable(text)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"
