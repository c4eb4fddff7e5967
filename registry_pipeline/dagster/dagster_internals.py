"""Every import of a non-public name of Dagster, and every call that its documentation does not promise.

The tests of this module name each one, so that an upgrade which removes or changes one of them fails loudly.
"""

from __future__ import annotations

from typing import Any

from dagster import AssetKey, AssetsDefinition, DagsterInvariantViolationError, DataVersion, OutputContext
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.partitions.utils.base import INVALID_PARTITION_SUBSTRINGS
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.errors import DagsterAssetCheckFailedError
from dagster._core.execution.context.output import RUN_ID_PLACEHOLDER
from dagster._core.execution.retries import RetryMode
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARENT_RUN_ID_TAG,
    RETRY_NUMBER_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    TICK_ID_TAG,
    USER_TAG,
    WILL_RETRY_TAG,
)

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "IMPLICIT_ASSET_JOB_NAME",
    "INVALID_PARTITION_SUBSTRINGS",
    "NOT_FINISHED_STATUSES",
    "PARENT_RUN_ID_TAG",
    "RETRY_NUMBER_TAG",
    "RUN_ID_PLACEHOLDER",
    "SCHEDULE_NAME_TAG",
    "SENSOR_NAME_TAG",
    "SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION",
    "TICK_ID_TAG",
    "USER_TAG",
    "WILL_RETRY_TAG",
    "AssetCheckEvaluationTargetMaterializationData",
    "AssetCheckExecutionRecord",
    "AssetCheckExecutionRecordStatus",
    "DagsterAssetCheckFailedError",
    "RetryMode",
    "UnresolvedAssetJobDefinition",
    "find_io_manager_key",
    "find_producing_run",
    "set_data_version",
    "submit_celery_step",
]


def find_producing_run(upstream: OutputContext) -> str | None:
    """Return the id of the Dagster run that made an upstream: this run or one that it re-executes, else None."""
    # For an upstream outside of the execution, Dagster 1.13.27 makes up an output context with a placeholder for the
    # run id; a test pins this. Its step key is `none`, which an asset can have, too. `load_asset_value` has no run id.
    try:
        return None if upstream.run_id == RUN_ID_PLACEHOLDER else upstream.run_id
    except DagsterInvariantViolationError:
        return None


def find_io_manager_key(asset: AssetsDefinition, key: AssetKey) -> str:
    """Return the resource key of the IO manager of an asset."""
    return str(asset.get_io_manager_key_for_asset_key(key))


def set_data_version(context: OutputContext, version: DataVersion) -> None:
    """Set the data version of the materialization that is being stored; a data version of the asset's own wins."""
    context.step_context.set_data_version(context.asset_key, version)


def submit_celery_step(*arguments: Any) -> Any:
    """Send a step to the queue of the Celery workers and return its result, which is there later."""
    from dagster_celery.executor import _submit_task  # noqa: PLC0415 - part of an extra

    return _submit_task(*arguments)  # type: ignore[no-untyped-call]
