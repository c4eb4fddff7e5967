"""The sensor that reports the builds of the command line to Dagster and has them checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from dagster import (
    AssetCheckKey,
    AssetMaterialization,
    AssetSelection,
    DagsterInstance,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    define_asset_job,
    sensor,
)

from registry_pipeline.canonical import parse_utc, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.dagster.dagster_internals import UnresolvedAssetJobDefinition
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.active_assets import REPORT_ASSET, pointers_version
from registry_pipeline.defs.assets import code_version
from registry_pipeline.defs.job_limits import make_job_tags
from registry_pipeline.defs.location import Location, list_unfinished_runs, location_of
from registry_pipeline.defs.proposal import POINTERS_ASSET
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import printable
from registry_pipeline.pipeline import log as pipeline_log
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.catalog import Catalog, catalog_of
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import replace

CHECK_JOB: Final = "check_job"
# The start of the reported build that a run checks.
REPORTED_TAG: Final = "registry_pipeline/reported"
_INPUT_VERSION: Final = "dagster/input_data_version/"


def _list_checks(specs: Iterable[RegistrySpec], location: Location) -> list[AssetCheckKey]:
    return [AssetCheckKey(location.key(spec.registry_id), name) for spec in specs for name in spec.check_names]


def make_check_job(catalog: Catalog, location: Location) -> UnresolvedAssetJobDefinition:
    """Return the job that checks every registry of a catalog."""
    specs = (*catalog.build_order, catalog.spec_of(REPORT_ASSET), catalog.spec_of(DAILY))
    return define_asset_job(
        CHECK_JOB,
        selection=AssetSelection.checks(*_list_checks(specs, location)),
        description=(
            "Check the latest materialization of every registry again, and the days that are new since the last time. "
            "Builds nothing and moves no pointer."
        ),
        tags=make_job_tags(CHECK_JOB, location),
    )


def make_command_line_sensor(check_job: UnresolvedAssetJobDefinition, *, on: bool) -> SensorDefinition:
    """Return the sensor that evaluates `command_line_sensor`; `on` is its default status."""
    return sensor(
        job=check_job,
        default_status=DefaultSensorStatus.RUNNING if on else DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description=(
            "Reports the builds of `registry-pipeline build` to Dagster: complete builds, as materializations without "
            "a Dagster run, and has these builds checked. It activates nothing. The first tick reports only the newest "
            "build."
        ),
    )(command_line_sensor)


def command_line_sensor(
    context: SensorEvaluationContext, repository: ResourceParam[RepositoryResource]
) -> SensorResult | SkipReason:
    """Report the oldest build that Dagster does not know. The cursor is the start of the last one looked at."""
    try:
        return report(context.instance, repository.load(), context.cursor)
    except RegistryPipelineError as error:
        return SkipReason(printable(f"{error.message}; {error.advice}"))


def report(instance: DagsterInstance, repository: Repository, cursor: str | None) -> SensorResult | SkipReason:
    """Return the events of the next complete build and the request to check it, or why there is none.

    `cursor` is the start of the last build looked at, None in the first tick. Builds that are incomplete, or not newer
    than what Dagster knows, are passed over, and the new cursor with them.
    """
    if steps.is_build_in_progress(repository):
        return SkipReason("a build of the command line is in progress; it is reported when it is complete")
    # One build per tick, and none while checks run: a check without its asset looks at the latest materialization.
    location = location_of(repository)
    if list_unfinished_runs(instance, location, CHECK_JOB):
        return SkipReason("the checks of the previous build are running")
    after = parse_utc(cursor)
    reasons: list[str] = []
    for group in _list_new_groups(repository, after):
        obstacle = _find_obstacle(instance, location, catalog_of(repository), group)
        if obstacle is None:
            return _report_group(instance, repository, group)
        reasons.append(f"{utc_text(group.stamp)}: {obstacle}")
        after = group.stamp
    reason = "; ".join(reasons[-3:]) or "the command line sealed nothing that Dagster does not know"
    return SensorResult(skip_reason=reason, cursor=None if after is None else utc_text(after))


def _list_new_groups(repository: Repository, after: datetime | None) -> list[pipeline_log.BuildGroup]:
    """Return the builds after a moment, the oldest first; without one, the newest complete build and later ones."""
    catalog = catalog_of(repository)
    groups: list[pipeline_log.BuildGroup] = []
    for group in pipeline_log.list_build_groups(repository, after):
        # The members of collections are reported by the sensors of these.
        members = tuple(m for m in group.members if catalog.spec_of(m.registry_id).kind != "collection")
        if not members:
            continue
        groups.append(replace(group, members=members))
        if after is None and not group.find_missing_dependants(catalog):
            break
    return groups[::-1]


def _find_obstacle(
    instance: DagsterInstance, location: Location, catalog: Catalog, group: pipeline_log.BuildGroup
) -> str | None:
    """Return why a build is not reported, or None."""
    missing = group.find_missing_dependants(catalog)
    if missing:
        names = ", ".join(group.registry_ids)
        # As the latest materializations, these would replace a consistent set.
        return f"{names} without {', '.join(missing)}: the build is incomplete"
    latest = [_find_latest_run(instance, location, member) for member in group.members]
    pairs = zip(latest, group.members, strict=True)
    if all(run is not None and run.ref.run_id == member.folder.run_id for run, member in pairs):
        return "Dagster knows it already"
    stamps = [run_id.stamp for run in latest if run is not None and (run_id := RunId.parse(run.ref.run_id)) is not None]
    if stamps and max(stamps) >= group.stamp:
        return "Dagster knows a later build"
    return None


def _find_latest_run(
    instance: DagsterInstance, location: Location, member: pipeline_log.BuildGroupMember
) -> SealedRun | None:
    key = location.key(member.registry_id)
    latest = event_log.read_materializations(instance, key, limit=1, partition=member.partition)
    return latest[0].sealed if latest else None


def _report_group(instance: DagsterInstance, repository: Repository, group: pipeline_log.BuildGroup) -> SensorResult:
    events, location = [], location_of(repository)
    for member, run, kept in pipeline_log.verify_build_group(repository, group):
        versions = _find_input_versions(instance, location, run, group.registry_ids)
        events.append(_make_folder_event(repository, member, run, kept, versions, group.stamp))
    if REPORT_ASSET in group.registry_ids:  # a report was rendered, so pointers had moved
        events.insert(len(events) - 1, _make_pointers_event(repository))
    stamp = utc_text(group.stamp)
    # Only what is new is checked: the job by itself would verify every registry again for a build of one.
    specs = [catalog_of(repository).spec_of(registry_id) for registry_id in group.registry_ids]
    checks = _list_checks(specs, location)
    request = RunRequest(run_key=f"reported:{stamp}", tags={REPORTED_TAG: stamp}, asset_check_keys=checks)
    return SensorResult(run_requests=[request], asset_events=events, cursor=stamp)


def _find_input_versions(
    instance: DagsterInstance, location: Location, run: SealedRun, group_ids: Collection[str]
) -> dict[str, str]:
    """Return the data version of each upstream by tag: the one that Dagster has for that run, else its root."""
    versions: dict[str, str] = {}
    for name, ref in run.inputs.upstream().items():
        # An unchanged capture is not in the group: it was built earlier, perhaps through Dagster.
        key = location.key(name)
        known_version = None if name in group_ids else event_log.find_data_version(instance, key, ref)
        versions[f"{_INPUT_VERSION}{key.to_user_string()}"] = known_version or ref.manifest_sha256
    return versions


def _make_folder_event(
    repository: Repository,
    member: pipeline_log.BuildGroupMember,
    run: SealedRun,
    seal_report: SealReport,
    versions: Mapping[str, str],
    now: datetime,
) -> AssetMaterialization:
    spec = catalog_of(repository).spec_of(run.registry_id)
    page = {"state": "sealed by the command line"} | metadata.make_kept_metadata(spec, seal_report.kept)
    return AssetMaterialization(
        location_of(repository).key(run.registry_id),
        description="Sealed by `registry-pipeline build`, without a Dagster run.",
        partition=member.partition,
        metadata=metadata.make_sealed_metadata(repository, run, now, page),
        tags={
            event_log.DATA_VERSION_TAG: run.ref.manifest_sha256,
            event_log.CODE_VERSION_TAG: code_version(spec),
            **versions,
        },
    )


def _make_pointers_event(repository: Repository) -> AssetMaterialization:
    pointers = pointer_file.read_pointers(repository)
    return AssetMaterialization(
        location_of(repository).key(POINTERS_ASSET),
        description="Moved by the command line, without a Dagster run.",
        metadata=metadata.make_pointers_metadata(pointers),
        tags={event_log.DATA_VERSION_TAG: pointers_version(pointers).value},
    )
