"""What the builders are given: values read by `sources`, one type a builder (SPEC section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from registry_pipeline.model.finding import Finding
from registry_pipeline.model.refs import SealedRef


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A regular file directly in a run folder."""

    relpath: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ScannedRun:
    """One run folder as the scan saw it (SPEC 4.1): presence, sizes, and the fields of its run.json as found.

    `envelope` is the parsed object of run.json (empty if there is none); `run_json_problem` is the warning text when
    run.json is missing or cannot be read, else None; `claimed_root` is the root as claimed, not verified.
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


@dataclass(frozen=True, slots=True)
class RunRow:
    """What the status table needs of one line of the run registry; names as in SPEC 4.1."""

    run_key: str
    run_root: str
    run_id: str
    created_utc: str | None
    operation_id: str | None
    git_commit: str | None
    working_tree_state: str | None
    has_run_json: bool
    has_manifest_sha256: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the catalog, after the merge of base and addenda (SPEC 4.2)."""

    operation_id: str
    option: str
    name: str
    executables: tuple[str, ...]
    source_path: str


@dataclass(frozen=True, slots=True)
class OperationCatalog:
    """Operations in the order of the documents, coverage level by operation id, and what contradicts."""

    operations: tuple[Operation, ...]
    coverage: Mapping[str, str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class SystemDrift:
    """The drift that the previous active drift_signals told; each None where unknown."""

    canon_dirty: bool | None
    schema_drift: bool | None
    threshold_drift: bool | None


@dataclass(frozen=True, slots=True)
class RunRegistryInputs:
    """For `build_run_registry`: the scanned run folders, in any order."""

    runs: tuple[ScannedRun, ...]


@dataclass(frozen=True, slots=True)
class OpStatusInputs:
    """For `build_op_status_table`. `options` are the canonical options in their order."""

    runs: tuple[RunRow, ...]
    catalog: OperationCatalog
    options: tuple[str, ...]
    system_drift: SystemDrift | None
    drift_signals_run: str | None


@dataclass(frozen=True, slots=True)
class ExpectedVersions:
    """What the expected-versions document states; None where it states nothing."""

    schema_version: str | None
    threshold_pack_version: str | None


@dataclass(frozen=True, slots=True)
class DriftInputs:
    """For `build_drift_signals`. Observations that were not made are None.

    `tracked` are (path bytes, sha256) of the tracked files, None outside git; `expected` is None where the document
    is missing or unreadable. `observed_*` are versions.
    """

    expected_path: str
    expected: ExpectedVersions | None
    observed_run_registry: str | None
    observed_op_status_table: str | None
    observed_run_envelope: str | None
    observed_threshold: str | None
    tracked: tuple[tuple[bytes, str], ...] | None
    tracked_missing: bool


@dataclass(frozen=True, slots=True)
class CapturedInputs:
    """For `build_captured`: artifact name to the bytes of its source, as read."""

    files: Mapping[str, bytes]


HealthName = Literal["HEALTHY", "DEGRADED_NON_BLOCKING", "UNKNOWN", "DEGRADED_BLOCKING", "RECOVERY_REQUIRED"]


@dataclass(frozen=True, slots=True)
class HealthCondition:
    """One reason for a health state, in a sentence."""

    state: HealthName
    reason: str


@dataclass(frozen=True, slots=True)
class HealthState:
    """The named state of the system, and every condition that was found, the most severe first."""

    state: HealthName
    conditions: tuple[HealthCondition, ...]


@dataclass(frozen=True, slots=True)
class OperationCounts:
    """The figures of SPEC 4.4 over the rows of a status table."""

    total: int
    observed: int
    stale: int
    drifting: int
    legacy_only: int
    unobserved: int
    coverage_below_c3: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
