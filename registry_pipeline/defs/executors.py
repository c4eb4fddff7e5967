"""Where the steps of a Dagster run are executed, by `executor` of the table `[dagster]`."""

from dagster import (
    Executor,
    ExecutorDefinition,
    InitExecutorContext,
    executor,
    in_process_executor,
    multiple_process_executor_requirements,
    multiprocess_executor,
)

from registry_pipeline.config import DagsterTable, refuse_missing_celery
from registry_pipeline.errors import ConfigError


def make_executor(settings: DagsterTable) -> ExecutorDefinition:
    """Return the executor that the table names; with Celery, a run raises ConfigError if Celery is not installed."""
    if settings.executor == "multiprocess":
        return multiprocess_executor
    if settings.executor == "celery":
        return _make_celery_executor(settings)
    # A process for each step would spend seconds on imports where the step takes less.
    return in_process_executor


def _make_celery_executor(settings: DagsterTable) -> ExecutorDefinition:
    try:
        refuse_missing_celery(settings)
    except ConfigError as error:
        # The code location loads without Celery, and each run says what to install.
        return _make_failing_executor(error)
    from registry_pipeline.defs.celery_executor import make_celery_executor  # noqa: PLC0415 - part of an extra

    return make_celery_executor()


def _make_failing_executor(error: ConfigError) -> ExecutorDefinition:
    @executor(name="celery", requirements=multiple_process_executor_requirements())
    def failing_executor(_context: InitExecutorContext) -> Executor:
        raise ConfigError(f"{error.message}; {error.advice}")

    return failing_executor
