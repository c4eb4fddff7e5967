"""One row of the registry table (SPEC 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Literal

from registry_pipeline.values import value_type

Kind = Literal["built", "captured", "rendered", "record", "external", "collection"]


@value_type
class DeferredCall:
    """A function, named by its dotted path and imported when it is first called: a table row costs no import."""

    path: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import the function and call it."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)(*args, **kwargs)


@value_type
class RegistrySpec:
    """What a registry is; assets, checks, command line and documents are made from it.

    `artifacts`: names in the run folder, the main one first. `schemas`: artifact name to file name under `schemas/`.
    A `multi_file` run folder holds other files too, under their own names; a key of `schemas` may then be a pattern.
    Where it `preserve_paths`, these are the paths that the files have in the repository, folders included.
    `depends_on`: upstream registries, whose snapshots a build reads. `after`: registries whose folders of the same
    build run it must find, without reading them as upstream. `previous_inputs`: registries whose *active* snapshot a build
    reads as `previous`. `partitioned` ones are history by day, and no part of a rebuild. An `append_only` one continues
    its own last run, and makes no new one where nothing was added. `record_key`: the fields that tell the records of
    the main artifact apart. `rules_check_name` names the Dagster check of what the registry promises
    beyond its shape. `source_operation_id` is the operation whose output is captured. `sealed_check` returns the
    findings of a sealed run from its SealReport alone, for rules that a schema cannot express. `reader` names the
    function of `sources` that gathers what `builder` is given.
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
            IndexError: the registry has none; its files have names of their own.
        """
        return self.artifacts[0]

    @property
    def relpath(self) -> str | None:
        """What a reference to one of its runs names: the main artifact, None where there are only many files."""
        return self.artifacts[0] if self.artifacts else None

    @property
    def check_names(self) -> tuple[str, str, str]:
        """The names of its blocking checks: of the seal, of the schemas, and of its own rules."""
        return ("seal", "schema", self.rules_check_name)

    @property
    def is_one_capture(self) -> bool:
        """Tell whether a run captures one file, to which the repository may give a name of its own (SPEC 1)."""
        return self.kind == "captured" and not self.multi_file

    def schema_of(self, artifact: str) -> str | None:
        """Return the schema file that judges an artifact, or None."""
        renamed = self.schemas[0][1] if self.is_one_capture and self.schemas else None
        return next((schema for pattern, schema in self.schemas if fnmatchcase(artifact, pattern)), renamed)
