"""Which two logs a governed repository has, where they lie and how their records read (SPEC 1, 11)."""

from __future__ import annotations

from pathlib import Path

from registry_pipeline.config import Governed
from registry_pipeline.run_index.ids import GRAMMARS
from registry_pipeline.run_index.record import OVERRIDE, OVERRIDE_UPDATE, RUN, Reader
from registry_pipeline.values import value_type


@value_type
class Log:
    """One append-only log: its path, how it is named in findings, and the reader of its records.

    `root` is the repository that must contain it when it is appended to; None for a file that a user named.
    """

    path: Path
    shown: str
    reader: Reader
    root: Path | None = None


def run_index_log(governed: Governed) -> Log:
    """Return the run index of a repository."""
    table = governed.config.run_index
    reader = Reader((RUN,), GRAMMARS[table.ids], frozenset(table.extra_keys))
    return Log(governed.path(table.path), table.path, reader, governed.root)


def overrides_log(governed: Governed) -> Log:
    """Return the overrides log of a repository."""
    table = governed.config.run_index
    reader = Reader((OVERRIDE, OVERRIDE_UPDATE), GRAMMARS[table.ids], frozenset(table.extra_keys))
    return Log(governed.path(table.overrides), table.overrides, reader, governed.root)
