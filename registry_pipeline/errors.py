"""What can go wrong when the program cannot do its work at all.

Bad evidence is not an error: it is a `Finding`, a value that travels. An exception means that a step
could not be taken; each carries one line of advice and the exit code of SPEC section 6.
Names end in `Error`; there is one base.
"""

from __future__ import annotations

from typing import ClassVar


class RegistryPipelineError(Exception):
    """The base: something unexpected stopped the program (exit 1)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class ConfigError(RegistryPipelineError):
    """The toml file or the command line cannot be understood (exit 2)."""

    exit_code = 2


class EvidenceError(RegistryPipelineError):
    """A sealed run that a step must read does not verify (exit 3); nothing is built on it."""

    exit_code = 3


class RefusedError(RegistryPipelineError):
    """A gate said no; no pointer moved and nothing was written (exit 5)."""

    exit_code = 5


class BusyError(RegistryPipelineError):
    """The lock is held, or another writer was faster; nothing changed (exit 6)."""

    exit_code = 6


class HeadMovedError(BusyError):
    """Another writer continued an append-only registry first; nothing was sealed (exit 6). Build it again."""


class NotFoundError(RegistryPipelineError):
    """What was asked for is not there, or could not be looked at (exit 7)."""

    exit_code = 7


class WriteError(RegistryPipelineError):
    """The disk or its permissions refused a write; the file is as it was (exit 1)."""


class PublishError(RegistryPipelineError):
    """A sealed folder could not be published; nothing of it stands in a run root (exit 1)."""


class DurabilityError(PublishError):
    """The folder is published and complete, but the disk did not confirm it (SPEC 2.4, step 5)."""
