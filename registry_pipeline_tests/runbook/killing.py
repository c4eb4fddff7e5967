"""Changes of the pointer file in a process that is killed at a step of the protocol."""

from __future__ import annotations

from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.runbook.conftest import World

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
from registry_pipeline import runbook
from registry_pipeline.config import load_governed
from registry_pipeline.activate import swap

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
run = runbook.start_build_run(governed, datetime(2026, 3, 1, 13, tzinfo=UTC))
who = {"actor": "Ada", "reason": "to be killed"}
if what == "activate":
    run = runbook.start_build_run(governed, datetime(2026, 3, 1, 13, tzinfo=UTC))
    setattr(module, name, step)
    runbook.build_stack(governed, run, **who)
setattr(module, name, step)
if what == "rollback":
    target = runbook.select_rollback(runbook.read_chain_state(governed))
    runbook.rollback(governed, run, target, **who)
if what == "mark_bad":
    runbook.mark_bad(governed, run, runbook.find_run(governed, words[0]), **who)
if what == "finish":
    runbook.settle(governed, run, "finish", **who)
if what == "void":
    runbook.settle(governed, run, "void", **who)
"""


def kill(world: World, step: tuple[str, str, str], *what: str) -> None:
    """Run a change in a process of its own until it is killed at a step."""
    done = fork_server("registry_pipeline.runbook").run(_PROGRAM, str(world.root), *step, *what)
    assert done.returncode == KILLED, done.stderr.decode()
