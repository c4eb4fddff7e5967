"""A simple writer of sealed folders, for tests of readers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import json_document
from registry_pipeline.pointers.chain import ACTIVATION_TAG, RECORD_FILE
from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline.runs.reference import SealedRef

RUNS = ".codex/RUNS"


def seal_plainly(root: Path, run_id: str, files: Mapping[str, bytes], envelope: Mapping[str, Any]) -> str:
    """Publish one folder under `.codex/RUNS` and return its ROOT_SHA256."""
    document = {"run_id": run_id, "created_utc": "2026-02-01T00:00:00Z"} | dict(envelope)
    whole = dict(files) | {"run.json": json_document(document)}
    manifest = build_manifest(make_entry(relpath, data) for relpath, data in whole.items())
    whole |= {"manifest.json": manifest.manifest_json, "MANIFEST.sha256": manifest.hash_file}
    staging = root / ".codex" / ".staging" / run_id
    staging.mkdir(parents=True)
    for relpath, data in whole.items():
        (staging / relpath).write_bytes(data)
    (root / RUNS).mkdir(exist_ok=True)
    staging.rename(root / RUNS / run_id)
    return manifest.root_sha256


def seal_activation(root: Path, run_id: str, files: Mapping[str, bytes]) -> SealedRef:
    """Publish an activation record and return the reference to it."""
    envelope = {"registry_id": ACTIVATION_TAG, "run_type": ACTIVATION_TAG}
    return SealedRef(run_id, RUNS, RECORD_FILE, seal_plainly(root, run_id, files, envelope))


def read_json(path: Path) -> Any:
    """Return the parsed content of a file."""
    return json.loads(path.read_bytes())
