"""The types of registry entries, their files, and their schemas."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from registry_pipeline.config import Config, Entries, Repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, did_you_mean
from registry_pipeline.registries.base.drift import escape_pathspec
from registry_pipeline.schema import SchemaProblem, Validator, make_validator, schema_bytes
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode, parse_yaml_values
from registry_pipeline.yaml.document import read_yaml_file

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
    """One type of entry."""

    name: str
    family: str
    key_field: str
    folder: Folder | None  # the key of `[entries]` in the toml; None for a type that the repository defines
    content: str  # the file name in the folder, or its pattern; the path from the root if `folder` is None
    list_key: str | None  # the key of the list of entries; None if a document is one entry
    purpose: str
    alias: str | None = None  # another name of `key_field`

    @property
    def schema_name(self) -> str:
        """The file name of its schema."""
        return f"{self.name}{SCHEMA_SUFFIX}"

    @property
    def one_file(self) -> bool:
        """Whether all entries are in one file with a fixed name."""
        return "<" not in self.content

    def key_of(self, entry: Mapping[str, Any]) -> str | None:
        """Return the key of an entry, from `key_field` or else `alias` (of a route `scope.topic`); None without such text."""
        if self.name == "route":
            scope, topic = entry.get("scope"), entry.get("topic")
            return f"{scope}.{topic}" if isinstance(scope, str) and isinstance(topic, str) else None
        keys = (entry.get(name) for name in (self.key_field, self.alias) if name is not None)
        return next((key for key in keys if isinstance(key, str) and key), None)

    def is_same_entry(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        """Return whether two values are versions of one entry: they have one key and, for routes, one owner."""
        # The key alone does not say where a scope with dots ends.
        fields = ("scope", "topic", "module_id") if self.name == "route" else ()
        return self.key_of(left) == self.key_of(right) and all(left.get(name) == right.get(name) for name in fields)


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
    """Return the folder of a type; "" for a type that the repository defines."""
    return "" if entry_type.folder is None else str(getattr(config, entry_type.folder))


def content_path(config: Entries, entry_type: EntryType) -> str:
    """Return the path of a type's file from the root of the repository, or the pattern of its paths."""
    return f"{folder_of(config, entry_type)}/{entry_type.content}" if entry_type.folder else entry_type.content


def make_entry_pathspecs(config: Config) -> tuple[str, ...]:
    """Return the git pathspecs of the content files of entries, and of the repository's schemas of entries."""
    specs = {f":(glob){escape_pathspec(SCHEMA_FOLDER)}/*{SCHEMA_SUFFIX}"}
    for entry_type in ENTRY_TYPES.values():
        # Routes may be in subfolders.
        name = entry_type.content if entry_type.one_file else "**/*.yaml" if entry_type.name == "route" else "*.yaml"
        specs.add(f":(glob){escape_pathspec(folder_of(config.entries, entry_type))}/{name}")
    return tuple(sorted(specs))


# How `schema` starts the message about keys that the schema does not allow.
UNKNOWN_KEYS: Final = "unknown keys: "


@value_type
class EntrySchemas:
    """The types of entries that a repository has; paths and validators of their schemas, by type name."""

    types: Mapping[str, EntryType]
    paths: Mapping[str, str]
    validators: Mapping[str, Validator]
    findings: tuple[Finding, ...] = ()
    maturity_is_configured: bool = True  # the schema leaves the values of a maturity to `[entries] maturity`

    def check(self, entry_type: EntryType, value: Mapping[str, Any], path: str, node: YamlNode | None) -> list[Finding]:
        """Return the violations of its schema by an entry in the file `path` (EN001)."""
        problems = self.validators[entry_type.name](value)
        return _make_shape_findings(problems, self.paths[entry_type.name], path, node)


def validate_entry(entry: Mapping[str, Any], schema_path: str | os.PathLike[str]) -> list[Finding]:
    """Return a finding (EN001) for each violation of the schema in a YAML file by an entry.

    Raises:
        NotFoundError: the file does not exist (exit 7).
        RefusedError: the file is a link or cannot be read (exit 5).
        RegistryPipelineError: it is not a usable schema (exit 1).
    """
    file = Path(schema_path)
    try:
        validate = make_entry_validator(read_yaml_file(file))
    except ValueError as error:
        raise RegistryPipelineError(f"{file} is not a usable schema: {error}", "correct the schema") from None
    return _make_shape_findings(validate(entry), file.as_posix(), "entry", None)


def read_entry_schemas(repository: Repository) -> EntrySchemas:
    """Return the entry types of a repository, their schemas, and a finding for each unusable schema file (EN003).

    A valid file in `SCHEMA_FOLDER` replaces the shipped schema of its type, or defines a type of the repository.
    The error of a shipped type is a warning, because the shipped schema is used instead.
    """
    types = dict(ENTRY_TYPES)
    paths = {name: f"schemas/entries/{entry_type.schema_name}" for name, entry_type in types.items()}
    validators = {name: _read_shipped_validator(entry_type.schema_name) for name, entry_type in types.items()}
    findings: list[Finding] = []
    maturity_is_configured = True  # by the shipped schema
    try:
        files = sorted(repository.path(SCHEMA_FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        files = []
    for file in files:
        if not file.name.endswith(SCHEMA_SUFFIX):
            continue
        name, path = file.name.removesuffix(SCHEMA_SUFFIX), f"{SCHEMA_FOLDER}/{file.name}"
        try:
            data = read_yaml_file(file)
            validator = make_entry_validator(data)
            entry_type = types.get(name) or _read_own_type(name, data)
        except (RegistryPipelineError, ValueError) as error:
            # Without a shipped schema to fall back to, the entries of the type cannot be checked at all.
            severity = None if name in ENTRY_TYPES else Severity.ERROR
            detail = error.message if isinstance(error, RegistryPipelineError) else str(error)
            findings.append(finding("EN003", path, severity=severity, detail=detail))
        else:
            types[name], paths[name], validators[name] = entry_type, path, validator
            if name == "module_maturity":
                maturity_is_configured = _is_maturity_configured(data)
    return EntrySchemas(types, paths, validators, tuple(findings), maturity_is_configured)


def _is_maturity_configured(schema: bytes) -> bool:
    """Return whether a valid schema of maturities has `x-configured: maturity` in its field `maturity`."""
    # A copy without the key says by itself which values are allowed, as copies of earlier versions do.
    (document,) = parse_yaml_values(schema)
    field = document.get("properties", {}).get("maturity")
    return isinstance(field, dict) and field.get("x-configured") == "maturity"


def _read_own_type(name: str, data: bytes) -> EntryType:
    """Return the type that the `x-` keys of a schema define; raise ValueError if they are missing or not allowed."""
    (document,) = parse_yaml_values(data)
    if name in FAMILIES:
        raise ValueError(f"{name} is the name of a family; choose another name for the type")
    key, content, list_key = (document.get(name) for name in ("x-key", "x-content", "x-list"))
    if not isinstance(key, str) or not isinstance(content, str) or not isinstance(list_key, str):
        raise ValueError("a type of the repository must state where its entries are: x-key, x-content and x-list")  # noqa: TRY004 - bad data, not a wrong argument
    # The file must be one that a run folder can contain.
    if path_codes(content) or content.startswith(".git/") or not content.endswith(".yaml"):
        raise ValueError(f"x-content {content!r} is not a plain path of a .yaml file of the repository")
    purpose = document.get("x-purpose") or document.get("description") or "A type of this repository."
    return EntryType(name, "own", key, None, content, list_key, str(purpose))


@cache  # compiling a schema takes longer than checking an entry
def _read_shipped_validator(name: str) -> Validator:
    return make_entry_validator(schema_bytes(f"entries/{name}"))


def make_entry_validator(data: bytes) -> Validator:
    """Return the validator of a JSON Schema in YAML; raise ValueError if it is not one, or refers to another file."""
    try:
        documents = parse_yaml_values(data)
    except StrictYamlError as error:
        raise ValueError(f"{error.location}: {error}") from None
    if len(documents) != 1:
        raise ValueError("a schema is one YAML document")
    return make_validator(json.dumps(documents[0]).encode())


def _make_shape_findings(
    problems: Iterable[SchemaProblem], schema: str, path: str, node: YamlNode | None
) -> list[Finding]:
    findings = []
    for problem in problems:
        location = problem.pointer if node is None else node.find_nearest(problem.path).location
        detail = f"{problem.pointer}: {_format_problem(problem)}" if problem.pointer else _format_problem(problem)
        details: dict[str, Any] = {"expected": problem.expected, "got": problem.got, "detail": detail, "schema": schema}
        findings.append(finding("EN001", path, location=location, **details))
    return findings


def _format_problem(problem: SchemaProblem) -> str:
    known = (problem.expected or "").split(", ")
    if " is not one of " in problem.message and problem.got is not None:
        return problem.message + format_suggestion(problem.got.strip("'"), known)
    if not problem.message.startswith(UNKNOWN_KEYS):
        return problem.message
    unknown = problem.message.removeprefix(UNKNOWN_KEYS).split(", ")
    suggestions = (format_suggestion(name, known) for name in unknown)
    return problem.message + next(filter(None, suggestions), "")


def format_suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" if a known name is close, else ""."""
    near = did_you_mean(name, known)
    return f"; did you mean {near}?" if near else ""
