"""What the builders are given: values read by `sources`, one type a builder (SPEC section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.values import value_type


@value_type
class ScannedFile:
    """A regular file directly in a run folder."""

    relpath: str
    bytes: int


ADAPTED: Final = "envelope read by adapter "


@value_type
class AdaptedBy:
    """The adapter that was asked for the envelope of a run folder without run.json (SPEC 1).

    `file` is the file that it reads; `fields` maps the fields of the envelope to where the adapter looks for them
    there; `problem` is the warning text when that file cannot be read, else None.
    """

    file: str
    fields: Mapping[str, str]
    problem: str | None


@value_type
class ScannedRun:
    """One run folder as the scan saw it (SPEC 4.1): presence, sizes, and the fields of its envelope as found.

    `envelope` has the fields of run.json or, where there is none, what an adapter found (`adapted_by`); it is empty
    where nothing could be read. `run_json_problem` is the warning text when run.json is missing or cannot be read, else
    None; `claimed_root` is the root as claimed, not verified.
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
    """What the status table needs of one line of the run registry; names as in SPEC 4.1.

    `adapted` tells that the line's fields were read by an adapter.
    """

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
