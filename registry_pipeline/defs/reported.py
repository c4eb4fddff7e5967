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

from registry_pipeline.canon import parse_utc, utc_text
from registry_pipeline.catalog import STACK
from registry_pipeline.config import Governed
from registry_pipeline.defs import asset_page, evidence
from registry_pipeline.defs.active_assets import POINTERS_ASSET, REPORT_ASSET, pointers_version
from registry_pipeline.defs.assets import code_version
from registry_pipeline.defs.history import DAILY
from registry_pipeline.defs.resources import GovernedRepository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.model.display import printable
from registry_pipeline.model.ids import RunId
from registry_pipeline.model.verdict import SealedRun, SealReport
from registry_pipeline.runbook import reading, sealed_sets, underway

CHECK_JOB: Final = "check_job"
REPORTED_TAG: Final = "registry_pipeline/reported"
"""Tag of a run that checks a reported set: the moment of the build that sealed it."""

_CODE_VERSION: Final = "dagster/code_version"
_INPUT_VERSION: Final = "dagster/input_data_version/"


def checked_again(*, with_days: bool) -> AssetSelection:
    """Return all checks; `with_days` where there is a history, of which the newest folder of each day is checked."""
    days = [DAILY] if with_days else []
    return AssetSelection.checks_for_assets(*(spec.registry_id for spec in STACK), REPORT_ASSET, *days)


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


def report(instance: DagsterInstance, governed: Governed, cursor: str | None) -> SensorResult | SkipReason:
    """Return the events of the next whole set and the request to check it, or why there is none.

    One set a tick, and none while the checks of the one before are running: a check that is not executed together with
    its asset judges the latest materialization.
    """
    if underway.is_build_under_way(governed):
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


def _in_turn(governed: Governed, after: datetime | None) -> list[sealed_sets.SealedSet]:
    """Return the sets to look at, the oldest first; at the first tick the newest whole one and what came after it."""
    found: list[sealed_sets.SealedSet] = []
    for one in sealed_sets.list_sealed_sets(governed, after):
        found.append(one)
        if after is None and not one.missing():
            break
    return found[::-1]


def _against(instance: DagsterInstance, one: sealed_sets.SealedSet) -> str | None:
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


def _newest_shown(instance: DagsterInstance, member: sealed_sets.SetMember) -> SealedRun | None:
    if member.partition is None:
        made = evidence.materializations(instance, member.registry_id, limit=1)
    else:
        made = evidence.of_partition(instance, member.registry_id, member.partition)
    return made[0].sealed if made else None


def _reported(instance: DagsterInstance, governed: Governed, one: sealed_sets.SealedSet) -> SensorResult:
    events = []
    for member, run, kept in sealed_sets.read_sealed_set(governed, one):
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
        made = [] if name in together else evidence.materializations(instance, name, limit=1)
        shown = [each.data_version for each in made if each.sealed is not None and each.sealed.ref.same_run(ref)]
        versions[f"{_INPUT_VERSION}{name}"] = next(iter(shown), None) or ref.manifest_sha256
    return versions


def _event(
    governed: Governed,
    member: sealed_sets.SetMember,
    run: SealedRun,
    seal_report: SealReport,
    versions: Mapping[str, str],
) -> AssetMaterialization:
    """Return the materialization of one folder: its root stands for its content, `versions` for its inputs."""
    spec = reading.spec_of(run.registry_id)
    page = {"state": "sealed by the command line"} | asset_page.kept_metadata(spec, seal_report.kept)
    return AssetMaterialization(
        AssetKey(run.registry_id),
        description="Sealed by `registry-pipeline build`, outside of any Dagster run.",
        partition=member.partition,
        metadata=asset_page.sealed_metadata(governed, run, page),
        tags={evidence.DATA_VERSION_TAG: run.ref.manifest_sha256, _CODE_VERSION: code_version(spec), **versions},
    )


def _pointers_event(governed: Governed) -> AssetMaterialization:
    pointers = reading.read_pointers(governed)
    return AssetMaterialization(
        AssetKey(POINTERS_ASSET),
        description="Moved by the command line, outside of any Dagster run.",
        metadata=asset_page.pointers_metadata(pointers),
        tags={evidence.DATA_VERSION_TAG: pointers_version(pointers).value},
    )
