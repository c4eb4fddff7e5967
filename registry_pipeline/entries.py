"""Change registry entries (modules, routes, abilities and hooks in YAML files) from Python.

    from registry_pipeline.entries import dump_yaml, insert_or_update_entry, load_yaml

    data = load_yaml("modules/overview/type_registry.yaml")
    insert_or_update_entry(data["types"], "id", {"id": "gauge", "description": "Reads one gauge."})
    dump_yaml("modules/overview/type_registry.yaml", data)

The code is in `registry_pipeline.registries.entries`; this module keeps the public import path.
"""

from __future__ import annotations

from registry_pipeline.findings.finding import Finding as Problem
from registry_pipeline.registries.entries.modules import (
    check_ability_addition_consistency,
    check_hook_addition_consistency,
    check_module_instance_consistency,
)
from registry_pipeline.registries.entries.references import insert_or_update_entry
from registry_pipeline.registries.entries.routes import check_route_addition_consistency
from registry_pipeline.registries.entries.schemas import validate_entry
from registry_pipeline.yaml.document import YamlDocuments, dump_yaml, load_yaml

__all__ = [
    "Problem",
    "YamlDocuments",
    "check_ability_addition_consistency",
    "check_hook_addition_consistency",
    "check_module_instance_consistency",
    "check_route_addition_consistency",
    "dump_yaml",
    "insert_or_update_entry",
    "load_yaml",
    "validate_entry",
]
