"""What Dagster's event log proves: which folder a step sealed, and which checks passed on it.

The non-public names of Dagster come from `registry_pipeline.dagster.dagster_internals`. Tests of both modules judge an
upgrade.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, dropwhile
from typing import Any, Final

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetRecordsFilter,
    DagsterEvent,
    DagsterInstance,
    DagsterRun,
    EventLogRecord,
    IntMetadataValue,
    RunRecord,
)

from registry_pipeline.config import Repository
from registry_pipeline.dagster import event_records
from registry_pipeline.dagster.dagster_internals import (
    PARENT_RUN_ID_TAG,
    RETRY_NUMBER_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION,
    TICK_ID_TAG,
    USER_TAG,
    WILL_RETRY_TAG,
    AssetCheckEvaluationTargetMaterializationData,
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
    DagsterAssetCheckFailedError,
)
from registry_pipeline.dagster.event_records import (
    fetch_all,
    fetch_materializations_of_run,
    fetch_newest_of_partitions,
    fetch_of_run,
    iterate_ancestry,
)
from registry_pipeline.defs.location import find_registry_id
from registry_pipeline.errors import RefusedError
from registry_pipeline.registries.catalog import Catalog
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.envelope_file import read_stated_root
from registry_pipeline.runs.pointer_file import run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline.values import value_type

SEALED_KEY: Final = "sealed"
"""Metadata key of a materialization: its sealed run; absent if it has none."""
ROOT_KEY: Final = event_records.ROOT_KEY
CHECKED_TO_KEY: Final = "checked_to"
"""Metadata key of a check of partitions: the storage id up to which every materialization was checked and passed."""
DATA_VERSION_TAG: Final = "dagster/data_version"
CODE_VERSION_TAG: Final = "dagster/code_version"
NO_MATERIALIZATION: Final = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
"""Metadata of an output that hands its value on without a materialization, so that the asset does not look fresh."""
_PAGE_SIZE: Final = 50
_ROUNDING_SECONDS: Final = 60.0


@value_type
class Materialization:
    """A materialization, or the observation of a step that built nothing.

    Attributes:
        storage_id: its position in the event log.
        dagster_run_id: empty if a sensor reported a folder that the command line sealed.
        timestamp: when it was logged, in seconds since 1970.
        repository_root: the path of the repository that has the folder; None in events of former versions.
        partition: the key of its partition, if the asset has partitions.
    """

    key: AssetKey
    storage_id: int
    dagster_run_id: str
    timestamp: float
    sealed: SealedRun | None
    data_version: str | None = None
    repository_root: str | None = None
    partition: str | None = None

    @property
    def registry_id(self) -> str:
        """The registry that its asset is."""
        return find_registry_id(self.key)


def sealed_to_json(repository: Repository, sealed: SealedRun) -> dict[str, Any]:
    """Return a sealed run as the value of SEALED_KEY."""
    return {
        "repository": str(repository.root),
        "ref": sealed.ref.to_json(),
        "inputs": sealed.inputs.to_json(),
        "as_of_utc": sealed.as_of_utc,
    }


def is_in_other_repository(materialization: Materialization, repository: Repository) -> bool:
    """Return whether the folder of a materialization is in another repository, which shares the Dagster home.

    A repository that was moved or copied has the folder, with the same root hash.
    """
    sealed = materialization.sealed
    if sealed is None or materialization.repository_root in (None, str(repository.root)):
        return False
    return read_stated_root(run_folder(repository, sealed.ref)) != sealed.ref.manifest_sha256


def refuse_other_repository(materialization: Materialization, repository: Repository) -> None:
    """Raise RefusedError if the folder of a materialization is in another repository."""
    if is_in_other_repository(materialization, repository):
        raise RefusedError(
            f"Dagster's newest {materialization.registry_id} is a folder of the repository "
            f"{materialization.repository_root}, and this code location belongs to {repository.root}",
            "give each repository its own DAGSTER_HOME, as `registry-pipeline ui` does",
        )


def read_last_output(instance: DagsterInstance, key: AssetKey, dagster_run_id: str) -> Materialization | None:
    """Return what a run or the nearest run that it re-executes materialized last or, having built nothing, handed on.

    None if no such run reports the registry.
    """
    for run_id in iterate_ancestry(instance, dagster_run_id):
        for fetch in (instance.fetch_materializations, instance.fetch_observations):
            outputs = fetch_of_run(instance, fetch, key, run_id)
            if outputs:
                return _parse_record(key, outputs[-1])
    return None


def read_run_materializations(
    instance: DagsterInstance, key: AssetKey, dagster_run_id: str
) -> Sequence[Materialization]:
    """Return all materializations of a registry by a run or the nearest run that it re-executes, the oldest first."""
    records = fetch_materializations_of_run(instance, key, dagster_run_id)
    return [_parse_record(key, record) for record in records]


def read_new_partitions(instance: DagsterInstance, key: AssetKey, after_storage_id: int) -> list[Materialization]:
    """Return the newest materialization of each partition that was materialized after a position in the event log."""
    newest = fetch_newest_of_partitions(instance, key, after_storage_id)
    return [_parse_record(key, record) for record in sorted(newest, key=lambda record: str(record.partition_key))]


def read_last_partitions(instance: DagsterInstance, key: AssetKey, count: int) -> list[Materialization]:
    """Return the newest materialization of each of the last partitions, in their order, that have one."""
    partitions = sorted(instance.get_materialized_partitions(key))[-count:]
    return [read_materializations(instance, key, 1, partition)[0] for partition in partitions]


def read_materializations(
    instance: DagsterInstance, key: AssetKey, limit: int, partition: str | None = None
) -> Sequence[Materialization]:
    """Return at most `limit` materializations of a registry, or of one of its partitions, the newest first."""
    partitions = None if partition is None else [partition]
    records_filter = AssetRecordsFilter(key, asset_partitions=partitions)
    records = instance.fetch_materializations(records_filter, limit=limit).records
    return [_parse_record(key, record) for record in records]


def find_data_version(instance: DagsterInstance, key: AssetKey, ref: SealedRef) -> str | None:
    """Return the data version of the newest materialization if that reports this run, else None."""
    latest = read_materializations(instance, key, limit=1)
    same = [m.data_version for m in latest if m.sealed is not None and m.sealed.ref.identity == ref.identity]
    return next(iter(same), None)


def iterate_materializations(instance: DagsterInstance, key: AssetKey) -> Iterator[Materialization]:
    """Yield the materializations of a registry, the newest first; the event log is read page by page."""
    everything = AssetRecordsFilter(key)
    for record in fetch_all(instance.fetch_materializations, everything, ascending=False):
        yield _parse_record(key, record)


def _parse_record(key: AssetKey, record: EventLogRecord) -> Materialization:
    event = record.asset_materialization or record.asset_observation
    value = None if event is None else event.metadata.get(SEALED_KEY)
    data = getattr(value, "data", None)
    sealed: SealedRun | None = None
    root: str | None = None
    if isinstance(data, dict) and (ref := SealedRef.from_json(data.get("ref"))) is not None:
        inputs = Inputs.from_json(data.get("inputs"))
        sealed = SealedRun(find_registry_id(key), ref, inputs, str(data.get("as_of_utc") or ""), reused=True)
        root = data.get("repository")
    version = None if event is None else (event.tags or {}).get(DATA_VERSION_TAG)
    return Materialization(
        key,
        record.storage_id,
        record.run_id,
        record.timestamp,
        sealed,
        version,
        root,
        None if event is None else event.partition,
    )


class CheckResults:
    """The results of checks, the newest first; the event log is read once, as far back as results are asked for."""

    def __init__(self, instance: DagsterInstance, catalog: Catalog) -> None:
        """Read from the event log of an instance."""
        self._instance = instance
        self._catalog = catalog
        self._unread: dict[AssetCheckKey, Iterator[AssetCheckExecutionRecord]] = {}
        self._by_root_sha256: dict[tuple[AssetCheckKey, str], list[AssetCheckExecutionRecord]] = {}
        self._run_records: dict[str, RunRecord | None] = {}

    def find_run(self, dagster_run_id: str) -> RunRecord | None:
        """Return the record of a Dagster run as it was at the first question, or None if there is no such run."""
        if dagster_run_id not in self._run_records:
            self._run_records[dagster_run_id] = self._instance.get_run_record_by_id(dagster_run_id)
        return self._run_records[dagster_run_id]

    def find_missing_or_failed(self, materialization: Materialization) -> dict[str, str]:
        """Return the blocking checks that did not pass on a materialization, with the reason, which is one clause.

        Only the newest result on this very materialization counts.
        """
        reasons: dict[str, str] = {}
        for name in self._catalog.registries[materialization.registry_id].check_names:
            result = self._find(materialization, name)
            if result is None:
                reasons[name] = "has no result"
            elif result.status is not AssetCheckExecutionRecordStatus.SUCCEEDED:
                reasons[name] = "failed"
        return reasons

    def _find(self, materialization: Materialization, name: str) -> AssetCheckExecutionRecord | None:
        sealed = materialization.sealed
        if sealed is None:
            return None
        key = AssetCheckKey(materialization.key, name)
        known = self._by_root_sha256.setdefault((key, sealed.ref.manifest_sha256), [])
        # A result has the time at which its run was planned, which is not before the run that materialized. Storages
        # round times, some to a second.
        run = self.find_run(materialization.dagster_run_id)
        planned = materialization.timestamp if run is None else run.create_timestamp.timestamp()
        unread = self._read_back(key, planned - _ROUNDING_SECONDS)
        return next(
            (record for record in chain(known, unread) if _is_result_on(self._instance, record, materialization)), None
        )

    def _read_back(self, key: AssetCheckKey, oldest: float) -> Iterator[AssetCheckExecutionRecord]:
        """Yield the records that are not read yet, down to a time, and keep each for the next question."""
        for record in self._unread.setdefault(key, _iterate_check_records(self._instance, key)):
            root = _find_root_sha256(record)
            if root is not None:
                self._by_root_sha256.setdefault((key, root), []).append(record)
            yield record
            if record.create_timestamp < oldest:
                return


def _iterate_check_records(instance: DagsterInstance, key: AssetCheckKey) -> Iterator[AssetCheckExecutionRecord]:
    cursor: int | None = None
    while True:
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=_PAGE_SIZE, cursor=cursor)
        yield from records
        if len(records) < _PAGE_SIZE:
            return
        cursor = records[-1].id


def read_checked_to(instance: DagsterInstance, key: AssetKey, check_names: Iterable[str]) -> int:
    """Return the storage id up to which all these checks passed, by CHECKED_TO_KEY of their results; else 0."""
    positions = []
    for name in check_names:
        records = _iterate_check_records(instance, AssetCheckKey(key, name))
        stated = (None if (e := _read_evaluation(r)) is None else e.metadata.get(CHECKED_TO_KEY) for r in records)
        positions.append(next((entry.value for entry in stated if isinstance(entry, IntMetadataValue)), 0) or 0)
    return min(positions)


def _find_root_sha256(record: AssetCheckExecutionRecord) -> str | None:
    """Return the root hash of the folder that a result is about; None without a result."""
    evaluation = _read_evaluation(record)
    root = None if evaluation is None else evaluation.metadata.get(ROOT_KEY)
    return None if root is None else str(root.value)


def _read_evaluation(record: AssetCheckExecutionRecord) -> AssetCheckEvaluation | None:
    # The status comes first: the event of a check that was planned and never ran has no evaluation, and raises.
    return None if record.status is AssetCheckExecutionRecordStatus.PLANNED else record.evaluation


def _is_result_on(
    instance: DagsterInstance, record: AssetCheckExecutionRecord, materialization: Materialization
) -> bool:
    sealed = materialization.sealed
    evaluation = _read_evaluation(record)
    if sealed is None or evaluation is None or _find_root_sha256(record) != sealed.ref.manifest_sha256:
        return False
    # Dagster attributes a result to whatever materialization is the latest at that moment, so both must match. In a
    # run of partitions it attributes it to none: then it must be a result of the same run or of its re-execution.
    target = evaluation.target_materialization_data
    if target is None:
        return materialization.dagster_run_id in iterate_ancestry(instance, record.run_id)
    return bool(target.storage_id == materialization.storage_id)


def find_launcher(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """Return the name of the sensor or schedule that launched a run, or None if a person did.

    Its tags alone do not prove it, because a person can type them: the tick that they name must have this run.
    """
    # A run that somebody executes again has the tags of its parent.
    if PARENT_RUN_ID_TAG in run.tags and RETRY_NUMBER_TAG not in run.tags:
        return None
    name = run.tags.get(SENSOR_NAME_TAG) or run.tags.get(SCHEDULE_NAME_TAG)
    for state in instance.all_instigator_state() if name is not None else ():
        if state.name != name:
            continue
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_PAGE_SIZE):
            run_ids = {*tick.run_ids, *(tick.tick_data.reserved_run_ids or ())}
            if str(tick.tick_id) == run.tags.get(TICK_ID_TAG) and {run.run_id, run.root_run_id} & run_ids:
                return name
    return None


def find_user(run: DagsterRun) -> str | None:
    """Return the user that Dagster recorded for a run, or None if it knows none."""
    return run.tags.get(USER_TAG)


def is_launched_again(run: DagsterRun) -> bool:
    """Return whether Dagster launches a failed run again by itself, as it does if the process of the run died."""
    return run.tags.get(WILL_RETRY_TAG) == "true"


def is_newest_result(instance: DagsterInstance, event: AssetCheckEvaluation) -> bool:
    """Return whether the newest result of a check says the same of the same materialization."""
    records = instance.event_log_storage.get_asset_check_execution_history(event.asset_check_key, limit=1)
    newest = _read_evaluation(records[0]) if records else None
    if newest is None or newest.target_materialization_data is None or event.target_materialization_data is None:
        return False
    same_target = newest.target_materialization_data.storage_id == event.target_materialization_data.storage_id
    return same_target and (newest.passed, newest.description) == (event.passed, event.description)


def find_previous_result(
    instance: DagsterInstance, key: AssetCheckKey, dagster_run_id: str
) -> AssetCheckEvaluation | None:
    """Return the newest result of a check that is older than those of a run; None if there is none."""
    records = dropwhile(lambda record: record.run_id != dagster_run_id, _iterate_check_records(instance, key))
    results = (_read_evaluation(record) for record in records if record.run_id != dagster_run_id)
    return next(filter(None, results), None)


def is_failed_check(event: DagsterEvent) -> bool:
    """Return whether a step failed only because a blocking check failed, which has a result of its own."""
    error = event.step_failure_data.error
    return error is not None and error.cls_name == DagsterAssetCheckFailedError.__name__


def make_check_event(
    materialization: Materialization, check_name: str, *, passed: bool, description: str, metadata: dict[str, Any]
) -> AssetCheckEvaluation:
    """Return the result of a non-blocking check on a materialization, to be logged outside of the check's own step."""
    return AssetCheckEvaluation(
        asset_key=materialization.key,
        check_name=check_name,
        passed=passed,
        metadata=metadata,
        target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
            run_id=materialization.dagster_run_id,
            storage_id=materialization.storage_id,
            timestamp=materialization.timestamp,
        ),
        severity=AssetCheckSeverity.WARN,
        description=description,
        blocking=False,
    )
