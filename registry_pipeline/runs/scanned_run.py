"""Values of the run registry: a run folder as scanned, and the part of its line that the status table reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.values import value_type

ADAPTED: Final = "envelope read by adapter "
"""How the warning starts in a line of the run registry whose envelope an adapter read."""


@value_type
class ScannedFile:
    """A regular file directly in a run folder."""

    relpath: str
    bytes: int


@value_type
class AdaptedBy:
    """The adapter that read the envelope of a run folder without run.json.

    Attributes:
        file: the file that the adapter reads.
        fields: the adapter's dotted keys in that file by envelope field.
        problem: the warning text if that file cannot be read, else None.
    """

    file: str
    fields: Mapping[str, str]
    problem: str | None


@value_type
class ScannedRun:
    """One run folder as scanned: files, sizes and envelope, none of it verified.

    Attributes:
        envelope: fields of run.json, or those that an adapter found; empty if nothing could be read.
        run_json_problem: the warning text if run.json is missing or cannot be read, else None.
        claimed_root: the root that MANIFEST.sha256 claims, not verified.
    """

    run_root: str
    run_id: str
    envelope: Mapping[str, Any]
    run_json_problem: str | None
    has_run_json: bool
    has_manifest_sha256: bool
    has_manifest_json: bool
    claimed_root: str | None
    files: tuple[ScannedFile, ...]
    adapted_by: AdaptedBy | None = None


@value_type
class RunRow:
    """The fields of a run registry line that the status table reads; `adapted` if an adapter read its envelope."""

    run_key: str
    run_root: str
    run_id: str
    created_utc: str | None
    operation_id: str | None
    git_commit: str | None
    working_tree_state: str | None
    has_run_json: bool
    has_manifest_sha256: bool
    adapted: bool = False
