"""run_registry: one line a run folder, as it is found (SPEC 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.records import ADAPTED, ScannedRun
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

ARTIFACT: Final = "RUN_REGISTRY_v0_1.jsonl"
VERSION: Final = "0.1"
_FIELDS: Final = ("created_utc", "run_type", "option", "operation_id", "git_commit", "working_tree_state")


def build_run_registry(inputs: RunRegistryInputs, context: BuildContext) -> Artifacts:
    """Return the run registry of the scanned folders; their order does not matter.

    Nothing of the context is used: a run registry describes what lies on the disk and has no time of its own.
    """
    del context
    records = [_record(run) for run in inputs.runs]
    records.sort(key=_order)
    data = b"".join([json_line(record) for record in records])
    metrics = {
        "runs": len(records),
        "with_run_json": sum(run.has_run_json for run in inputs.runs),
        "with_operation": sum(record["operation_id"] is not None for record in records),
        "with_manifest_sha256": sum(run.has_manifest_sha256 for run in inputs.runs),
        "with_warnings": sum(bool(record["warnings"]) for record in records),
    }
    return Artifacts({ARTIFACT: data}, len(records), sha256_hex(data), metrics)


def _order(record: Mapping[str, Any]) -> tuple[str, bool, str, str]:
    created = record["created_utc"]
    return (record["run_root"], created is None, created or "", record["run_id"])


def _record(run: ScannedRun) -> dict[str, Any]:
    """Return the line of one run folder, keys in the order of SPEC 4.1."""
    told, ill_typed = _told(run.envelope)
    if run.adapted_by is not None:
        ill_typed = [run.adapted_by.fields[name] for name in ill_typed]
    envelope = "run.json" if run.adapted_by is None else run.adapted_by.file
    return {
        "registry_version": VERSION,
        "run_id": run.run_id,
        "run_root": run.run_root,
        "run_key": f"{run.run_root}::{run.run_id}",
        "run_path": f"{run.run_root}/{run.run_id}/",
        **told,
        "has_run_json": run.has_run_json,
        "has_manifest_sha256": run.has_manifest_sha256,
        "has_manifest_json": run.has_manifest_json,
        "manifest_root_sha256": run.claimed_root,
        "files": [{"relpath": file.relpath, "bytes": file.bytes} for file in run.files],
        "warnings": [
            *_absences(run),
            *(f"{envelope} {name} is neither null nor a string" for name in ill_typed),
            *([] if run.adapted_by is None else [run.adapted_by.problem or f"{ADAPTED}{envelope}"]),
        ],
    }


def _told(envelope: Mapping[str, Any]) -> tuple[dict[str, str | None], list[str]]:
    """Return the fields that an envelope states, and the names of those that are neither null nor a string.

    An empty string states nothing; `created_at` is asked where `created_utc` states nothing.
    """
    told: dict[str, str | None] = {}
    ill_typed: list[str] = []
    for field in _FIELDS:
        told[field] = None
        for name in ("created_utc", "created_at") if field == "created_utc" else (field,):
            value = envelope.get(name)
            if isinstance(value, str):
                if value:
                    told[field] = value
                    break
            elif value is not None:
                ill_typed.append(name)
    return told, ill_typed


def _absences(run: ScannedRun) -> list[str]:
    warnings = [] if run.run_json_problem is None else [run.run_json_problem]
    if not run.has_manifest_sha256:
        warnings.append("missing MANIFEST.sha256")
    if not run.has_manifest_json:
        warnings.append("missing manifest.json")
    return warnings


@value_type
class RunRegistryInputs:
    """For `build_run_registry`: the scanned run folders, in any order."""

    runs: tuple[ScannedRun, ...]
