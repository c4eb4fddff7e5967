"""The metadata that Dagster shows on the page of an asset or a check."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from dagster import MetadataValue, TableColumn, TableColumnConstraints, TableRecord, TableSchema

from registry_pipeline.canonical import json_line, parse_strict_csv, parse_utc, sha256_hex, short, utc_text
from registry_pipeline.capture_table import is_reserved_name
from registry_pipeline.config import Repository
from registry_pipeline.defs.event_log import ROOT_KEY, SEALED_KEY, sealed_to_json
from registry_pipeline.defs.location import location_of
from registry_pipeline.findings.display import (
    markdown_block,
    markdown_code,
    markdown_text,
    printable,
    printable_lines,
)
from registry_pipeline.findings.finding import Finding, Severity, plural
from registry_pipeline.registries.base.delta import parse_delta_log
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.schemas import has_schema, read_schema_bytes
from registry_pipeline.registries.base.sealed_input import find_main_artifact
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import Known, Pointer, PointerFile
from registry_pipeline.runs.scan import read_run_folder
from registry_pipeline.runs.sealed_run import Built, SealedRun, SealReport

Metadata = dict[str, Any]
_PREVIEW_ROWS: Final = 10
_PREVIEW_COLUMNS: Final = 8
_PREVIEW_TEXT: Final = 4000
_CELL: Final = 48
_RUN_ID_LETTERS: Final = frozenset("0123456789abcdef-")
_FINDING_COLUMNS: Final = ("severity", "code", "where", "finding", "next step")


def make_sealed_metadata(repository: Repository, sealed: SealedRun, now: datetime, content: Metadata) -> Metadata:
    """Return the metadata of a materialization: the folder, its content, and the value that `event_log` reads.

    First come its state, root, age at the moment `now`, and whether it is active; `content` may state another state.
    """
    built_from = _format_inputs(repository, sealed)
    return {
        "state": "sealed",
        ROOT_KEY: sealed.ref.manifest_sha256,
        "age": _format_age(sealed.as_of_utc, now),
        "active": _format_active(repository, sealed),
        "run_id": printable(sealed.ref.run_id),
        "run_folder": MetadataValue.path(printable(str(repository.path(sealed.ref.run_root) / sealed.ref.run_id))),
        "as_of_utc": sealed.as_of_utc,
        **({"built_from": MetadataValue.md(built_from)} if built_from else {}),
        **content,
        SEALED_KEY: MetadataValue.json(sealed_to_json(repository, sealed)),
    }


def _format_age(as_of_utc: str, now: datetime) -> str:
    as_of = parse_utc(as_of_utc)
    return "unknown" if as_of is None else f"{plural(max(0, (now - as_of).days), 'day')} on {utc_text(now)}"


def _format_active(repository: Repository, sealed: SealedRun) -> str:
    if not catalog_of(repository).registries[sealed.registry_id].pointer:
        return "no: it has no pointer"
    # Dagster shows what was true when the asset was materialized; only the check is brought up to date.
    is_active = read_pointers(repository).active(sealed.registry_id) == sealed.ref
    return "yes" if is_active else "no, when it was built: the check `active` says whether it is now"


def _format_inputs(repository: Repository, sealed: SealedRun) -> str:
    """Return the upstream runs as a Markdown table, with links to their assets and to the Dagster runs that made them.

    "" if there are none.
    """
    rows = []
    for name, ref in sealed.inputs.upstream().items():
        run = read_run_folder(repository.root, ref.run_root, ref.run_id)
        made_by = None if run is None else run.envelope.get("dagster_run_id")
        link = "the command line"
        # Of another form it is no run of Dagster, and perhaps an address that leads somewhere else.
        if isinstance(made_by, str) and made_by and _RUN_ID_LETTERS.issuperset(made_by):
            link = f"[{short(made_by)}](/runs/{made_by})"
        asset = location_of(repository).key(name).to_user_string()
        rows.append(f"| [{name}](/assets/{asset}) | {markdown_code(ref.run_id)} | {link} |")
    return "\n".join(["| upstream | run | made by |", "|---|---|---|", *rows]) if rows else ""


def make_content_metadata(spec: RegistrySpec, built: Built, active: SealReport | None) -> Metadata:
    """Return the row count and the figures of the builder, a preview, the columns, and changes since `active`.

    Dagster plots every number, so what is not worth a plot is text.
    """
    files = built.artifacts.files
    page: Metadata = {"dagster/row_count": built.artifacts.records}
    page |= {name: MetadataValue.int(int(value)) for name, value in built.artifacts.metrics.items()}
    if spec.multi_file:
        page |= make_files_metadata(files, active)
    main = find_main_artifact(spec, files)
    if main is not None:
        before = None if active is None else _find_main_artifact_bytes(spec, active)
        page |= {} if before is None else count_changes(main, before, files[main])
        text = format_newest_edges(files[main]) if spec.append_only else format_preview(main, files[main])
        page["preview"] = MetadataValue.md(text)
    return page | _make_columns_metadata(spec) | make_findings_metadata(built.findings)


def _find_main_artifact_bytes(spec: RegistrySpec, report: SealReport) -> bytes | None:
    name = find_main_artifact(spec, [entry.relpath for entry in report.entries])
    return None if name is None else report.kept.get(name)


def make_files_metadata(files: Mapping[str, bytes], active: SealReport | None) -> Metadata:
    """Return a table of the sealed files and, if there is an active run, how many were added, removed or modified."""
    hashes = {name: sha256_hex(data) for name, data in files.items()}
    rows = [{"file": name, "bytes": len(files[name]), "sha256": short(digest)} for name, digest in hashes.items()]
    page: Metadata = {"sealed_files": MetadataValue.md(format_table(rows))}
    if active is None:
        return page
    active_hashes = {entry.relpath: entry.sha256 for entry in active.entries if not is_reserved_name(entry.relpath)}
    common = hashes.keys() & active_hashes.keys()
    added, removed = len(hashes.keys() - active_hashes.keys()), len(active_hashes.keys() - hashes.keys())
    modified = sum(hashes[name] != active_hashes[name] for name in common)
    return page | {"changed_files": f"{added} added, {removed} removed, {modified} modified since the active run"}


def make_findings_metadata(findings: Iterable[Finding]) -> Metadata:
    """Return the codes of findings, the next step of the first, and all of them as a table; nothing without findings.

    Errors come before others.
    """
    ordered = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    if not ordered:
        return {}
    columns = TableSchema([TableColumn(name) for name in _FINDING_COLUMNS])
    return {
        "codes": ", ".join(dict.fromkeys(finding.code for finding in ordered)),
        "next_step": printable(ordered[0].hint),
        "findings": MetadataValue.table(make_findings_table(ordered), columns),
    }


def make_findings_table(findings: Iterable[Finding]) -> list[TableRecord]:
    """Return one row per finding, with the columns of `_FINDING_COLUMNS`."""
    return [
        TableRecord(
            {
                "severity": finding.severity.value,
                "code": finding.code,
                "where": printable(finding.path + (f" {finding.location}" if finding.location else "")),
                "finding": printable(finding.full_message),
                "next step": printable(finding.hint),
            }
        )
        for finding in findings
    ]


def parse_records(artifact: str, data: bytes) -> list[Any] | None:
    """Return the records of a JSON, JSONL or CSV artifact, or None if it cannot be parsed; an object is one record."""
    try:
        if artifact.endswith(".csv"):
            (_, names), *rows = parse_strict_csv(data)
            return [dict(zip(names, cells, strict=True)) for _, cells in rows]
        if artifact.endswith(".jsonl"):
            return [json.loads(line) for line in data.splitlines()]
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, list) else [document]


def count_changes(artifact: str, before: bytes, after: bytes) -> Metadata:
    """Return how many records were added and removed (a changed one is both); empty if either cannot be parsed."""
    old, new = (_count_records(artifact, data) for data in (before, after))
    if old is None or new is None:
        return {}
    return {"changed_records": f"{(new - old).total()} added, {(old - new).total()} removed since the active run"}


def _count_records(artifact: str, data: bytes) -> Counter[bytes] | None:
    if artifact.endswith(".jsonl"):
        return Counter(data.splitlines())
    records = parse_records(artifact, data)
    return None if records is None else Counter(json_line(record) for record in records)


def format_preview(artifact: str, data: bytes) -> str:
    """Return the first records as a Markdown table, or a single object or unparsable text as a block; marks cuts."""
    if artifact.endswith(".jsonl"):
        data = b"\n".join(data.splitlines()[: _PREVIEW_ROWS + 1])
    records = parse_records(artifact, data)
    if records is None or (len(records) == 1 and not artifact.endswith(".csv")):
        text = data.decode("utf-8", "replace") if records is None else json.dumps(records[0], indent=2)
        cut = "\n…" if len(text) > _PREVIEW_TEXT else ""
        return markdown_block(f"{text[:_PREVIEW_TEXT]}{cut}", "json")
    if not records:
        return "No records."
    table = format_table([record for record in records[:_PREVIEW_ROWS] if isinstance(record, dict)])
    return table + ("\n\n… more records in the run folder." if len(records) > _PREVIEW_ROWS else "")


def format_newest_edges(log: bytes) -> str:
    """Return the last records of a delta log as a Markdown table, the newest first, with the number of the others."""
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
    return format_table(rows) + (f"\n\n… {rest} older records in the run folder." if rest else "")


def format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return objects as a Markdown table of the first columns, those with only nested values left out."""
    plain = {name: None for row in rows for name, value in row.items() if not isinstance(value, dict | list)}
    names = list(plain)[:_PREVIEW_COLUMNS]
    lines = ["| " + " | ".join(map(_format_cell, names)) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_format_cell(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _format_cell(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return markdown_text(text if len(text) <= _CELL else text[: _CELL - 1] + "…")


def _make_columns_metadata(spec: RegistrySpec) -> Metadata:
    columns = make_column_schema(spec)
    return {} if columns is None else {"columns": columns}


def make_column_schema(spec: RegistrySpec) -> TableSchema | None:
    """Return the columns of a registry's records from its JSON Schema; None without a schema or properties."""
    name = spec.schema_of(spec.artifact) if spec.artifacts else None
    if name is None or not has_schema(spec, name):
        return None
    document: Mapping[str, Any] = json.loads(read_schema_bytes(spec, name))
    record = document["items"] if document.get("type") == "array" and "items" in document else document
    properties = _resolve(document, record).get("properties", {})
    columns = [_make_column(column, document, _resolve(document, part)) for column, part in properties.items()]
    return TableSchema(columns=columns) if columns else None


def _resolve(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a schema merged with the definition that it refers to, in its alternatives too."""
    name = str(part.get("$ref", "")).removeprefix("#/$defs/")
    alternatives = {key: [_resolve(document, way) for way in part[key]] for key in ("anyOf", "oneOf") if key in part}
    return {**document.get("$defs", {}).get(name, {}), **part, **alternatives}


def _make_column(name: str, document: Mapping[str, Any], part: Mapping[str, Any]) -> TableColumn:
    types = _find_types(document, part)
    type_text = " | ".join(word for word in types if word != "null") or "null"
    constraints = TableColumnConstraints(nullable="null" in types)
    return TableColumn(name, type_text, description=part.get("description"), constraints=constraints)


def _find_types(document: Mapping[str, Any], part: Mapping[str, Any]) -> list[str]:
    types = part.get("type")
    if isinstance(types, str):
        return [types]
    if isinstance(types, list):
        return [str(word) for word in types]
    # Without a type: those of the constant or enumerated values, then those of the alternatives.
    values = part.get("enum", [part["const"]] if "const" in part else [])
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    value_types = [names[type(value)] for value in values if type(value) in names]
    alternatives = [_resolve(document, way) for way in (*part.get("anyOf", ()), *part.get("oneOf", ()))]
    alternative_types = [word for way in alternatives for word in _find_types(document, way)]
    return list(dict.fromkeys([*value_types, *alternative_types])) or ["any"]


def make_pointers_metadata(pointers: PointerFile) -> Metadata:
    """Return the state of the pointer file: the number of active registries, a row per registry, and its hash."""
    active = pointers.active_refs()
    return {
        "active_registries": len(active),
        **{pointer.registry_id: _format_pointer(pointer) for pointer in pointers.pointers},
        "pointer_file_sha256": pointers.sha256 or "no pointer file",
    }


def _format_pointer(pointer: Pointer) -> str:
    run = "no run" if pointer.ref is None else printable(pointer.ref.run_id)
    states: dict[Known, str] = {True: "active", False: "no longer active", "unknown": "unknown"}
    since = f" since {pointer.asof_utc}" if pointer.asof_utc else ""
    return f"{run}, {states[pointer.known]}{since}" + (f": {printable(pointer.notes)}" if pointer.notes else "")


def make_kept_metadata(spec: RegistrySpec, kept: Mapping[str, bytes]) -> Metadata:
    """Return the metadata of a folder that Dagster did not seal, from its files; empty without its main artifact."""
    if spec.kind == "rendered" and spec.artifact in kept:
        return make_report_metadata(spec, kept)
    data = kept.get(spec.relpath or "")
    if data is None:
        return {}
    records = parse_records(spec.artifact, data)
    page: Metadata = {} if records is None else {"dagster/row_count": len(records)}
    for record in records or ():
        flags = record.get("system_drift") if isinstance(record, dict) else None
        page |= {name: int(value) for name, value in (flags or {}).items() if isinstance(value, bool)}
    return page | _make_columns_metadata(spec) | {"preview": MetadataValue.md(format_preview(spec.artifact, data))}


def make_report_metadata(spec: RegistrySpec, kept: Mapping[str, bytes]) -> Metadata:
    """Return the metadata of a health report: its counts as numbers, and the report itself as the preview."""
    summary = json.loads(kept[spec.artifact])
    text = next((data for name, data in kept.items() if name.endswith(".md")), b"")
    page: Metadata = {"health_state": printable(str(summary.get("health_state", "UNKNOWN")))}
    page |= {name: int(value) for name, value in summary.get("counts", {}).items()}
    page["outdated_ages"] = len(summary.get("outdated_ages", ()))
    return page | {"preview": MetadataValue.md(printable_lines(text.decode("utf-8")))}
