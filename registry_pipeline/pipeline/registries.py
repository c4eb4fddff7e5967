"""The rows of the registry table that `registries` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from registry_pipeline.pointers.consistency import can_be_active
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.values import value_type


@value_type
class RegistryRow:
    """What the text output shows of a registry, and its JSON object.

    Attributes:
        artifact: the main artifact, `-` if there is none in the repository.
        pointer: `yes` if a run of it can be active.
        note: why no run of it can be active, otherwise what it is built from.
    """

    registry_id: str
    kind: str
    artifact: str
    pointer: str
    note: str
    document: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the row of the document."""
        return dict(self.document)


def list_registry_rows(specs: Iterable[RegistrySpec]) -> tuple[RegistryRow, ...]:
    """Return the rows in the order of the catalog."""
    return tuple(_row(spec) for spec in specs)


def _row(spec: RegistrySpec) -> RegistryRow:
    is_pointer = can_be_active(spec)
    sources = f"from {', '.join(spec.depends_on)}" if spec.depends_on else ""
    document = {
        "registry_id": spec.registry_id,
        "kind": spec.kind,
        "title": spec.title,
        "artifacts": list(spec.artifacts),
        "schemas": dict(spec.schemas),
        "version": spec.version,
        "operation_id": spec.operation_id,
        "tag": spec.tag,
        "depends_on": list(spec.depends_on),
        "feeds_back": list(spec.previous_inputs),
        "sources": list(spec.sources),
        "pointer": is_pointer,
        "delta": spec.delta,
        "excluded_because": spec.excluded_because,
    }
    return RegistryRow(
        registry_id=spec.registry_id,
        kind=spec.kind,
        artifact=spec.artifacts[0] if spec.artifacts else "-",
        pointer="yes" if is_pointer else "no",
        note=sources if is_pointer else spec.excluded_because,
        document=document,
    )
