"""Rollback: what it restores and what it refuses; a run that is marked bad is never active again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.errors import ConfigError, NotFoundError, RefusedError
from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pointers.activation import activate, select_activatable, validate_found_run
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.rollback import mark_bad, rollback, select_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline.values import replace
from registry_pipeline_tests.pipeline.conftest import Who, World, all_active, copied

WHO: Who = {"actor": "Grace", "reason": "the drift was wrong"}
BUILT = ("run_registry", "op_status_table", "drift_signals", "governance_scorecard")


@pytest.fixture(scope="session")
def three_times(built_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("thrice") / "repository"
    shutil.copytree(built_repository, root, symlinks=True)
    for minutes in (10, 20):
        World(load_repository(root)).build(minutes=minutes)
    return root


@pytest.fixture
def world(three_times: Path, tmp_path: Path) -> Iterator[World]:
    """A repository where everything was activated at noon, ten past, and twenty past."""
    yield from copied(three_times, tmp_path / "world")


def refs(world: World) -> dict[str, SealedRef]:
    file = read_pointers(world.repository)
    return {p.registry_id: ref for p in file.pointers if (ref := file.active(p.registry_id)) is not None}


def activations(world: World) -> list[str]:
    records = read_chain_state(world.repository).records
    return [r.ref.run_id for r in records if r.record.action == "activate"]


def back(
    world: World,
    minutes: int,
    word: str | None = None,
    registry_id: str | None = None,
    *,
    allow_mixed: bool = False,
    redo: bool = False,
) -> Activation | Refusal | None:
    target = select_rollback(read_chain_state(world.repository), word, registry_id, redo=redo)
    return rollback(world.repository, world.run(minutes), target, **WHO, allow_mixed=allow_mixed)


def bad(world: World, minutes: int, run_id: str) -> Activation | Refusal | None:
    return mark_bad(world.repository, world.run(minutes), find_run(world.repository, run_id), **WHO)


def stamps(world: World) -> set[str]:
    return {ref.run_id[12:18] for name, ref in refs(world).items() if name in BUILT}


def codes(refused: object) -> set[str]:
    assert isinstance(refused, Refusal)
    return {f.code for f in refused.findings}


def test_a_rollback_restores_every_pointer_that_the_last_activation_moved(world: World) -> None:
    done = back(world, 30)

    assert isinstance(done, Activation)
    assert (done.action, {move.registry_id for move in done.moves}) == ("rollback", set(BUILT))
    assert stamps(world) == {"121000"}
    seen = inspect(world.repository, world.run(31))
    assert (seen.chain.state, seen.findings) == ("committed", ())
    head = seen.chain.head
    assert head is not None
    assert (head.record.actor, head.record.reason) == ("Grace", "the drift was wrong")
    assert head.record.verdicts["pass"] == len(BUILT)


def test_a_repeated_rollback_goes_further_back_until_nothing_is_in_effect(world: World) -> None:
    back(world, 30)
    assert stamps(world) == {"121000"}
    back(world, 31)
    assert stamps(world) == {"120000"}
    back(world, 32)
    assert refs(world) == {}

    with pytest.raises(NotFoundError, match="no activation in effect") as caught:
        back(world, 33)
    assert caught.value.exit_code == 7


def test_redo_undoes_the_rollbacks_one_by_one_and_then_finds_none(world: World) -> None:
    before = refs(world)
    back(world, 30)
    back(world, 31)

    back(world, 32, redo=True)
    assert stamps(world) == {"121000"}
    back(world, 33, redo=True)
    assert refs(world) == before

    with pytest.raises(NotFoundError, match="no rollback to undo"):
        back(world, 34, redo=True)


def test_after_a_redo_the_next_rollback_undoes_the_same_activation_again(world: World) -> None:
    back(world, 30)
    back(world, 31, redo=True)
    back(world, 32)

    assert stamps(world) == {"121000"}


def test_a_rollback_that_a_later_build_superseded_is_not_redone(world: World) -> None:
    back(world, 30)
    world.build(minutes=40)

    with pytest.raises(NotFoundError, match="no rollback to undo"):
        back(world, 50, redo=True)
    back(world, 51)
    assert stamps(world) == {"121000"}


def test_a_rollback_of_one_registry_leaves_the_others_of_its_activation_to_the_next(world: World) -> None:
    back(world, 30, registry_id="governance_scorecard", allow_mixed=True)
    assert world.active("governance_scorecard")[12:18] == "121000"

    done = back(world, 31, allow_mixed=True)

    assert isinstance(done, Activation)
    assert {move.registry_id for move in done.moves} == set(BUILT) - {"governance_scorecard"}
    assert stamps(world) == {"121000"}


def test_naming_older_activations_goes_further_back_step_by_step_or_at_once(world: World) -> None:
    _, second, third = activations(world)

    back(world, 30, third)
    assert stamps(world) == {"121000"}
    back(world, 31, second)
    assert stamps(world) == {"120000"}
    back(world, 32, redo=True)
    assert stamps(world) == {"121000"}
    assert isinstance(back(world, 33, second), Activation)
    assert stamps(world) == {"120000"}


def test_what_was_taken_back_already_moves_nothing(world: World) -> None:
    third = activations(world)[-1]
    back(world, 30, third)
    names = world.names()

    assert back(world, 31, third) is None
    assert world.names() == names


def test_where_nothing_was_replaced_the_pointer_becomes_unknown(world: World) -> None:
    first = activations(world)[0]

    done = back(world, 30, first)

    assert isinstance(done, Activation)
    assert refs(world) == {}
    pointers = read_pointers(world.repository).pointers
    assert {(p.known, p.ref, p.notes) for p in pointers} == {("unknown", None, "the drift was wrong")}
    assert all_active(world.build(minutes=40))


def test_one_registry_alone_is_moved_under_the_mixed_rule(world: World) -> None:
    before = refs(world)

    assert codes(back(world, 30, registry_id="run_registry")) == {"ACTIVATE_MIXED"}
    assert refs(world) == before

    done = back(world, 31, registry_id="run_registry", allow_mixed=True)
    assert isinstance(done, Activation)
    assert [m.registry_id for m in done.moves] == ["run_registry"]
    assert {f.code for f in done.findings} == {"POINTER_INPUTS_MIXED"}


def test_a_rollback_of_the_last_activation_restores_a_mixed_set_that_was_active(world: World) -> None:
    row = world.build("run_registry", minutes=30, only=True).built[0]
    assert row.run is not None
    verdict = validate(world.repository, row.run)
    activate(world.repository, world.run(31), [(row.run, verdict)], **WHO, allow_mixed=True)
    mixed = refs(world)
    world.build(minutes=32)

    done = back(world, 33)

    assert isinstance(done, Activation)
    assert {f.code for f in done.findings} == {"POINTER_INPUTS_MIXED"}
    assert {name: refs(world)[name] for name in BUILT} == {name: mixed[name] for name in BUILT}


def test_it_never_goes_back_to_a_run_that_does_not_verify(world: World) -> None:
    world.tamper("2026-03-01__121000__drift_signals_build", "DRIFT_SIGNALS_v0_1.json")
    before = refs(world), world.names()

    assert codes(back(world, 30)) == {"ACTIVATE_NOT_VERIFIED"}
    assert (refs(world), world.names()) == before


def test_it_never_goes_back_to_a_run_that_is_gone(world: World) -> None:
    folder = world.runs / "2026-03-01__121000__drift_signals_build"
    folder.chmod(0o755)
    shutil.rmtree(folder)

    assert {"ACTIVATE_NOT_VERIFIED", "ACTIVATE_VERDICT_STALE"} <= codes(back(world, 30))


def test_a_run_marked_bad_is_never_activated_nor_gone_back_to(world: World) -> None:
    run_id = "2026-03-01__121000__drift_signals_build"
    before = refs(world)
    done = bad(world, 30, run_id)
    assert isinstance(done, Activation)
    assert (done.action, done.moves, refs(world)) == ("mark_bad", (), before)

    assert codes(back(world, 31)) == {"ACTIVATE_MARKED_BAD"}
    proposed = validate_found_run(world.repository, "drift_signals", find_run(world.repository, run_id))
    assert not isinstance(proposed, Refusal)
    refused = activate(world.repository, world.run(32), [proposed], **WHO, allow_mixed=True)
    assert "ACTIVATE_MARKED_BAD" in codes(refused)
    movable, held = select_activatable(world.repository, [proposed])
    assert (movable, [f.code for f in held]) == ((), ["ACTIVATE_MARKED_BAD"])
    assert refs(world) == before


def test_marking_the_active_run_bad_makes_its_pointer_false_and_a_rollback_then_goes_back(world: World) -> None:
    run_id = world.active("drift_signals")

    done = bad(world, 30, run_id)

    assert isinstance(done, Activation)
    pointer = read_pointers(world.repository).get("drift_signals")
    assert pointer is not None
    assert (pointer.known, pointer.notes) == (False, "the drift was wrong")
    assert pointer.ref is not None
    assert pointer.ref.run_id == run_id
    assert bad(world, 31, run_id) is None
    assert isinstance(back(world, 32), Activation)
    assert stamps(world) == {"121000"}


def test_a_bad_run_whose_folder_is_altered_can_be_marked_as_the_pointer_names_it(world: World) -> None:
    run_id, named = world.active("drift_signals"), refs(world)["drift_signals"]
    world.tamper(run_id, "DRIFT_SIGNALS_v0_1.json")

    assert isinstance(bad(world, 30, run_id), Activation)
    head = read_chain_state(world.repository).head
    assert head is not None
    assert head.record.runs == (named,)


def test_what_a_rollback_moved_away_from_is_proposed_by_nobody_and_activated_by_people(world: World) -> None:
    run_ids = {name: world.active(name) for name in BUILT}
    back(world, 30)
    checked_runs = []
    for name, run_id in run_ids.items():
        proposed = validate_found_run(world.repository, name, find_run(world.repository, run_id))
        assert not isinstance(proposed, Refusal)
        checked_runs.append(proposed)

    movable, held = select_activatable(world.repository, checked_runs)

    assert movable == ()
    assert {f.code for f in held} == {"ACTIVATE_ROLLED_BACK"}
    assert isinstance(activate(world.repository, world.run(31), checked_runs, **WHO), Activation)
    assert {name: world.active(name) for name in BUILT} == run_ids


def test_a_new_build_after_a_rollback_is_activated(world: World) -> None:
    back(world, 30)

    assert all_active(world.build(minutes=40))
    assert stamps(world) == {"124000"}


def test_an_activation_record_is_not_marked_bad_and_needs_no_mark(world: World) -> None:
    with pytest.raises(RefusedError, match="activation record"):
        bad(world, 30, activations(world)[0])


def test_a_change_without_a_reason_is_none(world: World) -> None:
    found = find_run(world.repository, world.active("drift_signals"))
    target = select_rollback(read_chain_state(world.repository))

    with pytest.raises(ConfigError):
        mark_bad(world.repository, world.run(30), found, actor="Ada", reason=" ")
    with pytest.raises(ConfigError):
        rollback(world.repository, world.run(30), target, actor="Ada", reason="")


def test_what_cannot_be_taken_back_is_named(world: World) -> None:
    chain = read_chain_state(world.repository)
    init = chain.records[0].ref.run_id

    with pytest.raises(NotFoundError, match="matches 4 activation records"):
        select_rollback(chain, "2026")
    with pytest.raises(NotFoundError, match="no activation record"):
        select_rollback(chain, "2031")
    with pytest.raises(RefusedError, match="moved nothing"):
        select_rollback(chain, init)
    with pytest.raises(RefusedError, match="moved no expected_versions"):
        select_rollback(chain, activations(world)[-1], "expected_versions")
    with pytest.raises(NotFoundError):
        select_rollback(chain, None, "run_registri")
    with pytest.raises(NotFoundError, match="no activation in effect"):
        select_rollback(replace(chain, records=()))


def test_active_tilde_n_is_the_run_that_was_active_n_moves_ago(world: World) -> None:
    words = [find_run(world.repository, f"active~{n}", "drift_signals").run_id[12:18] for n in range(3)]

    assert words == ["122000", "121000", "120000"]
    assert find_run(world.repository, "active", "drift_signals").run_id == world.active("drift_signals")
    for word, registry_id in (("active~3", "drift_signals"), ("active~1", None), ("active~9", "run_registry")):
        with pytest.raises(NotFoundError):
            find_run(world.repository, word, registry_id)


def test_a_registry_whose_runs_have_no_tag_has_no_latest_run(world: World) -> None:
    with pytest.raises(NotFoundError, match="there is no run of threshold_registry_db"):
        find_run(world.repository, "latest", "threshold_registry_db")
