"""The registries of the repository's own: tables `[registries.<registry_id>]`, components and packages of the toml.

A description that cannot be used becomes a finding, and only what depends on it is left out with it: commands that look
at other registries work as before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.canonical import try_parse_strict_json
from registry_pipeline.capture_table import explain_unusable_name
from registry_pipeline.config import CONFIG_NAME, OwnRegistry, Repository, find_own_artifact
from registry_pipeline.config_types import OptionProblem, format_problems, parse_table
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, did_you_mean, sorted_findings
from registry_pipeline.registries.base.reader import (
    BuilderError,
    BuildInputs,
    DeferredCall,
    RegistrySpec,
    SourceContext,
)
from registry_pipeline.registries.base.seal_build import schema_copy_name
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import field_infos, replace, value_type

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS: Final = "registry_pipeline.registries"
_REGISTRY_ID: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OPERATION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LONGEST: Final = 64
_MAX_SHOWN: Final = 300
_MAX_SCHEMA_BYTES: Final = 4 << 20
# What Dagster, the command line and the code location call other things.
_RESERVED: Final = frozenset(
    {"active", "active_registry_pointers", "latest", "observe_sources", "packages", "pointers", "sources"}
)
_OPERATION: Final = "OP-QA13"
# The fields of a SPEC that a package may set; the others describe what only shipped registries do.
_FREE_FIELDS: Final = frozenset(
    {
        "artifacts",
        "builder",
        "depends_on",
        "kind",
        "operation_id",
        "previous_inputs",
        "reader",
        "record_key",
        "registry_id",
        "schemas",
        "source_operation_id",
        "sources",
        "title",
        "version",
    }
)
_COMPONENTS: Final = (
    "registry_pipeline.dagster.RegistryComponent",
    "registry_pipeline.dagster.component.RegistryComponent",
)
# Attributes of a component that describe its asset where it is used alone, and those that a registry cannot have.
_OF_THE_ASSET: Final = frozenset({"base_dir", "freshness_hours", "group"})
_NOT_IN_REGISTRIES: Final = frozenset({"format", "function", "schema_file", "source"})
# Sources that are no files of the repository.
_OTHER_SOURCES: Final = ("git", "run_roots")


class _InvalidRegistryError(Exception):
    """A registry whose description cannot be used, and why."""


@value_type
class OwnRegistries:
    """The rows of the registries of a repository's own, each after those that it depends on, and what is wrong."""

    rows: tuple[RegistrySpec, ...]
    findings: tuple[Finding, ...]


def read_own_registries(repository: Repository, shipped: Mapping[str, RegistrySpec]) -> OwnRegistries:
    """Return the registries that the toml of a repository describes or whose packages it names.

    The order of the rows depends on their ids and dependencies only, never on the order in the toml.
    """
    findings: list[Finding] = []
    rows: dict[str, RegistrySpec] = {}
    names = _TakenNames(repository, shipped)
    # (1) Read each description by itself.
    described: list[tuple[str, Callable[[], RegistrySpec]]] = [
        (f"[registries.{name}]", partial(_make_row, repository, name, own))
        for name, own in sorted(repository.config.registries.items())
    ]
    for path in sorted(set(repository.config.registry_components)):
        try:
            described += _read_components(repository, path)
        except _InvalidRegistryError as error:
            findings.append(_make_finding(path, str(error)))
    for package in sorted(set(repository.config.registry_packages)):
        try:
            points = _find_entry_points(package)
        except _InvalidRegistryError as error:
            findings.append(_make_package_finding(package, str(error)))
            continue
        described += [
            (f"the entry point {point.name} of {package}", partial(_load_row, package, point)) for point in points
        ]
    for place, make_row in described:
        try:
            row = make_row()
            names.take(row)
        except _InvalidRegistryError as error:
            findings.append(_make_finding(place, str(error)))
        else:
            rows[row.registry_id] = row
    # (2) Find the order, and what depends on a registry that is missing or on itself.
    ordered, problems = _sort_by_dependency(rows, shipped)
    findings += [_make_finding(_name_place(repository, name), problem) for name, problem in problems.items()]
    return OwnRegistries(tuple(ordered), sorted_findings(findings))


def _make_finding(place: str, detail: str) -> Finding:
    return finding("CONFIG_REGISTRY_INVALID", CONFIG_NAME, name=printable(place), detail=_shorten(detail))


def _make_package_finding(package: str, detail: str) -> Finding:
    return finding("CONFIG_PACKAGE_INVALID", CONFIG_NAME, name=printable(package), detail=_shorten(detail))


def _shorten(text: str) -> str:
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[: _MAX_SHOWN - 1]}…"


def _name_place(repository: Repository, registry_id: str) -> str:
    return f"[registries.{registry_id}]" if registry_id in repository.config.registries else registry_id


class _TakenNames:
    """The names that a further registry cannot have: ids, and the tags and artifacts of shipped registries."""

    def __init__(self, repository: Repository, shipped: Mapping[str, RegistrySpec]) -> None:
        self._ids = dict.fromkeys(shipped, "a shipped registry")
        self._tags = [spec.tag for spec in shipped.values() if spec.tag]
        self._artifacts = {name.casefold() for spec in shipped.values() for name in spec.artifacts}
        captured = repository.config.captured.values()
        self._artifacts |= {capture.artifact.casefold() for capture in captured if capture.artifact}

    def take(self, row: RegistrySpec) -> None:
        """Raise _InvalidRegistryError if another registry has a name of this row; else remember its names."""
        if row.registry_id in self._ids:
            raise _InvalidRegistryError(f"{self._ids[row.registry_id]} is called {row.registry_id}")
        tag = row.tag or ""
        # A run folder is found by the beginning of its tag, too.
        clash = next((other for other in self._tags if tag.startswith(other) or other.startswith(tag)), None)
        if clash is not None:
            raise _InvalidRegistryError(
                f"its run folders would be named {tag}, like those of {clash}; choose another id"
            )
        for artifact in row.artifacts:
            if artifact.casefold() in self._artifacts:
                raise _InvalidRegistryError(f"a shipped registry has the artifact {artifact}; choose another name")
        # Two own registries may have the same artifact: their runs are found by the id in run.json.
        self._ids[row.registry_id] = "another registry"


def _check_registry_id(name: Any) -> None:
    if not isinstance(name, str) or not _REGISTRY_ID.fullmatch(name) or len(name) > _LONGEST:
        raise _InvalidRegistryError(
            f"an id is lower-case letters and digits in parts that `_` separates, at most {_LONGEST} characters"
        )
    if name in _RESERVED or name.startswith("check_") or name.endswith("_job"):
        raise _InvalidRegistryError(f"the id {name} is reserved; choose another one")


def _make_row(repository: Repository, registry_id: str, own: OwnRegistry) -> RegistrySpec:
    """Return the row of a table `[registries.<registry_id>]`."""
    _check_registry_id(registry_id)
    if not own.sources:
        raise _InvalidRegistryError("`sources` is empty: name at least one file")
    if own.title is not None and not own.title.isprintable():
        raise _InvalidRegistryError("`title` is not one line of text")
    artifact = find_own_artifact(own)
    if artifact is not None:
        _check_artifact(artifact, own.sources)
    try:
        schema = read_regular_file(repository.path(own.schema), _MAX_SCHEMA_BYTES)
    except OSError as error:
        detail = error.strerror or "no reason given"
        raise _InvalidRegistryError(f"the schema {own.schema} cannot be read: {detail}") from None
    _check_schema(own.schema, schema)
    return RegistrySpec(
        registry_id=registry_id,
        kind="captured",
        title=own.title or printable(f"Captured from {', '.join(own.sources)}."),
        artifacts=() if artifact is None else (artifact,),
        schemas=((artifact or "*", own.schema),),
        operation_id=_OPERATION,
        tag=f"seal_{registry_id}",
        depends_on=own.depends_on,
        previous_inputs=(registry_id,),
        sources=(f"registries.{registry_id}",),
        record_key=own.record_key,
        multi_file=artifact is None,
        reader=partial(DeferredCall("registry_pipeline.registries.captured.read.read_own_inputs"), registry_id, own),
        builder=DeferredCall("registry_pipeline.registries.captured.build.build_captured"),
        is_own=True,
        source_paths=own.sources,
        own_schemas=((own.schema, schema),),
    )


def _read_components(repository: Repository, path: str) -> list[tuple[str, Callable[[], RegistrySpec]]]:
    """Return where each RegistryComponent of a YAML file is, and a function that makes its row."""
    from registry_pipeline.yaml.compose import StrictYamlError, parse_yaml  # noqa: PLC0415 - few repositories need it

    try:
        documents = [node.value for node in parse_yaml(read_regular_file(repository.path(path), _MAX_SCHEMA_BYTES))]
    except OSError as error:
        raise _InvalidRegistryError(f"the file cannot be read: {error.strerror or 'no reason given'}") from None
    except StrictYamlError as error:
        raise _InvalidRegistryError(f"line {error.location}: {error}") from None
    components = [value for value in documents if isinstance(value, dict) and value.get("type") in _COMPONENTS]
    if not components:
        raise _InvalidRegistryError("no document of the file is a registry_pipeline.dagster.RegistryComponent")
    return [(path, partial(_make_component_row, repository, path, value.get("attributes"))) for value in components]


def _make_component_row(repository: Repository, path: str, attributes: Any) -> RegistrySpec:
    """Return the row that a component describes; its paths are relative to the folder of its file."""
    if not isinstance(attributes, dict):
        raise _InvalidRegistryError("`attributes` is missing or has no keys")
    refused = sorted(attributes.keys() & _NOT_IN_REGISTRIES)
    if refused:
        raise _InvalidRegistryError(f"a registry has no `{refused[0]}`: describe files with `sources` and `schema`")
    options = {key: value for key, value in attributes.items() if key not in _OF_THE_ASSET}
    problems: list[OptionProblem] = []
    name = options.pop("name", None)
    if "description" in options:
        options["title"] = options.pop("description")
    own = parse_table(OwnRegistry, options, (), problems)
    if own is None:
        raise _InvalidRegistryError(format_problems(problems, 1))
    folder = path.rpartition("/")[0]
    start = f"{folder}/" if folder else ""
    own = replace(own, sources=tuple(f"{start}{source}" for source in own.sources), schema=f"{start}{own.schema}")
    return _make_row(repository, name, own)


def _check_artifact(name: str, sources: Iterable[str] = ()) -> None:
    problem = "it is a path" if "/" in name else explain_unusable_name(name)
    suffix = PurePosixPath(name).suffix
    if problem is None and has_magic(name):
        problem = "it has a character of globs"
    if problem is None and not suffix:
        problem = "it has no suffix, which selects the parser"
    if problem is not None:
        raise _InvalidRegistryError(f"the artifact {name!r} cannot be in a run folder: {problem}")
    other = next((source for source in sources if PurePosixPath(source).suffix not in (suffix, "")), None)
    if other is not None:
        raise _InvalidRegistryError(f"the artifact {name!r} and the source {other!r} have different suffixes")


def _check_schema(name: str, data: bytes) -> None:
    # Whether it can be used is found out when it is: that needs a library, which few commands load.
    if not isinstance(try_parse_strict_json(data), dict):
        raise _InvalidRegistryError(f"the schema {name} is not a JSON object")


def _sort_by_dependency(
    rows: Mapping[str, RegistrySpec], shipped: Mapping[str, RegistrySpec]
) -> tuple[list[RegistrySpec], dict[str, str]]:
    """Return the rows in dependency order, and why others have no place in it, by id."""
    usable = {name for name, spec in shipped.items() if spec.is_rebuilt and spec.pointer}
    ordered: dict[str, RegistrySpec] = {}
    problems: dict[str, str] = {}
    for name, row in rows.items():
        bad = [other for other in row.depends_on if other not in usable and other not in rows]
        if bad:
            known = did_you_mean(bad[0], [*usable, *rows])
            is_shipped = bad[0] in shipped
            why = "has no active run that a build can read" if is_shipped else "is no registry that can be used"
            question = f"; did you mean {known}?" if known and not is_shipped else ""
            problems[name] = f"`depends_on` names {bad[0]}, which {why}{question}"
    pending = {name: row for name, row in sorted(rows.items()) if name not in problems}
    while pending:
        ready = [name for name, row in pending.items() if not pending.keys() & set(row.depends_on)]
        unusable = [name for name, row in pending.items() if problems.keys() & set(row.depends_on)]
        if unusable:
            for name in unusable:
                other = next(other for other in pending[name].depends_on if other in problems)
                problems[name] = f"`depends_on` names {other}, which cannot be used"
        elif ready:
            # One at a time: the first by name of those that can come next.
            ordered[ready[0]] = pending[ready[0]]
        else:
            cycle = ", ".join(pending)
            problems |= dict.fromkeys(pending, f"`depends_on` leads back to the registry itself: {cycle}")
        pending = {name: row for name, row in pending.items() if name not in ordered and name not in problems}
    return list(ordered.values()), problems


def _find_entry_points(package: str) -> list[EntryPoint]:
    """Return the entry points of an installed package, by name."""
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - 12 ms that few repositories need

    try:
        points = distribution(package).entry_points.select(group=ENTRY_POINTS)
    except (PackageNotFoundError, ValueError):
        raise _InvalidRegistryError("it is not installed in the environment of this command") from None
    if not points:
        raise _InvalidRegistryError(f"it has no entry point in the group {ENTRY_POINTS}")
    return sorted(points, key=lambda point: point.name)


def _load_row(package: str, point: EntryPoint) -> RegistrySpec:
    """Return the row that an entry point names, with what only the catalog decides."""
    # The code of others: whatever it raises is what is wrong with it.
    try:
        spec: Any = point.load()
        folder = _find_folder(point.module)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        raise _InvalidRegistryError(f"{point.value} cannot be imported: {type(error).__name__}: {error}") from None
    if not isinstance(spec, RegistrySpec):
        raise _InvalidRegistryError(f"{point.value} is of the type {type(spec).__name__} and not a RegistrySpec")
    try:
        _check_spec(spec)
    except (AttributeError, TypeError, ValueError) as error:
        raise _InvalidRegistryError(f"a value of its SPEC has a wrong type: {error}") from None
    schemas = []
    for name in dict.fromkeys(name for _, name in spec.schemas):
        try:
            data = read_regular_file(folder / name, _MAX_SCHEMA_BYTES)
        except OSError as error:
            raise _InvalidRegistryError(f"the schema {name} cannot be read: {error.strerror}") from None
        _check_schema(name, data)
        schemas.append((name, data))
    files = tuple(name for name in spec.sources if name not in _OTHER_SOURCES)
    others = tuple(name for name in spec.sources if name in _OTHER_SOURCES)
    verb = "seal_{}" if spec.kind == "captured" else "{}_build"
    return replace(
        spec,
        tag=verb.format(spec.registry_id),
        operation_id=spec.operation_id or _OPERATION,
        sources=(*((f"registries.{spec.registry_id}",) if files else ()), *others),
        reader=PackageReader(package, spec.registry_id, spec.reader),
        builder=PackageBuilder(package, spec, spec.builder),
        is_own=True,
        source_paths=files,
        own_schemas=tuple(schemas),
    )


def _find_folder(module: str) -> Path:
    from importlib import import_module  # noqa: PLC0415 - few repositories need it

    file = import_module(module).__file__
    if file is None:
        raise ImportError(f"{module} has no file")
    return Path(file).parent


def _check_spec(spec: RegistrySpec) -> None:
    """Raise _InvalidRegistryError if a SPEC of a package has a value that a registry cannot have."""
    _check_registry_id(spec.registry_id)
    for name, info in field_infos(RegistrySpec).items():
        if name not in _FREE_FIELDS and getattr(spec, name) != info.default:
            raise _InvalidRegistryError(f"it sets `{name}`, which only shipped registries do")
    for name in ("artifacts", "depends_on", "previous_inputs", "record_key", "sources"):
        value = getattr(spec, name)
        if not isinstance(value, tuple) or not all(isinstance(item, str) and item for item in value):
            raise _InvalidRegistryError(f"`{name}` is not a tuple of texts")
    if spec.kind not in ("built", "captured"):
        raise _InvalidRegistryError(f"its kind is {spec.kind!r}, and not `built` or `captured`")
    if not isinstance(spec.version, str):
        raise _InvalidRegistryError("`version` is not a text")
    if spec.operation_id is not None and not _OPERATION_ID.fullmatch(str(spec.operation_id)):
        raise _InvalidRegistryError("`operation_id` is not letters, digits, `_`, `.` and `-`, at most 63 characters")
    if not spec.title or not spec.title.isprintable():
        raise _InvalidRegistryError("`title` is not one line of text")
    if not callable(spec.reader) or not callable(spec.builder):
        raise _InvalidRegistryError("`reader` or `builder` is not a function")
    _check_artifacts(spec)
    if set(spec.previous_inputs) - {spec.registry_id}:
        raise _InvalidRegistryError("`previous_inputs` names another registry; use `depends_on`")


def _check_artifacts(spec: RegistrySpec) -> None:
    if not spec.artifacts:
        raise _InvalidRegistryError("`artifacts` is empty")
    for artifact in spec.artifacts:
        _check_artifact(artifact)
        if not any(name == artifact for name, _ in spec.schemas):
            raise _InvalidRegistryError(f"`schemas` names no schema for {artifact}")
    if len({schema_copy_name(artifact) for artifact in spec.artifacts}) < len(spec.artifacts):
        raise _InvalidRegistryError("two artifacts differ in their suffix only: the copies of their schemas would too")


@value_type
class PackageReader:
    """The reader of a package: an exception or a wrong result is a finding, and nothing is built."""

    package: str
    registry_id: str
    call: Any

    def __call__(self, repository: Repository, context: SourceContext) -> BuildInputs:
        """Return what the reader returns."""
        try:
            gathered = self.call(repository, context)
        except Exception as error:  # noqa: BLE001 - the code of others
            return self._refuse(f"the reader of {self.registry_id} raised {type(error).__name__}: {error}")
        if not isinstance(gathered, BuildInputs):
            return self._refuse(f"the reader of {self.registry_id} returned no BuildInputs")
        return gathered

    def _refuse(self, detail: str) -> BuildInputs:
        return BuildInputs(None, findings=(_make_package_finding(self.package, detail),))


@value_type
class PackageBuilder:
    """The builder of a package: an exception or a wrong result is a BuilderError."""

    package: str
    spec: RegistrySpec
    call: Any

    def __call__(self, inputs: Any, context: BuildContext) -> Artifacts:
        """Return what the builder returns."""
        try:
            artifacts = self.call(inputs, context)
            problem = self._find_problem(artifacts)
        except Exception as error:  # noqa: BLE001 - the code of others
            problem = f"raised {type(error).__name__}: {error}"
        if problem is not None:
            detail = f"the builder of {self.spec.registry_id} {problem}"
            raise BuilderError(_make_package_finding(self.package, detail))
        result: Artifacts = artifacts
        return result

    def _find_problem(self, artifacts: Any) -> str | None:
        if not isinstance(artifacts, Artifacts):
            return f"returned a {type(artifacts).__name__} and no Artifacts"
        if artifacts.files_for is not None or set(artifacts.files) != set(self.spec.artifacts):
            return f"returned other files than {', '.join(self.spec.artifacts)}"
        if not all(isinstance(data, bytes) for data in artifacts.files.values()):
            return "returned a file that is not bytes"
        json.dumps(dict(artifacts.metrics))
        return None
