"""A sealed, checked asset as a Dagster component, which is written in YAML."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from glob import has_magic
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from dagster import (
    AssetKey,
    AssetsDefinition,
    Component,
    ComponentLoadContext,
    DagsterInvalidDefinitionError,
    Definitions,
    FreshnessPolicy,
    Model,
    Resolvable,
    asset,
)
from pydantic import ConfigDict, Field

from registry_pipeline.canonical import StrictCsvError, sha256_hex
from registry_pipeline.dagster.checks import schema_check, seal_check
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.dagster.io_manager import SealedFolderIOManager
from registry_pipeline.dagster.sealed_value import decode_value
from registry_pipeline.errors import EvidenceError, NotFoundError

_SourceFormat = Literal["bytes", "text", "json", "jsonl", "csv"]
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_RESOURCE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FORMATS: Final[dict[str, _SourceFormat]] = {".json": "json", ".jsonl": "jsonl", ".csv": "csv"}
# Dagster refuses a window of less than a minute. Without an upper limit, a window could be too long for a timedelta.
_MIN_HOURS: Final = 1 / 60
_MAX_HOURS: Final = 24 * 3660


class RegistryComponent(Component, Resolvable, Model):
    """A sealed, checked asset from a file or a Python function.

    It has the check `seal`, the check `schema` if a schema is given, and an IO manager of its own. Paths are relative
    to the folder of the component, `base_dir` to the root of the project.

    With `sources` it describes what a table `[registries.<name>]` of registry-pipeline.toml describes, with the same
    keys. A repository that names its file in `registry_components` has it as a registry, without this class.
    """

    model_config = ConfigDict(populate_by_name=True)

    name: Annotated[
        str, Field(description="The asset key: letters, digits, `_`, `-` and `.`; `/` separates its parts.")
    ]
    source: Annotated[str | None, Field(description="The file whose content is sealed.")] = None
    format: Annotated[_SourceFormat | None, Field(description="How the source is parsed; `bytes` by default.")] = None
    function: Annotated[
        str | None,
        Field(description="Instead of `source`: `package.module.name` of a function that returns the value."),
    ] = None
    schema_file: Annotated[str | None, Field(description="The JSON Schema of the value.")] = None
    sources: Annotated[
        Sequence[str] | None,
        Field(description="Instead of `source`: the files of a registry. Alone, one file, parsed by its suffix."),
    ] = None
    json_schema: Annotated[
        str | None,
        Field(alias="schema", description="Of `sources`: the JSON Schema of each document, line or row."),
    ] = None
    artifact: Annotated[str | None, Field(description="The name of the one file in a run folder of a registry.")] = None
    record_key: Annotated[Sequence[str], Field(description="The fields that identify a record.")] = ()
    depends_on: Annotated[Sequence[str], Field(description="The assets before this one.")] = ()
    group: Annotated[str | None, Field(description="The group of the asset.")] = None
    description: Annotated[str | None, Field(description="The description of the asset.")] = None
    freshness_hours: Annotated[
        float | None, Field(ge=_MIN_HOURS, le=_MAX_HOURS, description="Overdue if not materialized for so long.")
    ] = None
    base_dir: Annotated[str, Field(description="Where sealed folders are written.")] = "sealed"

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """Return the asset, its checks and its IO manager.

        Raises:
            DagsterInvalidDefinitionError: the name is invalid, not exactly one of `source` and `function` is given, the
                function cannot be imported, or the schema cannot be used.
        """
        if _NAME.fullmatch(self.name) is None:
            raise DagsterInvalidDefinitionError(
                f"{self.name!r} is not a name: use letters, digits, `_`, `-` and `.`, in parts separated by one `/`"
            )
        io_manager_key = _make_io_manager_key(self.name)
        sealed = self._make_asset(io_manager_key, self._make_reader(context.path))
        checks = [seal_check(sealed)]
        if self.schema_file is not None:
            checks.append(schema_check(sealed, context.path / self.schema_file))
        if self.json_schema is not None:
            checks.append(schema_check(sealed, self._read_record_schema(context.path / self.json_schema)))
        io_manager = SealedFolderIOManager(base_dir=str(context.project_root / self.base_dir))
        return Definitions(assets=[sealed], asset_checks=checks, resources={io_manager_key: io_manager})

    def _make_asset(self, io_manager_key: str, read: Callable[[], Any]) -> AssetsDefinition:
        hours = self.freshness_hours

        @asset(
            key=AssetKey.from_user_string(self.name),
            group_name=self.group,
            description=self.description,
            deps=[AssetKey.from_user_string(name) for name in self.depends_on],
            metadata={"registry_pipeline/record_key": list(self.record_key)} if self.record_key else None,
            io_manager_key=io_manager_key,
            kinds={"sealed"} if self.function is not None else {"sealed", self._find_format()},
            freshness_policy=None if hours is None else FreshnessPolicy.time_window(timedelta(hours=hours)),
        )
        def sealed() -> Any:
            with as_dagster_failure():
                return read()

        return sealed

    def _make_reader(self, folder: Path) -> Callable[[], Any]:
        if [self.source, self.sources, self.function].count(None) != 2:
            raise DagsterInvalidDefinitionError(f"{self.name}: give either `source` or `function`, or `sources`")
        if self.sources is not None:
            return self._make_registry_reader(folder, self.sources)
        if self.json_schema is not None:
            raise DagsterInvalidDefinitionError(f"{self.name}: `schema` is that of `sources`: use `schema_file`")
        if self.function is not None:
            if self.format is not None:
                raise DagsterInvalidDefinitionError(
                    f"{self.name}: `format` is that of a source, and the value of a function decides its own: remove it"
                )
            return _import_function(self.name, self.function)
        path, stored = folder / str(self.source), self._find_format()
        if stored == "bytes" and self.schema_file is not None:
            raise DagsterInvalidDefinitionError(
                f"{self.name}: bytes match no schema: give a `format` beside `schema_file`, as `json` or `csv`"
            )
        return lambda: _read_source(path, stored)

    def _make_registry_reader(self, folder: Path, sources: Sequence[str]) -> Callable[[], Any]:
        if len(sources) != 1 or has_magic(sources[0]):
            raise DagsterInvalidDefinitionError(
                f"{self.name}: alone, a component seals one file; name its YAML in `registry_components` of a "
                "registry-pipeline.toml, whose registries capture several"
            )
        if self.format is not None or self.schema_file is not None:
            raise DagsterInvalidDefinitionError(
                f"{self.name}: `format` and `schema_file` are those of `source`: with `sources` the suffix decides, "
                "and `schema` describes each document, line or row"
            )
        stored = self._find_format()
        if stored == "bytes" and self.json_schema is not None:
            raise DagsterInvalidDefinitionError(
                f"{self.name}: only a file whose name ends with .json, .jsonl or .csv can be checked by a schema here"
            )
        return lambda: _read_source(folder / sources[0], stored)

    def _find_format(self) -> _SourceFormat:
        if self.sources is None:
            return self.format or "bytes"
        suffix = Path(self.sources[0]).suffix if self.sources else ""
        return _FORMATS.get(suffix, "bytes")

    def _read_record_schema(self, path: Path) -> Path | dict[str, Any]:
        """Return the schema of the value: of lines and rows it is a list."""
        if self._find_format() == "json":
            return path
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DagsterInvalidDefinitionError(f"{self.name}: the schema {path} cannot be used: {error}") from None
        # With an id of its own, references inside the schema are still relative to it.
        record = {"$id": "urn:registry_pipeline:record", **document} if isinstance(document, dict) else document
        return {"type": "array", "items": record}


def _make_io_manager_key(name: str) -> str:
    # A resource key is a Python identifier without an underscore at its start.
    if _RESOURCE_NAME.fullmatch(name):
        return f"{name}_sealed_io"
    return f"asset_{re.sub('[^A-Za-z0-9_]', '_', name)}_{sha256_hex(name.encode())[:8]}_sealed_io"


def _import_function(name: str, path: str) -> Callable[[], Any]:
    module, _, function = path.rpartition(".")
    try:
        # A relative import has no package to start from.
        attribute: object = getattr(import_module(module), function)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise DagsterInvalidDefinitionError(f"{name}: the function {path} cannot be imported: {error}") from None
    if not callable(attribute):
        kind = type(attribute).__name__
        raise DagsterInvalidDefinitionError(f"{name}: {path} is not a function but of the type {kind}")
    return attribute


def _read_source(path: Path, stored: _SourceFormat) -> Any:
    try:
        return decode_value(stored, path.read_bytes())
    except OSError as error:
        raise NotFoundError(
            f"the source {path} cannot be read: {error.strerror}", "restore it, or name another"
        ) from None
    except ValueError as error:
        line = f"line {error.line}: " if isinstance(error, StrictCsvError) else ""
        message = f"the source {path} is not {stored}: {line}{error}"
        raise EvidenceError(message, "correct the file, or its format") from None
