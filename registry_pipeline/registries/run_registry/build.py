"""Build run_registry from the scanned run folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.scanned_run import ADAPTED, ScannedRun
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

ARTIFACT: Final = "RUN_REGISTRY_v0_1.jsonl"
VERSION: Final = "0.1"
_FIELDS: Final = ("created_utc", "run_type", "option", "operation_id", "git_commit", "working_tree_state")


@value_type
class RunRegistryInputs:
    """The scanned run folders, in any order."""

    runs: tuple[ScannedRun, ...]


def build_run_registry(inputs: RunRegistryInputs, context: BuildContext) -> Artifacts:
    """Return one line for each run folder, sorted by run root, time and run id."""
    # The lines describe the disk, so the artifact has no time of its own.
    del context
    records = sorted(map(_record, inputs.runs), key=_sort_key)
    data = b"".join([json_line(record) for record in records])
    metrics = {
        "runs": len(records),
        "with_run_json": sum(run.has_run_json for run in inputs.runs),
        "with_operation": sum(record["operation_id"] is not None for record in records),
        "with_manifest_sha256": sum(run.has_manifest_sha256 for run in inputs.runs),
        "with_warnings": sum(bool(record["warnings"]) for record in records),
    }
    return Artifacts({ARTIFACT: data}, len(records), sha256_hex(data), metrics)


def _sort_key(record: Mapping[str, Any]) -> tuple[str, bool, str, str]:
    created = record["created_utc"]
    return record["run_root"], created is None, created or "", record["run_id"]


def _record(run: ScannedRun) -> dict[str, Any]:
    """Return the line of a run folder, with the keys in the specified order."""
    fields, mistyped_keys = _read_fields(run.envelope)
    # Warnings name the file and the keys as its author wrote them, so those of an adapted envelope.
    envelope_file = "run.json"
    if run.adapted_by is not None:
        envelope_file = run.adapted_by.file
        mistyped_keys = [run.adapted_by.fields[key] for key in mistyped_keys]
    return {
        "registry_version": VERSION,
        "run_id": run.run_id,
        "run_root": run.run_root,
        "run_key": f"{run.run_root}::{run.run_id}",
        "run_path": f"{run.run_root}/{run.run_id}/",
        **fields,
        "has_run_json": run.has_run_json,
        "has_manifest_sha256": run.has_manifest_sha256,
        "has_manifest_json": run.has_manifest_json,
        "manifest_root_sha256": run.claimed_root,
        "files": [{"relpath": file.relpath, "bytes": file.bytes} for file in run.files],
        "warnings": [
            *([] if run.run_json_problem is None else [run.run_json_problem]),
            *([] if run.has_manifest_sha256 else ["missing MANIFEST.sha256"]),
            *([] if run.has_manifest_json else ["missing manifest.json"]),
            *(f"{envelope_file} {key} is neither null nor a string" for key in mistyped_keys),
            *([] if run.adapted_by is None else [run.adapted_by.problem or f"{ADAPTED}{envelope_file}"]),
        ],
    }


def _read_fields(envelope: Mapping[str, Any]) -> tuple[dict[str, str | None], list[str]]:
    """Return the fields of an envelope, and the keys whose values are neither null nor a string."""
    fields: dict[str, str | None] = dict.fromkeys(_FIELDS)
    mistyped_keys: list[str] = []
    for field in _FIELDS:
        # Older envelopes state the time as created_at. An empty string states nothing.
        for key in ("created_utc", "created_at") if field == "created_utc" else (field,):
            value = envelope.get(key)
            if isinstance(value, str):
                if value:
                    fields[field] = value
                    break
            elif value is not None:
                mistyped_keys.append(key)
    return fields, mistyped_keys
