"""Registry entries: modules, routes, abilities and hooks in YAML files; their rules, and changes of them.

Commands use `service`. The rest of a registry (reading, rules, changes) is in this package; it may import
`registries.base`, `yaml`, `schema`, `files`, `findings` and the layers below them, and no other registry.
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.spec import DeferredCall, RegistrySpec

MODULE_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="module_registry",
    kind="captured",
    title="Modules: their types, the existing modules, their maturity, and their interfaces.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_module_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="module_registry_build",
    previous_inputs=("module_registry",),
    sources=("entries.modules",),
    multi_file=True,
    preserve_paths=True,
    rules_check_name="coordination",
    reader=DeferredCall("registry_pipeline.registries.entries.read.read_module_registry_inputs"),
    builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
)
ROUTE_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="route_registry",
    kind="captured",
    title="Routes: which documents to read for a topic, when, and at which stage of the work.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_route_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="route_registry_build",
    previous_inputs=("route_registry",),
    sources=("entries.routes",),
    multi_file=True,
    preserve_paths=True,
    rules_check_name="coordination",
    reader=DeferredCall("registry_pipeline.registries.entries.read.read_route_registry_inputs"),
    builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
)
ABILITY_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="ability_registry",
    kind="captured",
    title="Callable abilities: single operations, and the workflows and agents that combine them.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_ability_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="ability_registry_build",
    previous_inputs=("ability_registry",),
    sources=("entries.abilities_low", "entries.abilities_high"),
    multi_file=True,
    preserve_paths=True,
    rules_check_name="coordination",
    reader=DeferredCall("registry_pipeline.registries.entries.read.read_ability_registry_inputs"),
    builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
)
HOOK_REGISTRY_SPEC: Final = RegistrySpec(
    registry_id="hook_registry",
    kind="captured",
    title="Hooks: what runs at which event, for which abilities, and whether it can block them.",
    artifacts=(),
    schemas=(("*.yaml", "REGISTRY_hook_registry_v0_1.schema.json"),),
    version="0.1",
    operation_id="OP-QA16",
    tag="hook_registry_build",
    previous_inputs=("hook_registry",),
    sources=("entries.hooks",),
    multi_file=True,
    preserve_paths=True,
    rules_check_name="coordination",
    reader=DeferredCall("registry_pipeline.registries.entries.read.read_hook_registry_inputs"),
    builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
)
