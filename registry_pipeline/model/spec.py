"""One row of the registry table (SPEC 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["built", "captured", "rendered", "record", "external", "collection"]


@dataclass(frozen=True, slots=True)
class RegistrySpec:
    """What a registry is; assets, checks, command line and documents are made from it.

    `artifacts`: names in the run folder, the main one first. `schemas`: artifact name to file name under `schemas/`.
    `depends_on`: upstream registries, whose snapshots a build reads. `feeds_back`: registries whose *active* snapshot
    a build reads as `previous`. `reader` names the function of `sources.inputs` that gathers what `builder` is given.
    """

    registry_id: str
    kind: Kind
    title: str
    artifacts: tuple[str, ...]
    schemas: tuple[tuple[str, str], ...]
    version: str
    operation_id: str | None
    tag: str | None
    depends_on: tuple[str, ...] = ()
    feeds_back: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    pointer: bool = True
    delta: bool = True
    excluded_because: str = ""
    reader: Callable[..., Any] | None = None
    builder: Callable[..., Any] | None = None

    @property
    def artifact(self) -> str:
        """The main artifact's name."""
        return self.artifacts[0]

    def schema_of(self, artifact: str) -> str | None:
        """Return the schema file that judges an artifact, or None."""
        return dict(self.schemas).get(artifact)
