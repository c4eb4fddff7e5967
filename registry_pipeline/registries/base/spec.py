"""One row of the registry table: the constants that describe a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Literal

from registry_pipeline.values import value_type

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
