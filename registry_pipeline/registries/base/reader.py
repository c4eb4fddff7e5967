"""One row of the registry table, and the values that its reader is given and returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Literal

from registry_pipeline.findings.finding import Finding
from registry_pipeline.runs.envelope import CaptureCheck, InputFile, InputRegistry, is_foreign, stated_repository_id
from registry_pipeline.runs.reference import RunIdentity
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import field, value_type

Kind = Literal["built", "captured", "rendered", "record", "external", "collection"]


@value_type
class DeferredCall:
    """A function named by its dotted path and imported when it is called, so that a table row costs no import."""

    path: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import the function and call it."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)(*args, **kwargs)


@value_type
class RegistrySpec:
    """The description of one registry, from which assets, checks, commands and documents are generated.

    Attributes:
        artifacts: names in the run folder, the main one first.
        schemas: (artifact name, schema file under `schemas/`); the name may be a pattern if `multi_file`.
        depends_on: upstream registries, whose snapshots a build reads.
        after: registries that are built before it in one rebuild, without being upstream.
        previous_inputs: registries whose active snapshot a build reads with the role `previous`.
        partitioned: one snapshot a day; not part of a rebuild.
        append_only: continues its own last run; an unchanged source makes no new run.
        rules_check_name: the Dagster check of the rules that no schema expresses.
        record_key: the fields that identify a record of the main artifact.
        multi_file: a run folder contains further files under their own names.
        preserve_paths: these names are the paths in the repository, folders included.
        source_operation_id: the operation whose output is captured.
        sealed_check: returns the findings of a sealed run from its SealReport alone.
        reader: gathers the inputs of `builder`.
    """

    registry_id: str
    kind: Kind
    title: str
    artifacts: tuple[str, ...] = ()
    schemas: tuple[tuple[str, str], ...] = ()
    version: str = "0.1"
    operation_id: str | None = None
    tag: str | None = None
    depends_on: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    previous_inputs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    pointer: bool = True
    delta: bool = True
    partitioned: bool = False
    append_only: bool = False
    rules_check_name: str = "rules"
    record_key: tuple[str, ...] = ()
    multi_file: bool = False
    preserve_paths: bool = False
    source_operation_id: str | None = None
    excluded_because: str = ""
    sealed_check: Callable[[Any], Iterable[Any]] | None = None
    reader: Callable[..., Any] | None = None
    builder: Callable[..., Any] | None = None
    # Checks a sealed run by the registry's own rules: (repository, SealedRun, verified SealReport) -> findings.
    rules: Callable[..., Any] | None = None
    # Whether the reader is given what the activation chain says about runs (`SourceContext.chain`).
    reads_chain: bool = False

    @property
    def artifact(self) -> str:
        """The main artifact's name.

        Raises:
            IndexError: the registry has none; its files have their own names.
        """
        return self.artifacts[0]

    @property
    def relpath(self) -> str | None:
        """The file that a reference to a run names: the main artifact, or None without one."""
        return self.artifacts[0] if self.artifacts else None

    @property
    def check_names(self) -> tuple[str, str, str]:
        """The names of the blocking checks: seal, schema, and the registry's own rules."""
        return ("seal", "schema", self.rules_check_name)

    @property
    def is_one_capture(self) -> bool:
        """Whether a run captures one file, which may have a name of the repository's choice."""
        return self.kind == "captured" and not self.multi_file

    def schema_of(self, artifact: str) -> str | None:
        """Return the schema file of an artifact, or None."""
        renamed = self.schemas[0][1] if self.is_one_capture and self.schemas else None
        return next((schema for pattern, schema in self.schemas if fnmatchcase(artifact, pattern)), renamed)


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
