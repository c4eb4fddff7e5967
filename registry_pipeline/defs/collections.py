"""The collections: each member is a partition of one asset, with its checks, its job and the sensor that feeds it.

A run of many partitions seals up to 32 members together and then reports each, with its own data version.
"""

import json
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from dagster import (
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    BackfillPolicy,
    BetaWarning,
    Config,
    DagsterInstance,
    DefaultSensorStatus,
    Definitions,
    DynamicPartitionsDefinition,
    MaterializeResult,
    ResourceParam,
    RunConfig,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    asset,
    define_asset_job,
    sensor,
)
from pydantic import Field

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import CONFIG_NAME, Repository
from registry_pipeline.dagster.dagster_internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import assets, event_log, metadata, step_log
from registry_pipeline.defs.attempts import find_run_key
from registry_pipeline.defs.job_limits import make_job_tags
from registry_pipeline.defs.location import Location, list_unfinished_runs, location_of
from registry_pipeline.defs.partition_checks import make_partition_checks
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import EvidenceError, RefusedError, RegistryPipelineError
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.findings.finding import Finding, Severity, plural
from registry_pipeline.pipeline import collection
from registry_pipeline.pipeline.collection import CollectionBuild
from registry_pipeline.registries import catalog, validation
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.collections.build import IndexEntry
from registry_pipeline.registries.collections.members import Member
from registry_pipeline.registries.collections.state import CollectionState
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.sealed_run import SealedRun

# The members that the sensor has requested, as a hash of their names and content.
BATCH_TAG: Final = "registry_pipeline/members"
# The most members of one run that the sensor requests, and the most that a tick adds or reports.
BATCH_SIZE: Final = 500


class MembersRequest(Config):
    """How the members of a run are built."""

    force: bool = Field(default=False, description="Seal each member again, even if its content is unchanged.")
    only_changed: bool = Field(default=False, description="Report only the members that are sealed by this run.")


def make_collection_defs(specs: Iterable[RegistrySpec], location: Location, *, on: bool) -> Definitions:
    """Return the assets, checks, jobs and sensors of collections; `on` is the default status of the sensors."""
    return Definitions.merge(*(_make_defs(spec, location, on=on) for spec in specs))


def make_job_name(spec: RegistrySpec) -> str:
    """Return the name of the job that seals members of a collection."""
    return f"{spec.registry_id}_job"


def make_index_key(spec: RegistrySpec, location: Location) -> AssetKey:
    """Return the key of the asset of the index of a collection."""
    return location.key(f"{spec.registry_id}_index")


def _make_defs(spec: RegistrySpec, location: Location, *, on: bool) -> Definitions:
    members = DynamicPartitionsDefinition(name=location.name_in_instance(spec.registry_id))
    job_name = make_job_name(spec)
    index = AssetSpec(
        make_index_key(spec, location),
        deps=[location.key(spec.registry_id)],
        group_name=assets.COLLECTIONS_GROUP,
        kinds={spec.kind, "jsonl"},
        description=(
            f"The index of {spec.registry_id}: one line for each sealed member run, with its root hash. A run that "
            "seals members seals a new index at its end."
        ),
    )
    job = define_asset_job(
        job_name,
        selection=AssetSelection.assets(location.key(spec.registry_id)),
        description=(
            f"Seal and check members of {spec.registry_id}, then seal its index. Launch it for partitions; it moves no "
            "pointer."
        ),
        tags=make_job_tags(job_name, location),
    )
    return Definitions(
        assets=[_make_asset(spec, location, members), index],
        asset_checks=[make_partition_checks(spec, location, "member")],
        jobs=[job],
        sensors=[_make_sensor(spec, members, on=on)],
    )


def _make_asset(spec: RegistrySpec, location: Location, members: DynamicPartitionsDefinition) -> AssetsDefinition:
    """Return the asset whose partitions are members; a backfill is one run for all its members."""

    def seal_collection(
        context: AssetExecutionContext, config: MembersRequest, repository: ResourceParam[RepositoryResource]
    ) -> Iterator[MaterializeResult[None]]:
        findings, is_complete = _seal_partitions(context, repository, spec, config)
        # That there is no member at all is no error if there never was one.
        is_warning = all(finding.severity is Severity.INFO for finding in findings)
        severity = AssetCheckSeverity.WARN if is_warning else AssetCheckSeverity.ERROR
        source = assets.make_source_result(findings, passed=is_complete, severity=severity)
        # Each member has its materialization already.
        yield MaterializeResult(metadata=event_log.NO_MATERIALIZATION, check_results=[source])

    attributes = assets.make_asset_attributes(spec, location)
    attributes["description"] += f"\n\nIt has no active run: {spec.excluded_because}."
    with warnings.catch_warnings():
        # `single_run` is beta in Dagster 1.13.27 and tested here.
        warnings.simplefilter("ignore", BetaWarning)
        return asset(
            partitions_def=members,
            backfill_policy=BackfillPolicy.single_run(),
            check_specs=[
                AssetCheckSpec(
                    assets.SOURCE_CHECK,
                    asset=location.key(spec.registry_id),
                    description="Every member of the run was found, could be read, and passed its own checks.",
                )
            ],
            **attributes,
        )(seal_collection)


def _seal_partitions(
    context: AssetExecutionContext, resource: RepositoryResource, spec: RegistrySpec, config: MembersRequest
) -> tuple[tuple[Finding, ...], bool]:
    """Seal the members of this run until it is cancelled, report each when it is sealed, then seal the index.

    Return the findings, and whether every member of the run has a sealed run with its present content.
    """
    dagster_run_id = context.run.run_id
    # Dagster's `has_partition_key` is False in a backfill, even of a single partition.
    has_members = context.has_partition_key or context.has_partition_key_range
    keys = frozenset(context.partition_keys) if has_members else frozenset()
    # A cancellation takes effect after the members that were read. They are sealed, reported and indexed.
    with as_dagster_failure(), resource.defer_cancellation(dagster_run_id) as is_cancelled:
        repository = resource.load_in_run(dagster_run_id)
        catalog.refuse_disabled(repository.config, spec.registry_id)
        run = resource.build_run(dagster_run_id)
        build = collection.start_collection_build(repository, run, spec)
        states = {state.member_id: state for state in build.state.members}
        if not has_members:
            # "Materialize all" names no partition: then everything that is new is sealed.
            keys = frozenset(member.member_id for member in collection.select_members(build, force=config.force))
            members = location_of(repository).name_in_instance(spec.registry_id)
            context.instance.add_dynamic_partitions(members, sorted(keys))
        # A range of the sensor may contain the partition of a member that was removed before it was sealed.
        if config.only_changed:
            keys &= states.keys()
        _refuse_unknown(spec, keys - states.keys())
        present = [key for key in keys if states[key].member is not None]
        selected = collection.select_members(build, member_ids=present, force=config.force)
        entries = []
        for member in collection.seal_members(build, selected, is_cancelled=is_cancelled):
            entries.append(member.entry)
            content = {**member.built.artifacts.metrics, **metadata.make_findings_metadata(member.built.findings)}
            # Dagster stores a logged event at once: a process that is killed later has reported this member.
            context.log_event(_make_materialization(repository, spec, member.entry, member.run, run.started, content))
        if not config.only_changed:
            for key in sorted(keys - {member.member_id for member in selected}):
                if (entry := states[key].entry) is not None:
                    context.log_event(_make_kept_materialization(repository, spec, entry))
        _log_index(context, build, entries)
    step_log.log_findings(context.log, findings := collection.list_findings(build))
    context.log.info("sealed %s of %d", plural(len(entries), "member"), len(keys))
    return findings, bool(states) and not build.refused and len(present) == len(keys)


def _refuse_unknown(spec: RegistrySpec, unknown: Collection[str]) -> None:
    if unknown:
        names = printable(list_some(sorted(unknown), ", "))
        raise RefusedError(
            f"{spec.registry_id} has neither a source nor a sealed run of {names}", "launch the other partitions"
        )


def _make_materialization(
    repository: Repository,
    spec: RegistrySpec,
    entry: IndexEntry,
    run: SealedRun,
    now: datetime,
    content: Mapping[str, Any],
) -> AssetMaterialization:
    page: metadata.Metadata = {
        "state": "unchanged" if run.reused else "sealed",
        "files": entry.files,
        "bytes": entry.bytes,
        "content_sha256": entry.content_sha256,
        **content,
    }
    return AssetMaterialization(
        location_of(repository).key(spec.registry_id),
        partition=entry.member_id,
        metadata=metadata.make_sealed_metadata(repository, run, now, page),
        tags={
            event_log.DATA_VERSION_TAG: entry.content_sha256,
            event_log.CODE_VERSION_TAG: assets.code_version(spec),
        },
    )


def _make_kept_materialization(repository: Repository, spec: RegistrySpec, entry: IndexEntry) -> AssetMaterialization:
    # Its run folder is not read: the checks read it.
    run_id = RunId.parse(entry.ref.run_id)
    if run_id is None:
        raise ValueError(f"{entry.ref.run_id} is no run id")  # only folders with a run id are listed
    run = SealedRun(spec.registry_id, entry.ref, Inputs(), utc_text(run_id.stamp), reused=True)
    return _make_materialization(repository, spec, entry, run, run_id.stamp, {})


def _log_index(context: AssetExecutionContext, build: CollectionBuild, entries: Sequence[IndexEntry]) -> None:
    """Seal the index, and report it if it is new; raise EvidenceError if it does not pass its own checks."""
    index = collection.seal_index(build, entries)
    if index is None or index.reused:
        return
    verdict = validation.validate(build.repository, index)
    if not verdict.passed:
        errors = list_some([step_log.format_finding(finding) for finding in verdict.errors()], "; ")
        raise EvidenceError(
            f"the index {index.ref.run_id} does not pass its checks: {errors}",
            f"see `registry-pipeline verify {index.ref.run_id}`",
        )
    page: metadata.Metadata = {"runs_added": len(entries)}
    context.log_event(
        AssetMaterialization(
            make_index_key(build.spec, location_of(build.repository)),
            metadata=metadata.make_sealed_metadata(build.repository, index, build.run.started, page),
            tags={event_log.DATA_VERSION_TAG: index.ref.manifest_sha256},
        )
    )


def _make_sensor(spec: RegistrySpec, members: DynamicPartitionsDefinition, *, on: bool) -> SensorDefinition:
    def feed_collection(
        context: SensorEvaluationContext, repository: ResourceParam[RepositoryResource]
    ) -> SensorResult | SkipReason:
        """Add the partitions of new members, report members that are sealed, and request a run for the others."""
        try:
            loaded = repository.load()
            if not catalog.is_enabled(loaded.config, spec.registry_id):
                return SkipReason(f"{spec.registry_id} is disabled in {CONFIG_NAME}")
            return feed(context.instance, loaded, spec, members)
        except RegistryPipelineError as error:
            return SkipReason(printable(f"{error.message}; {error.advice}"))

    return sensor(
        name=f"{spec.registry_id}_sensor",
        job_name=make_job_name(spec),
        default_status=DefaultSensorStatus.RUNNING if on else DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
        description=(
            f"Adds a partition for each new member of {spec.registry_id}, and requests one run for up to {BATCH_SIZE} "
            "members that are new or have changed. Reports members that the command line sealed. A member whose source "
            "was removed keeps its partition and its run folder."
        ),
    )(feed_collection)


def feed(
    instance: DagsterInstance, repository: Repository, spec: RegistrySpec, members: DynamicPartitionsDefinition
) -> SensorResult | SkipReason:
    """Return the partitions, events and run that a collection needs now, or why it needs none.

    It remembers nothing: a tick that is repeated, also after a restart, returns what is still missing.
    """
    state = collection.read_members(repository, spec)
    known = list(instance.get_dynamic_partitions(location_of(repository).name_in_instance(spec.registry_id)))
    new = sorted({member.member_id for member in state.members}.difference(known))[:BATCH_SIZE]
    partitions = [*known, *new]
    requests = [members.build_add_request(new)] if new else []
    events = _list_unreported(instance, repository, spec, state, frozenset(partitions))
    pending = {member.member_id: member for member in state.list_pending() if member.member_id in set(partitions)}
    request, reason = _request_run(instance, repository, spec, partitions, pending)
    if request is None and not requests and not events:
        return SkipReason(printable(reason))
    return SensorResult(
        run_requests=[] if request is None else [request],
        skip_reason=None if request is not None else printable(reason),
        dynamic_partitions_requests=requests,
        asset_events=events,
    )


def _list_unreported(
    instance: DagsterInstance,
    repository: Repository,
    spec: RegistrySpec,
    state: CollectionState,
    partitions: Collection[str],
) -> list[AssetMaterialization]:
    """Return the materializations of members that are sealed, and that Dagster does not know, up to a number."""
    reported = instance.get_materialized_partitions(location_of(repository).key(spec.registry_id))
    entries = [m.entry for m in state.members if m.entry is not None and m.member_id not in reported]
    return [_make_kept_materialization(repository, spec, entry) for entry in entries if entry.member_id in partitions][
        :BATCH_SIZE
    ]


def _request_run(
    instance: DagsterInstance,
    repository: Repository,
    spec: RegistrySpec,
    partitions: Sequence[str],
    pending: Mapping[str, Member],
) -> tuple[RunRequest | None, str]:
    """Return the request of a run for the members to seal, or None and the reason."""
    if not pending:
        return None, "every member with a source is sealed"
    job_name, location = make_job_name(spec), location_of(repository)
    # One run at a time: the next one finds what this one has left.
    if list_unfinished_runs(instance, location, job_name, spec.registry_id):
        return None, f"a run of {job_name} is not finished"
    # A run has a range of partitions. Those between the first and the last that need no run are passed over quickly.
    selected = [key for key in partitions if key in pending][:BATCH_SIZE]
    identities = [(key, pending[key].identity) for key in selected]
    batch = sha256_hex(json.dumps([str(repository.root), spec.registry_id, identities]).encode("ascii"))
    unchanged = f"they cannot be sealed as they are; see the check `{assets.SOURCE_CHECK}`"
    run_key, reason = find_run_key(instance, job_name, BATCH_TAG, batch, unchanged)
    if run_key is None:
        return None, f"{list_some(selected, ', ')}: {reason}"
    tags = {
        **location.run_tags,
        BATCH_TAG: batch,
        ASSET_PARTITION_RANGE_START_TAG: selected[0],
        ASSET_PARTITION_RANGE_END_TAG: selected[-1],
    }
    config = RunConfig(ops={location.op_name(spec.registry_id): MembersRequest(only_changed=True)})
    return RunRequest(run_key=run_key, run_config=config, tags=tags), ""
