"""The rows of the registry table that `registries` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from registry_pipeline.pointers.consistency import can_be_active
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.values import value_type


@value_type
class RegistryRow:
    """One row: a registry and what the text output shows of it."""

    spec: RegistrySpec

    @property
    def registry_id(self) -> str:
        """The name of the registry."""
        return self.spec.registry_id

    @property
    def kind(self) -> str:
        """How its runs are produced."""
        return self.spec.kind

    @property
    def artifact(self) -> str:
        """The main artifact, `-` if there is none in the repository."""
        return self.spec.artifacts[0] if self.spec.artifacts else "-"

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The registries that a build reads."""
        return self.spec.depends_on

    @property
    def pointer(self) -> str:
        """`yes` if a run of it can be active."""
        return "yes" if can_be_active(self.spec) else "no"

    @property
    def note(self) -> str:
        """Why no run of it can be active, otherwise what it is built from."""
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
