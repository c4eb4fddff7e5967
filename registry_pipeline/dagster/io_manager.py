"""The IO manager that seals what an asset returns, and loads only folders that verify."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    ConfigurableIOManager,
    DagsterInstance,
    DataVersion,
    EventLogRecord,
    InputContext,
    OutputContext,
)
from pydantic import Field

from registry_pipeline.dagster.dagster_internals import find_producing_run, set_data_version
from registry_pipeline.dagster.event_records import ROOT_KEY, fetch_materializations_of_run, read_run_start
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.dagster.sealed_folder import (
    FolderReference,
    Origin,
    content_sha256,
    read_value,
    seal_value,
)
from registry_pipeline.dagster.sealed_value import encode_value
from registry_pipeline.errors import EvidenceError, NotFoundError, RefusedError

FOLDER_KEY: Final = "sealed_folder"
"""Metadata key of a materialization: its run folder, relative to `base_dir`."""


class SealedFolderIOManager(ConfigurableIOManager):
    """Seals each value that an asset returns as a run folder, and loads only folders that verify.

    A value is bytes, a string, a JSON value, a CsvTable or a pandas DataFrame, and is loaded with the same type and
    content. A partition has a folder of its own. `registry-pipeline verify FOLDER` checks any of them.
    """

    base_dir: str = Field(
        default="sealed", description="The folder in which run folders are written; it is made if it is missing."
    )

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Seal a value, and add folder, root hash, number of files and bytes to the asset's page.

        A step that is tried again in the same Dagster run uses the folder of its first attempt if the bytes are the
        same; other bytes get the next folder. The data version is the hash of the content.

        Raises:
            Failure: the value has a type that cannot be sealed, or the folder could not be written.
        """
        with as_dagster_failure():
            if not context.has_asset_key:
                raise RefusedError(
                    "SealedFolderIOManager seals assets, not outputs of ops", "give the output another IO manager"
                )
            encoded = encode_value(obj)
            partition = _find_only_partition(context)
            started = read_run_start(self._instance, context.run_id)
            origin = Origin(tuple(context.asset_key.path), partition, context.run_id, started)
            sealed = seal_value(Path(self.base_dir), origin, encoded)
        context.add_output_metadata(
            {
                FOLDER_KEY: sealed.reference.folder,
                ROOT_KEY: sealed.reference.root_sha256,
                "sealed_files": sealed.files,
                "sealed_bytes": sealed.bytes,
                "sealed_format": encoded.format,
            }
        )
        set_data_version(context, DataVersion(content_sha256(encoded)))

    def load_input(self, context: InputContext) -> Any:
        """Return the value of an upstream, from the folder of its materialization, verified now.

        That is the materialization of this Dagster run or of one that it re-executes, else the latest one. Several
        partitions are a dict by partition key. With the input metadata `allow_missing_partitions`, partitions that
        were never materialized are left out.

        Raises:
            Failure: a folder does not verify or is not the one that was materialized, or there is none.
        """
        with as_dagster_failure():
            upstream = context.upstream_output
            run_id = None if upstream is None else find_producing_run(upstream)
            if not context.has_asset_partitions:
                return self._load(context.instance, context.asset_key, None, run_id)
            values = {}
            for partition in context.asset_partition_keys:
                try:
                    values[partition] = self._load(context.instance, context.asset_key, partition, run_id)
                except NotFoundError:
                    if not context.definition_metadata.get("allow_missing_partitions"):
                        raise
            return next(iter(values.values()), None) if len(context.asset_partition_keys) == 1 else values

    def _load(self, instance: DagsterInstance, key: AssetKey, partition: str | None, run_id: str | None) -> Any:
        subject = key.to_user_string() + ("" if partition is None else f" ({partition})")
        record = _find_materialization(instance, key, partition, run_id)
        if record is None:
            raise NotFoundError(f"{subject} was never materialized", f"materialize {key.to_user_string()} first")
        reference = find_reference(record)
        if reference is None:
            raise EvidenceError(
                f"the latest materialization of {subject} names no sealed folder",
                f"return a value (`-> None` is never sealed), and materialize {key.to_user_string()} with "
                "SealedFolderIOManager",
            )
        return read_value(Path(self.base_dir), reference, subject)

    @property
    def _instance(self) -> DagsterInstance:
        instance = self.get_resource_context().instance
        if instance is None:
            raise NotFoundError("the IO manager is used outside of a Dagster execution", "materialize the asset")
        return instance


def find_reference(record: EventLogRecord) -> FolderReference | None:
    """Return the sealed folder that a materialization names, or None."""
    event = record.asset_materialization
    metadata: Mapping[str, Any] = {} if event is None else event.metadata
    folder, root = (getattr(metadata.get(name), "value", None) for name in (FOLDER_KEY, ROOT_KEY))
    return FolderReference(folder, root) if isinstance(folder, str) and isinstance(root, str) else None


def _find_only_partition(context: OutputContext) -> str | None:
    if not context.has_asset_partitions:
        return None
    partitions = list(context.asset_partition_keys)
    if len(partitions) != 1:
        raise RefusedError(
            f"one run materializes {len(partitions)} partitions, and a sealed folder contains one",
            "use `BackfillPolicy.multi_run()`, or launch one run per partition",
        )
    return str(partitions[0])


def _find_materialization(
    instance: DagsterInstance, key: AssetKey, partition: str | None, run_id: str | None
) -> EventLogRecord | None:
    # Another run may have materialized the upstream since this run did.
    own = () if run_id is None else fetch_materializations_of_run(instance, key, run_id, partition)
    if own:
        return own[-1]
    partitions = None if partition is None else [partition]
    records = instance.fetch_materializations(AssetRecordsFilter(key, asset_partitions=partitions), limit=1).records
    return records[0] if records else None
