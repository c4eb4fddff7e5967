"""What the scorecard counts: the documents, the pointers, and the registry table as it stands (SPEC 4.6)."""

from __future__ import annotations

import re
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.git.tree import Tree, WorkingTree
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.values import OperationCatalog
from registry_pipeline.registries.scorecard.build import ScorecardInputs
from registry_pipeline.runs.envelope import InputRegistry

_SCORECARD: Final = "GOVERNANCE_SCORECARD_v0_2.json"
_STATUS_TABLE: Final = "OPERATION_STATUS_TABLE_v0_1.json"
# A path never begins inside a word: what cannot begin with a word cannot begin later in it. To try each letter of a
# word again would take quadratic time.
_PATH: Final = re.compile(r"(?<![^\s/])(?:[^\s/]+(?:/[^\s/]+)+/?|[^\s/]+\.[A-Za-z0-9]+)")


def read_scorecard_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Gather operations and levels, what the active status table observes, and how every registry stands.

    The active runs are recorded as `previous`: what the scorecard counts is what was in force before its own build.

    Raises:
        ValueError: the runbook handed in no store of sealed runs (a bug of the caller).
    """
    if context.store is None:
        raise ValueError("the scorecard is read from the store of sealed runs")
    tree = WorkingTree(repository.root)
    catalog, files = read_operation_catalog(tree, repository.config)
    if has_errors(catalog.findings):
        return BuildInputs(None, files, catalog.findings)
    standings, active = context.store.standings()
    inputs = ScorecardInputs(
        catalog=catalog,
        options=repository.config.options,
        observed=_observed(_previous(context, "op_status_table", _STATUS_TABLE)),
        missing_executables=_missing(tree, catalog),
        registries=standings,
        before=_object(_previous(context, "governance_scorecard", _SCORECARD)),
    )
    told = tuple(InputRegistry(name, "previous", ref) for name, ref in active.items() if name not in context.previous)
    return BuildInputs(inputs, files, catalog.findings, told)


def _previous(context: SourceContext, registry_id: str, artifact: str) -> Any:
    """Return a document that is fed back, parsed; None where there is none or it cannot be parsed."""
    before = context.previous.get(registry_id)
    data = None if before is None else before.files.get(artifact)
    try:
        return None if data is None else read_strict_json(data)
    except StrictJsonError:
        return None


def _object(document: Any) -> dict[str, Any] | None:
    return document if isinstance(document, dict) else None


def _observed(table: Any) -> frozenset[str] | None:
    if not isinstance(table, list):
        return None
    rows = [row for row in table if isinstance(row, dict) and row.get("run_evidence_state") == "OBSERVED"]
    return frozenset(str(row.get("operation_id")) for row in rows)


def _missing(tree: Tree, catalog: OperationCatalog) -> frozenset[str]:
    """Return the bound executables that name a path and are not there; a bare command is not looked for."""
    bound = {name for operation in catalog.operations for name in operation.executables}
    return frozenset(name for name in bound if (paths := _PATH.findall(name)) and not any(map(tree.is_file, paths)))
