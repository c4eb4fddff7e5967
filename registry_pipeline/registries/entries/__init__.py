"""Registry entries: modules, routes, abilities and hooks in YAML files; their rules, and changes of them.

Commands use `service`. This package imports no other registry.
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec

_PACKAGE: Final = "registry_pipeline.registries.entries"


def _spec(registry_id: str, title: str, *sources: str) -> RegistrySpec:
    return RegistrySpec(
        registry_id=registry_id,
        kind="captured",
        title=title,
        artifacts=(),
        schemas=(("*.yaml", f"REGISTRY_{registry_id}_v0_1.schema.json"),),
        version="0.1",
        operation_id="OP-QA16",
        tag=f"{registry_id}_build",
        previous_inputs=(registry_id,),
        sources=sources,
        multi_file=True,
        preserve_paths=True,
        rules_check_name="coordination",
        reader=DeferredCall(f"{_PACKAGE}.documents.read_{registry_id}_inputs"),
        builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
        rules=DeferredCall(f"{_PACKAGE}.service.check_coordination"),
    )


_ROWS: Final = (
    _spec(
        "module_registry",
        "Modules: their types, the existing modules, their maturity, and their interfaces.",
        "entries.modules",
    ),
    _spec(
        "route_registry",
        "Routes: which documents to read for a topic, when, and at which stage of the work.",
        "entries.routes",
    ),
    _spec(
        "ability_registry",
        "Callable abilities: single operations, and the workflows and agents that combine them.",
        "entries.abilities_low",
        "entries.abilities_high",
    ),
    _spec(
        "hook_registry",
        "Hooks: what runs at which event, for which abilities, and whether it can block them.",
        "entries.hooks",
    ),
)
SPECS: Final = {row.registry_id: row for row in _ROWS}
