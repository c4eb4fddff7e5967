"""Exceptions, each with one line of advice and an exit code (docs/reference/specification.md, "Exit codes").

Invalid evidence is no exception but a `Finding`. An exception means that a step could not be done.
"""

from __future__ import annotations

from typing import ClassVar


class RegistryPipelineError(Exception):
    """Base class: something unexpected stopped the program (exit 1)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class ConfigError(RegistryPipelineError):
    """The toml file or the command line is invalid (exit 2)."""

    exit_code = 2


class EvidenceError(RegistryPipelineError):
    """A sealed run that a step needs does not verify (exit 3)."""

    exit_code = 3


class RefusedError(RegistryPipelineError):
    """The request is not allowed; no pointer moved and nothing was written (exit 5)."""

    exit_code = 5


class BusyError(RegistryPipelineError):
    """Another process holds the lock or wrote first; nothing changed (exit 6)."""

    exit_code = 6


class HeadMovedError(BusyError):
    """Another process continued an append-only registry first; nothing was sealed (exit 6)."""


class NotFoundError(RegistryPipelineError):
    """What was requested does not exist or cannot be read (exit 7)."""

    exit_code = 7


class WriteError(RegistryPipelineError):
    """The operating system refused a write; the file is unchanged (exit 1)."""


class PublishError(RegistryPipelineError):
    """A sealed folder could not be published; no run root contains any of it (exit 1)."""


class DurabilityError(PublishError):
    """What was written is complete, but the disk did not confirm it or a cleanup failed (exit 1)."""
