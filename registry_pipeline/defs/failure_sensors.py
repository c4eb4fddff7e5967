"""The sensors that notify the operator of runs that failed, and of checks that failed in a run that succeeded."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    Failure,
    MetadataValue,
    ResourceParam,
    RunFailureSensorContext,
    RunRequest,
    RunStatusSensorContext,
    SkipReason,
    run_failure_sensor,
    run_status_sensor,
)

from registry_pipeline.canonical import short
from registry_pipeline.config import UI_URL_VARIABLE
from registry_pipeline.defs import event_log, notification
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.notification import COMMAND_VARIABLE, WEBHOOK_VARIABLE, Notification, Problem
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.display import printable
from registry_pipeline.registries.catalog import SHIPPED, catalog_of

_WORD: Final = re.compile(r"\w+")
_SETTING: Final = f"Set {COMMAND_VARIABLE} or {WEBHOOK_VARIABLE} in the environment of Dagster's processes"
# Dagster shows the sensors of a code location in any case; a switch that somebody has used keeps its position.
_DEFAULT_STATUS: Final = (
    DefaultSensorStatus.RUNNING if notification.is_configured(os.environ) else DefaultSensorStatus.STOPPED
)


@run_failure_sensor(
    default_status=_DEFAULT_STATUS,
    minimum_interval_seconds=30,
    description=(
        "Notifies you of each run that failed, also because a blocking check failed. A run that Dagster launches again "
        f"by itself is not reported, nor is a step that is tried again. {_SETTING}; without either, this sensor is off."
    ),
)
def failed_run_sensor(
    context: RunFailureSensorContext, repository: ResourceParam[RepositoryResource]
) -> SkipReason | Sequence[RunRequest] | None:
    """Send one notification of a run that failed; a notification that is not delivered fails the tick."""
    run = context.dagster_run
    # Dagster keeps the position: what fails while the daemon is off is reported later, and nothing is reported twice.
    if event_log.is_launched_again(run):
        return ()
    registry_ids = _list_registry_ids(repository)
    problems = list_problems(context.instance, run, registry_ids, repository.location) or [
        _make_run_problem(run, registry_ids, context.failure_event)
    ]
    return _notify("run_failed", run, problems, repository)


@run_status_sensor(
    run_status=DagsterRunStatus.SUCCESS,
    default_status=_DEFAULT_STATUS,
    # Any result ends the tick, an empty one, too: each run takes a tick of its own.
    minimum_interval_seconds=5,
    description=(
        "Notifies you of checks that failed as an error in a run that succeeded, such as an active run that was "
        "altered (`check_pointers_job`). A check that fails again for the same reason is not reported again. "
        f"{_SETTING}; without either, this sensor is off."
    ),
)
def failed_check_sensor(
    context: RunStatusSensorContext, repository: ResourceParam[RepositoryResource]
) -> SkipReason | Sequence[RunRequest] | None:
    """Send one notification of the checks of a run whose failure is new."""
    registry_ids = _list_registry_ids(repository)
    problems = list_problems(context.instance, context.dagster_run, registry_ids, repository.location, only_new=True)
    # Without a value, Dagster would write into the log of every run that this sensor acted on it.
    return _notify("check_failed", context.dagster_run, problems, repository) if problems else ()


def _notify(
    event: str, run: DagsterRun, problems: Sequence[Problem], repository: RepositoryResource
) -> SkipReason | None:
    if not notification.is_configured(os.environ):
        return SkipReason(_SETTING)
    interface = os.environ.get(UI_URL_VARIABLE)
    url = None if not interface else f"{interface.rstrip('/')}/runs/{run.run_id}"
    root = None if repository.root is None else str(repository.root)
    location = repository.location.name or None
    message = Notification(event, run.job_name, run.run_id, run.status.value, root, url, tuple(problems), location)
    try:
        notification.send(message, os.environ)
    except RegistryPipelineError as error:
        raise Failure(printable(f"{error.message}; {error.advice}")) from None
    return None


def _list_registry_ids(resource: RepositoryResource) -> Collection[str]:
    try:
        return catalog_of(resource.load()).registries
    except RegistryPipelineError:
        # That the toml is invalid may be what the notification is about.
        return SHIPPED.registries


def list_problems(
    instance: DagsterInstance,
    run: DagsterRun,
    registry_ids: Collection[str],
    location: Location,
    *,
    only_new: bool = False,
) -> list[Problem]:
    """Return the checks that failed as an error in a run, and the steps that failed for another reason.

    With `only_new`, a check is left out if its previous result, in another run, failed for the same reason.
    """
    event_types = {DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.STEP_FAILURE}
    checks: dict[AssetCheckKey, AssetCheckEvaluation] = {}
    problems: list[Problem] = []
    for record in instance.get_records_for_run(run.run_id, of_type=event_types).records:
        event = record.event_log_entry.get_dagster_event()
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            # A step that was tried again has several results; the last one counts.
            checks[event.asset_check_evaluation_data.asset_check_key] = event.asset_check_evaluation_data
        elif not event_log.is_failed_check(event):
            problems.append(_make_step_problem(run, registry_ids, location, event))
    for key, check in checks.items():
        if check.passed or check.severity is not AssetCheckSeverity.ERROR:
            continue
        previous = event_log.find_previous_result(instance, key, run.run_id) if only_new else None
        if previous is None or _state(previous) != _state(check):
            asset, message = "/".join(location.find_path(key.asset_key)), check.description or ""
            problems.append(_make_problem(run, registry_ids, asset, key.name, message, check.metadata))
    return problems


def _state(check: AssetCheckEvaluation) -> tuple[bool, AssetCheckSeverity, str | None]:
    return check.passed, check.severity, check.description


def _make_step_problem(
    run: DagsterRun, registry_ids: Collection[str], location: Location, event: DagsterEvent
) -> Problem:
    failure, step = event.step_failure_data, location.find_name(event.step_key or "")
    if failure.user_failure_data is not None:
        stated = failure.user_failure_data
        return _make_problem(run, registry_ids, step, None, stated.description or "", stated.metadata)
    error = failure.error
    cause = None if error is None else error.cause or error
    message = event.message or "" if cause is None else cause.message
    return _make_problem(run, registry_ids, step, None, message, {})


def _make_run_problem(run: DagsterRun, registry_ids: Collection[str], event: DagsterEvent) -> Problem:
    return _make_problem(run, registry_ids, None, None, event.message or "", {})


def _make_problem(
    run: DagsterRun,
    registry_ids: Collection[str],
    asset: str | None,
    check: str | None,
    message: str,
    metadata: Mapping[str, MetadataValue],
) -> Problem:
    # What the steps and checks of this package state; a step that failed by a bug states nothing.
    facts = {name: str(value.value) for name, value in metadata.items()}
    own = (asset or "").removeprefix("check_")
    names = {own} if own in registry_ids else set(_WORD.findall(message))
    return Problem(
        asset=asset,
        check=check,
        registries=tuple(name for name in registry_ids if name in names),
        codes=tuple(filter(None, facts.get("codes", "").split(", "))),
        message=printable(message.strip()),
        next_step=facts.get("next_step") or facts.get("advice") or f"open the Dagster run {short(run.run_id)}",
    )
