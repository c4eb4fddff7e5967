"""The closure rule of SPEC 5: an active registry rests on active registries, and on no older ones.

An *edge* leads from a run to a snapshot that it records as `upstream`. It is mixed when that snapshot is not the
active one. Runs that record no inputs (older tools) have no edges and are not judged; nor are edges to registries
without pointer semantics.
"""

from __future__ import annotations

from collections.abc import Mapping

from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import value_type


@value_type
class ActiveRun:
    """An active run whose folder is there; `as_of_utc` is None where the run does not tell it.

    `repository_id` is what its run.json states, None where it states none.
    """

    ref: SealedRef
    inputs: Inputs
    as_of_utc: str | None
    repository_id: str | None = None


@value_type
class InconsistentInput:
    """A run of `registry_id` was built from `recorded`, and `active` is what is active of `upstream_id`, if any."""

    registry_id: str
    ref: SealedRef
    upstream_id: str
    recorded: SealedRef
    active: SealedRef | None

    def touches(self, registry_ids: frozenset[str]) -> bool:
        """Tell whether one of the registries stands at either end."""
        return self.registry_id in registry_ids or self.upstream_id in registry_ids

    def sentence(self) -> str:
        """Return the edge as people read it."""
        found = "nothing of it is active here" if self.active is None else f"the active one is {self.active.run_id}"
        return f"{self.registry_id} ({self.ref.run_id}) would rest on {self.recorded.run_id}, and {found}"


def can_be_active(spec: RegistrySpec | None) -> bool:
    """Tell whether runs of a registry can be put in force: a known one, with a pointer, inside the repository."""
    return spec is not None and spec.pointer and spec.kind != "external"


def find_inconsistent_inputs(
    active: Mapping[str, ActiveRun], specs: Mapping[str, RegistrySpec]
) -> tuple[InconsistentInput, ...]:
    """Return the mixed edges of a set of active runs, by registry and upstream.

    `active` holds the active runs whose folders are there: an active run whose folder is absent counts as no
    upstream (SPEC 5), so that an edge to it is mixed.
    """
    return tuple(
        InconsistentInput(registry_id, run.ref, upstream_id, recorded, here.ref if here is not None else None)
        for registry_id, run in sorted(active.items())
        for upstream_id, recorded in sorted(run.inputs.upstream().items())
        if can_be_active(specs.get(upstream_id))
        and ((here := active.get(upstream_id)) is None or not here.ref.same_run(recorded))
    )


def blocked_candidates(
    candidates: Mapping[str, ActiveRun], active: Mapping[str, ActiveRun], specs: Mapping[str, RegistrySpec]
) -> Mapping[str, InconsistentInput]:
    """Return the candidates that cannot move, each with the edge that holds it back; the others may move together.

    A candidate is taken out when it rests on something that would not be active, or when something that stays active
    rests on what it would replace; taking one out can hold back others, until nothing changes. For the runs of one
    build that is the greatest set that leaves no mixed edge at a moved registry. Of two candidates that contradict
    each other the one that was built from the other's predecessor stays behind.
    """
    held: dict[str, InconsistentInput] = {}
    while True:
        moving = {name: run for name, run in candidates.items() if name not in held}
        changed = frozenset(name for name, run in moving.items() if name not in active or active[name].ref != run.ref)
        edge = next((e for e in find_inconsistent_inputs({**active, **moving}, specs) if e.touches(changed)), None)
        if edge is None:
            return held
        held[edge.registry_id if edge.registry_id in changed else edge.upstream_id] = edge
