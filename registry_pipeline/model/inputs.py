"""What the builders are given: values read by `sources`, one type a builder (SPEC section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from registry_pipeline.model.delta import Snapshot
from registry_pipeline.model.finding import Finding
from registry_pipeline.model.path_drift import PathDrift
from registry_pipeline.model.refs import SealedRef
from registry_pipeline.values import value_type


@value_type
class ScannedFile:
    """A regular file directly in a run folder."""

    relpath: str
    bytes: int


ADAPTED: Final = "envelope read by adapter "
"""How the warning begins by which a line of the run registry tells that an adapter read its envelope (SPEC 4.1)."""


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


@value_type
class Operation:
    """One operation of the catalog, after the merge of base and addenda (SPEC 4.2)."""

    operation_id: str
    option: str
    name: str
    executables: tuple[str, ...]
    source_path: str


@value_type
class OperationCatalog:
    """Operations in the order of the documents, coverage level by operation id, and what contradicts."""

    operations: tuple[Operation, ...]
    coverage: Mapping[str, str]
    findings: tuple[Finding, ...]


@value_type
class SystemDrift:
    """The drift that the previous active drift_signals told; each None where unknown."""

    canon_dirty: bool | None
    schema_drift: bool | None
    threshold_drift: bool | None


@value_type
class RunRegistryInputs:
    """For `build_run_registry`: the scanned run folders, in any order."""

    runs: tuple[ScannedRun, ...]


@value_type
class OpStatusInputs:
    """For `build_op_status_table`. `options` are the canonical options in their order.

    `path_drift` is None under the drift rule `commit`.
    """

    runs: tuple[RunRow, ...]
    catalog: OperationCatalog
    options: tuple[str, ...]
    system_drift: SystemDrift | None
    drift_signals_run: str | None
    path_drift: PathDrift | None = None


@value_type
class ExpectedVersions:
    """What the expected-versions document states; None where it states nothing."""

    schema_version: str | None
    threshold_pack_version: str | None


@value_type
class Past:
    """What a description of a past day could not take into account (SPEC 4.3).

    `runs_without_time` are run folders that state no time, `documents_missing` configured documents of the operations
    that the day's commit does not have or that cannot be read.
    """

    runs_without_time: int
    documents_missing: int


@value_type
class DriftInputs:
    """For `build_drift_signals`. Observations that were not made are None.

    `tracked` are the lines `<sha256> <path>` of the tracked files, None outside git; `expected` is None where the
    document is missing or unreadable. `observed_*` are versions. `past` is None for the present.
    """

    expected_path: str
    expected: ExpectedVersions | None
    observed_run_registry: str | None
    observed_op_status_table: str | None
    observed_run_envelope: str | None
    observed_threshold: str | None
    tracked: tuple[bytes, ...] | None
    tracked_missing: bool
    past: Past | None = None


@value_type
class DailyInputs:
    """For `build_drift_signals_daily`: what the status table and the drift of one past day are made from.

    What the drift observes of the status table is told by the table itself, which is built first.
    """

    status: OpStatusInputs
    drift: DriftInputs
    stale_days: int


@value_type
class CapturedInputs:
    """For `build_captured`: artifact name to the bytes of its source, as read.

    `records` counts those of the main artifact, None where a record is a file.
    """

    files: Mapping[str, bytes]
    records: int | None = None


HealthName = Literal["HEALTHY", "DEGRADED_NON_BLOCKING", "UNKNOWN", "DEGRADED_BLOCKING", "RECOVERY_REQUIRED"]


@value_type
class HealthCondition:
    """One reason for a health state, in a sentence."""

    state: HealthName
    reason: str


@value_type
class HealthState:
    """The named state of the system, and every condition that was found, the most severe first."""

    state: HealthName
    conditions: tuple[HealthCondition, ...]


@value_type
class OperationCounts:
    """The figures of SPEC 4.4 over the rows of a status table."""

    total: int
    observed: int
    stale: int
    drifting: int
    legacy_only: int
    unobserved: int
    coverage_below_c3: int


@value_type
class HealthFacts:
    """For `judge_health`. `findings` are those of the active runs, their schemas, the pointer file and the chain.

    `unknown_pointers` are the registries with pointer semantics of which no run is known to be active; `system_drift`
    and `operations` are None where no drift_signals or status table is active.
    """

    findings: tuple[Finding, ...]
    unknown_pointers: tuple[str, ...]
    system_drift: SystemDrift | None
    operations: OperationCounts | None
    working_tree_state: str | None


@value_type
class HealthInputs:
    """For `render_health_report`: the parsed active registries, their refs, and the state that was judged.

    `status_rows` and `drift_signals` are as SPEC 4.2 and 4.3 write them; `input_sources` are sealed refs by registry.
    """

    status_rows: tuple[Mapping[str, Any], ...]
    drift_signals: Mapping[str, Any]
    runs_known: int
    input_sources: Mapping[str, SealedRef]
    stale_days: int
    health: HealthState
    max_list: int = 20


@value_type
class RegistryStanding:
    """How one row of the registry table stands, for the scorecard (SPEC 4.6).

    `sealed` tells whether some snapshot of it verifies: the active one, else the newest. `can_be_active` is a fact of
    the table; `known` whether its pointer is `true`, and `reason` why not.
    """

    registry_id: str
    with_schema: bool
    sealed: bool
    can_be_active: bool
    known: bool
    reason: str


@value_type
class ScorecardInputs:
    """For `build_scorecard`. `observed` are the operations that the active status table shows as OBSERVED.

    It is None where no status table is active. `missing_executables` are bound paths that are not there; `before` is
    the active scorecard, None at first.
    """

    catalog: OperationCatalog
    options: tuple[str, ...]
    observed: frozenset[str] | None
    missing_executables: frozenset[str]
    registries: tuple[RegistryStanding, ...]
    before: Mapping[str, Any] | None


@value_type
class DeltaLogInputs:
    """For `build_delta_log`: the bytes of the previous log (none at first) and what was sealed since.

    `last` are the last logged snapshots of the registries that have new ones; `new` may come in any order.
    """

    previous: bytes
    last: Mapping[str, Snapshot]
    new: tuple[Snapshot, ...]
