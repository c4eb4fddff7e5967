"""Registry entries: modules, routes, abilities and hooks in YAML files (SPEC 10; seed 003).

Holds reading and writing YAML so that untouched lines stay, the schemas of entries, the rules between the registries,
and changes of several files that happen wholly or not at all. Keeps out sealing, git, the clock and printing. May
import `model`, `canon`, `errors`, `config`, `schema` and `yaml_values`.

    from registry_pipeline.entries import dump_yaml, insert_or_update_entry, load_yaml

    data = load_yaml("modules/overview/type_registry.yaml")
    insert_or_update_entry(data["types"], "id", {"id": "gauge", "description": "Reads one gauge."})
    dump_yaml("modules/overview/type_registry.yaml", data)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from registry_pipeline.entries.abilities import check_ability_addition_consistency
    from registry_pipeline.entries.hooks import check_hook_addition_consistency
    from registry_pipeline.entries.insert import insert_or_update_entry
    from registry_pipeline.entries.modules import check_module_instance_consistency
    from registry_pipeline.entries.routes import check_route_addition_consistency
    from registry_pipeline.entries.schemas import validate_entry
    from registry_pipeline.entries.yaml_file import YamlDocuments, dump_yaml, load_yaml
    from registry_pipeline.model.finding import Finding as Problem

_HOMES: Final = {
    "Problem": "registry_pipeline.model.finding",
    "YamlDocuments": "registry_pipeline.entries.yaml_file",
    "check_ability_addition_consistency": "registry_pipeline.entries.abilities",
    "check_hook_addition_consistency": "registry_pipeline.entries.hooks",
    "check_module_instance_consistency": "registry_pipeline.entries.modules",
    "check_route_addition_consistency": "registry_pipeline.entries.routes",
    "dump_yaml": "registry_pipeline.entries.yaml_file",
    "insert_or_update_entry": "registry_pipeline.entries.insert",
    "load_yaml": "registry_pipeline.entries.yaml_file",
    "validate_entry": "registry_pipeline.entries.schemas",
}


def __getattr__(name: str) -> object:
    """Import a public name where it is first used, so that importing the package imports no module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # `Problem` is the seed's word for a finding.
    return getattr(import_module(_HOMES[name]), "Finding" if name == "Problem" else name)


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
