"""The files of a small run. Imports no test tool, so that a process under strace starts fast."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from registry_pipeline.canonical import json_document
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import FilesFor

WANTED = RunId(datetime(2026, 2, 1, 1, 2, 3, tzinfo=UTC), "op-a01")


def files_for(extra: Mapping[str, bytes] | None = None) -> FilesFor:
    """Return what makes the files of a small run, run.json among them."""
    payload = {"data.jsonl": b'{"n":1}\n', "notes/readme.md": b"# A run\n"} if extra is None else dict(extra)

    def make(run_id: RunId) -> dict[str, bytes]:
        envelope = {"run_id": str(run_id), "created_utc": "2026-02-01T01:02:03Z"}
        return {**payload, "run.json": json_document(envelope)}

    return make
