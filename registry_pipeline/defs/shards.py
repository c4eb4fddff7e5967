"""Work that is split by run root and month, switched on by `shards` of the table `[dagster]`.

Each shard is a partition of an asset, and each partition is built by a run of its own, so that Dagster's queue of runs
spreads them over processes or workers.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSelection,
    BackfillPolicy,
    BetaWarning,
    Config,
    DefaultScheduleStatus,
    Definitions,
    DynamicPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    ScheduleDefinition,
    asset,
    asset_check,
    define_asset_job,
)
from pydantic import Field

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import event_log, step_log
from registry_pipeline.defs.assets import OWNERS
from registry_pipeline.defs.job_limits import make_job_tags
from registry_pipeline.defs.location import Location, location_of
from registry_pipeline.defs.metadata import Metadata, make_findings_metadata
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.defs.shard_sensors import ListShards, PendingShard, make_shard_sensor
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import has_errors, plural
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.index_shards import build_index_shard
from registry_pipeline.pipeline.run_verification import (
    VerificationSummary,
    list_shard_verifications,
    summarize_verification,
    verify_shard,
)
from registry_pipeline.registries.base.seal_build import BuildRun, read_version
from registry_pipeline.registries.base.shard_names import Shard
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.run_registry.index_shards import list_index_shards
from registry_pipeline.runs.reference import SealedRef

INDEX_ASSET: Final = "run_registry_shards"
VERIFICATION_ASSET: Final = "run_verification"
COMPLETE_CHECK: Final = "complete"
CHECK_JOB: Final = "check_verification_job"
SHARDS_GROUP: Final = "shards"


class LinesRequest(Config):
    """How the lines of a shard are built."""

    force: bool = Field(default=False, description="Read every folder again, and seal even if nothing changed.")


# Builds a shard, and returns its run and the metadata of its materialization. The last argument is called before
# sealing, and may refuse.
BuildShard = Callable[[Repository, BuildRun, Shard, Callable[[], object]], tuple[SealedRef, Metadata]]


def make_shard_defs(
    repository: Repository | None, location: Location, now: Callable[[], datetime], *, on: bool
) -> Definitions:
    """Return assets, check, jobs, sensors and schedule of shards, if the toml switches them on.

    `on` is the default status of what starts by itself.
    """
    if repository is None or not repository.config.dagster.shards:
        return Definitions()
    check_job = define_asset_job(
        CHECK_JOB,
        selection=AssetSelection.checks(AssetCheckKey(location.key(VERIFICATION_ASSET), COMPLETE_CHECK)),
        description="Check that every run folder has a verdict that counts, and report the findings of all verdicts.",
        tags=make_job_tags(CHECK_JOB, location),
    )
    hourly = ScheduleDefinition(
        name="hourly_verification_schedule",
        job=check_job,
        cron_schedule="40 * * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING if on else DefaultScheduleStatus.STOPPED,
        description="Checks the verdicts of all shards every hour. It reads the sealed verdicts, not the run folders.",
    )
    definitions = Definitions(asset_checks=[_make_check(location, now)], jobs=[check_job], schedules=[hourly])
    return Definitions.merge(
        definitions,
        _make_asset_defs(
            INDEX_ASSET,
            location,
            "Finished lines of run_registry, for the run folders of one run root and month.\n\nrun_registry takes each "
            "line whose folder has not changed since. A shard of any age saves work and changes no byte of it.",
            "Seal the lines of run_registry for the folders of a run root and month.",
            list_pending_index_shards,
            _build_lines,
            now,
            on=on,
        ),
        _make_asset_defs(
            VERIFICATION_ASSET,
            location,
            "The verdicts on the run folders of one run root and month, with all findings: those of `verify --all`."
            "\n\nEvery byte is read each time. The check `complete` says whether the verdicts of all months count.",
            "Verify the folders of a run root and month, and seal the verdicts.",
            list_pending_verifications,
            _verify,
            now,
            on=on,
        ),
    )


def make_job_name(asset_name: str) -> str:
    """Return the name of the job that builds shards of an asset."""
    return f"{asset_name}_job"


def _make_asset_defs(
    name: str,
    location: Location,
    content: str,
    action: str,
    list_pending: ListShards,
    build: Callable[..., Iterator[MaterializeResult[None]]],
    now: Callable[[], datetime],
    *,
    on: bool,
) -> Definitions:
    """Return the asset, the job and the sensor of one kind of shard; `content` and `action` describe them."""
    job_name = make_job_name(name)
    job = define_asset_job(
        job_name,
        selection=AssetSelection.assets(location.key(name)).without_checks(),
        description=f"{action} Launch it for partitions; each has a run of its own.",
        tags=make_job_tags(job_name, location),
    )
    description = f"{content}\n\nEach materialization is a sealed run folder of no registry. It is never active."
    return Definitions(
        assets=[_make_asset(name, location, build, description)],
        jobs=[job],
        sensors=[make_shard_sensor(name, job_name, list_pending, now, on=on)],
    )


def _make_asset(
    name: str, location: Location, build: Callable[..., Iterator[MaterializeResult[None]]], description: str
) -> AssetsDefinition:
    with warnings.catch_warnings():
        # Backfill policies are beta in Dagster 1.13.27 and tested here.
        warnings.simplefilter("ignore", BetaWarning)
        return asset(
            key=location.key(name),
            partitions_def=DynamicPartitionsDefinition(name=location.name_in_instance(name)),
            # One run for each partition: only runs spread over processes and workers.
            backfill_policy=BackfillPolicy.multi_run(1),
            group_name=SHARDS_GROUP,
            kinds={"shard"},
            owners=list(OWNERS),
            code_version=read_version(),
            description=description,
        )(build)


def _build_lines(
    context: AssetExecutionContext, config: LinesRequest, repository: ResourceParam[RepositoryResource]
) -> Iterator[MaterializeResult[None]]:
    yield from _build_shards(context, repository, INDEX_ASSET, partial(_build_index_shard, config.force))


def _verify(
    context: AssetExecutionContext, repository: ResourceParam[RepositoryResource]
) -> Iterator[MaterializeResult[None]]:
    yield from _build_shards(context, repository, VERIFICATION_ASSET, _verify_shard)


def _build_shards(
    context: AssetExecutionContext, resource: RepositoryResource, name: str, build: BuildShard
) -> Iterator[MaterializeResult[None]]:
    """Build the shards of a run until it is cancelled, and report each at once."""
    dagster_run_id = context.run.run_id
    # Dagster's `has_partition_key` is False in a backfill, even of a single partition.
    has_keys = context.has_partition_key or context.has_partition_key_range
    with as_dagster_failure(), resource.defer_cancellation(dagster_run_id) as is_cancelled:
        if not has_keys:
            raise RefusedError("the run has no partition, so no shard was built", "launch the job for partitions")
        repository = resource.load_in_run(dagster_run_id)
        run = BuildRun(resource.started(dagster_run_id), GitState(None, None), dagster_run_id)
        # It raises if the run is over: then nothing is sealed any more.
        ask_again = partial(resource.load_in_run, dagster_run_id)
        for key in context.partition_keys:
            if is_cancelled():
                break
            ref, content = build(repository, run, Shard.parse(key), ask_again)
            # Dagster stores a logged event at once: a process that is killed later has reported this shard.
            context.log_event(_make_materialization(name, key, repository, ref, content))
            context.log.info(printable(f"{key}: {ref.path}"))
    # Each shard has its materialization already.
    yield MaterializeResult(metadata=event_log.NO_MATERIALIZATION)


def _make_materialization(
    name: str, key: str, repository: Repository, ref: SealedRef, content: Metadata
) -> AssetMaterialization:
    page: Metadata = {
        event_log.ROOT_KEY: ref.manifest_sha256,
        "run_id": ref.run_id,
        "run_folder": MetadataValue.path(printable(str(repository.path(ref.path)))),
        **content,
    }
    tags = {event_log.DATA_VERSION_TAG: ref.manifest_sha256, event_log.CODE_VERSION_TAG: read_version()}
    return AssetMaterialization(location_of(repository).key(name), partition=key, metadata=page, tags=tags)


def _build_index_shard(
    force: bool, repository: Repository, run: BuildRun, shard: Shard, before_sealing: Callable[[], object]
) -> tuple[SealedRef, Metadata]:
    built = build_index_shard(repository, run, shard, force=force, before_sealing=before_sealing)
    return built.ref, {
        "state": "unchanged" if built.kept else "sealed",
        "folders": built.folders,
        "lines": built.lines,
        # A build reads them itself: they cannot be read, or had just changed.
        "left_out": built.left_out,
    }


def list_pending_index_shards(repository: Repository, now: datetime) -> tuple[Sequence[Shard], Sequence[PendingShard]]:
    """Return all shards of run folders, and those whose lines are missing, invalid or out of date."""
    shards = list_index_shards(repository, catalog_of(repository).registries, now)
    pending = [PendingShard(state.shard, state.reason, state.state) for state in shards if state.reason]
    return [state.shard for state in shards], pending


def _verify_shard(
    repository: Repository, run: BuildRun, shard: Shard, before_sealing: Callable[[], object]
) -> tuple[SealedRef, Metadata]:
    ref, verification = verify_shard(repository, run, shard, before_sealing=before_sealing)
    return ref, {
        "verdict": verification.verdict,
        **verification.counts(),
        **make_findings_metadata(verification.all_findings()),
    }


def list_pending_verifications(repository: Repository, now: datetime) -> tuple[Sequence[Shard], Sequence[PendingShard]]:
    """Return all shards of run folders and archives, and those that must be verified at a moment."""
    limit = timedelta(hours=repository.config.dagster.verified_hours)
    # One that has only verdicts cannot be verified any more: nothing is left of it.
    states = [state for state in list_shard_verifications(repository, now) if state.subjects]
    pending = []
    for state in states:
        reason = state.explain_pending(now, limit)
        known = "" if state.run is None else state.run.ref.manifest_sha256
        if reason:
            pending.append(PendingShard(state.shard, reason, sha256_hex(repr((known, state.new)).encode())))
    return [state.shard for state in states], pending


def _make_check(location: Location, now: Callable[[], datetime]) -> AssetChecksDefinition:
    @asset_check(
        asset=location.key(VERIFICATION_ASSET),
        name=COMPLETE_CHECK,
        description=(
            "Every run folder and archive has a verdict that is not older than `verified_hours`, and no verdict has an "
            "error. New folders without a verdict are a warning. It never passes where nothing was verified."
        ),
    )
    def complete(
        context: AssetCheckExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> AssetCheckResult:
        with as_dagster_failure():
            summary = summarize_verification(repository.load_in_run(context.run.run_id), now())
        step_log.log_findings(context.log, summary.findings)
        return _make_check_result(summary)

    return complete


def _make_check_result(summary: VerificationSummary) -> AssetCheckResult:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(summary.by_verdict.items()))
    verified = f"{plural(summary.folders, 'folder')} in {plural(summary.shards, 'shard')}: {counts or 'none verified'}"
    messages = {f.code: f"{f.code}: {f.path}: {f.message}" for f in reversed(summary.findings)}
    return AssetCheckResult(
        passed=summary.passed,
        severity=AssetCheckSeverity.ERROR if has_errors(summary.findings) else AssetCheckSeverity.WARN,
        description=printable("; ".join([verified, *messages.values()])),
        metadata={
            **dict(summary.by_verdict),
            "shards": summary.shards,
            "folders": summary.folders,
            "oldest_verdicts": "none" if summary.oldest is None else utc_text(summary.oldest),
            **make_findings_metadata(summary.findings),
        },
    )
