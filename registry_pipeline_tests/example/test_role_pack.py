"""The example's role pack: forty roles, added step by step according to the rules."""

from __future__ import annotations

from itertools import pairwise

from registry_pipeline.config import Config
from registry_pipeline.example.registries import PACK_PATH, STEPS, make_role_pack
from registry_pipeline.registries.roles.check import PublishedCommit, check_against_baseline, check_history
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline_tests.example.conftest import Written

PACKS = [parse_pack(make_role_pack(step), PACK_PATH) for step in range(1, STEPS + 1)]


def test_the_pack_is_at_the_default_path() -> None:
    assert Config().roles.pack == PACK_PATH


def test_each_step_keeps_what_the_steps_before_published() -> None:
    assert [each.finding.code for each in check_against_baseline(PACKS[0], None)] == ["RR031"]
    for before, after in pairwise(PACKS):
        assert check_against_baseline(after, PublishedPack(before, "before")) == ()
    assert check_history(PACKS[-1], [PublishedCommit(str(n), each) for n, each in enumerate(PACKS)]) == ()


def test_roles_come_and_retire_and_contracts_get_versions() -> None:
    last = PACKS[-1].snapshot
    assert last is not None
    roles = [0 if pack.snapshot is None else len(pack.snapshot.roles) for pack in PACKS]

    assert roles == [12, 22, 31, 39, 40]
    assert {role.role_id for role in last.roles if role.lifecycle == "deprecated"} == {"tape_operator", "model_maker"}
    assert {contract.version for contract in last.contracts} == {1, 2, 3}
    assert {kind.value for kind in {contract.kind for contract in last.contracts}} == {"X", "C"}
    assert any(role.aliases for role in last.roles)


def test_every_step_was_committed_in_its_turn(written: Written) -> None:
    packs = [commit.files[PACK_PATH] for commit in written.example.commits if PACK_PATH in commit.files]

    assert packs == [make_role_pack(step) for step in range(1, STEPS + 1)]
    assert (written.root / PACK_PATH).read_bytes() == packs[-1]
