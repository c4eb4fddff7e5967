"""Registry entries: modules, routes, abilities and hooks in YAML files (SPEC 10; seed 003).

Holds reading and writing YAML so that untouched lines stay, the schemas of entries, the rules between the registries,
and changes of several files that happen wholly or not at all. Keeps out sealing, git, the clock and printing. May
import `model`, `canon`, `errors`, `config`, `schema` and `yaml_values`.

    from registry_pipeline.entries import dump_yaml, insert_or_update_entry, load_yaml

    data = load_yaml("modules/overview/type_registry.yaml")
    insert_or_update_entry(data["types"], "id", {"id": "gauge", "description": "Reads one gauge."})
    dump_yaml("modules/overview/type_registry.yaml", data)
"""

from registry_pipeline.entries.abilities import check_ability_addition_consistency
from registry_pipeline.entries.hooks import check_hook_addition_consistency
from registry_pipeline.entries.insert import insert_or_update_entry
from registry_pipeline.entries.modules import check_module_instance_consistency
from registry_pipeline.entries.routes import check_route_addition_consistency
from registry_pipeline.entries.schemas import validate_entry
from registry_pipeline.entries.yaml_file import YamlDocuments, dump_yaml, load_yaml
from registry_pipeline.model.finding import Finding

Problem = Finding
"""What a consistency function returns, by the seed's word."""

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
