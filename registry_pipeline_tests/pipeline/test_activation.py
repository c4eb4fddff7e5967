"""The protocol of an activation: refusals, races, and a process killed at each step."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import BusyError
from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pointers.activation import activate
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.sealed_input import read_active_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.sealed_run import Refusal, SealedRun, Verdict
from registry_pipeline.values import replace
from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.pipeline.conftest import World, all_active

STEPS = {
    "before the intent": ("create_intent", "before", "committed"),
    "after the intent": ("create_intent", "after", "committed"),
    "after the record": ("seal_built", "after", "pending"),
    "after the replacement": ("replace_file", "after", "committed"),
    "after all": ("remove_intent", "after", "committed"),
}

KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from registry_pipeline.pipeline.rebuild import rebuild
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.config import load_repository
from registry_pipeline.pointers import state
from registry_pipeline.pointers import transaction

name, when = sys.argv[2], sys.argv[3]
real = getattr(transaction, name)

def step(*args, **kwargs):
    if name == "remove_intent" and not state.intent_path(repository.pointer_path).exists():
        return real(*args, **kwargs)
    if when == "before":
        os._exit(9)
    made = real(*args, **kwargs)
    os._exit(9)

repository = load_repository(Path(sys.argv[1]))
run = start_build_run(repository, datetime(2026, 3, 1, 12, 5, tzinfo=UTC))
setattr(transaction, name, step)
rebuild(repository, run, actor="Ada", reason="to be killed")
"""


def kill(world: World, name: str, when: str) -> None:
    done = fork_server("registry_pipeline.pipeline").run(KILLED, str(world.root), name, when)
    assert done.returncode == 9, done.stderr.decode()


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_any_step_leaves_a_state_with_a_name(built: World, step: str) -> None:
    name, when, state = STEPS[step]
    kill(built, name, when)

    seen = inspect(built.repository, built.run(6))

    assert seen.chain.state == state
    assert {f.code for f in seen.findings} == ({"CHAIN_PENDING"} if state == "pending" else set())


@pytest.mark.parametrize("step", [step for step, (_, _, state) in STEPS.items() if state == "committed"])
def test_the_next_build_goes_on_after_a_kill_that_left_the_chain_committed(built: World, step: str) -> None:
    kill(built, *STEPS[step][:2])

    outcome = built.build(minutes=7)

    assert all_active(outcome)
    assert not built.repository.pointer_path.with_name(f"{built.repository.pointer_path.name}.intent").exists()


def test_a_pending_change_refuses_every_other(built: World) -> None:
    kill(built, *STEPS["after the record"][:2])
    before = built.repository.pointer_path.read_bytes()

    refused = built.build(minutes=7).activation

    assert isinstance(refused, Refusal)
    assert [f.code for f in refused.findings] == ["CHAIN_PENDING"]
    assert built.repository.pointer_path.read_bytes() == before


def test_a_pointer_file_edited_by_hand_is_found_and_refuses(built: World) -> None:
    path = built.repository.pointer_path
    document = json.loads(path.read_bytes())
    document["pointers"][0]["notes"] = "just this once"
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    edited = path.read_bytes()

    refused = built.build(minutes=1).activation

    assert isinstance(refused, Refusal)
    assert [f.code for f in refused.findings] == ["POINTER_EDITED"]
    assert path.read_bytes() == edited


def test_an_older_pointer_file_put_back_is_found_and_refuses(built: World) -> None:
    older = built.repository.pointer_path.read_bytes()
    built.build(minutes=1)
    built.repository.pointer_path.write_bytes(older)

    refused = built.build(minutes=2).activation

    assert isinstance(refused, Refusal)
    assert [f.code for f in refused.findings] == ["POINTER_REWOUND"]
    assert inspect(built.repository, built.run(3)).health.state == "RECOVERY_REQUIRED"


def test_the_record_keeps_who_why_and_both_states(built: World) -> None:
    (head,) = (r for r in read_chain_state(built.repository).records if r.record.action == "activate")
    after = built.runs / head.ref.run_id / "POINTERS_AFTER.json"

    assert (head.record.actor, head.record.reason) == ("Ada", "because it is Sunday")
    assert head.record.verdicts["pass"] == len(head.record.moves) > 0
    assert after.read_bytes() == built.repository.pointer_path.read_bytes()
    assert head.record.after_sha256 == sha256_hex(after.read_bytes())


def alone(world: World, minutes: int) -> tuple[SealedRun, Verdict]:
    run = world.build("drift_signals", minutes=minutes, only=True).built[0].run
    assert run is not None
    return run, validate(world.repository, run)


def test_a_verdict_made_before_the_pointers_moved_is_too_old(built: World) -> None:
    candidates = alone(built, 1)
    built.build(minutes=2)
    before = built.names()

    with pytest.raises(BusyError, match="changed since"):
        activate(built.repository, built.run(3), [candidates], actor="Ada", reason="late")

    assert built.names() == before


def test_a_verdict_on_another_content_is_refused(built: World) -> None:
    run, verdict = alone(built, 1)
    stale = replace(verdict, root_sha256="0" * 64)

    refused = activate(built.repository, built.run(3), [(run, stale)], actor="Ada", reason="swapped")

    assert isinstance(refused, Refusal)
    assert "ACTIVATE_VERDICT_STALE" in {f.code for f in refused.findings}


def test_what_is_active_already_moves_nothing_and_seals_nothing(built: World) -> None:
    run = read_active_run(built.repository, SHIPPED.spec_of("drift_signals"))
    assert run is not None
    before = built.names()

    moved = activate(
        built.repository, built.run(1), [(run, validate(built.repository, run))], actor="Ada", reason="again"
    )

    assert moved is None
    assert built.names() == before


def test_a_refused_first_activation_begins_no_chain(world: World) -> None:
    row = world.build("run_registry", only=True).built[0]
    assert row.run is not None
    verdict = validate(world.repository, row.run)

    refused = activate(
        world.repository, world.run(1), [(row.run, replace(verdict, verdict="fail"))], actor="Ada", reason="no"
    )

    assert isinstance(refused, Refusal)
    assert not [name for name in world.names() if "pointer_activation" in name]


def test_two_concurrent_builds_leave_one_valid_chain(built: World) -> None:
    script = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from registry_pipeline.registries.base.seal_build import start_build_run\n"
        "from registry_pipeline.pipeline.rebuild import rebuild\n"
        "from registry_pipeline.config import load_repository\n"
        "from registry_pipeline.errors import BusyError\n"
        "repository = load_repository(Path(sys.argv[1]))\n"
        "run = start_build_run(repository, datetime(2026, 3, 1, 12, int(sys.argv[2]), tzinfo=UTC))\n"
        "try: rebuild(repository, run, actor='Ada', reason='race')\n"
        "except BusyError: sys.exit(6)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(built.root), str(n)]) for n in (10, 11)]
    codes = [process.wait() for process in processes]

    seen = inspect(built.repository, built.run(20))

    assert set(codes) <= {0, 6}
    assert seen.chain.state == "committed"
    assert seen.findings == ()
