"""One row of the registry table, and the values that its reader is given and returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Final, Literal

from registry_pipeline.findings.finding import Finding
from registry_pipeline.runs.envelope import CaptureCheck, InputFile, InputRegistry, is_foreign, stated_repository_id
from registry_pipeline.runs.reference import RunId, RunIdentity
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import field, value_type

Kind = Literal["built", "captured", "rendered", "record", "external", "collection"]


@value_type
class DeferredCall:
    """A function that is imported from its dotted path when it is called: a table row costs no import."""

    path: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import the function and call it."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)(*args, **kwargs)


@value_type
class Contracts:
    """What the registry catalog states of a registry beside its row; the words are those of its schema.

    "Registry table" in docs/reference/specification.md defines them.
    """

    write_policy: str
    seal_model: str
    query_contract: str
    authority_class: str


_AUTHORITY: Final[Mapping[Kind, str]] = {
    "built": "derived",
    "captured": "source_copy",
    "collection": "source_copy",
    "record": "control",
    "rendered": "presentation",
    "external": "external",
}


@value_type
class RegistrySpec:
    """The description of one registry, from which assets, checks, commands and documents are generated."""

    registry_id: str
    kind: Kind
    title: str
    # Names in the run folder, the main one first.
    artifacts: tuple[str, ...] = ()
    # (artifact name, schema file under `schemas/`); the name may be a pattern if `multi_file`.
    schemas: tuple[tuple[str, str], ...] = ()
    version: str = "0.1"
    operation_id: str | None = None
    tag: str | None = None
    # Upstream registries, whose snapshots a build reads.
    depends_on: tuple[str, ...] = ()
    # Those of them without which it is built too.
    optional_upstream: tuple[str, ...] = ()
    # Registries that are built before it in one rebuild, without being upstream.
    after: tuple[str, ...] = ()
    # Registries whose active snapshot a build reads with the role `previous`.
    previous_inputs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    pointer: bool = True
    delta: bool = True
    # One snapshot a day; not part of a rebuild.
    partitioned: bool = False
    # Continues its own last run; an unchanged source makes no new run.
    append_only: bool = False
    # Its rules refuse a snapshot that lacks something of the previous one.
    keeps_earlier: bool = False
    # The Dagster check of the rules that no schema expresses.
    rules_check_name: str = "rules"
    # The fields that identify a record of the main artifact.
    record_key: tuple[str, ...] = ()
    # A run folder contains further files under their own names.
    multi_file: bool = False
    # These names are the paths in the repository, folders included.
    preserve_paths: bool = False
    # The operation whose output is captured.
    source_operation_id: str | None = None
    excluded_because: str = ""
    # Returns the findings of a sealed run from its SealReport alone.
    sealed_check: Callable[[Any], Iterable[Any]] | None = None
    # Gathers the inputs of `builder`.
    reader: Callable[..., Any] | None = None
    builder: Callable[..., Any] | None = None
    # Checks a sealed run by the registry's own rules: (repository, SealedRun, verified SealReport) -> findings.
    rules: Callable[..., Any] | None = None
    # Whether the reader is given what the activation chain says about runs (`SourceContext.chain`).
    reads_chain: bool = False
    # Described by the toml of a repository, or by a Python package that the toml names.
    is_own: bool = False
    # Of such a registry: the paths or globs of its sources, and the content of its schemas by their names.
    source_paths: tuple[str, ...] = ()
    own_schemas: tuple[tuple[str, bytes], ...] = ()
    # Returns whether an artifact says the same as in the active run, although its bytes differ:
    # (active, built, is_own_run) -> bool. Without it other bytes are other content.
    says_same: Callable[..., bool] | None = None

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
    def is_rebuilt(self) -> bool:
        """Whether a build without names makes one run of it."""
        return self.builder is not None and not self.partitioned and self.kind != "collection"

    @property
    def is_kept_alone(self) -> bool:
        """Whether an unchanged run is kept even if the same build seals others: a capture or a log."""
        # A capture that names upstream registries must name the runs that are active with it.
        return (self.kind == "captured" and not self.depends_on) or self.append_only

    @property
    def is_one_capture(self) -> bool:
        """Whether a run captures one file, which may have a name of the repository's choice."""
        return self.kind == "captured" and not self.multi_file and len(self.artifacts) == 1

    @property
    def contracts(self) -> Contracts:
        """How the registry is written, sealed and read, and what its content decides."""
        authority = _AUTHORITY[self.kind]
        if self.kind == "external":
            return Contracts("none", "none", "none", authority)
        if self.kind == "collection" or self.partitioned:
            return Contracts("per_member", "run_folder_per_member", "member", authority)
        if self.kind == "record" or self.append_only:
            return Contracts("append_only", "hash_chain", "chain_head", authority)
        write_policy = "append_only" if self.keeps_earlier else "replace"
        return Contracts(write_policy, "run_folder", "active_run" if self.pointer else "newest_run", authority)

    def member_of(self, run_id: RunId) -> str | None:
        """Return the member of a collection that a run id names before the tag, or None if it names none."""
        part = f"__{self.tag}"
        is_member = self.kind == "collection" and run_id.tag.endswith(part)
        return run_id.tag.removesuffix(part) if is_member else None

    def schema_of(self, artifact: str) -> str | None:
        """Return the schema file of an artifact, or None.

        Of a registry that captures one file, every file name has the schema of the main artifact.
        """
        renamed = self.schemas[0][1] if self.is_one_capture and self.schemas else None
        return next((schema for pattern, schema in self.schemas if fnmatchcase(artifact, pattern)), renamed)


@value_type
class Previous:
    """The active snapshot that a build reads as `previous`: its run id and the verified bytes of its artifacts."""

    run_id: str
    files: Mapping[str, bytes]


@value_type
class ChainFacts:
    """What the activation chain says about runs; plain values, because the chain is a layer above the readers."""

    # The reason by run id.
    marked_bad: Mapping[str, str]
    # The runs of other repositories that may be used here.
    accepted_foreign: frozenset[RunIdentity]


@value_type
class SourceContext:
    """What a reader is given beside the repository."""

    # Registry id to relpath to the verified bytes of the artifacts that a build is made from.
    upstream: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    # The active snapshots that a build reads as `previous`, by registry id.
    previous: Mapping[str, Previous] = field(default_factory=dict)
    # (run root, run id) of the runs that this build run has sealed.
    exclude_runs: frozenset[tuple[str, str]] = frozenset()
    # The Dagster run id of this build run.
    exclude_dagster_run: str | None = None
    # Called with the number of run folders read so far.
    on_progress: Callable[[int], None] | None = None
    # The start of the command or build run.
    started: datetime | None = None
    # The commit at the start; None outside git or without a commit.
    commit: str | None = None
    # Given to registries whose row says `reads_chain`.
    chain: ChainFacts | None = None
    # Returns the registries that the repository does not use; likewise.
    find_unused: Callable[[], frozenset[str]] | None = None
    # The registry table.
    specs: Mapping[str, RegistrySpec] = field(default_factory=dict)
    # False for a build that is only previewed.
    write_caches: bool = True


@value_type
class BuildInputs:
    """What a reader returns."""

    # The argument of the builder; None if nothing can be built.
    inputs: Any
    # The files that were read.
    files: tuple[InputFile, ...] = ()
    findings: tuple[Finding, ...] = ()
    # The sealed runs that the reader found by itself.
    registries: tuple[InputRegistry, ...] = ()
    # Written to run.json by the delta log.
    coverage: Mapping[str, Any] | None = None
    # The result of the check of the source; its findings are reported with the sealed run.
    check: CaptureCheck | None = None


class BuilderError(Exception):
    """The builder of a package failed, or its result cannot be sealed; `finding` says why."""

    def __init__(self, problem: Finding) -> None:
        """Keep the finding."""
        super().__init__(problem.message)
        self.finding = problem


def find_foreign_repository_id(
    report: SealReport, repository_id: str | None, accepted_foreign: frozenset[RunIdentity]
) -> str | None:
    """Return the repository_id of a verified run of another repository, or None if the run may be used here.

    A run that states no repository, or that an activation of this repository accepted, may be used.
    """
    stated = stated_repository_id(report.run_json)
    accepted = (report.run_id, report.root_sha256) in accepted_foreign
    return stated if is_foreign(stated, repository_id) and not accepted else None
