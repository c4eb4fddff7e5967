"""What one build has verified it does not verify again, unless something changed or a change of pointers decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import Repository
from registry_pipeline.pipeline.rebuild import RebuildResult, rebuild
from registry_pipeline.pointers import state, transaction
from registry_pipeline.pointers.state import create_intent, read_chain_state, read_pointer_state
from registry_pipeline.registries import validation
from registry_pipeline.registries.base import sealed_input
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate, verify_with_artifacts
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.values import replace
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.pipeline.conftest import World, all_active

ENTRIES = "module_registry"


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str, *modules: Any) -> Counter[str]:
    """Count the calls of a function by the last name in its first argument."""
    calls: Counter[str] = Counter()
    real = getattr(modules[0], name)

    def counted(first: Any, *args: Any, **kwargs: Any) -> Any:
        calls[Path(first).name if isinstance(first, str | Path) else ""] += 1
        return real(first, *args, **kwargs)

    for module in modules:
        monkeypatch.setattr(module, name, counted)
    return calls


def test_a_build_verifies_an_unchanged_run_once_and_once_each_for_the_activation_and_the_report(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: built.active(name) for name, spec in SHIPPED.registries.items() if spec.kind == "captured"}
    calls = count_calls(monkeypatch, "verify_folder", pointer_file, validation, state)

    outcome = built.build(minutes=10)

    reused = {row.registry_id for row in outcome.built if row.reused}
    assert ENTRIES in reused
    assert {name: calls[before[name]] for name in reused & before.keys()} == dict.fromkeys(reused & before.keys(), 3)


def test_a_second_build_reads_the_chain_before_and_after_its_activation_and_under_the_lock_only(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, "read_locked_state", state, transaction)

    built.build(minutes=10)

    # The fourth is for the new report: the reading for the delta log finds it beside the same records.
    assert calls.total() == 4


@pytest.mark.parametrize("registry_id", ["op_status_table", ENTRIES])
def test_a_new_run_that_is_altered_before_its_validation_fails_it(world: World, registry_id: str) -> None:
    def alter(step: str, name: str) -> None:
        if (step, name) == ("validate", registry_id):
            (folder,) = world.runs.glob(f"2026-03-01__120000__{SHIPPED.spec_of(registry_id).tag}")
            flip_byte(folder / "run.json")

    outcome = build_with(world, alter)

    verdicts = {row.registry_id: row.verdict for row in outcome.built}
    assert (verdict := verdicts[registry_id]) is not None
    assert not verdict.passed


def build_with(world: World, on_step: Callable[[str, str], None]) -> RebuildResult:
    return rebuild(world.repository, world.run(), actor="Ada", reason="because it is Sunday", on_step=on_step)


def nothing(_world: World) -> None:
    pass


def move_pointers(world: World) -> None:
    assert all_active(world.build(minutes=10))


def edit_pointer_file(world: World) -> None:
    path = world.repository.pointer_path
    path.write_bytes(path.read_bytes() + b" ")


def leave_an_intent(world: World) -> None:
    create_intent(world.repository.pointer_path, "2026-03-01__130000__pointer_activation", "0" * 64, "1" * 64)


def remove_a_record(world: World) -> None:
    last = max(world.runs.glob("*pointer_activation*"))
    last.rename(world.root / "elsewhere")


def put_a_file_with_the_name_of_a_record(world: World) -> None:
    (world.runs / "2026-03-01__140000__pointer_activation").write_bytes(b"")


def remove_the_report(world: World) -> None:
    (report,) = world.runs.glob("*system_health_render")
    report.rename(world.root / "elsewhere")


CHANGES = (
    nothing,
    move_pointers,
    edit_pointer_file,
    leave_an_intent,
    remove_a_record,
    put_a_file_with_the_name_of_a_record,
    remove_the_report,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_build_that_knows_the_chain_sees_every_change_of_it(built: World, change: Callable[[World], None]) -> None:
    build = built.repository.remembering(safe_change=0)
    read_pointer_state(build, from_checkpoint=True)

    change(built)

    assert read_pointer_state(build, from_checkpoint=True) == read_pointer_state(built.repository, from_checkpoint=True)


def test_a_full_reading_of_the_chain_verifies_every_record_whatever_the_build_knows(built: World) -> None:
    build = built.repository.remembering(safe_change=0)
    read_chain_state(build, from_checkpoint=True)
    flip_byte(max(built.runs.glob("*pointer_activation*")) / "run.json")

    assert [f.code for f in read_chain_state(build).findings if f.code == "CHAIN_RECORD_EDITED"]


@pytest.fixture
def active_entries(built: World) -> tuple[Repository, Any]:
    return built.repository, read_pointers(built.repository).active(ENTRIES)


GUESSES = (set[str](), {"missing.yaml"}, {"overview.yaml", "run.json"})


@pytest.mark.parametrize("guess", GUESSES)
def test_a_wrong_guess_of_the_artifacts_changes_no_report(
    active_entries: tuple[Repository, Any], monkeypatch: pytest.MonkeyPatch, guess: Collection[str]
) -> None:
    repository, ref = active_entries
    folder = run_folder(repository, ref)
    right = sealed_input.read_sealed_report(repository, SHIPPED.registries[ENTRIES], ref)
    right_again = verify_with_artifacts(folder, ref.path, SHIPPED.registries, ENTRIES)

    for module in (sealed_input, validation):
        monkeypatch.setattr(module, "list_likely_artifacts", lambda _spec, _folder: set(guess))

    assert right.kept
    assert sealed_input.read_sealed_report(repository, SHIPPED.registries[ENTRIES], ref) == right
    again = verify_with_artifacts(folder, ref.path, SHIPPED.registries, ENTRIES)
    assert right_again.kept.items() <= again.kept.items()
    assert (
        replace(again, kept=right_again.kept)
        == right_again
        == verify_with_artifacts(folder, ref.path, SHIPPED.registries)
    )


def test_a_reused_run_has_the_verdict_of_a_verification_of_its_own(built: World) -> None:
    build = built.repository.remembering(safe_change=0)
    for registry_id, ref in read_pointers(build).active_refs().items():
        spec = SHIPPED.spec_of(registry_id)
        sealed = sealed_input.make_sealed_run(registry_id, ref, sealed_input.read_sealed_report(build, spec, ref))

        assert validate(build, sealed) == validate(built.repository, sealed)


def test_a_run_that_is_new_is_verified_whatever_the_build_knows(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    build = built.repository.remembering(safe_change=0)
    run = sealed_input.read_active_run(build, SHIPPED.spec_of(ENTRIES))
    assert run is not None
    calls = count_calls(monkeypatch, "verify_folder", validation)

    validate(build, run)
    assert calls[run.ref.run_id] == 0
    validate(build, replace(run, reused=False))
    assert calls[run.ref.run_id] == 1
