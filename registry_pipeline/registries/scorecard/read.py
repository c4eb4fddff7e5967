"""Read the inputs of governance_scorecard: the operations catalog, the pointers, and the state of every registry."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Final

from registry_pipeline.canonical import try_parse_strict_json
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.git.repository import read_tracked_paths
from registry_pipeline.git.tree import Tree, WorkingTree
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.reader import (
    BuildInputs,
    ChainFacts,
    RegistrySpec,
    SourceContext,
    find_foreign_repository_id,
)
from registry_pipeline.registries.base.seal_build import list_own_paths
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.base.upstream import parse_upstream_json, read_upstream_artifact
from registry_pipeline.registries.base.values import OperationCatalog, RegistryState
from registry_pipeline.registries.scorecard.build import ARTIFACT, ScorecardInputs
from registry_pipeline.runs.envelope import InputRegistry
from registry_pipeline.runs.pointer_file import read_pointers, run_folder, verify_referenced_run
from registry_pipeline.runs.reference import Pointer, PointerFile, SealedRef
from registry_pipeline.runs.scan import RunFolder, find_dated_runs, list_run_folders
from registry_pipeline.runs.sealed_run import SealReport

SCORECARD: Final = "governance_scorecard"
_TABLE: Final = "op_status_table"
# The lookbehind keeps the time linear: a match cannot start inside a word.
_PATH: Final = re.compile(r"(?<![^\s/])(?:[^\s/]+(?:/[^\s/]+)+/?|[^\s/]+\.[A-Za-z0-9]+)")


def read_scorecard_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read the operations catalog, the operations in op_status_table, the executables and the state of every registry.

    There are no inputs if the catalog has errors.

    Raises:
        EvidenceError: op_status_table cannot be parsed. NotFoundError: git cannot list the tracked files.
    """
    # `reads_chain` of the row makes every build give all three.
    if context.started is None or context.chain is None or context.find_unused is None:
        raise ValueError("the scorecard needs the start of the build and the facts of the activation chain")
    tree = WorkingTree(repository.root)
    # Without a valid catalog the figures would be wrong, so nothing is built.
    catalog, files = read_operation_catalog(tree, repository.config)
    if has_errors(catalog.findings):
        return BuildInputs(None, files, catalog.findings)
    pointers = read_pointers(repository)
    active = _read_active_runs(repository, context.specs, pointers, context.chain)
    # A registry is sealed if its active run verifies, or else its newest one; of a collection that is the newest index.
    # What this build run seals does not count.
    newest = _read_newest(repository, context.specs, context.started)
    # The scorecard does not count itself: this build seals it. A record of a change has no source.
    without_source = context.find_unused() | {SCORECARD}
    states = tuple(
        _make_state(
            spec,
            pointers.get(name),
            with_source=name not in without_source and spec.kind != "record",
            sealed=name in active or _is_newest_verified(repository, newest.get(name, ()), context.chain),
        )
        for name, spec in context.specs.items()
    )
    previous = context.previous.get(SCORECARD)
    before = None if previous is None else try_parse_strict_json(previous.files.get(ARTIFACT, b""))
    named_paths = find_named_paths(catalog)
    inputs = ScorecardInputs(
        catalog=catalog,
        options=repository.config.options,
        observed=_find_observed(context),
        missing_executables=frozenset(
            name for name, paths in named_paths.items() if paths and not any(map(tree.is_file, paths))
        ),
        named_paths=named_paths,
        found_executables=_find_executables(repository, tree),
        registries=states,
        before=before if isinstance(before, dict) else None,
    )
    # The counted runs are recorded as `previous`: the scorecard describes what was active before its own build.
    counted = [InputRegistry(name, "previous", ref) for name, ref in active.items() if name not in context.previous]
    return BuildInputs(inputs, files, catalog.findings, tuple(counted))


def _find_observed(context: SourceContext) -> frozenset[str] | None:
    """Return the observed operations of the table that this build run sealed, or else of the active one."""
    if _TABLE not in context.upstream:
        return None
    table = parse_upstream_json(read_upstream_artifact(context, _TABLE), _TABLE)
    # The active table may be of an older tool, which no schema has checked.
    if not isinstance(table, list):
        return None
    rows = [row for row in table if isinstance(row, dict) and row.get("run_evidence_state") == "OBSERVED"]
    return frozenset(str(row.get("operation_id")) for row in rows)


def find_named_paths(catalog: OperationCatalog) -> dict[str, frozenset[str]]:
    """Return the paths that each bound executable names, by its text; a bare command names none."""
    names = {name for operation in catalog.operations for name in operation.executables}
    return {name: frozenset(path.removeprefix("./") for path in _PATH.findall(name)) for name in names}


def _find_executables(repository: Repository, tree: Tree) -> frozenset[str]:
    """Return the files that `executables` of the toml matches: tracked ones, or all outside git.

    Files in run folders, and those of this tool, are copies or evidence, and do not count.
    """
    globs = [glob.replace("**/", "") for glob in repository.config.executables]
    excluded = [glob.removeprefix("!") for glob in globs if glob.startswith("!")]
    included = [glob for glob in globs if not glob.startswith("!")]
    # Most files are outside the folders with which the globs begin.
    starts = tuple("".join(takewhile(lambda char: char not in "*?[", glob)) for glob in included)
    tracked = read_tracked_paths(repository.root)
    if tracked is None:
        paths = {path for start in starts for path in tree.files_under(start.rpartition("/")[0])}
    else:
        paths = {os.fsdecode(path) for path in tracked}
    own = tuple(f"{path}/" for path in list_own_paths(repository))
    return frozenset(
        printable(path)
        for path in paths
        if path.startswith(starts)
        and not path.startswith(own)
        and any(fnmatchcase(path, glob) for glob in included)
        and not any(fnmatchcase(path, glob) for glob in excluded)
        and tree.is_file(path)
    )


def _read_active_runs(
    repository: Repository, specs: Mapping[str, RegistrySpec], pointers: PointerFile, chain: ChainFacts
) -> dict[str, SealedRef]:
    """Return the active runs that verify and belong to this repository, by registry; all others are left out."""
    active: dict[str, SealedRef] = {}
    for registry_id, spec in specs.items():
        ref = pointers.active(registry_id)
        if ref is None or not run_folder(repository, ref).is_dir():
            continue
        # An active run that does not verify is reported by `status`; here it only does not count.
        try:
            report = read_sealed_report(repository, spec, ref)
        except EvidenceError:
            continue
        if _is_own(repository, report, chain):
            active[registry_id] = ref
    return active


def _read_newest(
    repository: Repository, specs: Mapping[str, RegistrySpec], before: datetime
) -> dict[str, list[RunFolder]]:
    """Return the run folders of each registry that are dated before a moment, newest first."""
    by_tag = {spec.tag: name for name, spec in specs.items() if spec.tag}
    listing = list_run_folders(repository, repository.config.run_roots, by_tag)
    folders: defaultdict[str, list[RunFolder]] = defaultdict(list)
    for run_id, folder in reversed(find_dated_runs(listing, by_tag)):
        if run_id.stamp < before:
            folders[by_tag[run_id.tag]].append(folder)
    return folders


def _make_state(spec: RegistrySpec, pointer: Pointer | None, *, with_source: bool, sealed: bool) -> RegistryState:
    known = pointer is not None and pointer.known is True and pointer.ref is not None
    notes = "" if pointer is None else pointer.notes
    return RegistryState(
        registry_id=spec.registry_id,
        with_schema=bool(spec.schemas),
        with_source=with_source,
        sealed=sealed,
        can_be_active=spec.pointer,
        known=known,
        reason="" if known else notes or spec.excluded_because or "no snapshot was activated yet",
    )


def _is_newest_verified(repository: Repository, folders: Iterable[RunFolder], chain: ChainFacts) -> bool:
    """Return whether the first folder verifies; folders that verify but belong to another repository are skipped."""
    for folder in folders:
        report = verify_referenced_run(repository, SealedRef(folder.run_id, folder.run_root, None, ""))
        if report.verdict != "pass" or _is_own(repository, report, chain):
            return report.verdict == "pass"
    return False


def _is_own(repository: Repository, report: SealReport, chain: ChainFacts) -> bool:
    return find_foreign_repository_id(report, repository.config.repository_id, chain.accepted_foreign) is None
