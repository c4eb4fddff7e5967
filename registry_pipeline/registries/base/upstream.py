"""What each builder is given: one reader a registry, all of one signature, named by the catalog (SPEC 3, 4).

A reader opens the governed repository's own files; the bytes of sealed runs are handed to it, verified, since rooms are
blind to each other. It judges nothing but whether it can read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.base.values import SystemDrift
from registry_pipeline.runs.records import ADAPTED, RunRow

RUN_REGISTRY_ARTIFACT: Final = "RUN_REGISTRY_v0_1.jsonl"
STATUS_TABLE_ARTIFACT: Final = "OPERATION_STATUS_TABLE_v0_1.json"
DRIFT_SIGNALS_ARTIFACT: Final = "DRIFT_SIGNALS_v0_1.json"


def read_upstream_artifact(context: SourceContext, registry_id: str, artifact: str) -> bytes:
    files = context.upstream.get(registry_id)
    if files is None:
        raise RefusedError(f"there is no {registry_id} to build on", f"run `registry-pipeline build {registry_id}`")
    if artifact not in files:
        raise malformed_upstream(registry_id, artifact, "the artifact is not in the run")
    return files[artifact]


def malformed_upstream(registry_id: str, artifact: str, detail: str) -> EvidenceError:
    message = f"{registry_id}: {artifact} cannot be parsed ({detail}); nothing is built on it"
    return EvidenceError(message, f"run `registry-pipeline build {registry_id}`")


def first_line(data: bytes) -> bytes:
    return data.split(b"\n", 1)[0] or b"null"


def parse_upstream(data: bytes, registry_id: str, artifact: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise malformed_upstream(registry_id, artifact, str(error)) from None


def parse_run_rows(data: bytes) -> tuple[RunRow, ...]:
    """Return what the status table needs of every line of a run registry."""
    rows: list[RunRow] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        record = parse_upstream(line, "run_registry", f"{RUN_REGISTRY_ARTIFACT} line {number}")
        if not isinstance(record, dict) or not _has_row(record):
            raise malformed_upstream(
                "run_registry", f"{RUN_REGISTRY_ARTIFACT} line {number}", "it is not a record of SPEC 4.1"
            )
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
    """Return the three flags of a drift_signals artifact; each is None where it is not stated."""
    document = parse_upstream(data or b"null", "drift_signals", DRIFT_SIGNALS_ARTIFACT)
    flags = document.get("system_drift") if isinstance(document, dict) else None
    if not isinstance(flags, dict):
        raise malformed_upstream("drift_signals", DRIFT_SIGNALS_ARTIFACT, "it has no system_drift")
    return SystemDrift(*(flags.get(name) for name in ("canon_dirty", "schema_drift", "threshold_drift")))
