"""The values that a registry's reader is given and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import CaptureCheck, InputFile, InputRegistry, is_foreign, stated_repository_id
from registry_pipeline.runs.reference import RunIdentity
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import field, value_type


@value_type
class Previous:
    """The active snapshot that a build reads as `previous`: its run id and the verified bytes of its artifacts."""

    run_id: str
    files: Mapping[str, bytes]


@value_type
class ChainFacts:
    """What the activation chain says about runs; plain values, because the chain is a layer above the readers.

    Attributes:
        marked_bad: the reason by run id.
        accepted_foreign: the runs of other repositories that may be used here.
    """

    marked_bad: Mapping[str, str]
    accepted_foreign: frozenset[RunIdentity]


@value_type
class SourceContext:
    """What a reader is given beside the repository.

    Attributes:
        upstream: registry id to relpath to the verified bytes of the artifacts that a build is made from.
        previous: the active snapshots that a build reads as `previous`, by registry id.
        exclude_runs: (run root, run id) of the runs that this build run has sealed.
        exclude_dagster_run: the Dagster run id of this build run.
        on_progress: called with the number of run folders read so far.
        started: the start of this build run; None outside a build.
        commit: the commit at the start; None outside git or without a commit.
        chain: given to registries whose row says `reads_chain`.
        specs: the registry table.
        checks: registry id to the check of its source: bytes, path, and the active snapshot, if any.
    """

    upstream: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    previous: Mapping[str, Previous] = field(default_factory=dict)
    exclude_runs: frozenset[tuple[str, str]] = frozenset()
    exclude_dagster_run: str | None = None
    on_progress: Callable[[int], None] | None = None
    started: datetime | None = None
    commit: str | None = None
    chain: ChainFacts | None = None
    specs: Mapping[str, RegistrySpec] = field(default_factory=dict)
    checks: Mapping[str, Callable[[bytes, str, Previous | None], CaptureCheck]] = field(default_factory=dict)


@value_type
class BuildInputs:
    """What a reader returns.

    Attributes:
        inputs: the argument of the builder; None if nothing can be built.
        files: the files that were read.
        registries: the sealed runs that the reader found by itself.
        coverage: written to run.json by the delta log.
        check: the result of the check of the source; its findings are reported with the sealed run.
    """

    inputs: Any
    files: tuple[InputFile, ...] = ()
    findings: tuple[Finding, ...] = ()
    registries: tuple[InputRegistry, ...] = ()
    coverage: Mapping[str, Any] | None = None
    check: CaptureCheck | None = None


def foreign_repository_id(
    report: SealReport, repository_id: str | None, accepted_foreign: frozenset[RunIdentity]
) -> str | None:
    """Return the repository_id of a verified run of another repository, or None if the run may be used here.

    A run that states no repository, or that an activation of this repository accepted, may be used.
    """
    stated = stated_repository_id(report.run_json)
    accepted = (report.run_id, report.root_sha256) in accepted_foreign
    return stated if is_foreign(stated, repository_id) and not accepted else None
