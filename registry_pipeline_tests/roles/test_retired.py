"""Retired ids: what is collected, what the document keeps, and which uses are violations."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.roles.check import make_registry_document
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.retired import (
    NO_RETIRED_IDS,
    RetiredIds,
    collect_retired_ids,
    find_reused_ids,
    list_declared_ids,
)
from registry_pipeline.registries.roles.snapshot import (
    RoleContractKind,
    RoleContractSurface,
    RoleRegistrySnapshot,
    RoleSpecEntry,
)
from registry_pipeline.schema import check_value
from registry_pipeline_tests.role_packs import SMALL

KEYS = ("roles", "contracts", "aliases")
_NAMES = st.sampled_from(["a", "b", "c", "d"])
_ROLES = st.builds(
    RoleSpecEntry,
    _NAMES,
    department_id=st.sampled_from([None, "x", "y"]),
    aliases=st.lists(_NAMES, max_size=2).map(tuple),
    allowed_tools=st.sampled_from([None, (), ("t",)]),
)
_CONTRACTS = st.builds(
    lambda name, version, surface: RoleContractSurface(
        f"ROLE:{name}:X:{version}", name, RoleContractKind.EXTRACT, version, surface
    ),
    _NAMES,
    st.integers(1, 3),
    st.sampled_from([None, "0" * 64, "1" * 64]),
)
_SNAPSHOTS = st.builds(
    RoleRegistrySnapshot, st.lists(_ROLES, max_size=3).map(tuple), st.lists(_CONTRACTS, max_size=3).map(tuple)
)


def ids_of(retired: RetiredIds) -> set[str]:
    return {*retired.roles, *retired.contracts, *(alias for alias, _ in retired.aliases)}


@given(st.lists(_SNAPSHOTS, min_size=1, max_size=4))
def test_every_published_id_is_declared_or_retired_however_often_a_registry_is_built(
    snapshots: list[RoleRegistrySnapshot],
) -> None:
    retired = NO_RETIRED_IDS
    published: set[str] = set()
    for previous, current in zip([None, *snapshots], snapshots, strict=False):
        retired = collect_retired_ids(current, [] if previous is None else [previous], retired)
        published |= list_declared_ids(current)
        assert ids_of(retired) | list_declared_ids(current) == published
        assert retired.roles.keys().isdisjoint(role.role_id for role in current.roles)
        assert retired.contracts.keys().isdisjoint(contract.contract_id for contract in current.contracts)
        assert list_declared_ids(current).isdisjoint(alias for alias, _ in retired.aliases)

    at_once = collect_retired_ids(snapshots[-1], snapshots[:-1], NO_RETIRED_IDS)
    assert (retired.roles, retired.contracts) == (at_once.roles, at_once.contracts)
    assert ids_of(retired) == ids_of(at_once)
    # Only an alias can have the name of a retired role.
    assert {problem.code for problem in find_reused_ids(snapshots[-1], retired, "")} <= {"RR010"}


@given(st.lists(_SNAPSHOTS, min_size=1, max_size=3))
def test_the_document_keeps_them_and_old_documents_have_none(snapshots: list[RoleRegistrySnapshot]) -> None:
    retired = collect_retired_ids(RoleRegistrySnapshot((), ()), snapshots, NO_RETIRED_IDS)
    document = make_registry_document(parse_pack(SMALL.encode(), "p"), retired)

    assert check_value("REGISTRY_role_registry_v0_1.schema.json", json.loads(json.dumps(document))) == []
    assert RetiredIds.from_json(json.loads(json.dumps(document))) == retired
    assert ("retired" in document) == (retired.count > 0)


@pytest.mark.parametrize(
    "value", [None, [], {}, {"roles": []}, {"roles": [], "contracts": [7], "aliases": []}, {key: {} for key in KEYS}]
)
def test_retired_ids_of_another_shape_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not the retired ids"):
        RetiredIds.from_json({"retired": value})


RETIRED = RetiredIds({"editor": "0" * 64}, {}, frozenset({("cutter", "editor"), ("chief", "producer")}))


@pytest.mark.parametrize(
    ("role", "codes"),
    [
        (RoleSpecEntry("editor"), ["RR035"]),
        (RoleSpecEntry("grip", aliases=("editor",)), ["RR010"]),
        (RoleSpecEntry("grip", aliases=("cutter",)), ["RR011"]),
        (RoleSpecEntry("chief"), ["RR011"]),
        (RoleSpecEntry("producer", aliases=("chief",)), []),
        (RoleSpecEntry("grip"), []),
    ],
)
def test_another_use_of_a_retired_id_is_a_violation(role: RoleSpecEntry, codes: list[str]) -> None:
    problems = find_reused_ids(RoleRegistrySnapshot((role,), ()), RETIRED, "the snapshot")

    assert [problem.code for problem in problems] == codes
    assert all(
        problem.to_finding("p").message.endswith("(the snapshot)") or problem.code == "RR010" for problem in problems
    )
