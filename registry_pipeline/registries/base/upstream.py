"""Parse the verified artifacts of upstream registries for the readers of other registries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.registries.base.builder_inputs import SystemDrift
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.runs.scanned_run import ADAPTED, RunRow

RUN_REGISTRY_ARTIFACT: Final = "RUN_REGISTRY_v0_1.jsonl"
STATUS_TABLE_ARTIFACT: Final = "OPERATION_STATUS_TABLE_v0_1.json"
DRIFT_SIGNALS_ARTIFACT: Final = "DRIFT_SIGNALS_v0_1.json"


def read_upstream_artifact(context: SourceContext, registry_id: str, artifact: str) -> bytes:
    """Return the verified bytes of an upstream artifact.

    Raises:
        RefusedError: there is no run of the upstream registry.
        EvidenceError: the run does not contain the artifact.
    """
    files = context.upstream.get(registry_id)
    if files is None:
        message = f"there is no run of {registry_id} to build from"
        raise RefusedError(message, f"run `registry-pipeline build {registry_id}`")
    if artifact not in files:
        raise make_upstream_error(registry_id, artifact, "the artifact is not in the run")
    return files[artifact]


def make_upstream_error(registry_id: str, artifact: str, detail: str) -> EvidenceError:
    """Return the error for an upstream artifact that cannot be parsed."""
    message = f"{registry_id}: {artifact} cannot be parsed ({detail}); it is not used"
    return EvidenceError(message, f"run `registry-pipeline build {registry_id}`")


def first_line(data: bytes) -> bytes:
    """Return the first line of JSON lines, or `null` if there is none."""
    return data.split(b"\n", 1)[0] or b"null"


def parse_upstream(data: bytes, registry_id: str, artifact: str) -> Any:
    """Return the JSON value of an upstream artifact.

    Raises:
        EvidenceError: it cannot be parsed.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise make_upstream_error(registry_id, artifact, str(error)) from None


def parse_run_rows(data: bytes) -> tuple[RunRow, ...]:
    """Return the fields of every line of a run registry that the status table reads."""
    rows: list[RunRow] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        record = parse_upstream(line, "run_registry", f"{RUN_REGISTRY_ARTIFACT} line {number}")
        # Lines of other versions have more fields; only these are needed.
        if not isinstance(record, dict) or not _has_row(record):
            raise make_upstream_error("run_registry", f"{RUN_REGISTRY_ARTIFACT} line {number}", "it is not a record")
        fields = {name: record[name] for name in (*_TEXTS, *_OPTIONAL_TEXTS, *_FLAGS)}
        rows.append(RunRow(**fields, adapted=_is_adapted(record)))
    return tuple(rows)


_TEXTS: Final = ("run_key", "run_root", "run_id")
_OPTIONAL_TEXTS: Final = ("created_utc", "operation_id", "git_commit", "working_tree_state")
_FLAGS: Final = ("has_run_json", "has_manifest_sha256")


def _is_adapted(record: Mapping[str, Any]) -> bool:
    warnings = record.get("warnings")
    return isinstance(warnings, list) and any(str(warning).startswith(ADAPTED) for warning in warnings)


def _has_row(record: Mapping[str, Any]) -> bool:
    return (
        all(isinstance(record.get(name), str) for name in _TEXTS)
        and all(name in record and isinstance(record[name], str | None) for name in _OPTIONAL_TEXTS)
        and all(isinstance(record.get(name), bool) for name in _FLAGS)
    )


def parse_system_drift(data: bytes | None) -> SystemDrift:
    """Return the three flags of a drift_signals artifact; None for a flag that is missing."""
    document = parse_upstream(data or b"null", "drift_signals", DRIFT_SIGNALS_ARTIFACT)
    flags = document.get("system_drift") if isinstance(document, dict) else None
    if not isinstance(flags, dict):
        raise make_upstream_error("drift_signals", DRIFT_SIGNALS_ARTIFACT, "system_drift is missing")
    return SystemDrift(*(flags.get(name) for name in ("canon_dirty", "schema_drift", "threshold_drift")))
