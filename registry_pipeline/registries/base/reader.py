"""What a reader is handed, and what it hands on: the values between the runbook and the readers of this room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.registries.base.values import RegistryState
from registry_pipeline.runs.envelope import CaptureCheck, InputFile, InputRegistry
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import field, value_type


class SealedStore(Protocol):
    """The sealed runs of the repository, verified by the runbook while they are read: rooms are blind to each other."""

    def verify(self, run_root: str, run_id: str, keep: Collection[str] = ()) -> SealReport:
        """Return what the verifier recomputes of a folder, with the bytes of the files named in `keep`."""
        ...

    def foreign_id(self, report: SealReport) -> str | None:
        """Return the repository_id of a verified run of another repository, None for a run that may be used here."""
        ...

    def proven_entries(self, ref: SealedRef) -> tuple[ManifestEntry, ...] | None:
        """Return the manifest of a run as far as its root proves it, without its payload; None where it does not."""
        ...

    def pointers(self) -> PointerFile:
        """Return the pointers as the file states them."""
        ...

    def marked_bad(self) -> Mapping[str, str]:
        """Return the run ids that somebody has marked bad, with the reasons."""
        ...

    def standings(self) -> tuple[tuple[RegistryState, ...], Mapping[str, SealedRef]]:
        """Return how every registry stands, and the active runs that verify, by registry."""
        ...


@value_type
class Previous:
    """The active snapshot that is fed back into a build: its run id and the verified bytes of its artifacts."""

    run_id: str
    files: Mapping[str, bytes]


@value_type
class SourceContext:
    """What a reader is handed beside the repository.

    `upstream` maps registry id to relpath to verified bytes; `previous` likewise what is fed back. `exclude_runs` are the
    (run_root, run_id) that this build run has sealed, `exclude_dagster_run` its Dagster run id. `on_progress` is told
    how many run folders have been read. `commit` is the one at which this build run began, None outside git or without
    one. `store` answers for sealed runs that a reader must find by itself; `specs` is the registry table. `checks` maps
    a registry id to the check of its source: bytes, path, and the active snapshot that the build reads, if any.
    """

    upstream: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    previous: Mapping[str, Previous] = field(default_factory=dict)
    exclude_runs: frozenset[tuple[str, str]] = frozenset()
    exclude_dagster_run: str | None = None
    on_progress: Callable[[int], None] | None = None
    commit: str | None = None
    store: SealedStore | None = None
    specs: Mapping[str, RegistrySpec] = field(default_factory=dict)
    checks: Mapping[str, Callable[[bytes, str, Previous | None], CaptureCheck]] = field(default_factory=dict)


@value_type
class BuildInputs:
    """What a builder is given, where it came from, and findings; `inputs` is None where nothing can be built.

    `registries` are sealed runs that the reader found by itself; `coverage` goes into run.json (SPEC 4.5).
    `check` is the check of the source where the registry has one; its findings are reported with the sealed run.
    """

    inputs: Any
    files: tuple[InputFile, ...] = ()
    findings: tuple[Finding, ...] = ()
    registries: tuple[InputRegistry, ...] = ()
    coverage: Mapping[str, Any] | None = None
    check: CaptureCheck | None = None
