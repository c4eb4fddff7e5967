"""The texts that `init` writes: two addenda to governance documents, lines for .gitattributes and .gitignore."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.seal_build import STATE_NAMES
from registry_pipeline.values import value_type

OPERATIONS_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_OPERATIONS_ADDENDUM_v0_1.md"
COVERAGE_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_COVERAGE_ADDENDUM_v0_1.md"
TEMPORARY_FILES: Final = ".*.registry-pipeline.tmp"
"""The git pattern of the temporary files that an atomic write creates beside the file."""


@value_type
class LayerOperation:
    """One operation of registry-pipeline itself; `level` is its coverage level."""

    operation_id: str
    name: str
    purpose: str
    command: str
    level: str = "C3"


# The addenda are sources of op_status_table: a changed text changes the registries of every repository that runs
# `init` afterwards, and the known answers of the example.
# fmt: off
LAYER_OPERATIONS: Final = (
    LayerOperation("OP-QA07", "Run Registry Build", "List every run folder, one line each.", "build run_registry"),
    LayerOperation(
        "OP-QA08", "Operation Status Table Build",
        "Report for each operation its last run, the evidence of it, its age and its drift.", "build op_status_table"),
    LayerOperation(
        "OP-QA09", "Drift Signals Build",
        "Compare versions, thresholds and the tracked tree with what is expected.", "build drift_signals"),
    LayerOperation(
        "OP-QA10", "System Health Render",
        "Render the health report from the active registries.", "build system_health_report"),
    LayerOperation(
        "OP-QA11", "Registry Delta Log Build",
        "Append what changed between successive sealed snapshots.", "build registry_delta_log"),
    LayerOperation(
        "OP-QA12", "Governance Scorecard Build",
        "Count operations, coverage, executables and registries.", "build governance_scorecard"),
    LayerOperation(
        "OP-QA13", "Captured Snapshot Seal",
        "Seal a copy of a governed document or of what another operation made.", "build expected_versions"),
    LayerOperation(
        "OP-QA14", "Pointer Activation",
        "Record who activated which snapshot, when and why.", "activate REGISTRY RUN --reason TEXT"),
    LayerOperation(
        "OP-QA15", "Role Registry Build", "Seal the role pack and its contract surface.", "build role_registry"),
    LayerOperation(
        "OP-QA16", "Registry Entries Build",
        "Seal the module, route, ability and hook registries.", "build module_registry"),
    LayerOperation("OP-QA17", "Run Index Build", "Seal the run index and the log of overrides.", "build run_index"),
)
# fmt: on
_OPERATIONS_HEAD: Final = """\
# Allowed Operations: Addendum for the Registry Layer

**Version**: 0.1

The operations by which registry-pipeline observes itself. They are added to the base catalog, which they
do not change.

"""
_OPERATION: Final = """\
### {id} — {name}

| Field | Value |
|---|---|
| **Option** | QA |
| **Purpose** | {purpose} |
| **Command** | `registry-pipeline {command}` |
| **Evidence** | a sealed run folder with run.json, manifest.json and MANIFEST.sha256 |
"""
_COVERAGE_HEAD: Final = """\
# Enforcement Coverage: Addendum for the Registry Layer

**Version**: 0.1

| Operation | Enforced by | Coverage Level |
|---|---|---|
"""


def format_operations_addendum() -> str:
    """Return the addendum to the operations catalog."""
    sections = (
        _OPERATION.format(id=o.operation_id, name=o.name, purpose=o.purpose, command=o.command)
        for o in LAYER_OPERATIONS
    )
    return _OPERATIONS_HEAD + "\n".join(sections)


def format_coverage_addendum() -> str:
    """Return the addendum to the coverage matrix."""
    rows = (
        f"| {o.operation_id} {o.name} | seal, schema, registry rules, activation gate | **{o.level}** |\n"
        for o in LAYER_OPERATIONS
    )
    return _COVERAGE_HEAD + "".join(rows)


def list_git_attributes(publish_root: str, pointers: str) -> tuple[str, ...]:
    """Return the `.gitattributes` lines of the evidence: a converted line ending would break a seal."""
    return (f"{publish_root}/** -text", f"{pointers} -text")


def list_git_ignores(publish_root: str, pointers: str, *, track_runs: bool) -> tuple[str, ...]:
    """Return the `.gitignore` lines: local state, and unless `track_runs` the run folders and the pointer file.

    `publish_root` and `pointers` are relative to the repository root.
    """
    state_root = publish_root.rpartition("/")[0]
    state = tuple(f"/{state_root}/{name}" for name in STATE_NAMES)
    change_files = (f"/{pointers}.lock", f"/{pointers}.intent", TEMPORARY_FILES)
    return state + change_files + (() if track_runs else (f"/{publish_root}/", f"/{pointers}"))


def list_log_attributes(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the `.gitattributes` lines of append-only logs: a converted line ending would edit every record."""
    return tuple(f"{path} -text" for path in paths)


def list_log_ignores(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the `.gitignore` lines of append-only logs: the side index and the batch intent."""
    # A torn tail that was moved away is not ignored: somebody has to look at it.
    return tuple(f"/{path}.{suffix}" for path in paths for suffix in ("index.sqlite3*", "batch"))
