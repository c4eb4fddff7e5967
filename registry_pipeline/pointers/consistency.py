"""The consistency rule: active runs were built from each other. Pure.

See docs/reference/specification.md, "Consistency".
"""

from __future__ import annotations

from collections.abc import Mapping

from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import value_type


@value_type
class ActiveRun:
    """An active run whose folder exists; `as_of_utc` is None if run.json does not state it."""

    ref: SealedRef
    inputs: Inputs
    as_of_utc: str | None


@value_type
class InconsistentInput:
    """A run of `registry_id` that was built from `recorded`, while `active` is the active run of `upstream_id`."""

    registry_id: str
    ref: SealedRef
    upstream_id: str
    recorded: SealedRef
    active: SealedRef | None

    def touches(self, registry_ids: frozenset[str]) -> bool:
        """Return whether one of the registries is at either end of the edge."""
        return self.registry_id in registry_ids or self.upstream_id in registry_ids

    def sentence(self) -> str:
        """Return the inconsistency as a clause that follows "after this change"."""
        active = "no run of it is active" if self.active is None else f"{self.active.run_id} is active"
        return f"{self.registry_id} ({self.ref.run_id}) would depend on {self.recorded.run_id}, but {active}"


def can_be_active(spec: RegistrySpec | None) -> bool:
    """Return whether runs of a registry can be active: it is known, has a pointer and is not external."""
    return spec is not None and spec.pointer and spec.kind != "external"


def find_inconsistent_inputs(
    active: Mapping[str, ActiveRun], specs: Mapping[str, RegistrySpec]
) -> tuple[InconsistentInput, ...]:
    """Return the inputs of active runs that are not the active runs of their registries, by registry and upstream."""
    # An active run whose folder is missing is not in `active`, so an input that names it is inconsistent.
    return tuple(
        InconsistentInput(registry_id, run.ref, upstream_id, recorded, None if upstream is None else upstream.ref)
        for registry_id, run in sorted(active.items())
        for upstream_id, recorded in sorted(run.inputs.upstream().items())
        if can_be_active(specs.get(upstream_id))
        and ((upstream := active.get(upstream_id)) is None or not upstream.ref.same_run(recorded))
    )


def find_blocked_candidates(
    candidates: Mapping[str, ActiveRun], active: Mapping[str, ActiveRun], specs: Mapping[str, RegistrySpec]
) -> Mapping[str, InconsistentInput]:
    """Return the candidates that cannot be activated, each with the reason; all others can be activated together."""
    # Removing one candidate can make another inconsistent, so remove them one by one until none is. For the runs of
    # one build this leaves the largest set that can be activated.
    blocked: dict[str, InconsistentInput] = {}
    while True:
        remaining = {name: run for name, run in candidates.items() if name not in blocked}
        changed = frozenset(
            name for name, run in remaining.items() if name not in active or active[name].ref != run.ref
        )
        edges = find_inconsistent_inputs({**active, **remaining}, specs)
        edge = next((edge for edge in edges if edge.touches(changed)), None)
        if edge is None:
            return blocked
        # The depending run is removed if it would change; otherwise it stays active and its upstream cannot change.
        blocked[edge.registry_id if edge.registry_id in changed else edge.upstream_id] = edge
