"""Change registry entries (modules, routes, abilities and hooks in YAML files) from Python.

    from registry_pipeline.entries import add_module, update_hook

    add_module({"id": "gauge", "description": "Reads one gauge."})
    update_hook({"id": "tidy", "summary": "Tidies up.", "event_type": "SessionStop"})

These functions check and write as the command `entries add`. `load_yaml`, `insert_or_update_entry` and `dump_yaml` edit
a file without checks or lock.

The code is in `registry_pipeline.registries.entries`; this module keeps the public import path.
"""

from __future__ import annotations

from registry_pipeline.findings.finding import Finding as Problem
from registry_pipeline.registries.entries.families import (
    AbilityType,
    InvalidEntriesError,
    ModuleType,
    add_ability,
    add_hook,
    add_module,
    add_route,
    update_ability,
    update_hook,
    update_module,
    update_route,
)
from registry_pipeline.registries.entries.modules import (
    check_ability_addition_consistency,
    check_hook_addition_consistency,
    check_module_instance_consistency,
)
from registry_pipeline.registries.entries.references import insert_or_update_entry
from registry_pipeline.registries.entries.routes import check_route_addition_consistency
from registry_pipeline.registries.entries.schemas import validate_entry
from registry_pipeline.registries.entries.service import WriteResult
from registry_pipeline.yaml.document import YamlDocuments, dump_yaml, load_yaml

__all__ = [
    "AbilityType",
    "InvalidEntriesError",
    "ModuleType",
    "Problem",
    "WriteResult",
    "YamlDocuments",
    "add_ability",
    "add_hook",
    "add_module",
    "add_route",
    "check_ability_addition_consistency",
    "check_hook_addition_consistency",
    "check_module_instance_consistency",
    "check_route_addition_consistency",
    "dump_yaml",
    "insert_or_update_entry",
    "load_yaml",
    "update_ability",
    "update_hook",
    "update_module",
    "update_route",
    "validate_entry",
]
