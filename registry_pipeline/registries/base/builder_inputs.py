"""Values that readers hand to builders. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from registry_pipeline.findings.finding import Finding
from registry_pipeline.values import value_type


@value_type
class Operation:
    """One operation of the catalog; `source_path` is the document that defines it first."""

    operation_id: str
    option: str
    name: str
    executables: tuple[str, ...]
    source_path: str


@value_type
class OperationCatalog:
    """Operations in the order of the documents, coverage levels by operation id, and findings."""

    operations: tuple[Operation, ...]
    coverage: Mapping[str, str]
    findings: tuple[Finding, ...]


@value_type
class SystemDrift:
    """The flags of the previously active drift_signals; None if unknown."""

    canon_dirty: bool | None
    schema_drift: bool | None
    threshold_drift: bool | None


@value_type
class ExpectedVersions:
    """The versions that the expected-versions document states; None if missing."""

    schema_version: str | None
    threshold_pack_version: str | None


@value_type
class CapturedInputs:
    """Captured bytes by artifact name; `records` is the number of records, None if each file is one record."""

    files: Mapping[str, bytes]
    records: int | None = None


@value_type
class RegistryState:
    """The state of one registry, for the scorecard.

    Attributes:
        with_schema: the registry table names a schema for it.
        sealed: the active snapshot, or else the newest one, verifies.
        can_be_active: the registry has a pointer.
        known: its pointer is `true`.
        reason: why it is not.
    """

    registry_id: str
    with_schema: bool
    sealed: bool
    can_be_active: bool
    known: bool
    reason: str
