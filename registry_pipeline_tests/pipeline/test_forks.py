"""Two clones that each activate, merged by git: a fork that is found, refused, and resolved by a void."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.errors import ConfigError, NotFoundError, RefusedError
from registry_pipeline.pipeline.doctor import RepairOptions, repair
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pointers.chain import check_anchor
from registry_pipeline.pointers.recovery import void_records
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline_tests.pipeline.conftest import Who, World, copied

WHO: Who = {"actor": "Grace", "reason": "the other clone was right"}


def git(root: Path, *words: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(root), *identity, *words]
    subprocess.run(command, env={**kept, "GIT_CONFIG_GLOBAL": os.devnull}, check=True, capture_output=True)


def commit(world: World, message: str) -> None:
    git(world.root, "add", "-A")
    git(world.root, "commit", "-q", "-m", message)


@pytest.fixture(scope="session")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clones `one` and `two` that track their runs: activated at 12:10 in one, 12:20 and 12:30 in two; merged."""
    base = tmp_path_factory.mktemp("clones")
    (base / "one").mkdir()
    git(base, "init", "-q", "-b", "main", "one")
    initialize(base / "one", track_runs=True, now=datetime(2026, 3, 1, tzinfo=UTC))
    one = World(load_repository(base / "one"))
    one.build("run_registry")
    commit(one, "first")
    git(base, "clone", "-q", "one", "two")
    two = World(load_repository(base / "two"))
    one.build("run_registry", minutes=10)
    commit(one, "in one")
    two.build("run_registry", minutes=20)
    two.build("run_registry", minutes=30)
    commit(two, "in two")
    git(one.root, "fetch", "-q", "../two", "main:two")
    git(one.root, "merge", "-q", "-X", "ours", "-m", "both", "two")
    return base


@pytest.fixture
def merged(clones: Path, tmp_path: Path) -> Iterator[World]:
    """The clone that was merged into; the other lies beside it."""
    shutil.copytree(clones / "two", tmp_path / "two", symlinks=True)
    yield from copied(clones / "one", tmp_path / "one")


def record(world: World, stamp: str) -> str:
    return next(n for n in world.names() if n.startswith(f"2026-03-01__{stamp}") and "pointer_activation" in n)


def write_back(world: World) -> None:
    repair(world.repository, world.run(59), RepairOptions("Grace"))


def test_a_merge_of_two_activations_is_a_fork_that_refuses_every_change(merged: World) -> None:
    state = read_chain_state(merged.repository)

    assert (state.state, {f.code for f in state.findings}) == ("broken", {"CHAIN_FORK"})
    assert {f.path.rpartition("/")[2] for f in state.findings} == {record(merged, "121000"), record(merged, "122000")}
    refused = merged.build("run_registry", minutes=40).activation
    assert isinstance(refused, Refusal)
    assert "CHAIN_FORK" in {f.code for f in refused.findings}


@pytest.mark.parametrize(
    ("named", "voided", "stays"),
    [
        ("121000", {"121000"}, "123000"),
        ("122000", {"122000", "123000"}, "121000"),
        ("123000", {"122000", "123000"}, "121000"),
    ],
)
def test_a_void_removes_a_complete_branch_and_the_other_continues(
    merged: World, named: str, voided: set[str], stays: str
) -> None:
    before = merged.repository.pointer_path.read_bytes()

    done = void_records(merged.repository, merged.run(50), [record(merged, named)], **WHO)

    assert isinstance(done, Activation)
    assert merged.repository.pointer_path.read_bytes() == before
    state = read_chain_state(merged.repository)
    assert {r.ref.run_id[12:18] for r in state.voided} == voided
    assert state.head is not None
    assert state.head.ref == done.record
    assert state.head.record.previous is not None
    assert state.head.record.previous.run_id == record(merged, stays)
    assert state.state in ("committed", "rewound", "edited")

    write_back(merged)
    assert inspect(merged.repository, merged.run(59)).chain.state == "committed"
    assert merged.active("run_registry").startswith(f"2026-03-01__{stays}")
    assert merged.build("run_registry", minutes=60).built[0].activated


def test_an_active_branch_cannot_be_voided_nor_both_branches(merged: World) -> None:
    first = read_chain_state(merged.repository).records[0].ref.run_id

    for words in ([first], [record(merged, "121000"), record(merged, "122000")]):
        with pytest.raises(RefusedError):
            void_records(merged.repository, merged.run(50), words, **WHO)
    with pytest.raises(NotFoundError):
        void_records(merged.repository, merged.run(50), ["2031"], **WHO)
    with pytest.raises(ConfigError, match="reason"):
        void_records(merged.repository, merged.run(50), [first], actor="Grace", reason=" ")


def test_without_a_fork_an_active_record_is_rolled_back_and_not_voided(built: World) -> None:
    head = read_chain_state(built.repository).head
    assert head is not None

    with pytest.raises(RefusedError, match="in effect"):
        void_records(built.repository, built.run(1), [head.ref.run_id], **WHO)
    assert void_records(built.repository, built.run(1), ["pending"], **WHO) is None


def test_what_another_clone_appended_to_a_voided_branch_is_voided_too(merged: World, tmp_path: Path) -> None:
    void_records(merged.repository, merged.run(50), [record(merged, "122000")], **WHO)
    two = World(load_repository(tmp_path / "two"))
    two.build("run_registry", minutes=55)
    late = record(two, "125500")
    subprocess.run(["cp", "-a", str(two.runs / late), str(merged.runs)], check=True)
    assert {f.code for f in read_chain_state(merged.repository).findings} == {"CHAIN_DETACHED"}

    void_records(merged.repository, merged.run(58), [late], **WHO)

    write_back(merged)
    state = read_chain_state(merged.repository)
    assert (state.state, state.findings) == ("committed", ())


def test_an_anchor_is_in_the_chain_until_its_record_is_voided_or_the_chain_is_cut(merged: World) -> None:
    void_records(merged.repository, merged.run(50), [record(merged, "121000")], **WHO)
    state = read_chain_state(merged.repository)
    assert state.head is not None
    standing, voided = ([r.ref.manifest_sha256 for r in part] for part in (state.records, state.voided))

    assert (len(standing), len(voided)) == (5, 1)
    assert all(check_anchor(state, root, "p") == () for root in standing)
    assert [f.code for root in voided for f in check_anchor(state, root, "p")] == ["ANCHOR_VOIDED"]
    (missing,) = check_anchor(state, "0" * 64, "p")
    assert (missing.code, missing.got) == ("CHAIN_ANCHOR_MISSING", state.head.ref.manifest_sha256)
