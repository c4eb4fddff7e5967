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
from registry_pipeline.canon import json_line
from registry_pipeline.config import Governed
from registry_pipeline.defs.evidence import ROOT_KEY, SEALED_KEY, sealed_to_json
from registry_pipeline.model.finding import Finding
from registry_pipeline.model.refs import Known, Pointer, PointerFile
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.model.verdict import Built, SealedRun

Metadata = dict[str, Any]

_PREVIEW_ROWS: Final = 10
_PREVIEW_COLUMNS: Final = 8
_PREVIEW_TEXT: Final = 4000
_CELL: Final = 48


def sealed_metadata(governed: Governed, sealed: SealedRun, content: Metadata) -> Metadata:
    """Return which folder an asset's materialization stands for, its content, and last what `evidence` reads."""
    return {
        "run_id": sealed.ref.run_id,
        ROOT_KEY: sealed.ref.manifest_sha256,
        "run_folder": MetadataValue.path(governed.path(sealed.ref.run_root) / sealed.ref.run_id),
        "as_of_utc": sealed.as_of_utc,
        **content,
        SEALED_KEY: MetadataValue.json(sealed_to_json(sealed)),
    }


def content_metadata(spec: RegistrySpec, built: Built, active: bytes | None) -> Metadata:
    """Return what was built: counts and flags as numbers, which Dagster plots, a preview and the columns.

    `active` is the main artifact of the active snapshot, None where nothing is active or where it does not verify;
    then there are no changes to tell, and none are.
    """
    data = built.artifacts.files[spec.artifact]
    page: Metadata = {"records": built.artifacts.records, "dagster/row_count": built.artifacts.records}
    page |= {name: MetadataValue.int(int(value)) for name, value in built.artifacts.metrics.items()}
    if active is not None:
        page |= changes(spec.artifact, active, data)
    page["preview"] = MetadataValue.md(preview(spec.artifact, data))
    columns = column_schema(spec)
    if columns is not None:
        page["dagster/column_schema"] = columns
    return page | findings_metadata(built.findings)


def findings_metadata(findings: Iterable[Finding]) -> Metadata:
    """Return the findings as a Markdown list and as a number, or nothing where there are none."""
    told = list(findings)
    return {"findings": MetadataValue.md(findings_text(told)), "findings_count": len(told)} if told else {}


def findings_text(findings: Iterable[Finding]) -> str:
    """Return one Markdown item a finding: code, place, what was expected and found, and what to do."""
    return "\n".join(f"- {_sentence(finding)}" for finding in findings)


def _sentence(finding: Finding) -> str:
    place = finding.path + (f" {finding.location}" if finding.location else "")
    between = f" (expected {finding.expected}, got {finding.got})" if finding.expected or finding.got else ""
    return f"**{finding.code}** {finding.severity.value} `{place}`: {finding.message}{between}. _{finding.hint}_"


def records_of(artifact: str, data: bytes) -> list[Any] | None:
    """Return the records of an artifact, one for a single object; None for what is not JSON."""
    try:
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
    if records is None or len(records) == 1:
        text = data.decode("utf-8", "replace") if records is None else json.dumps(records[0], indent=2)
        cut = "\n…" if len(text) > _PREVIEW_TEXT else ""
        return f"```json\n{text[:_PREVIEW_TEXT]}{cut}\n```"
    if not records:
        return "No records."
    table = markdown_table([record for record in records[:_PREVIEW_ROWS] if isinstance(record, dict)])
    return table + ("\n\n… more records in the run folder." if len(records) > _PREVIEW_ROWS else "")


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return objects as a Markdown table of their plain columns."""
    plain = {name: None for row in rows for name, value in row.items() if not isinstance(value, dict | list)}
    names = list(plain)[:_PREVIEW_COLUMNS]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    shown = text if len(text) <= _CELL else text[: _CELL - 1] + "…"
    return shown.replace("|", "\\|").replace("\n", " ")


def column_schema(spec: RegistrySpec) -> TableSchema | None:
    """Return the columns of a registry's records as its shipped JSON Schema states them, None where it has none."""
    name = spec.schema_of(spec.artifact)
    if name is None or not schema.has_schema(name):
        return None
    document = schema.read_schema(name)
    told = document["items"] if document.get("type") == "array" and "items" in document else document
    properties = _resolved(document, told).get("properties", {})
    columns = [_column(column, _resolved(document, told)) for column, told in properties.items()]
    return TableSchema(columns=columns) if columns else None


def _resolved(document: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a schema with the definition that it refers to."""
    name = str(told.get("$ref", "")).removeprefix("#/$defs/")
    return {**document.get("$defs", {}).get(name, {}), **told}


def _column(name: str, told: Mapping[str, Any]) -> TableColumn:
    types = _types(told)
    shown = " | ".join(word for word in types if word != "null") or "null"
    return TableColumn(
        name, shown, description=told.get("description"), constraints=TableColumnConstraints(nullable="null" in types)
    )


def _types(told: Mapping[str, Any]) -> list[str]:
    stated = told.get("type")
    if isinstance(stated, str):
        return [stated]
    if isinstance(stated, list):
        return [str(word) for word in stated]
    values = told.get("enum", [told["const"]] if "const" in told else [])
    words = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    found = [words[type(value)] for value in values if type(value) in words]
    inner = [word for way in (*told.get("anyOf", ()), *told.get("oneOf", ())) for word in _types(way)]
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
    run = "no run" if pointer.ref is None else pointer.ref.run_id
    states: dict[Known, str] = {True: "in force", False: "not in force any more", "unknown": "unknown"}
    since = f" since {pointer.asof_utc}" if pointer.asof_utc else ""
    return f"{run}, {states[pointer.known]}{since}" + (f": {pointer.notes}" if pointer.notes else "")


def report_metadata(spec: RegistrySpec, kept: Mapping[str, bytes]) -> Metadata:
    """Return a report's page: its counts as numbers, and the report itself as the preview."""
    summary = json.loads(kept[spec.artifact])
    text = next((data for name, data in kept.items() if name.endswith(".md")), b"")
    page: Metadata = {"health_state": str(summary.get("health_state", "UNKNOWN"))}
    page |= {name: int(value) for name, value in summary.get("counts", {}).items()}
    return page | {"preview": MetadataValue.md(text.decode("utf-8"))}
