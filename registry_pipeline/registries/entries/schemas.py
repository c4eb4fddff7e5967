"""The schemas of entries: those that ship, those that the repository keeps, and judging an entry by one (SPEC 10)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.types import ENTRY_TYPES, FAMILIES, SCHEMA_FOLDER, SCHEMA_SUFFIX, EntryType
from registry_pipeline.schema import SchemaProblem, Validator, read_validator, schema_folder
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode
from registry_pipeline.yaml.document import read_yaml_file
from registry_pipeline.yaml.fast_values import read_yaml_values

_NAMED: Final = ("x-key", "x-content", "x-list", "x-purpose")


@value_type
class EntrySchemas:
    """What judges the entries of a repository: the types with their schemas, and what is wrong with the schemas."""

    types: Mapping[str, EntryType]
    paths: Mapping[str, str]
    judges: Mapping[str, Validator]
    findings: tuple[Finding, ...] = ()

    def check(self, entry_type: EntryType, value: Mapping[str, Any], path: str, node: YamlNode | None) -> list[Finding]:
        """Return how an entry breaks its schema (EN001); `path` and `node` tell where it stands."""
        judge = self.judges.get(entry_type.name)
        return [] if judge is None else shape_findings(judge(value), self.paths[entry_type.name], path, node)


def validate_entry(entry: Mapping[str, Any], schema_path: str | os.PathLike[str]) -> list[Finding]:
    """Return how an entry breaks the schema in a YAML file; empty if it does not (seed 003, 4.2).

    Raises:
        NotFoundError: there is no such schema (exit 7).
        RefusedError: the file cannot be read as a schema (exit 5).
    """
    place = Path(schema_path)
    data = read_yaml_file(place)
    try:
        judge = entry_validator(data)
    except ValueError as error:
        raise RegistryPipelineError(f"{place} is no schema that can judge: {error}", "mend the schema") from None
    return shape_findings(judge(entry), place.as_posix(), "entry", None)


def read_schemas(repository: Repository) -> EntrySchemas:
    """Return the schemas of a repository: its own copy judges where it is valid, else the one that ships."""
    types, paths = dict(ENTRY_TYPES), {}
    judges: dict[str, Validator] = {}
    findings: list[Finding] = []
    for name, each in ENTRY_TYPES.items():
        paths[name] = f"schemas/entries/{each.schema_name}"
        judges[name] = shipped_entry_validator(each.schema_name)
    for path, data in sorted(_own_schemas(repository, findings).items()):
        name = Path(path).name.removesuffix(SCHEMA_SUFFIX)
        severity = None if name in ENTRY_TYPES else Severity.ERROR
        try:
            judge = entry_validator(data)
            own = types.get(name) or _own_type(name, data)
        except ValueError as error:
            findings.append(finding("EN003", path, severity=severity, detail=str(error)))
            continue
        types[name], paths[name], judges[name] = own, path, judge
    return EntrySchemas(types, paths, judges, tuple(findings))


def _own_schemas(repository: Repository, findings: list[Finding]) -> dict[str, bytes]:
    folder = repository.path(SCHEMA_FOLDER)
    found: dict[str, bytes] = {}
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SCHEMA_SUFFIX))  # noqa: PTH208 - names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return found
    for name in names:
        path = f"{SCHEMA_FOLDER}/{name}"
        try:
            found[path] = read_yaml_file(repository.path(path))
        except RegistryPipelineError as error:
            findings.append(finding("EN003", path, detail=error.message))
    return found


def _own_type(name: str, data: bytes) -> EntryType:
    """Return a type of the repository's own, which its schema describes by `x-` keys."""
    (document,) = read_yaml_values(data)
    if name in FAMILIES:
        raise ValueError(f"{name} is a family of types, and no name for one")
    told = {key: document.get(key) for key in _NAMED}
    content = told["x-content"]
    if not isinstance(told["x-key"], str) or not isinstance(content, str) or not isinstance(told["x-list"], str):
        raise ValueError("a type of the repository's own says where its entries lie: x-key, x-content and x-list")  # noqa: TRY004 - bad data, and no bug of the caller
    if path_codes(content) or content.startswith(".git/") or not content.endswith(".yaml"):
        raise ValueError(f"x-content {content!r} is no plain path of a .yaml file of the repository")
    purpose = told["x-purpose"] or document.get("description") or "A type of this repository's own."
    return EntryType(name, "own", told["x-key"], None, content, told["x-list"], str(purpose))


@cache
def shipped_entry_validator(name: str) -> Validator:
    """Return the judge that a schema of entries that ships is.

    Raises:
        NotFoundError: no such schema ships (exit 7).
    """
    return entry_validator(shipped_schema(name))


def shipped_schema(name: str) -> bytes:
    """Return a schema of entries as it ships.

    Raises:
        NotFoundError: no such schema ships (exit 7).
    """
    try:
        return (schema_folder() / "entries" / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no schema {name} ships with this version", "reinstall registry-pipeline") from None


def entry_validator(data: bytes) -> Validator:
    """Return the judge that a JSON Schema in YAML makes: a fast one that says yes, and a slow one for what is wrong.

    Raises:
        ValueError: it is no YAML, or no JSON Schema, or refers to elsewhere.
    """
    try:
        documents = read_yaml_values(data)
    except StrictYamlError as error:
        raise ValueError(f"{error.location}: {error}") from None
    if len(documents) != 1:
        raise ValueError("a schema is one YAML document")
    text = json.dumps(documents[0])
    slow = read_validator(text.encode())
    return _Judging(_fast(text), slow)


def _fast(text: str) -> Callable[[Any], bool]:
    import jsonschema_rs  # noqa: PLC0415  # lazily: only what judges entries pays for it

    return jsonschema_rs.Draft202012Validator(json.loads(text)).is_valid


@value_type
class _Judging:
    fast: Callable[[Any], bool]
    slow: Validator

    def __call__(self, value: object) -> list[SchemaProblem]:
        try:
            if self.fast(value):
                return []
        except (ValueError, OverflowError, RecursionError):
            pass  # the fast road does not take every value; the judge does
        return self.slow(value)


def shape_findings(problems: Iterable[SchemaProblem], schema: str, path: str, node: YamlNode | None) -> list[Finding]:
    """Return what a judge found, each with its line and column."""
    findings = []
    for problem in problems:
        at = f"{problem.pointer}: " if problem.pointer else ""
        location = problem.pointer if node is None else node.at(problem.path).location
        detail = f"{at}{_told(problem)}"
        findings.append(
            finding(
                "EN001",
                path,
                location=location,
                expected=problem.expected,
                got=problem.got,
                detail=detail,
                schema=schema,
            )
        )
    return findings


def _told(problem: SchemaProblem) -> str:
    """Return a problem's words; of a key or a value that is not known, the one that was meant."""
    if " is not one of " in problem.message and problem.got is not None:
        return problem.message + did_you_mean(problem.got.strip("'"), (problem.expected or "").split(", "))
    names, odd, _ = problem.message.partition(" match any of the regexes")
    if not odd:
        return problem.message
    known = (problem.expected or "").split(", ")
    unknown = names.split("'")[1::2]
    return f"no such key: {', '.join(unknown)}{next(filter(None, (did_you_mean(each, known) for each in unknown)), '')}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the words `; did you mean …?`, or none."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
