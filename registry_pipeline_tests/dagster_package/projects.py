"""A Dagster project without a repository of ours: assets that return given values, sealed in a temporary folder.

Annotations are not postponed, because Dagster reads them.
"""

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    DagsterInstance,
    EventLogEntry,
    ExecuteInProcessResult,
    PartitionsDefinition,
    asset,
    materialize,
)

from registry_pipeline.dagster import SealedFolderIOManager

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Project:
    """A folder for sealed values, and a Dagster instance of its own."""

    def __init__(self, folder: Path) -> None:
        self.base_dir = folder / "sealed"
        home = folder / "home"
        home.mkdir()
        self.instance = DagsterInstance.ephemeral(str(home))

    def materialize(
        self,
        *definitions: Any,
        only: Sequence[Any] = (),
        partition: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Any:
        """Materialize assets and execute checks in process; a failure is a result, not an exception."""
        checks = [definition for definition in only if isinstance(definition, AssetChecksDefinition)]
        assets = [definition for definition in only if definition not in checks]
        selection = AssetSelection.assets(*assets) | AssetSelection.checks(*checks)
        result: ExecuteInProcessResult = materialize(
            definitions,
            selection=selection if only else None,
            partition_key=partition,
            tags=tags,
            instance=self.instance,
            resources={"io_manager": SealedFolderIOManager(base_dir=str(self.base_dir))},
            run_config=QUIET,
            raise_on_error=False,
        )
        return result

    def page(self, result: ExecuteInProcessResult, name: str) -> Mapping[str, Any]:
        """Return the metadata of an asset's only materialization in a run."""
        (event,) = result.asset_materializations_for_node(name)
        return {key: value.value for key, value in event.metadata.items()}

    def folder(self, result: ExecuteInProcessResult, name: str) -> Path:
        """Return the folder that a run sealed for an asset."""
        return self.base_dir / str(self.page(result, name)["sealed_folder"])

    def latest(self, name: str) -> EventLogEntry:
        """Return the latest materialization of an asset."""
        event = self.instance.get_latest_materialization_event(AssetKey(name))
        assert event is not None
        return event


def returning(name: str, value: Any, **options: Any) -> AssetsDefinition:
    """Return an asset with this value."""

    def made() -> Any:
        return value

    definition: AssetsDefinition = asset(name=name, **options)(made)
    return definition


def by_partition(
    name: str, values: Mapping[str, Any], partitions: PartitionsDefinition[Any], **options: Any
) -> AssetsDefinition:
    """Return an asset with a value for each partition."""

    def made(context: AssetExecutionContext) -> Any:
        return values[context.partition_keys[0]]

    definition: AssetsDefinition = asset(name=name, partitions_def=partitions, **options)(made)
    return definition


def reading(name: str, seen: list[Any], **options: Any) -> AssetsDefinition:
    """Return an asset that appends the value of `upstream`, as it was loaded, to `seen`."""

    def read(upstream: Any) -> str:
        seen.append(upstream)
        return "read"

    definition: AssetsDefinition = asset(name=name, **options)(read)
    return definition


def alter_byte(folder: Path) -> None:
    """Change the first byte of the value in a sealed folder; its size stays."""
    (path,) = folder.glob("value.*")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def failure_text(result: ExecuteInProcessResult) -> str:
    """Return the description of each failure of a run's steps, with its advice."""
    texts = []
    for event in result.get_step_failure_events():
        data = event.step_failure_data
        failure = data.user_failure_data
        assert failure is not None, data.error
        texts.append(f"{failure.description} {dict(failure.metadata).get('advice')}")
    return "\n".join(texts)


def check_results(result: ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    """Return whether each check of a run passed, and its description, by check name."""
    return {e.check_name: (e.passed, e.description or "") for e in result.get_asset_check_evaluations()}
