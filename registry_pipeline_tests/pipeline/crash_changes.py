"""Changes of the pointer file in a process that is killed at a step of the protocol."""

from __future__ import annotations

from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.pipeline.conftest import World

KILLED = 9

STEPS = {
    "before the intent": ("pointers.transaction", "create_intent", "before"),
    "after the intent": ("pointers.transaction", "create_intent", "after"),
    "after the record": ("pointers.transaction", "seal_built", "after"),
    "after the replacement": ("pointers.transaction", "replace_file", "after"),
    "after all": ("pointers.transaction", "remove_intent", "after"),
}
"""Step to module, function of the protocol, and whether the process dies before or after it."""

_PROGRAM = """
import os, sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from registry_pipeline.pipeline.rebuild import rebuild
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.rollback import mark_bad, rollback, select_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.pointers.recovery import PENDING, complete_pending, void_records
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.config import load_repository
from registry_pipeline.pointers import state as store

root, module_name, name, when, what, *words = sys.argv[1:]
module = import_module(f"registry_pipeline.{module_name}")
real = getattr(module, name)

def step(*args, **kwargs):
    # What is left over of an older change is removed first; the step that is meant comes at the end.
    if name == "remove_intent" and when == "after" and not store.intent_path(repository.pointer_path).exists():
        return real(*args, **kwargs)
    if when == "before":
        os._exit(9)
    real(*args, **kwargs)
    os._exit(9)

repository = load_repository(Path(root))
run = start_build_run(repository, datetime(2026, 3, 1, 13, tzinfo=UTC))
who = {"actor": "Ada", "reason": "to be killed"}
if what == "activate":
    setattr(module, name, step)
    rebuild(repository, run, force=True, **who)
setattr(module, name, step)
if what == "rollback":
    target = select_rollback(read_chain_state(repository))
    rollback(repository, run, target, **who)
if what == "mark_bad":
    mark_bad(repository, run, find_run(repository, words[0]), **who)
if what == "finish":
    complete_pending(repository)
if what == "void":
    void_records(repository, run, [PENDING], **who)
"""


def kill(world: World, step: tuple[str, str, str], *what: str) -> None:
    """Run a change in a process of its own until it is killed at a step."""
    done = fork_server("registry_pipeline.pipeline").run(_PROGRAM, str(world.root), *step, *what)
    assert done.returncode == KILLED, done.stderr.decode()
