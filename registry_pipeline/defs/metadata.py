"""What the Dagster page of an asset shows (SPEC 7 "The Dagster asset page").

Holds the metadata of a materialization and of a check, made from values. Keeps out deciding anything; what it reads is
handed in. May import `schema`, `model`, `canon`, `evidence` (the keys) and Dagster.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dagster import (
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
)

from registry_pipeline import schema
from registry_pipeline.canonical import json_line, read_strict_csv, sha256_hex, short
from registry_pipeline.capture_table import is_reserved_name
from registry_pipeline.config import Repository
from registry_pipeline.defs.event_log import ROOT_KEY, SEALED_KEY, sealed_to_json
from registry_pipeline.findings.display import (
    markdown_block,
    markdown_code,
    markdown_message,
    markdown_text,
    printable,
    printable_lines,
)
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.claims import main_artifact
from registry_pipeline.registries.base.delta import parse_delta_log
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.reference import Known, Pointer, PointerFile
from registry_pipeline.runs.sealed_run import Built, SealedRun, SealReport

Metadata = dict[str, Any]
_PREVIEW_ROWS: Final = 10
_PREVIEW_COLUMNS: Final = 8
_PREVIEW_TEXT: Final = 4000
_CELL: Final = 48


def sealed_metadata(governed: Repository, sealed: SealedRun, content: Metadata) -> Metadata:
    """Return which folder an asset's materialization stands for, its content, and last what `evidence` reads."""
    return {
        "run_id": printable(sealed.ref.run_id),
        ROOT_KEY: sealed.ref.manifest_sha256,
        "run_folder": MetadataValue.path(printable(str(governed.path(sealed.ref.run_root) / sealed.ref.run_id))),
        "as_of_utc": sealed.as_of_utc,
        **content,
        SEALED_KEY: MetadataValue.json(sealed_to_json(sealed)),
    }


def content_metadata(spec: RegistrySpec, built: Built, active: SealReport | None) -> Metadata:
    """Return what was built: counts and flags as numbers, which Dagster plots, a preview and the columns.

    `active` is the verified active snapshot with its artifacts, None where nothing is active or where it does not
    verify; then there are no changes to tell, and none are.
    """
    files = built.artifacts.files
    page: Metadata = {"records": built.artifacts.records, "dagster/row_count": built.artifacts.records}
    page |= {name: MetadataValue.int(int(value)) for name, value in built.artifacts.metrics.items()}
    if spec.multi_file:
        page |= files_metadata(files, active)
    main = main_artifact(spec, files)
    if main is not None:
        before = None if active is None else _main_of(spec, active)
        page |= {} if before is None else changes(main, before, files[main])
        page["preview"] = MetadataValue.md(
            newest_edges(files[main]) if spec.append_only else preview(main, files[main])
        )
    columns = column_schema(spec)
    if columns is not None:
        page["dagster/column_schema"] = columns
    return page | findings_metadata(built.findings)


def _main_of(spec: RegistrySpec, report: SealReport) -> bytes | None:
    name = main_artifact(spec, [entry.relpath for entry in report.entries])
    return None if name is None else report.kept.get(name)


def files_metadata(files: Mapping[str, bytes], active: SealReport | None) -> Metadata:
    """Return a table of the files that are sealed under their own names, and how they differ from the active ones."""
    now = {name: sha256_hex(data) for name, data in files.items()}
    rows = [{"file": name, "bytes": len(files[name]), "sha256": short(digest)} for name, digest in now.items()]
    page: Metadata = {"sealed_files": MetadataValue.md(markdown_table(rows))}
    if active is None:
        return page
    before = {entry.relpath: entry.sha256 for entry in active.entries if not is_reserved_name(entry.relpath)}
    common = now.keys() & before.keys()
    return page | {
        "files_added": len(now.keys() - before.keys()),
        "files_removed": len(before.keys() - now.keys()),
        "files_modified": sum(now[name] != before[name] for name in common),
    }


def findings_metadata(findings: Iterable[Finding]) -> Metadata:
    """Return the findings as a Markdown list and as a number, or nothing where there are none."""
    told = list(findings)
    return {"findings": MetadataValue.md(findings_text(told)), "findings_count": len(told)} if told else {}


def findings_text(findings: Iterable[Finding]) -> str:
    """Return one Markdown item a finding: code, place, what was expected and found, and what to do."""
    return "\n".join(f"- {_sentence(finding)}" for finding in findings)


def _sentence(finding: Finding) -> str:
    location = markdown_code(finding.path + (f" {finding.location}" if finding.location else ""))
    expected, got = (markdown_text(str(value)) for value in (finding.expected, finding.got))
    between = f" (expected {expected}, got {got})" if finding.expected or finding.got else ""
    message, hint = markdown_message(finding.message), markdown_message(finding.hint)
    return f"**{finding.code}** {finding.severity.value} {location}: {message}{between}. _{hint}_"


def records_of(artifact: str, data: bytes) -> list[Any] | None:
    """Return the records of an artifact, one for a single object; None for what is neither JSON nor CSV."""
    try:
        if artifact.endswith(".csv"):
            (_, names), *rows = read_strict_csv(data)
            return [dict(zip(names, cells, strict=True)) for _, cells in rows]
        if artifact.endswith(".jsonl"):
            return [json.loads(line) for line in data.splitlines()]
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, list) else [document]


def changes(artifact: str, before: bytes, after: bytes) -> Metadata:
    """Return how the records differ from the active snapshot's; a record that changed is one added, one removed."""
    old, new = (_counted(artifact, data) for data in (before, after))
    if old is None or new is None:
        return {}
    return {
        "records_change": new.total() - old.total(),
        "records_added": (new - old).total(),
        "records_removed": (old - new).total(),
    }


def _counted(artifact: str, data: bytes) -> Counter[bytes] | None:
    if artifact.endswith(".jsonl"):
        return Counter(data.splitlines())
    records = records_of(artifact, data)
    return None if records is None else Counter(json_line(record) for record in records)


def preview(artifact: str, data: bytes) -> str:
    """Return the first records as a Markdown table, or a single object as indented JSON, cut with a line saying so."""
    if artifact.endswith(".jsonl"):
        data = b"\n".join(data.splitlines()[: _PREVIEW_ROWS + 1])
    records = records_of(artifact, data)
    if records is None or (len(records) == 1 and not artifact.endswith(".csv")):
        text = data.decode("utf-8", "replace") if records is None else json.dumps(records[0], indent=2)
        cut = "\n…" if len(text) > _PREVIEW_TEXT else ""
        return markdown_block(f"{text[:_PREVIEW_TEXT]}{cut}", "json")
    if not records:
        return "No records."
    table = markdown_table([record for record in records[:_PREVIEW_ROWS] if isinstance(record, dict)])
    return table + ("\n\n… more records in the run folder." if len(records) > _PREVIEW_ROWS else "")


def newest_edges(log: bytes) -> str:
    """Return the last edges of a delta log as a Markdown table, the newest first, with the number of the others."""
    lines = log.splitlines(keepends=True)
    newest = list(parse_delta_log(b"".join(lines[-_PREVIEW_ROWS:])))[::-1]
    if not newest:
        return "No records."
    rows = [
        {
            "registry": edge.registry_id,
            "from": None if edge.from_ref is None else edge.from_ref.run_id,
            "to": edge.to_ref.run_id,
            "added": len(edge.paths.added),
            "removed": len(edge.paths.removed),
            "modified": len(edge.paths.modified),
            "basis": edge.basis,
        }
        for edge in newest
    ]
    rest = len(lines) - len(rows)
    return markdown_table(rows) + (f"\n\n… {rest} older records in the run folder." if rest else "")


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return objects as a Markdown table of their plain columns."""
    plain = {name: None for row in rows for name, value in row.items() if not isinstance(value, dict | list)}
    names = list(plain)[:_PREVIEW_COLUMNS]
    lines = ["| " + " | ".join(map(_cell, names)) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    shown = text if len(text) <= _CELL else text[: _CELL - 1] + "…"
    return markdown_text(shown)


def column_schema(spec: RegistrySpec) -> TableSchema | None:
    """Return the columns of a registry's records as its shipped JSON Schema states them, None where it has none."""
    name = spec.schema_of(spec.artifact) if spec.artifacts else None
    if name is None or not schema.has_schema(name):
        return None
    document = schema.read_schema(name)
    told = document["items"] if document.get("type") == "array" and "items" in document else document
    properties = _resolved(document, told).get("properties", {})
    columns = [_column(column, document, _resolved(document, told)) for column, told in properties.items()]
    return TableSchema(columns=columns) if columns else None


def _resolved(document: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a schema with the definition that it refers to, in its alternatives too."""
    name = str(told.get("$ref", "")).removeprefix("#/$defs/")
    ways = {key: [_resolved(document, way) for way in told[key]] for key in ("anyOf", "oneOf") if key in told}
    return {**document.get("$defs", {}).get(name, {}), **told, **ways}


def _column(name: str, document: Mapping[str, Any], told: Mapping[str, Any]) -> TableColumn:
    types = _types(document, told)
    shown = " | ".join(word for word in types if word != "null") or "null"
    return TableColumn(
        name, shown, description=told.get("description"), constraints=TableColumnConstraints(nullable="null" in types)
    )


def _types(document: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    stated = told.get("type")
    if isinstance(stated, str):
        return [stated]
    if isinstance(stated, list):
        return [str(word) for word in stated]
    values = told.get("enum", [told["const"]] if "const" in told else [])
    words = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    found = [words[type(value)] for value in values if type(value) in words]
    ways = [_resolved(document, way) for way in (*told.get("anyOf", ()), *told.get("oneOf", ()))]
    inner = [word for way in ways for word in _types(document, way)]
    return list(dict.fromkeys([*found, *inner])) or ["any"]


def pointers_metadata(pointers: PointerFile) -> Metadata:
    """Return the state of the pointer file: its hash, how many registries are active, and one row a registry."""
    active = [pointer for pointer in pointers.pointers if pointer.known is True and pointer.ref is not None]
    return {
        "active_registries": len(active),
        **{pointer.registry_id: _pointer_words(pointer) for pointer in pointers.pointers},
        "pointer_file_sha256": pointers.sha256 or "no pointer file",
    }


def _pointer_words(pointer: Pointer) -> str:
    run = "no run" if pointer.ref is None else printable(pointer.ref.run_id)
    states: dict[Known, str] = {True: "in force", False: "not in force any more", "unknown": "unknown"}
    since = f" since {pointer.asof_utc}" if pointer.asof_utc else ""
    return f"{run}, {states[pointer.known]}{since}" + (f": {printable(pointer.notes)}" if pointer.notes else "")


def kept_metadata(spec: RegistrySpec, kept: Mapping[str, bytes]) -> Metadata:
    """Return the page of a folder that was sealed elsewhere, from the verified bytes of its artifacts."""
    if spec.kind == "rendered" and spec.artifact in kept:
        return report_metadata(spec, kept)
    data = kept.get(spec.relpath or "")
    if data is None:
        return {}
    records = records_of(spec.artifact, data)
    page: Metadata = {} if records is None else {"records": len(records), "dagster/row_count": len(records)}
    for record in records or ():
        flags = record.get("system_drift") if isinstance(record, dict) else None
        page |= {name: int(value) for name, value in (flags or {}).items() if isinstance(value, bool)}
    columns = column_schema(spec)
    if columns is not None:
        page["dagster/column_schema"] = columns
    return page | {"preview": MetadataValue.md(preview(spec.artifact, data))}


def report_metadata(spec: RegistrySpec, kept: Mapping[str, bytes]) -> Metadata:
    """Return a report's page: its counts as numbers, and the report itself as the preview."""
    summary = json.loads(kept[spec.artifact])
    text = next((data for name, data in kept.items() if name.endswith(".md")), b"")
    page: Metadata = {"health_state": printable(str(summary.get("health_state", "UNKNOWN")))}
    page |= {name: int(value) for name, value in summary.get("counts", {}).items()}
    return page | {"preview": MetadataValue.md(printable_lines(text.decode("utf-8")))}
