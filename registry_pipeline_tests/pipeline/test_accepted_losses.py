"""`--accept-removed`: a removed run fails the next run registry until somebody accepts the removal."""

from __future__ import annotations

import shutil

from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pointers.activation import ValidatedRun, activate, validate_found_run
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.recovery import complete_pending
from registry_pipeline.pointers.rollback import rollback, select_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline_tests.pipeline.conftest import Who, World, all_active
from registry_pipeline_tests.pipeline.crash_changes import STEPS, kill

WHO: Who = {"actor": "Grace", "reason": "moved to the archive"}


def lose_a_run(world: World) -> str:
    """Delete a run that the active run registry lists."""
    rows = (world.runs / world.active("run_registry") / "RUN_REGISTRY_v0_1.jsonl").read_text(encoding="utf-8")
    lost = next(p for p in sorted(world.runs.iterdir()) if p.is_dir() and not p.is_symlink() and f'"{p.name}"' in rows)
    lost.chmod(0o755)
    shutil.rmtree(lost)
    return lost.name


def proposed(world: World, *, accept_losses: bool) -> ValidatedRun:
    found = find_run(world.repository, "latest", "run_registry")
    candidate = validate_found_run(world.repository, "run_registry", found, accept_losses=accept_losses)
    assert not isinstance(candidate, Refusal)
    return candidate


def accepted(world: World, minutes: int) -> Activation | Refusal | None:
    candidate = proposed(world, accept_losses=True)
    return activate(world.repository, world.run(minutes), [candidate], **WHO, allow_mixed=True)


def test_a_loss_refuses_until_it_is_accepted_and_the_record_counts_it(built: World) -> None:
    lose_a_run(built)
    built.build("run_registry", minutes=1, only=True)

    plain = proposed(built, accept_losses=False)
    refused = activate(built.repository, built.run(2), [plain], **WHO, allow_mixed=True)
    assert isinstance(refused, Refusal)
    assert "ACTIVATE_NOT_VERIFIED" in {f.code for f in refused.findings}
    assert {f.code for f in plain[1].errors()} == {"RUN_REMOVED"}

    assert isinstance(accepted(built, 3), Activation)
    head = read_chain_state(built.repository).head
    assert head is not None
    assert head.record.verdicts == {"pass": 1, "fail": 0, "unsealed": 0, "partial": 0, "accepted_removed": 1}
    assert inspect(built.repository, built.run(4)).chain.state == "committed"
    assert all_active(built.build(minutes=5))


def test_a_loss_that_was_accepted_once_does_not_refuse_a_rollback(built: World) -> None:
    lose_a_run(built)
    built.build("run_registry", minutes=1, only=True)
    accepted(built, 2)
    with_loss = built.active("run_registry")
    built.build(minutes=3)

    target = select_rollback(read_chain_state(built.repository))
    done = rollback(built.repository, built.run(4), target, **WHO)

    assert isinstance(done, Activation)
    assert built.active("run_registry") == with_loss


def test_a_run_with_another_root_is_never_accepted(built: World) -> None:
    registry = built.runs / built.active("run_registry")
    rows = (registry / "RUN_REGISTRY_v0_1.jsonl").read_text(encoding="utf-8")
    sealed = next(
        p for p in sorted(built.runs.iterdir()) if (p / "MANIFEST.sha256").is_file() and f'"{p.name}"' in rows
    )
    hash_file = sealed / "MANIFEST.sha256"
    lines = hash_file.read_text(encoding="utf-8").splitlines()
    hash_file.chmod(0o644)
    hash_file.write_text("\n".join([*lines[:-1], f"ROOT_SHA256  {'0' * 64}", ""]), encoding="utf-8")
    built.build("run_registry", minutes=1, only=True)

    refused = accepted(built, 2)

    assert isinstance(refused, Refusal)
    assert "RUN_RESEALED" in {f.code for f in proposed(built, accept_losses=True)[1].errors()}


def test_an_accepted_loss_that_is_pending_is_finished_as_it_was_accepted(built: World) -> None:
    lose_a_run(built)
    built.build("run_registry", minutes=1, only=True)
    accepted(built, 2)
    built.build(minutes=3)
    kill(built, STEPS["after the record"], "rollback")

    assert isinstance(complete_pending(built.repository), Activation)
