"""A build that finds nothing to do seals nothing; what counts as something to do."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline import schema
from registry_pipeline.canonical import are_same_objects, json_document, json_line
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.pipeline import rebuild as rebuild_module
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline.rebuild import RebuildResult, is_up_to_date, rebuild
from registry_pipeline.pipeline.steps import add_chain_head
from registry_pipeline.registries.base import seal_build
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.run_registry.build import adds_own_runs_only
from registry_pipeline.runs.sealed_run import Built, Refusal
from registry_pipeline_tests.copies import add_run_folder, flip_byte
from registry_pipeline_tests.pipeline.conftest import World, copied
from registry_pipeline_tests.registries.repositories import git

BUILT = ("run_registry", "op_status_table", "drift_signals", "governance_scorecard")
# The later builds find what the first ones activated: the drift signals, and more sealed registries.
SETTLED_AFTER = 3


def build(world: World, *registries: str, minutes: int = 10, force: bool = False) -> RebuildResult:
    return rebuild(world.repository, world.run(minutes), registries, force=force, actor="Ada", reason="a test")


@pytest.fixture(scope="session")
def settled_repository(known_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("settled") / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    for minute in range(SETTLED_AFTER):
        build(World(load_repository(root)), minutes=minute)
    return root


@pytest.fixture
def world(settled_repository: Path, tmp_path: Path) -> Iterator[World]:
    """A repository that was built until nothing changed."""
    yield from copied(settled_repository, tmp_path / "world")


def runs_of(result: RebuildResult) -> dict[str, str]:
    return {row.registry_id: row.run.ref.run_id for row in result.built if row.run is not None}


def test_a_build_that_finds_nothing_to_do_seals_and_moves_nothing(world: World) -> None:
    before, pointers = world.names(), world.repository.pointer_path.read_bytes()

    result = build(world)

    assert result.is_up_to_date
    assert {name: runs_of(result)[name] for name in BUILT} == {name: world.active(name) for name in BUILT}
    assert (result.activation, result.report, result.waiting) == (None, None, False)
    assert world.names() == before
    assert world.repository.pointer_path.read_bytes() == pointers


def test_a_build_that_finds_nothing_to_do_lists_the_run_root_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the run roots had been changed long before.
    monkeypatch.setattr(rebuild_module, "find_safe_change", lambda _started: sys.maxsize)
    listed: Counter[str] = Counter()

    def scan_folder(path: str) -> Any:
        listed[path] += 1
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", scan_folder)

    assert build(world).is_up_to_date

    assert listed[str(world.runs)] == 1


def test_the_kept_run_registry_counts_its_own_lines_and_not_those_that_were_found(world: World) -> None:
    row = build(world).built[0]

    lines = (world.runs / world.active("run_registry") / "RUN_REGISTRY_v0_1.jsonl").read_bytes().splitlines()
    assert row.run is not None
    assert (row.run.ref.run_id, row.records) == (world.active("run_registry"), len(lines))


def test_a_build_of_one_registry_finds_nothing_to_do_either(world: World) -> None:
    before = world.names()

    result = build(world, "op_status_table")

    assert result.is_up_to_date
    assert list(runs_of(result)) == ["op_status_table", "drift_signals", "governance_scorecard", "registry_delta_log"]
    assert world.names() == before


def test_force_seals_what_has_not_changed(world: World) -> None:
    result = build(world, force=True)

    assert not result.is_up_to_date
    assert all(row.activated for row in result.built if row.run is not None and row.registry_id != "registry_delta_log")


def test_a_log_that_is_behind_is_extended_and_no_other_registry_is_sealed(world: World) -> None:
    last_log = max(name for name in world.names() if "registry_delta_log" in name)
    lines = (world.runs / last_log / "REGISTRY_DELTA_LOG_v0_1.jsonl").read_bytes().splitlines()
    shutil.rmtree(world.runs / last_log)

    result = rebuild(world.repository, world.run(10), move=False, actor="Ada", reason="a test")

    (log,) = [row for row in result.built if not row.reused and row.run is not None]
    assert (log.registry_id, log.records) == ("registry_delta_log", len(lines))


def add_foreign_run(world: World) -> None:
    add_run_folder(world.runs / "some_work")


def add_commit(world: World) -> None:
    git(world.root, "commit", "-q", "--allow-empty", "-m", "nothing")


def edit_configuration(world: World) -> None:
    # Without git nothing but what the option changes would show it.
    (world.root / "registry-pipeline.toml").write_text("stale_days = 3\n", encoding="utf-8")
    git(world.root, "add", "registry-pipeline.toml")


def remove_own_run(world: World) -> None:
    shutil.rmtree(world.runs / "2026-03-01__120000__system_health_render")


def alter_active_run(world: World) -> None:
    flip_byte(world.runs / world.active("governance_scorecard") / "GOVERNANCE_SCORECARD_v0_2.json")


def seal_another_run(world: World) -> None:
    rebuild(world.repository, world.run(5), ["run_registry"], only=True, force=True, actor="Ada", reason="a test")


CHANGES: dict[str, Callable[[World], None]] = {
    "a run folder of another tool": add_foreign_run,
    "a commit": add_commit,
    "a change of the configuration": edit_configuration,
    "an own run that is gone": remove_own_run,
    "an active run that does not verify": alter_active_run,
    "a newer run that is not active": seal_another_run,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_makes_a_build_seal_all_that_is_built_from_several_sources(
    world: World, change: Callable[[World], None]
) -> None:
    before = {name: world.active(name) for name in BUILT}
    change(world)

    result = build(world)

    assert not result.is_up_to_date
    assert all(runs_of(result)[name] != before[name] for name in BUILT if name in runs_of(result))
    assert "run_registry" in runs_of(result)


def test_an_operation_that_is_a_day_older_is_a_change(world: World) -> None:
    assert not build(world, minutes=24 * 60).is_up_to_date


def test_another_version_of_the_builder_is_a_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_build, "read_version", lambda: "0.0.1")

    assert not build(world).is_up_to_date


def test_another_schema_is_a_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = schema.schema_bytes
    monkeypatch.setattr(schema, "schema_bytes", lambda name: real(name) + b"\n")

    assert not build(world).is_up_to_date


def test_a_pointer_file_edited_by_hand_is_refused_as_ever(world: World) -> None:
    path = world.repository.pointer_path
    path.write_bytes(path.read_bytes().replace(b'"build', b'"tidied').replace(b'"a test', b'"tidied'))

    result = build(world)

    assert isinstance(result.activation, Refusal)
    assert not result.is_up_to_date


def test_whether_all_is_up_to_date_is_known_without_sealing_anything(world: World) -> None:
    before = world.names()

    settled = is_up_to_date(world.repository, add_chain_head(world.repository, world.run(10)))
    add_foreign_run(world)
    changed = is_up_to_date(world.repository, add_chain_head(world.repository, world.run(10)))

    assert (settled, changed) == (True, False)
    assert world.names() == before | {"some_work"}


def test_what_a_step_has_just_built_is_compared_and_not_built_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, names = add_chain_head(world.repository, world.run(10)), []

    def build_and_note(repository: Repository, run: BuildRun, spec: RegistrySpec, *args: Any, **options: Any) -> Any:
        names.append(spec.registry_id)
        return steps.build(repository, run, spec, *args, **options)

    monkeypatch.setattr(rebuild_module, "build", build_and_note)
    built = steps.build(world.repository, run, SHIPPED.spec_of("run_registry"), {})
    assert isinstance(built, Built)

    assert is_up_to_date(world.repository, run, built)
    assert "op_status_table" in names
    assert "run_registry" not in names

    add_foreign_run(world)
    changed = steps.build(world.repository, run, SHIPPED.spec_of("run_registry"), {})
    assert isinstance(changed, Built)
    assert not is_up_to_date(world.repository, run, changed)


def test_a_tracked_pointer_file_that_the_builds_change_is_no_change(world: World) -> None:
    git(world.root, "add", "--force", str(world.repository.pointer_path))
    git(world.root, "commit", "-q", "-m", "track the pointer file")
    for minutes in (11, 12, 13):
        build(world, minutes=minutes)

    assert build(world, minutes=14).is_up_to_date


def test_nothing_that_can_be_built_is_not_up_to_date() -> None:
    assert not RebuildResult((), ()).is_up_to_date


def line(run_id: str, root: str = "runs", claimed: str = "a") -> bytes:
    return json_line({"run_root": root, "run_id": run_id, "manifest_root_sha256": claimed})


own_ids = st.sampled_from([f"2026-01-0{day}__120000__run_registry_build" for day in range(1, 7)])
ids = st.one_of(own_ids, st.sampled_from(["a", "b", "2026-01-01__120000__gauge_ingest"]))
runs = st.dictionaries(st.tuples(st.sampled_from(["runs", "other"]), ids), st.sampled_from(["a", "b"]))


@given(runs, runs)
def test_only_added_lines_of_own_runs_leave_a_run_registry_the_same(
    active: dict[tuple[str, str], str], built: dict[tuple[str, str], str]
) -> None:
    def to_bytes(lines: dict[tuple[str, str], str]) -> bytes:
        return b"".join(line(run_id, root, claimed) for (root, run_id), claimed in sorted(lines.items()))

    expected = built.items() >= active.items() and all(
        root == "runs" and run_id.endswith("_build") for root, run_id in built.keys() - active.keys()
    )

    assert adds_own_runs_only(to_bytes(active), to_bytes(built), partial(SHIPPED.is_own_run, "runs")) == expected


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"a": 1, "t": 1}, {"a": 1, "t": 2}, True),
        ({"a": 1}, {"a": 1, "t": 2}, True),
        ({"a": 1, "t": 1}, {"a": True, "t": 1}, False),
        ({"a": 1}, {}, False),
        ([1], [1], False),
    ],
)
def test_objects_are_compared_apart_from_the_named_members(first: object, second: object, same: bool) -> None:
    assert are_same_objects(json_document(first), json_document(second), ["t"]) is same


def test_what_cannot_be_parsed_is_never_the_same() -> None:
    assert not are_same_objects(b"{", b"{", [])
