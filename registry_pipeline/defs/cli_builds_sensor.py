"""The sensor that tells Dagster what the command line has sealed, so that lineage stays whole (DESIGN 2).

Holds the choice of a set, its materializations without a run, and the job that checks them. Keeps out judging: the
checks do. May import `runbook`, `catalog`, the other files of this room and Dagster.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from registry_pipeline.canonical import parse_utc, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.active_assets import POINTERS_ASSET, REPORT_ASSET, pointers_version
from registry_pipeline.defs.assets import code_version
from registry_pipeline.defs.daily import DAILY
from registry_pipeline.defs.resources import GovernedRepository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import printable
from registry_pipeline.pipeline import build_lock, cli_builds
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.catalog import BUILD_ORDER
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.runs.sealed_run import SealedRun, SealReport

CHECK_JOB: Final = "check_job"
REPORTED_TAG: Final = "registry_pipeline/reported"
"""Tag of a run that checks a reported set: the moment of the build that sealed it."""
_CODE_VERSION: Final = "dagster/code_version"
_INPUT_VERSION: Final = "dagster/input_data_version/"


def checked_again(*, with_days: bool) -> AssetSelection:
    """Return all checks; `with_days` where there is a history, of which the newest folder of each day is checked."""
    days = [DAILY] if with_days else []
    return AssetSelection.checks_for_assets(*(spec.registry_id for spec in BUILD_ORDER), REPORT_ASSET, *days)


@sensor(
    job_name=CHECK_JOB,
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description=(
        "Tells Dagster of the runs that `registry-pipeline build` has sealed: whole sets at once, as materializations "
        "without a Dagster run, and has them checked. It puts nothing in force. Of what was sealed before its first "
        "tick it tells the newest set."
    ),
)
def command_line_sensor(context: SensorEvaluationContext, governed: GovernedRepository) -> SensorResult | SkipReason:
    """Report the oldest set that Dagster does not know; the cursor is the moment of the last one that was looked at."""
    try:
        return report(context.instance, governed.governed(), context.cursor)
    except RegistryPipelineError as error:
        return SkipReason(printable(f"{error.message}; {error.advice}"))


def report(instance: DagsterInstance, governed: Repository, cursor: str | None) -> SensorResult | SkipReason:
    """Return the events of the next whole set and the request to check it, or why there is none.

    One set a tick, and none while the checks of the one before are running: a check that is not executed together with
    its asset judges the latest materialization.
    """
    if build_lock.is_build_in_progress(governed):
        return SkipReason("a build of the command line is under way: its set is told of when it is whole")
    if any(not run.is_finished for run in instance.get_runs(RunsFilter(job_name=CHECK_JOB))):
        return SkipReason("the checks of the set before are running")
    after = parse_utc(cursor)
    reasons: list[str] = []
    for one in _in_turn(governed, after):
        reason = _against(instance, one)
        if reason is None:
            return _reported(instance, governed, one)
        reasons.append(f"{utc_text(one.stamp)}: {reason}")
        after = one.stamp
    told = "; ".join(reasons[-3:]) or "the command line has sealed nothing that Dagster does not know"
    return SensorResult(skip_reason=told, cursor=None if after is None else utc_text(after))


def _in_turn(governed: Repository, after: datetime | None) -> list[cli_builds.BuildGroup]:
    """Return the sets to look at, the oldest first; at the first tick the newest whole one and what came after it."""
    found: list[cli_builds.BuildGroup] = []
    for one in cli_builds.list_build_groups(governed, after):
        found.append(one)
        if after is None and not one.missing():
            break
    return found[::-1]


def _against(instance: DagsterInstance, one: cli_builds.BuildGroup) -> str | None:
    """Return why a set is not reported, or None."""
    missing = one.missing()
    if missing:
        names = ", ".join(one.registry_ids)
        return f"{names} without {', '.join(missing)}: a part of a set would displace what fits together"
    shown = [_newest_shown(instance, member) for member in one.members]
    if all(run is not None and run.ref.run_id == m.folder.run_id for run, m in zip(shown, one.members, strict=True)):
        return "Dagster shows it already"
    stamps = [run_id.stamp for run in shown if run is not None and (run_id := RunId.parse(run.ref.run_id)) is not None]
    if stamps and max(stamps) >= one.stamp:
        return "Dagster shows a later build"
    return None


def _newest_shown(instance: DagsterInstance, member: cli_builds.BuildGroupMember) -> SealedRun | None:
    if member.partition is None:
        made = event_log.materializations(instance, member.registry_id, limit=1)
    else:
        made = event_log.of_partition(instance, member.registry_id, member.partition)
    return made[0].sealed if made else None


def _reported(instance: DagsterInstance, governed: Repository, one: cli_builds.BuildGroup) -> SensorResult:
    events = []
    for member, run, kept in cli_builds.read_build_group(governed, one):
        versions = _input_versions(instance, run, one.registry_ids)
        events.append(_event(governed, member, run, kept, versions))
    if REPORT_ASSET in one.registry_ids:  # it was rendered, so that pointers had moved
        events.insert(len(events) - 1, _pointers_event(governed))
    moment = utc_text(one.stamp)
    request = RunRequest(run_key=f"reported:{moment}", tags={REPORTED_TAG: moment})
    return SensorResult(run_requests=[request], asset_events=events, cursor=moment)


def _input_versions(instance: DagsterInstance, run: SealedRun, together: Collection[str]) -> dict[str, str]:
    """Return the data version of each upstream, by tag: what Dagster shows for that very run, else its root.

    A capture that had not changed is in no set: it was built before, through Dagster perhaps.
    """
    versions: dict[str, str] = {}
    for name, ref in run.inputs.upstream().items():
        made = [] if name in together else event_log.materializations(instance, name, limit=1)
        shown = [each.data_version for each in made if each.sealed is not None and each.sealed.ref.same_run(ref)]
        versions[f"{_INPUT_VERSION}{name}"] = next(iter(shown), None) or ref.manifest_sha256
    return versions


def _event(
    governed: Repository,
    member: cli_builds.BuildGroupMember,
    run: SealedRun,
    seal_report: SealReport,
    versions: Mapping[str, str],
) -> AssetMaterialization:
    """Return the materialization of one folder: its root stands for its content, `versions` for its inputs."""
    spec = registries_validation.spec_of(run.registry_id)
    page = {"state": "sealed by the command line"} | metadata.kept_metadata(spec, seal_report.kept)
    return AssetMaterialization(
        AssetKey(run.registry_id),
        description="Sealed by `registry-pipeline build`, outside of any Dagster run.",
        partition=member.partition,
        metadata=metadata.sealed_metadata(governed, run, page),
        tags={event_log.DATA_VERSION_TAG: run.ref.manifest_sha256, _CODE_VERSION: code_version(spec), **versions},
    )


def _pointers_event(governed: Repository) -> AssetMaterialization:
    pointers = pointer_file.read_pointers(governed)
    return AssetMaterialization(
        AssetKey(POINTERS_ASSET),
        description="Moved by the command line, outside of any Dagster run.",
        metadata=metadata.pointers_metadata(pointers),
        tags={event_log.DATA_VERSION_TAG: pointers_version(pointers).value},
    )
