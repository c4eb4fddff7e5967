"""Changes of the pointer file in a process that is killed at a step of the protocol."""

from __future__ import annotations

from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.pipeline.conftest import World

KILLED = 9

STEPS = {
    "before the intent": ("change", "write_intent", "before"),
    "after the intent": ("change", "write_intent", "after"),
    "after the record": ("change", "seal", "after"),
    "after the replacement": ("change", "replace_file", "after"),
    "after all": ("change", "remove_intent", "after"),
}
"""Step to module of the runbook, the function of the protocol, and whether the process dies before or after it."""

_PROGRAM = """
import os, sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from registry_pipeline.pipeline.rebuild import rebuild as build_stack
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.rollback import mark_bad
from registry_pipeline.pointers.activation import read_chain_state
from registry_pipeline.pointers.rollback import rollback
from registry_pipeline.pointers.rollback import select_rollback
from registry_pipeline.pointers.recovery import resolve_pending as settle
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.config import load_repository as load_governed
from registry_pipeline.pointers import store as swap

root, room, name, when, what, *words = sys.argv[1:]
module = import_module(f"registry_pipeline.runbook.{room}")
real = getattr(module, name)

def step(*args, **kwargs):
    # What is left over of an older change is removed first; the step that is meant comes at the end.
    if name == "remove_intent" and when == "after" and not swap.intent_path(governed.pointer_path).exists():
        return real(*args, **kwargs)
    if when == "before":
        os._exit(9)
    real(*args, **kwargs)
    os._exit(9)

governed = load_governed(Path(root))
run = start_build_run(governed, datetime(2026, 3, 1, 13, tzinfo=UTC))
who = {"actor": "Ada", "reason": "to be killed"}
if what == "activate":
    run = start_build_run(governed, datetime(2026, 3, 1, 13, tzinfo=UTC))
    setattr(module, name, step)
    build_stack(governed, run, **who)
setattr(module, name, step)
if what == "rollback":
    target = select_rollback(read_chain_state(governed))
    rollback(governed, run, target, **who)
if what == "mark_bad":
    mark_bad(governed, run, find_run(governed, words[0]), **who)
if what == "finish":
    settle(governed, run, "finish", **who)
if what == "void":
    settle(governed, run, "void", **who)
"""


def kill(world: World, step: tuple[str, str, str], *what: str) -> None:
    """Run a change in a process of its own until it is killed at a step."""
    done = fork_server("registry_pipeline.runbook").run(_PROGRAM, str(world.root), *step, *what)
    assert done.returncode == KILLED, done.stderr.decode()
