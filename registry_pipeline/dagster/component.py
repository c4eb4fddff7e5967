"""A sealed, checked asset as a Dagster component, which is written in YAML."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

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
from pydantic import Field

from registry_pipeline.dagster.checks import schema_check, seal_check
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.dagster.io_manager import SealedFolderIOManager
from registry_pipeline.dagster.sealed_value import decode_value
from registry_pipeline.errors import EvidenceError, NotFoundError


class RegistryComponent(Component, Resolvable, Model):
    """A sealed, checked asset from a file or a Python function.

    It has the check `seal`, the check `schema` if a schema is given, and an IO manager of its own. Paths are relative
    to the folder of the component, `base_dir` to the root of the project.
    """

    name: Annotated[str, Field(description="The asset key; `/` separates its parts.")]
    source: Annotated[str | None, Field(description="The file whose content is sealed.")] = None
    format: Annotated[
        Literal["bytes", "text", "json", "jsonl", "csv"], Field(description="How the source is parsed.")
    ] = "bytes"
    function: Annotated[
        str | None,
        Field(description="Instead of `source`: `package.module.name` of a function that returns the value."),
    ] = None
    schema_file: Annotated[str | None, Field(description="The JSON Schema of the value.")] = None
    group: Annotated[str | None, Field(description="The group of the asset.")] = None
    description: Annotated[str | None, Field(description="The description of the asset.")] = None
    freshness_hours: Annotated[float | None, Field(gt=0, description="Overdue if not materialized for so long.")] = None
    base_dir: Annotated[str, Field(description="Where sealed folders are written.")] = "sealed"

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """Return the asset, its checks and its IO manager.

        Raises:
            DagsterInvalidDefinitionError: not exactly one of `source` and `function` is given, the function cannot be
                imported, or the schema cannot be used.
        """
        io_manager_key = "_".join([*AssetKey.from_user_string(self.name).path, "sealed_io"])
        sealed = self._make_asset(io_manager_key, self._make_reader(context.path))
        checks = [seal_check(sealed)]
        if self.schema_file is not None:
            checks.append(schema_check(sealed, context.path / self.schema_file))
        io_manager = SealedFolderIOManager(base_dir=str(context.project_root / self.base_dir))
        return Definitions(assets=[sealed], asset_checks=checks, resources={io_manager_key: io_manager})

    def _make_asset(self, io_manager_key: str, read: Callable[[], Any]) -> AssetsDefinition:
        hours = self.freshness_hours

        @asset(
            key=AssetKey.from_user_string(self.name),
            group_name=self.group,
            description=self.description,
            io_manager_key=io_manager_key,
            kinds={"sealed", self.format} if self.source else {"sealed"},
            freshness_policy=None if hours is None else FreshnessPolicy.time_window(timedelta(hours=hours)),
        )
        def sealed() -> Any:
            with as_dagster_failure():
                return read()

        return sealed

    def _make_reader(self, folder: Path) -> Callable[[], Any]:
        if (self.source is None) == (self.function is None):
            raise DagsterInvalidDefinitionError(f"{self.name}: give either `source` or `function`")
        if self.function is not None:
            return _import_function(self.name, self.function)
        path = folder / str(self.source)
        return lambda: _read_source(path, self.format)


def _import_function(name: str, path: str) -> Callable[[], Any]:
    module, _, function = path.rpartition(".")
    try:
        found: Callable[[], Any] = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DagsterInvalidDefinitionError(f"{name}: the function {path} cannot be imported: {error}") from None
    return found


def _read_source(path: Path, stored: Literal["bytes", "text", "json", "jsonl", "csv"]) -> Any:
    try:
        return decode_value(stored, path.read_bytes())
    except OSError as error:
        raise NotFoundError(
            f"the source {path} cannot be read: {error.strerror}", "restore it, or name another"
        ) from None
    except ValueError as error:
        raise EvidenceError(f"the source {path} is not {stored}: {error}", "correct the file, or its format") from None
