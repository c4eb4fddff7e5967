"""What the builders are given: values read by `sources`, one type a builder (SPEC section 4)."""

from __future__ import annotations

from collections.abc import Mapping

from registry_pipeline.findings.finding import Finding
from registry_pipeline.values import value_type

"""How the warning begins by which a line of the run registry tells that an adapter read its envelope (SPEC 4.1)."""


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
class ExpectedVersions:
    """What the expected-versions document states; None where it states nothing."""

    schema_version: str | None
    threshold_pack_version: str | None


@value_type
class CapturedInputs:
    """For `build_captured`: artifact name to the bytes of its source, as read.

    `records` counts those of the main artifact, None where a record is a file.
    """

    files: Mapping[str, bytes]
    records: int | None = None


@value_type
class RegistryState:
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
