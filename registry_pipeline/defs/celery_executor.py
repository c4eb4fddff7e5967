"""Dagster's Celery executor, configured by the environment, with an end for runs whose worker died.

Imported only if Celery executes the steps: it needs the extra `scale`.
"""

from collections.abc import Iterator
from typing import Any, Final

from celery.result import AsyncResult  # type: ignore[import-untyped]
from dagster import (
    DagsterEvent,
    Executor,
    ExecutorDefinition,
    InitExecutorContext,
    StringSource,
    executor,
    multiple_process_executor_requirements,
)
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor

from registry_pipeline.dagster.dagster_internals import RetryMode, submit_celery_step

# Celery's own variables: its workers read them, too. Dagster's default for a run without them is an AMQP server on
# this machine, for which the run would wait without an end.
_CONNECTION: Final = {"broker": {"env": "CELERY_BROKER_URL"}, "backend": {"env": "CELERY_RESULT_BACKEND"}}


class StepTask:
    """The Celery task of a step. A task that failed outside of its step, as with its worker, ends the run."""

    def __init__(self, result: AsyncResult) -> None:
        self._result = result

    def ready(self) -> bool:
        """Return whether the task has ended; raise its error if it failed."""
        # Dagster 1.13.27 expects the error of `get`. Then it submits no further step, and waits for those without an
        # end, at full load. An error that is raised here ends its loop, and the run fails.
        if self._result.failed():
            self._result.get()
        return bool(self._result.ready())

    def get(self) -> Any:
        """Return the events of the step."""
        return self._result.get()

    def revoke(self) -> None:
        """Take the task back, if no worker has begun it."""
        self._result.revoke()


class StepExecutor(CeleryExecutor):
    """Dagster's Celery executor with tasks that end the run if they fail."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[DagsterEvent]:
        """Execute the steps of a plan by Celery workers, and yield their events."""

        def submit(*step: Any) -> StepTask:
            return StepTask(submit_celery_step(*step))

        loop = core_celery_execution_loop(plan_context, execution_plan, submit)  # type: ignore[no-untyped-call]
        yield from loop


@executor(
    name="celery",
    config_schema={"broker": StringSource, "backend": StringSource},
    requirements=multiple_process_executor_requirements(),
)
def _celery_executor(context: InitExecutorContext) -> Executor:
    return StepExecutor(RetryMode.ENABLED, **context.executor_config)  # type: ignore[no-untyped-call]


def make_celery_executor() -> ExecutorDefinition:
    """Return the executor; a run without the variables of Celery is refused when it is launched."""
    return _celery_executor.configured(_CONNECTION, name="celery")
