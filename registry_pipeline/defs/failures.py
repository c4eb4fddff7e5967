"""Errors of the runbook, told in Dagster's words.

Holds the one translation from `errors` to a step failure. Keeps out deciding what is an error.
May import `errors` and Dagster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import Failure

from registry_pipeline.errors import BusyError, RegistryPipelineError
from registry_pipeline.model.display import printable


@contextmanager
def told_as_failure() -> Iterator[None]:
    """Turn an error of the runbook into a step failure that shows its sentence and its advice, not a traceback.

    Only a lost race is worth another try: whatever else went wrong would go wrong again.

    Raises:
        Failure: for every `RegistryPipelineError`.
    """
    try:
        yield
    except RegistryPipelineError as error:
        advice = {"advice": printable(error.advice)} if error.advice else {}
        metadata = {"error": type(error).__name__} | advice
        raise Failure(printable(error.message), metadata=metadata, allow_retries=isinstance(error, BusyError)) from None
