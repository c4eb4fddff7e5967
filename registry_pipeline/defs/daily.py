"""drift_signals_daily: history by day, as partitions of one asset, with its checks and its job.

Holds how partitions reach `runbook.build_days`, and what Dagster is told of each. Keeps out what a day is made from.
May import `runbook`, the other files of this room and Dagster.

A run of many partitions seals each by itself, whatever Dagster's contexts say of the run (`has_partition_key` is False
in a backfill even of one partition): there is no value for the IO manager, and `partition_keys` names them all. The
data version is one for all partitions of a run, so that each one's own content hash stands in its metadata.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from datetime import date
from signal import SIGINT, SIGTERM
from typing import Final

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSelection,
    BackfillPolicy,
    BetaWarning,
    Config,
    DailyPartitionsDefinition,
    DataVersion,
    Definitions,
    MaterializeResult,
    asset,
    define_asset_job,
    multi_asset_check,
)
from pydantic import Field

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.assets import asset_words
from registry_pipeline.defs.checks import check_result_of_many, description
from registry_pipeline.defs.resources import GovernedRepository, as_dagster_failure
from registry_pipeline.findings.codes import finding
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import daily, signals
from registry_pipeline.pipeline.daily import SealedDay
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.base import seal_build
from registry_pipeline.runs.sealed_run import Verdict

DAILY: Final = "drift_signals_daily"
DAILY_JOB: Final = "drift_signals_daily_job"


class HistoryRequest(Config):
    """How the days of a run are to be built."""

    force: bool = Field(default=False, description="Seal each day anew, even if it comes out as it was sealed before.")


def history_defs(start: date | None) -> Definitions:
    """Return the asset, its checks and its job, with a partition for each day from `start` to yesterday, UTC.

    Without a start there are no days: nothing but the finding that says so, in the metadata of the code location.
    """
    if start is None:
        told = finding("CONFIG_HISTORY_START", CONFIG_NAME)
        return Definitions(metadata={told.code: f"{told.message} -> {told.hint}"})
    return Definitions(
        assets=[daily_asset(DailyPartitionsDefinition(start_date=start.isoformat(), timezone="UTC"))],
        asset_checks=[daily_checks()],
        jobs=[
            define_asset_job(
                DAILY_JOB,
                selection=AssetSelection.assets(DAILY),
                description="Seal what past days looked like, and check it. Launched for partitions; no pointer moves.",
            )
        ],
    )


def daily_asset(days: DailyPartitionsDefinition) -> AssetsDefinition:
    """Return the asset whose partitions are days; a backfill is one run, whatever the number of its days."""

    def build_history(
        context: AssetExecutionContext, config: HistoryRequest, governed: GovernedRepository
    ) -> MaterializeResult[None]:
        contents = _seal_days(context, governed, force=config.force)
        version = contents[0] if len(contents) == 1 else sha256_hex(json_line(contents))
        return MaterializeResult(metadata={"days": len(contents)}, data_version=DataVersion(version))

    with warnings.catch_warnings():
        # Beta on 1.13.27: tried there, and held by tests. One run a partition takes more than four times as long.
        warnings.simplefilter("ignore", BetaWarning)
        words = asset_words(registries_validation.spec_of(DAILY))
        return asset(partitions_def=days, backfill_policy=BackfillPolicy.single_run(), **words)(build_history)


def _seal_days(context: AssetExecutionContext, governed: GovernedRepository, *, force: bool) -> list[str]:
    """Seal the days of this run, show each on its partition's page, and return their content hashes.

    Cancelled or failed, the run leaves whole days only, and tells Dagster of those that it had sealed.
    """
    repository, dagster_run_id = governed.governed(), context.run.run_id
    run = seal_build.BuildRun(governed.started(dagster_run_id), GitState(None, None), dagster_run_id)
    days = [date.fromisoformat(key) for key in context.partition_keys]
    done: list[SealedDay] = []
    try:
        with as_dagster_failure(), signals.deferred(SIGINT, SIGTERM) as cancelled:
            for day in daily.build_days(repository, run, days, force=force):
                done.append(day)
                context.add_asset_metadata(_page(repository, day), partition_key=str(day.day))
                if cancelled():
                    break
    except BaseException:
        for day in done:
            page = _page(repository, day)
            context.log_event(AssetMaterialization(context.asset_key, partition=str(day.day), metadata=page))
        raise
    return [day.built.artifacts.content_sha256 for day in done]


def _page(governed: Repository, day: SealedDay) -> metadata.Metadata:
    """Return the page of a day: its figures as numbers, which Dagster plots over the partitions."""
    artifacts = day.built.artifacts
    drift = json.loads(artifacts.files[registries_validation.spec_of(DAILY).artifact])
    content: metadata.Metadata = {
        "state": "unchanged" if day.run.reused else "sealed",
        **artifacts.metrics,
        "git_commit": day.commit,
        "canon_tree_hash": drift["canon_tree_hash"],
        "content_sha256": artifacts.content_sha256,
        **metadata.findings_metadata(day.built.findings),
    }
    return metadata.sealed_metadata(governed, day.run, content)


def daily_checks() -> AssetChecksDefinition:
    """Return the checks of the days: all block, and each judges every folder of its run.

    They are checks of the asset and not of a partition, so that a backfill has one result each, which fails if any of
    its days fails. Executed alone they judge the newest folder of every day.
    """
    specs = [
        AssetCheckSpec(name, asset=DAILY, description=f"{description(name)} For each day of the run.", blocking=True)
        for name in registries_validation.spec_of(DAILY).check_names
    ]

    @multi_asset_check(name=f"check_{DAILY}", specs=specs, can_subset=True)
    def check_history(context: AssetCheckExecutionContext, governed: GovernedRepository) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            verdicts = _verdicts(governed, context.run.run_id)
        for name in registries_validation.spec_of(DAILY).check_names:
            if any(key.name == name for key in context.selected_asset_check_keys):
                yield check_result_of_many(name, verdicts)

    return check_history


def _verdicts(resource: GovernedRepository, dagster_run_id: str) -> Sequence[Verdict]:
    made = event_log.all_materialized_in(resource.instance, DAILY, dagster_run_id)
    judged = made or event_log.newest_of_each_partition(resource.instance, DAILY)
    governed = resource.governed()
    return [registries_validation.validate(governed, each.sealed) for each in judged if each.sealed is not None]
