"""The schemas of entries: those that ship, those of the repository, and the validation of an entry."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.findings.wording import did_you_mean
from registry_pipeline.registries.entries.types import ENTRY_TYPES, FAMILIES, SCHEMA_FOLDER, SCHEMA_SUFFIX, EntryType
from registry_pipeline.schema import SchemaProblem, Validator, read_validator, schema_folder
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode
from registry_pipeline.yaml.document import read_yaml_file
from registry_pipeline.yaml.fast_values import read_yaml_values

# How `schema` starts the message about keys that the schema does not allow.
UNKNOWN_KEYS: Final = "unknown keys: "
_DEFINING_KEYS: Final = ("x-key", "x-content", "x-list", "x-purpose")


@value_type
class EntrySchemas:
    """The types of entries that a repository has; paths and validators of their schemas, by type name."""

    types: Mapping[str, EntryType]
    paths: Mapping[str, str]
    validators: Mapping[str, Validator]
    findings: tuple[Finding, ...] = ()

    def check(self, entry_type: EntryType, value: Mapping[str, Any], path: str, node: YamlNode | None) -> list[Finding]:
        """Return the violations of its schema by an entry in the file `path` (EN001)."""
        validate = self.validators.get(entry_type.name)
        return [] if validate is None else _shape_findings(validate(value), self.paths[entry_type.name], path, node)


def validate_entry(entry: Mapping[str, Any], schema_path: str | os.PathLike[str]) -> list[Finding]:
    """Return the violations by an entry of the schema in a YAML file.

    Raises:
        NotFoundError: the file does not exist (exit 7).
        RefusedError: the file cannot be read as a schema (exit 5).
    """
    file = Path(schema_path)
    try:
        validate = entry_validator(read_yaml_file(file))
    except ValueError as error:
        raise RegistryPipelineError(f"{file} is not a usable schema: {error}", "correct the schema") from None
    return _shape_findings(validate(entry), file.as_posix(), "entry", None)


def read_schemas(repository: Repository) -> EntrySchemas:
    """Return the schemas of a repository; a copy in the repository replaces the shipped one if it is valid."""
    types = dict(ENTRY_TYPES)
    paths = {name: f"schemas/entries/{entry_type.schema_name}" for name, entry_type in types.items()}
    validators = {name: _shipped_validator(entry_type.schema_name) for name, entry_type in types.items()}
    findings: list[Finding] = []
    for path, data in _read_repository_schemas(repository, findings).items():
        name = Path(path).name.removesuffix(SCHEMA_SUFFIX)
        try:
            validator = entry_validator(data)
            entry_type = types.get(name) or _read_own_type(name, data)
        except ValueError as error:
            # Without a shipped schema to fall back to, the entries of the type cannot be checked at all.
            severity = None if name in ENTRY_TYPES else Severity.ERROR
            findings.append(finding("EN003", path, severity=severity, detail=str(error)))
            continue
        types[name], paths[name], validators[name] = entry_type, path, validator
    return EntrySchemas(types, paths, validators, tuple(findings))


def _read_repository_schemas(repository: Repository, findings: list[Finding]) -> dict[str, bytes]:
    schemas: dict[str, bytes] = {}
    try:
        names = sorted(os.listdir(repository.path(SCHEMA_FOLDER)))  # noqa: PTH208 - only names are needed
    except (FileNotFoundError, NotADirectoryError):
        return schemas
    for name in names:
        path = f"{SCHEMA_FOLDER}/{name}"
        try:
            if name.endswith(SCHEMA_SUFFIX):
                schemas[path] = read_yaml_file(repository.path(path))
        except RegistryPipelineError as error:
            findings.append(finding("EN003", path, detail=error.message))
    return schemas


def _read_own_type(name: str, data: bytes) -> EntryType:
    """Return a type that the repository defines by the `x-` keys of its schema."""
    (document,) = read_yaml_values(data)
    if name in FAMILIES:
        raise ValueError(f"{name} is the name of a family; choose another name for the type")
    key, content, list_key, purpose = (document.get(field) for field in _DEFINING_KEYS)
    if not isinstance(key, str) or not isinstance(content, str) or not isinstance(list_key, str):
        raise ValueError("a type of the repository must state where its entries are: x-key, x-content and x-list")  # noqa: TRY004 - bad data, not a wrong argument
    # The file must be one that a run folder can contain.
    if path_codes(content) or content.startswith(".git/") or not content.endswith(".yaml"):
        raise ValueError(f"x-content {content!r} is not a plain path of a .yaml file of the repository")
    purpose = purpose or document.get("description") or "A type of this repository."
    return EntryType(name, "own", key, None, content, list_key, str(purpose))


@cache  # compiling a schema takes longer than checking an entry
def _shipped_validator(name: str) -> Validator:
    return entry_validator(shipped_schema(name))


def shipped_schema(name: str) -> bytes:
    """Return the text of a shipped schema.

    Raises:
        NotFoundError: no such schema ships (exit 7).
    """
    try:
        return (schema_folder() / "entries" / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no schema {name} ships with this version", "reinstall registry-pipeline") from None


def entry_validator(data: bytes) -> Validator:
    """Return the validator of a JSON Schema that is written in YAML.

    Raises:
        ValueError: not YAML, not a JSON Schema, or with references to other documents.
    """
    try:
        documents = read_yaml_values(data)
    except StrictYamlError as error:
        raise ValueError(f"{error.location}: {error}") from None
    if len(documents) != 1:
        raise ValueError("a schema is one YAML document")
    return read_validator(json.dumps(documents[0]).encode())


def _shape_findings(problems: Iterable[SchemaProblem], schema: str, path: str, node: YamlNode | None) -> list[Finding]:
    findings = []
    for problem in problems:
        location = problem.pointer if node is None else node.at(problem.path).location
        detail = f"{problem.pointer}: {_wording(problem)}" if problem.pointer else _wording(problem)
        details: dict[str, Any] = {"expected": problem.expected, "got": problem.got, "detail": detail, "schema": schema}
        findings.append(finding("EN001", path, location=location, **details))
    return findings


def _wording(problem: SchemaProblem) -> str:
    """Return the message of a problem; for an unknown key or value with the closest known one."""
    known = (problem.expected or "").split(", ")
    if " is not one of " in problem.message and problem.got is not None:
        return problem.message + suggestion(problem.got.strip("'"), known)
    if not problem.message.startswith(UNKNOWN_KEYS):
        return problem.message
    unknown = problem.message.removeprefix(UNKNOWN_KEYS).split(", ")
    suggestions = (suggestion(name, known) for name in unknown)
    return problem.message + next(filter(None, suggestions), "")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" if a known name is close, else ""."""
    near = did_you_mean(name, known)
    return f"; did you mean {near}?" if near else ""
