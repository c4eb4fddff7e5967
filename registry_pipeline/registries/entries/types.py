"""The types of registry entries: what each is called, what tells its entries apart, and where they lie (SPEC 10)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from registry_pipeline.values import value_type

Folder = Literal["modules", "routes", "abilities_low", "abilities_high", "hooks"]
FAMILIES: Final = ("modules", "routes", "abilities", "hooks")
"""The families of types; each has a registry of its own and may be named instead of an exact type."""
FAMILY_OF: Final = MappingProxyType(
    {
        "module_registry": "modules",
        "route_registry": "routes",
        "ability_registry": "abilities",
        "hook_registry": "hooks",
    }
)
"""The family that each registry captures."""
SCHEMA_FOLDER: Final = ".system/registry/schemas"
SCHEMA_SUFFIX: Final = ".schema.yaml"
AGENTS_PATH: Final = ".system/registry/AGENTS.md"
COORDINATION_PATH: Final = ".system/registry/registry_coordination.md"
OVERRIDE: Final = "x-override"
APPROVAL: Final = "x-approval"
"""Keys that the writer leaves on an entry: an override by `--no-check`, and the approval of a lifecycle."""


@value_type
class EntryType:
    """One type of entry.

    `folder` is the key of `[entries]` in the toml that names the folder, None for a type of the repository's own, whose
    `content` is a path. `content` is the file in the folder, or how the names of its files are made. `list_key` is the
    key of the list that holds the entries; None where a file is one entry. `key_field` tells the entries apart; `alias`
    is another name that it may have.
    """

    name: str
    family: str
    key_field: str
    folder: Folder | None
    content: str
    list_key: str | None
    purpose: str
    alias: str | None = None

    @property
    def schema_name(self) -> str:
        """The file name of its schema."""
        return f"{self.name}{SCHEMA_SUFFIX}"

    @property
    def one_file(self) -> bool:
        """Whether all of its entries lie in one file of a fixed name."""
        return "<" not in self.content

    def key_of(self, entry: Mapping[str, Any]) -> str | None:
        """Return what tells an entry apart, None where it does not say."""
        if self.name == "route":
            scope, topic = entry.get("scope"), entry.get("topic")
            return f"{scope}.{topic}" if isinstance(scope, str) and isinstance(topic, str) else None
        names = (self.key_field,) if self.alias is None else (self.key_field, self.alias)
        return next((entry[name] for name in names if isinstance(entry.get(name), str) and entry[name]), None)


_T = EntryType
_ROWS: Final = (
    _T("module_type", "modules", "id", "modules", "type_registry.yaml", "types", "Kinds of modules, and which kind may depend on which."),
    _T("module_instance", "modules", "module_id", "modules", "instance_registry.yaml", "instances", "The modules that exist, their owners and dependencies."),
    _T("module_maturity", "modules", "module_id", "modules", "instance_maturity.yaml", "instances", "How far each module has come."),
    _T("module_interface", "modules", "id", "modules", "interfaces.yaml", "interfaces", "What modules offer to others, and where in its life each interface is."),
    _T("route", "routes", "scope + topic", "routes", "<scope>.<topic>.yaml", None, "Which documents to read for a topic, and when."),
    _T("ability_low", "abilities", "ability_id", "abilities_low", "<domain>.yaml", "abilities", "Single operations that may be called: scripts, MCP tools, APIs.", "operation_key"),
    _T("ability_high", "abilities", "ability_id", "abilities_high", "<domain>.yaml", "abilities", "Workflows and agents, made of other abilities.", "id"),
    _T("hook", "hooks", "id", "hooks", "<id>.yaml", None, "What runs at an event, and whether it may stop it."),
)  # fmt: skip
ENTRY_TYPES: Final = MappingProxyType({row.name: row for row in _ROWS})
"""The eight types by name, in the order of SPEC 10."""
EVENTS: Final = ("PromptSubmit", "PreAbilityCreate", "PreAbilityCall", "PostAbilityCall", "SessionStop")
BINDINGS: Final = MappingProxyType(
    {"pre_create": "PreAbilityCreate", "pre_call": "PreAbilityCall", "post_call": "PostAbilityCall"}
)
"""Under which key an ability names hooks of which event."""
NEEDS_APPROVAL: Final = frozenset({"RELEASED", "SUNSET", "REMOVED"})
"""Lifecycles of an interface that a person must have approved."""
