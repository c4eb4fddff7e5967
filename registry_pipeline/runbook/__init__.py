"""The walk itself: build, seal, validate, activate, render (seed 000), for both doors.

Holds composition only: each step demands the type that the step before returns, so that a skipped step cannot be
written. Keeps out rules (they live in the rooms) and every format. May import every room, `catalog` and below.
"""

from registry_pipeline.model.verdict import Built
from registry_pipeline.runbook.activation import activate, largest_movable, read_active_runs, read_chain_state
from registry_pipeline.runbook.building import (
    BuildRun,
    build,
    seal,
    start_build_run,
    unchanged,
    validate,
    with_chain_head,
)
from registry_pipeline.runbook.doctor import Orders, diagnose, mend
from registry_pipeline.runbook.example import ExampleOutcome, make_example
from registry_pipeline.runbook.history import SealedDay, build_days
from registry_pipeline.runbook.inspection import InForce, Inspection, inspect
from registry_pipeline.runbook.interrupts import held_back
from registry_pipeline.runbook.reading import (
    active_run,
    pointer_hash,
    read_pointers,
    read_report,
    read_sealed,
    run_folder,
    sealed_run,
    spec_of,
)
from registry_pipeline.runbook.rendering import render
from registry_pipeline.runbook.rollback import RollbackTarget, mark_bad, rollback, select_rollback
from registry_pipeline.runbook.sealed_sets import SealedSet, SetMember, list_sealed_sets, read_sealed_set
from registry_pipeline.runbook.settlement import settle, void
from registry_pipeline.runbook.setup import InitOutcome, initialise
from registry_pipeline.runbook.stack import BuiltRow, StackOutcome, build_stack
from registry_pipeline.runbook.underway import build_under_way, is_build_under_way
from registry_pipeline.runbook.verification import (
    Baseline,
    FoundRun,
    active_runs,
    all_runs,
    check_moved_runs,
    compare_baseline,
    find_run,
    folder_at,
    judge_runs,
    verify_inputs,
    verify_runs,
)
from registry_pipeline.validate.chain import ChainState, check_anchor
from registry_pipeline.validate.lineage import JudgedRun, Lineage

__all__ = [
    "Baseline",
    "BuildRun",
    "Built",
    "BuiltRow",
    "ChainState",
    "ExampleOutcome",
    "FoundRun",
    "InForce",
    "InitOutcome",
    "Inspection",
    "JudgedRun",
    "Lineage",
    "Orders",
    "RollbackTarget",
    "SealedDay",
    "SealedSet",
    "SetMember",
    "StackOutcome",
    "activate",
    "active_run",
    "active_runs",
    "all_runs",
    "build",
    "build_days",
    "build_stack",
    "build_under_way",
    "check_anchor",
    "check_moved_runs",
    "compare_baseline",
    "diagnose",
    "find_run",
    "folder_at",
    "held_back",
    "initialise",
    "inspect",
    "is_build_under_way",
    "judge_runs",
    "largest_movable",
    "list_sealed_sets",
    "make_example",
    "mark_bad",
    "mend",
    "pointer_hash",
    "read_active_runs",
    "read_chain_state",
    "read_pointers",
    "read_report",
    "read_sealed",
    "read_sealed_set",
    "render",
    "rollback",
    "run_folder",
    "seal",
    "sealed_run",
    "select_rollback",
    "settle",
    "spec_of",
    "start_build_run",
    "unchanged",
    "validate",
    "verify_inputs",
    "verify_runs",
    "void",
    "with_chain_head",
]
