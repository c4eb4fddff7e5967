"""The sensors that add the partitions of shards and request a run for each shard that must be built.

They remember nothing: a tick compares the newest run of each shard with the folders.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from dagster import (
    AddDynamicPartitionsRequest,
    DagsterInstance,
    DefaultSensorStatus,
    DeleteDynamicPartitionsRequest,
    DynamicPartitionsDefinition,
    ResourceParam,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.dagster.dagster_internals import ASSET_PARTITION_RANGE_START_TAG, INVALID_PARTITION_SUBSTRINGS
from registry_pipeline.defs.attempts import find_run_key
from registry_pipeline.defs.location import list_unfinished_runs, location_of
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.base.shard_names import Shard
from registry_pipeline.values import value_type

# What the sensor saw of a shard when it requested a run.
STATE_TAG: Final = "registry_pipeline/shard_state"
PARTITION_TAG: Final = "dagster/partition"
# The most runs that one tick requests.
BATCH_SIZE: Final = 100


@value_type
class PendingShard:
    """A shard that must be built, the reason, and a text that is the same until a folder or a run changes."""

    shard: Shard
    reason: str
    state: str


# Returns all shards that have run folders, and those that must be built, at a moment.
ListShards = Callable[[Repository, datetime], tuple[Sequence[Shard], Sequence[PendingShard]]]


def make_shard_sensor(
    asset_name: str, job_name: str, list_pending: ListShards, now: Callable[[], datetime], *, on: bool
) -> SensorDefinition:
    """Return the sensor of an asset of shards; `on` is its default status."""

    def feed_shards(
        context: SensorEvaluationContext, repository: ResourceParam[RepositoryResource]
    ) -> SensorResult | SkipReason:
        """Add the partitions of new shards, and request a run for each that must be built."""
        try:
            loaded = repository.load()
            shards, pending = list_pending(loaded, now())
        except RegistryPipelineError as error:
            return SkipReason(printable(f"{error.message}; {error.advice}"))
        return _feed(context.instance, loaded, asset_name, job_name, [str(shard) for shard in shards], pending)

    return sensor(
        name=f"{asset_name}_sensor",
        job_name=job_name,
        default_status=DefaultSensorStatus.RUNNING if on else DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=300,
        description=(
            "Adds a partition for each run root and month, and requests a run for each that needs one, up to "
            f"{BATCH_SIZE} at a time. It looks at all run folders."
        ),
    )(feed_shards)


def _feed(
    instance: DagsterInstance,
    repository: Repository,
    asset_name: str,
    job_name: str,
    keys: Sequence[str],
    pending: Sequence[PendingShard],
) -> SensorResult | SkipReason:
    location = location_of(repository)
    members = DynamicPartitionsDefinition(name=location.name_in_instance(asset_name))
    known = set(instance.get_dynamic_partitions(location.name_in_instance(asset_name)))
    valid = {key for key in keys if not any(text in key for text in INVALID_PARTITION_SUBSTRINGS)}
    # A partition without folders could not be built: its runs were archived. A run root that is not mounted comes back.
    missing = {root for root in repository.config.run_roots if not repository.path(root).is_dir()}
    gone = sorted(key for key in known.difference(keys) if Shard.parse(key).run_root not in missing)
    new = sorted(valid - known)
    requests: list[AddDynamicPartitionsRequest | DeleteDynamicPartitionsRequest] = []
    if new:
        requests.append(members.build_add_request(new))
    if gone:
        requests.append(members.build_delete_request(gone))
    # A run of a backfill has a range of one partition.
    unfinished = list_unfinished_runs(instance, location, job_name, asset_name)
    busy = {run.tags.get(tag) for run in unfinished for tag in (PARTITION_TAG, ASSET_PARTITION_RANGE_START_TAG)}
    runs, reasons = [], []
    for item in pending:
        key = str(item.shard)
        if key not in valid:
            reasons.append(f"{key}: Dagster allows no partition with this name")
        elif key in busy:
            reasons.append(f"{key}: a run of it is not finished")
        else:
            request, reason = _request_run(instance, repository, job_name, item)
            runs += [request] if request is not None else []
            reasons += [reason] if reason else []
    reason = list_some(reasons, "; ") if reasons else f"all of {plural(len(keys), 'shard')} are up to date"
    if not runs and not requests:
        return SkipReason(printable(reason))
    return SensorResult(
        run_requests=runs[:BATCH_SIZE],
        skip_reason=None if runs else printable(reason),
        dynamic_partitions_requests=requests,
    )


def _request_run(
    instance: DagsterInstance, repository: Repository, job_name: str, item: PendingShard
) -> tuple[RunRequest | None, str]:
    """Return the request of a run for a shard, or None and the reason."""
    key = str(item.shard)
    state = sha256_hex(repr((str(repository.root), job_name, key, item.state)).encode())
    # Folders that cannot be read stay as they are; each build reports them.
    unchanged = f"{item.reason}, and a run changed nothing"
    run_key, reason = find_run_key(instance, job_name, STATE_TAG, state, unchanged)
    if run_key is None:
        return None, f"{key}: {reason}"
    tags = {**location_of(repository).run_tags, STATE_TAG: state}
    return RunRequest(run_key=run_key, partition_key=key, tags=tags), ""
