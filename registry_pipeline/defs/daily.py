"""drift_signals_daily: past days as the partitions of one asset, with its checks and its job.

A run of many partitions seals each one by itself. There is no value for the IO manager, and the data version is that
of all partitions together, so each partition's own content hash is in its metadata.
"""

import json
import warnings
from collections.abc import Sequence
from datetime import date
from signal import SIGINT, SIGTERM
from typing import Final

from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSelection,
    BackfillPolicy,
    BetaWarning,
    Config,
    DagsterInstance,
    DailyPartitionsDefinition,
    DataVersion,
    Definitions,
    MaterializeResult,
    ResourceParam,
    asset,
    define_asset_job,
)
from pydantic import Field

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.assets import check_result_of_many, make_asset_attributes, make_blocking_checks
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.findings.codes import finding
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import daily, rebuild
from registry_pipeline.pipeline.daily import SealedDay
from registry_pipeline.registries import catalog
from registry_pipeline.registries.base import seal_build

DAILY: Final = "drift_signals_daily"
DAILY_JOB: Final = "drift_signals_daily_job"
# In a group with other assets, the button that materializes all of them would ask for a partition.
HISTORY_GROUP: Final = "history"


class HistoryRequest(Config):
    """How the days of a run are built."""

    force: bool = Field(default=False, description="Seal each day again, even if its content is unchanged.")


def make_history_defs(start: date | None) -> Definitions:
    """Return the asset, its checks and its job, with a partition for each day from `start` to yesterday (UTC).

    Without a start there are no days; the metadata of the code location then has the finding that says so.
    """
    if start is None:
        missing_start = finding("CONFIG_HISTORY_START", CONFIG_NAME)
        return Definitions(metadata={missing_start.code: f"{missing_start.message} -> {missing_start.hint}"})
    job = define_asset_job(
        DAILY_JOB,
        selection=AssetSelection.assets(DAILY),
        description="Seal and check the state of past days. Launch it for partitions; it moves no pointer.",
    )
    days = DailyPartitionsDefinition(start_date=start.isoformat(), timezone="UTC")
    return Definitions(assets=[make_daily_asset(days)], asset_checks=[make_daily_checks()], jobs=[job])


def make_daily_asset(days: DailyPartitionsDefinition) -> AssetsDefinition:
    """Return the asset whose partitions are days; a backfill is one run for all its days."""

    def build_history(
        context: AssetExecutionContext, config: HistoryRequest, repository: ResourceParam[RepositoryResource]
    ) -> MaterializeResult[None]:
        hashes = _seal_days(context, repository, force=config.force)
        version = hashes[0] if len(hashes) == 1 else sha256_hex(json_line(hashes))
        return MaterializeResult(metadata={"days": len(hashes)}, data_version=DataVersion(version))

    with warnings.catch_warnings():
        # `single_run` is beta in Dagster 1.13.27 and tested here. One run per partition takes four times as long.
        warnings.simplefilter("ignore", BetaWarning)
        attributes = make_asset_attributes(catalog.spec_of(DAILY), group=HISTORY_GROUP)
        return asset(partitions_def=days, backfill_policy=BackfillPolicy.single_run(), **attributes)(build_history)


def _seal_days(context: AssetExecutionContext, resource: RepositoryResource, *, force: bool) -> list[str]:
    """Seal the days of this run until it is cancelled, show each on its page, and return their content hashes."""
    dagster_run_id = context.run.run_id
    repository = resource.load_in_run(dagster_run_id)
    run = seal_build.BuildRun(resource.started(dagster_run_id), GitState(None, None), dagster_run_id)
    # Dagster's `has_partition_key` is False in a backfill, even of a single partition.
    days = [date.fromisoformat(key) for key in context.partition_keys]
    sealed: list[SealedDay] = []
    try:
        # A cancellation takes effect after the current day, so that no day is left half built.
        with as_dagster_failure(), rebuild.defer_signals(SIGINT, SIGTERM) as is_cancelled:
            for day in daily.build_days(repository, run, days, force=force):
                sealed.append(day)
                context.add_asset_metadata(_make_day_metadata(repository, day), partition_key=str(day.day))
                if is_cancelled():
                    break
    except BaseException:
        # A failed step has no materialization: report the days that were sealed.
        for day in sealed:
            page = _make_day_metadata(repository, day)
            context.log_event(AssetMaterialization(context.asset_key, partition=str(day.day), metadata=page))
        raise
    return [day.built.artifacts.content_sha256 for day in sealed]


def _make_day_metadata(repository: Repository, day: SealedDay) -> metadata.Metadata:
    artifacts = day.built.artifacts
    drift = json.loads(artifacts.files[catalog.spec_of(DAILY).artifact])
    content: metadata.Metadata = {
        "state": "unchanged" if day.run.reused else "sealed",
        **artifacts.metrics,
        "git_commit": day.commit,
        "canon_tree_hash": drift["canon_tree_hash"],
        "content_sha256": artifacts.content_sha256,
        **metadata.make_findings_metadata(day.built.findings),
    }
    return metadata.make_sealed_metadata(repository, day.run, content)


def make_daily_checks() -> AssetChecksDefinition:
    """Return the blocking checks of the days.

    They check the asset, not a partition: each has one result per backfill, which fails if any day fails. Executed
    alone they check the newest folder of every day.
    """

    def find_days(instance: DagsterInstance, run_id: str) -> Sequence[event_log.Materialization]:
        days = event_log.read_run_materializations(instance, DAILY, run_id)
        return days or event_log.read_newest_of_each_partition(instance, DAILY)

    spec = catalog.spec_of(DAILY)
    return make_blocking_checks(spec, find_days, check_result_of_many, note=" For each day of the run.")
