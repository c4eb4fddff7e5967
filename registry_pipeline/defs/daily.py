"""drift_signals_daily: past days as the partitions of one asset, with its checks, its job and its schedule.

A run of many partitions seals up to 32 together and then reports each, with its own data version.
"""

import json
import warnings
from datetime import UTC, date, datetime, timedelta
from typing import Final

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSelection,
    BackfillPolicy,
    BetaWarning,
    Config,
    DailyPartitionsDefinition,
    DefaultScheduleStatus,
    Definitions,
    MaterializeResult,
    ResourceParam,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    asset,
    define_asset_job,
    schedule,
)
from pydantic import Field

from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import assets, event_log, metadata
from registry_pipeline.defs.job_limits import make_job_tags
from registry_pipeline.defs.location import Location, location_of
from registry_pipeline.defs.partition_checks import make_partition_checks
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import RefusedError, RegistryPipelineError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import daily
from registry_pipeline.pipeline.daily import SealedDay
from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline.registries.base import seal_build
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.signing.keys import find_signer

DAILY_JOB: Final = "drift_signals_daily_job"
# Of an asset without a first day: the partitions of this start and the same end are none.
_NO_DAYS: Final = "2000-01-01"


class HistoryRequest(Config):
    """How the days of a run are built."""

    force: bool = Field(default=False, description="Seal each day again, even if its content is unchanged.")


def make_history_defs(spec: RegistrySpec, location: Location, start: date | None) -> Definitions:
    """Return the asset, its checks, job and schedule, with a partition for each day from `start` to yesterday (UTC).

    Without a start the asset has no partition and cannot be materialized, and the job executes the checks alone. The
    descriptions and the metadata of the code location say so.
    """
    missing_start = finding("CONFIG_HISTORY_START", CONFIG_NAME)
    reason = f"{missing_start.message} -> {missing_start.hint}, then reload the code location"
    note = f"\n\n{missing_start.code}: {reason}" if start is None else ""
    history = _make_asset(spec, location, start, note)
    key = location.key(spec.registry_id)
    job = define_asset_job(
        DAILY_JOB,
        selection=AssetSelection.checks_for_assets(key) if start is None else AssetSelection.assets(key),
        description=f"Seal and check the state of past days. Launch it for partitions; it moves no pointer.{note}",
        tags=make_job_tags(DAILY_JOB, location),
    )
    return Definitions(
        # Without a partition, Dagster could not launch the asset, nor any selection that includes it.
        assets=history.specs if start is None else [history],
        asset_checks=[make_partition_checks(spec, location, "day")],
        jobs=[job],
        schedules=[_make_schedule(start)],
        metadata={missing_start.code: reason} if start is None else {},
    )


def _make_asset(spec: RegistrySpec, location: Location, start: date | None, note: str) -> AssetsDefinition:
    """Return the asset whose partitions are days; a backfill is one run for all its days.

    The note is added to its description.
    """
    days = DailyPartitionsDefinition(
        start_date=start.isoformat() if start is not None else _NO_DAYS,
        end_date=None if start is not None else _NO_DAYS,
        timezone="UTC",
    )

    def build_history(
        context: AssetExecutionContext, config: HistoryRequest, repository: ResourceParam[RepositoryResource]
    ) -> MaterializeResult[None]:
        _seal_days(context, repository, force=config.force)
        # Each day has its materialization already.
        return MaterializeResult(metadata=event_log.NO_MATERIALIZATION)

    attributes = assets.make_asset_attributes(spec, location)
    attributes["description"] += note
    with warnings.catch_warnings():
        # `single_run` is beta in Dagster 1.13.27 and tested here. One run per partition takes four times as long.
        warnings.simplefilter("ignore", BetaWarning)
        return asset(partitions_def=days, backfill_policy=BackfillPolicy.single_run(), **attributes)(build_history)


def _seal_days(context: AssetExecutionContext, resource: RepositoryResource, *, force: bool) -> None:
    """Seal the days of this run until it is cancelled, and report the materialization of each when it is sealed."""
    dagster_run_id = context.run.run_id
    repository = resource.load_in_run(dagster_run_id)
    started, signer = resource.started(dagster_run_id), find_signer(repository)
    run = seal_build.BuildRun(started, GitState(None, None), dagster_run_id, signer=signer)
    # Dagster's `has_partition_key` is False in a backfill, even of a single partition.
    has_days = context.has_partition_key or context.has_partition_key_range
    days = [date.fromisoformat(key) for key in context.partition_keys] if has_days else []
    # A cancellation takes effect after the current day. What was built by then is sealed and reported.
    with as_dagster_failure(), resource.defer_cancellation(dagster_run_id) as is_cancelled:
        for day in daily.build_days(repository, run, days, force=force, is_cancelled=is_cancelled):
            # Dagster stores a logged event at once: a process that is killed later has reported this day.
            context.log_event(_make_materialization(repository, day, run.started))
        if not days:
            raise RefusedError("the run has no partition, so no day was built", f"launch {DAILY_JOB} for partitions")


def _make_materialization(repository: Repository, day: SealedDay, now: datetime) -> AssetMaterialization:
    spec = catalog_of(repository).spec_of(DAILY)
    artifacts = day.built.artifacts
    drift = json.loads(artifacts.files[spec.artifact])
    content: metadata.Metadata = {
        "state": "unchanged" if day.run.reused else "sealed",
        **artifacts.metrics,
        "git_commit": day.commit,
        "canon_tree_hash": drift["canon_tree_hash"],
        "content_sha256": artifacts.content_sha256,
        **metadata.make_findings_metadata(day.built.findings),
    }
    versions = {
        event_log.DATA_VERSION_TAG: assets.data_version(day.built).value,
        event_log.CODE_VERSION_TAG: assets.code_version(spec),
    }
    return AssetMaterialization(
        location_of(repository).key(DAILY),
        partition=str(day.day),
        metadata=metadata.make_sealed_metadata(repository, day.run, now, content),
        tags=versions,
    )


def _make_schedule(start: date | None) -> ScheduleDefinition:
    @schedule(
        job_name=DAILY_JOB,
        cron_schedule="15 0 * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.STOPPED,
        description=f"Seals and checks yesterday in {DAILY} at 00:15 UTC. Off until you switch it on.",
    )
    def daily_history_schedule(
        context: ScheduleEvaluationContext, repository: ResourceParam[RepositoryResource]
    ) -> RunRequest | SkipReason:
        """Request the day before the tick, which may be late."""
        try:
            repository.load()
        except RegistryPipelineError as error:
            return SkipReason(printable(f"{error.advice} ({error.message})"))
        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        if start is None:
            return SkipReason(f"set history_start in {CONFIG_NAME}, then reload the code location (it is not set)")
        if yesterday < start:
            return SkipReason(f"wait until {start} is over ({yesterday} is before history_start, {start})")
        return RunRequest(run_key=f"{DAILY}:{yesterday}", partition_key=str(yesterday))

    return daily_history_schedule
