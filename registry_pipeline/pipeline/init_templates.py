"""What the registry layer says of itself in a governed repository (SPEC 1 and 3).

Its own operations OP-QA07 to OP-QA17 as the two addenda that `init` and the example write, and the lines that it
needs in `.gitattributes` and `.gitignore`. One table, so that the texts cannot disagree.
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.seal_build import STATE_NAMES
from registry_pipeline.values import value_type

OPERATIONS_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_OPERATIONS_ADDENDUM_v0_1.md"
COVERAGE_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_COVERAGE_ADDENDUM_v0_1.md"
"""The state that commands keep beside publish_root, none of it evidence; what else lies there is the user's own."""
TEMPORARY_FILES: Final = ".*.registry-pipeline.tmp"
"""The temporary files of the atomic write, beside any file that is being written."""


@value_type
class LayerOperation:
    """One operation of the registry layer: what it is called, what it does, who runs it, how far it is enforced."""

    operation_id: str
    name: str
    purpose: str
    command: str
    level: str


LAYER_OPERATIONS: Final = (
    LayerOperation(
        "OP-QA07", "Run Registry Build", "List every run folder, one line each.", "build run_registry", "C3"
    ),
    LayerOperation(
        "OP-QA08",
        "Operation Status Table Build",
        "Tell for every operation its last run, the evidence of it, its age and its drift.",
        "build op_status_table",
        "C3",
    ),
    LayerOperation(
        "OP-QA09",
        "Drift Signals Build",
        "Compare versions, thresholds and the tracked tree with what is expected.",
        "build drift_signals",
        "C3",
    ),
    LayerOperation(
        "OP-QA10",
        "System Health Render",
        "Render the health report from the active registries.",
        "build system_health_report",
        "C3",
    ),
    LayerOperation(
        "OP-QA11",
        "Registry Delta Log Build",
        "Append what changed between successive sealed snapshots.",
        "build registry_delta_log",
        "C3",
    ),
    LayerOperation(
        "OP-QA12",
        "Governance Scorecard Build",
        "Count operations, coverage, executables and registries.",
        "build governance_scorecard",
        "C3",
    ),
    LayerOperation(
        "OP-QA13",
        "Captured Snapshot Seal",
        "Seal a copy of a governed document or of what another operation made.",
        "build expected_versions",
        "C3",
    ),
    LayerOperation(
        "OP-QA14",
        "Pointer Activation",
        "Record who put which snapshot in force, when and why.",
        "activate REGISTRY RUN --reason TEXT",
        "C3",
    ),
    LayerOperation(
        "OP-QA15", "Role Registry Build", "Seal the role pack and its contract surface.", "build role_registry", "C3"
    ),
    LayerOperation(
        "OP-QA16",
        "Registry Entries Build",
        "Seal the module, route, ability and hook registries.",
        "build module_registry",
        "C3",
    ),
    LayerOperation(
        "OP-QA17", "Run Index Build", "Seal the run index and the log of overrides.", "build run_index", "C3"
    ),
)


def layer_operations_addendum() -> str:
    """Return the operations addendum of the registry layer, in the second style of SPEC 4.2."""
    lines = [
        "# Allowed Operations: Addendum for the Registry Layer",
        "",
        "**Version**: 0.1",
        "",
        "The operations by which registry-pipeline observes itself. They are added to the base catalog, which they",
        "do not change.",
        "",
    ]
    for operation in LAYER_OPERATIONS:
        lines += [
            f"### {operation.operation_id} — {operation.name}",
            "",
            "| Field | Value |",
            "|---|---|",
            "| **Option** | QA |",
            f"| **Purpose** | {operation.purpose} |",
            f"| **Command** | `registry-pipeline {operation.command}` |",
            "| **Evidence** | a sealed run folder with run.json, manifest.json and MANIFEST.sha256 |",
            "",
        ]
    return "\n".join(lines)


def layer_coverage_addendum() -> str:
    """Return the coverage addendum of the registry layer, in the second style of SPEC 4.2."""
    rows = [
        f"| {o.operation_id} {o.name} | seal, schema, registry rules, activation gate | **{o.level}** |"
        for o in LAYER_OPERATIONS
    ]
    return "\n".join(
        [
            "# Enforcement Coverage: Addendum for the Registry Layer",
            "",
            "**Version**: 0.1",
            "",
            "| Operation | Enforced by | Coverage Level |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def layer_attributes(publish_root: str, pointers: str) -> tuple[str, ...]:
    """Return the `.gitattributes` lines: a line end that git converts breaks a seal."""
    return (f"{publish_root}/** -text", f"{pointers} -text")


def layer_ignores(publish_root: str, pointers: str, *, track_runs: bool) -> tuple[str, ...]:
    """Return the `.gitignore` lines: the state beside `publish_root`, and evidence too unless it is tracked.

    `publish_root` and `pointers` are the configured paths, relative to the repository root; `publish_root` lies in a
    folder of its own.
    """
    state = publish_root.rpartition("/")[0]
    kept = tuple(f"/{state}/{name}" for name in STATE_NAMES)
    moving = (f"/{pointers}.lock", f"/{pointers}.intent", TEMPORARY_FILES)
    return kept + moving + (() if track_runs else (f"/{publish_root}/", f"/{pointers}"))


def log_attributes(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the `.gitattributes` lines of append-only logs: a line end that git converts edits every record."""
    return tuple(f"{path} -text" for path in paths)


def log_ignores(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the `.gitignore` lines of append-only logs: side index and announced batch, but not what was set aside."""
    return tuple(f"/{path}.{suffix}" for path in paths for suffix in ("index.sqlite3*", "batch"))
