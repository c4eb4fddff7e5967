"""The registry catalog as a document (SPEC 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from registry_pipeline.pointers.consistency import can_be_active
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.values import value_type


@value_type
class RegistryRow:
    """One registry as `registries` tells it."""

    spec: RegistrySpec

    @property
    def registry_id(self) -> str:
        """The registry's name."""
        return self.spec.registry_id

    @property
    def kind(self) -> str:
        """How its snapshots come about."""
        return self.spec.kind

    @property
    def artifact(self) -> str:
        """The main artifact, `-` where there is none in the repository."""
        return self.spec.artifacts[0] if self.spec.artifacts else "-"

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The registries whose snapshots a build of it reads."""
        return self.spec.depends_on

    @property
    def pointer(self) -> str:
        """Whether a snapshot of it can be active."""
        return "yes" if can_be_active(self.spec) else "no"

    @property
    def note(self) -> str:
        """Why no snapshot of it can be active, else what it is built from."""
        if not can_be_active(self.spec):
            return self.spec.excluded_because
        return f"from {', '.join(self.depends_on)}" if self.depends_on else ""

    def to_json(self) -> dict[str, Any]:
        """Return the row of the document."""
        spec = self.spec
        return {
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
            "pointer": can_be_active(spec),
            "delta": spec.delta,
            "excluded_because": spec.excluded_because,
        }


def registry_rows(specs: Iterable[RegistrySpec]) -> tuple[RegistryRow, ...]:
    """Return the rows in the order of the catalog."""
    return tuple(RegistryRow(spec) for spec in specs)
