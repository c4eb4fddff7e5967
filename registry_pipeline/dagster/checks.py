"""Asset checks of sealed values: that the folder is what was sealed, and that the value matches a JSON Schema."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetKey,
    AssetsDefinition,
    DagsterInvalidDefinitionError,
    EventLogRecord,
    asset_check,
)

from registry_pipeline.canonical import json_document
from registry_pipeline.dagster.dagster_internals import find_io_manager_key
from registry_pipeline.dagster.event_records import (
    ROOT_KEY,
    fetch_materializations_of_run,
    read_latest_materializations,
)
from registry_pipeline.dagster.io_manager import FOLDER_KEY, SealedFolderIOManager, find_reference
from registry_pipeline.dagster.sealed_folder import FolderReference, read_value, verify_reference
from registry_pipeline.dagster.sealed_value import to_json_value
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.schema import Validator, make_validator

_UNSEALED = (
    "a materialization names no sealed folder: the asset is annotated `-> None`, or another tool recorded it. "
    "Next: return a value, then materialize it again"
)

FindProblems = Callable[[Path, FolderReference], Sequence[str]]
"""Returns one line for each reason why a folder fails a check."""


def seal_check(asset: AssetsDefinition, *, blocking: bool = True) -> AssetChecksDefinition:
    """Return the asset check `seal`: the folder of the materialization is, byte for byte, what was sealed.

    It verifies what its own run materialized, or the run that it re-executes. Executed alone it verifies the latest
    materialization, of a partitioned asset that of every partition. With nothing to verify it fails.

    Args:
        asset: an asset whose IO manager is a SealedFolderIOManager.
        blocking: whether nothing downstream is built in a run in which the check fails.

    Raises:
        DagsterInvalidDefinitionError: the definition has several assets, as one of `@multi_asset`.
    """
    return _make_check(asset, "seal", "Every byte is as it was sealed.", blocking, _find_seal_problems)


def schema_check(
    asset: AssetsDefinition, schema: Mapping[str, Any] | Path | str, *, blocking: bool = True
) -> AssetChecksDefinition:
    """Return the asset check `schema`: the sealed value matches a JSON Schema (draft 2020-12).

    The schema describes the whole value. JSON lines and tables are an array of objects, one for each row. The check
    looks at the same materializations as `seal_check`, and fails for a folder that does not verify.

    Args:
        asset: an asset whose IO manager is a SealedFolderIOManager.
        schema: the schema, or the path of its file, which is read now.
        blocking: whether nothing downstream is built in a run in which the check fails.

    Raises:
        DagsterInvalidDefinitionError: the schema cannot be read or is not a JSON Schema, or the definition has several
            assets.
    """
    validate, subject = _make_validator(schema), _find_only_key(asset).to_user_string()

    def find_problems(base_dir: Path, reference: FolderReference) -> Sequence[str]:
        try:
            value = to_json_value(read_value(base_dir, reference, subject))
        except RegistryPipelineError as error:
            return [f"{error.message}. Next: {error.advice}"]
        return [f"{problem.pointer or 'the value'}: {problem.message}" for problem in validate(value)]

    return _make_check(asset, "schema", "The value matches its JSON Schema.", blocking, find_problems)


def _make_validator(schema: Mapping[str, Any] | Path | str) -> Validator:
    try:
        return make_validator(json_document(schema) if isinstance(schema, Mapping) else Path(schema).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        name = "the schema" if isinstance(schema, Mapping) else f"the schema {schema}"
        raise DagsterInvalidDefinitionError(f"{name} cannot be used: {error}") from None


def _find_seal_problems(base_dir: Path, reference: FolderReference) -> Sequence[str]:
    return verify_reference(base_dir, reference)[1]


def _make_check(
    asset: AssetsDefinition, name: str, description: str, blocking: bool, find_problems: FindProblems
) -> AssetChecksDefinition:
    key = _find_only_key(asset)
    io_manager_key = find_io_manager_key(asset, key)
    # `@asset(io_manager_def=...)` defines the IO manager for its own steps only.
    resource_defs = {name: value for name, value in asset.resource_defs.items() if name == io_manager_key}

    @asset_check(
        asset=asset,
        name=name,
        description=description,
        blocking=blocking,
        required_resource_keys=set() if resource_defs else {io_manager_key},
        resource_defs=resource_defs,
    )
    def check(context: AssetCheckExecutionContext) -> AssetCheckResult:
        io_manager = getattr(context.resources, io_manager_key)
        if not isinstance(io_manager, SealedFolderIOManager):
            return _fail(f"the IO manager `{io_manager_key}` is not a SealedFolderIOManager: nothing was checked")
        records = _find_materializations(context, key)
        if not records:
            return _fail(f"nothing was checked. Next: materialize {key.to_user_string()}")
        references = [find_reference(record) for record in records]
        problems: list[str] = []
        for reference in references:
            if reference is None:
                problems.append(_UNSEALED)
            else:
                problems += find_problems(Path(io_manager.base_dir), reference)
        return _make_result([reference for reference in references if reference is not None], problems)

    return check


def _find_only_key(asset: AssetsDefinition) -> AssetKey:
    if len(asset.keys) != 1:
        names = ", ".join(sorted(key.to_user_string() for key in asset.keys))
        raise DagsterInvalidDefinitionError(
            f"a sealed check needs a definition of one asset, and this one has {len(asset.keys)}: {names}. "
            "Define each asset with `@asset`"
        )
    return asset.key


def _find_materializations(context: AssetCheckExecutionContext, key: AssetKey) -> Sequence[EventLogRecord]:
    own = fetch_materializations_of_run(context.instance, key, context.run.run_id)
    # A run seals one partition.
    return own[-1:] or read_latest_materializations(context.instance, key)


def _make_result(references: Sequence[FolderReference], problems: Sequence[str]) -> AssetCheckResult:
    metadata: dict[str, Any] = {"folders": len(references), "problems": len(problems)}
    if len(references) == 1:
        metadata |= {FOLDER_KEY: references[0].folder, ROOT_KEY: references[0].root_sha256}
    listed = list_some([printable(problem) for problem in problems], "\n")
    return AssetCheckResult(passed=not problems, description=listed or "no problems", metadata=metadata)


def _fail(reason: str) -> AssetCheckResult:
    return AssetCheckResult(passed=False, description=printable(reason))
