"""Errors of this project as failures of a Dagster step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import Failure

from registry_pipeline.errors import BusyError, RegistryPipelineError
from registry_pipeline.findings.display import printable


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Turn a RegistryPipelineError into a step failure with its message and advice; only a BusyError is retried."""
    try:
        yield
    except RegistryPipelineError as error:
        advice = {"advice": printable(error.advice)} if error.advice else {}
        metadata = {"error": type(error).__name__} | advice
        # Only a lost race is worth a retry; any other error would occur again.
        raise Failure(printable(error.message), metadata=metadata, allow_retries=isinstance(error, BusyError)) from None
