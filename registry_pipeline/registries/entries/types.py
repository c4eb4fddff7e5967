"""The types of registry entries: their names, their keys, and the files that contain them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from registry_pipeline.values import value_type

if TYPE_CHECKING:
    from registry_pipeline.config import Entries

Folder = Literal["modules", "routes", "abilities_low", "abilities_high", "hooks"]
# A command may name a family instead of an exact type.
FAMILIES: Final = ("modules", "routes", "abilities", "hooks")
FAMILY_OF: Final = MappingProxyType(
    {
        "module_registry": "modules",
        "route_registry": "routes",
        "ability_registry": "abilities",
        "hook_registry": "hooks",
    }
)
SCHEMA_FOLDER: Final = ".system/registry/schemas"
SCHEMA_SUFFIX: Final = ".schema.yaml"
AGENTS_PATH: Final = ".system/registry/AGENTS.md"
COORDINATION_PATH: Final = ".system/registry/registry_coordination.md"
# Keys that only the program writes on an entry: an override by --no-check, and the approval of a lifecycle.
OVERRIDE: Final = "x-override"
APPROVAL: Final = "x-approval"


@value_type
class EntryType:
    """One type of entry.

    Attributes:
        key_field: the key that identifies an entry.
        folder: the key of `[entries]` in the toml with the folder; None for a type that the repository defines.
        content: the file name in the folder, or its pattern; the path from the root if `folder` is None.
        list_key: the key of the list of entries; None if a document is one entry.
        alias: another name of `key_field`.
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
        """Whether all entries are in one file with a fixed name."""
        return "<" not in self.content

    def key_of(self, entry: Mapping[str, Any]) -> str | None:
        """Return the key of an entry, or None if it has none."""
        if self.name == "route":
            scope, topic = entry.get("scope"), entry.get("topic")
            return f"{scope}.{topic}" if isinstance(scope, str) and isinstance(topic, str) else None
        names = (self.key_field,) if self.alias is None else (self.key_field, self.alias)
        return next((entry[name] for name in names if isinstance(entry.get(name), str) and entry[name]), None)

    def is_same_entry(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        """Return whether two values are versions of one entry: they have one key and, for routes, one owner."""
        is_same_owner = self.name != "route" or left.get("module_id") == right.get("module_id")
        return self.key_of(left) == self.key_of(right) and is_same_owner


_T = EntryType
_ROWS: Final = (
    _T("module_type", "modules", "id", "modules", "type_registry.yaml", "types", "Kinds of modules, and which kind may depend on which."),
    _T("module_instance", "modules", "module_id", "modules", "instance_registry.yaml", "instances", "The modules that exist, their owners and dependencies."),
    _T("module_maturity", "modules", "module_id", "modules", "instance_maturity.yaml", "instances", "The maturity of each module."),
    _T("module_interface", "modules", "id", "modules", "interfaces.yaml", "interfaces", "The interfaces that modules offer, and their lifecycle."),
    _T("route", "routes", "scope + topic", "routes", "<scope>.<topic>.yaml", None, "Which documents to read for a topic, and when."),
    _T("ability_low", "abilities", "ability_id", "abilities_low", "<domain>.yaml", "abilities", "Single operations: scripts, MCP tools, APIs.", "operation_key"),
    _T("ability_high", "abilities", "ability_id", "abilities_high", "<domain>.yaml", "abilities", "Workflows and agents that combine other abilities.", "id"),
    _T("hook", "hooks", "id", "hooks", "<id>.yaml", None, "What runs at an event, and whether it can block it."),
)  # fmt: skip
ENTRY_TYPES: Final = MappingProxyType({row.name: row for row in _ROWS})
EVENTS: Final = ("PromptSubmit", "PreAbilityCreate", "PreAbilityCall", "PostAbilityCall", "SessionStop")
# The keys under which an ability binds hooks, and the event of those hooks.
BINDINGS: Final = MappingProxyType(
    {"pre_create": "PreAbilityCreate", "pre_call": "PreAbilityCall", "post_call": "PostAbilityCall"}
)
# A person must approve these lifecycles of an interface.
NEEDS_APPROVAL: Final = frozenset({"RELEASED", "SUNSET", "REMOVED"})


def folder_of(config: Entries, entry_type: EntryType) -> str:
    """Return the folder of a type, relative to the repository; "" for a type that the repository defines."""
    return "" if entry_type.folder is None else str(getattr(config, entry_type.folder))


def content_path(config: Entries, entry_type: EntryType) -> str:
    """Return the path of a type's file, or the pattern of its paths."""
    return f"{folder_of(config, entry_type)}/{entry_type.content}" if entry_type.folder else entry_type.content
