"""A pack against every commit that published it."""

from __future__ import annotations

from typing import Any

from registry_pipeline.registries.roles.check import PublishedCommit, check_history
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack, parse_pack
from registry_pipeline.registries.roles.report import RoleRegistryViolation
from registry_pipeline.values import replace
from registry_pipeline_tests.roles.base_pack import (
    EDITOR,
    Change,
    base_pack,
    contract,
    extract,
    role,
    several,
    unchanged,
    written,
)
from registry_pipeline_tests.roles.text_positions import place_of


def pack(change: Change = unchanged) -> ParsedPack:
    made = base_pack()
    change(made)
    return parse_pack(written(made), "assets/pack.json")


def commits(*packs: ParsedPack | None) -> list[PublishedCommit]:
    """Return packs as commits in a row, named c0, c1 and so on."""
    return [PublishedCommit(f"c{number}", each) for number, each in enumerate(packs)]


def describe_violations(violations: tuple[RoleRegistryViolation, ...]) -> list[tuple[Any, ...]]:
    return [(v.finding.code, v.finding.severity.value, v.ids[-1], v.published_by) for v in violations]


def without_editor(p: dict[str, Any]) -> None:
    p["roles"].pop(EDITOR)


def other_editor(p: dict[str, Any]) -> None:
    p["roles"][EDITOR]["department_id"] = "story"


def test_a_pack_that_keeps_every_published_id_passes() -> None:
    grown = pack(lambda p: p["roles"].append(role("grip")))

    assert check_history(grown, commits(pack(), pack(), grown)) == ()
    assert check_history(grown, []) == ()


def test_an_id_that_an_old_commit_published_is_reported_with_its_commit() -> None:
    grown = pack(lambda p: p["roles"].append(role("grip", extract_contracts=[contract("ROLE:grip:X:1")])))

    violations = check_history(pack(), commits(pack(), grown, pack(), pack()))

    assert describe_violations(violations) == [
        ("RR001", "error", "grip", "c1"),
        ("RR002", "error", "ROLE:grip:X:1", "c1"),
    ]
    assert violations[0].baseline_location == place_of(grown.data, '"role_id": ^"grip"', "c1:assets/pack.json")
    assert "published by commit c1" in violations[0].finding.message


def test_a_changed_surface_is_reported_against_the_commit_that_published_it() -> None:
    drifted = pack(lambda p: extract(p, EDITOR)[0]["schema_json"].update(title="Long cut"))

    (violation,) = check_history(drifted, commits(pack(), pack(), drifted, drifted))

    assert describe_violations((violation,)) == [("RR003", "error", "ROLE:editor:X:1", "c0")]
    assert [each.to_json() for each in violation.differences] == [
        {"pointer": "/title", "old": '"Cut"', "new": '"Long cut"'}
    ]


def test_a_surface_that_changed_and_changed_back_is_drift_of_the_commits_between() -> None:
    drifted = pack(lambda p: extract(p, EDITOR)[0]["schema_json"].update(title="Long cut"))

    assert describe_violations(check_history(pack(), commits(pack(), drifted, pack()))) == [
        ("RR003", "error", "ROLE:editor:X:1", "c1")
    ]


def test_a_role_id_that_returns_as_another_role_is_reuse() -> None:
    violations = check_history(pack(other_editor), commits(pack(), pack(without_editor)))

    assert describe_violations(violations) == [("RR035", "error", "editor", "c0")]
    assert "added again as another role" in violations[0].finding.message


def test_a_role_that_returns_unchanged_is_only_a_warning() -> None:
    history = commits(pack(), pack(without_editor), pack(), pack())

    assert describe_violations(check_history(pack(), history)) == [("RR035", "warning", "editor", "c0")]


def test_reuse_in_an_old_commit_is_reported() -> None:
    history = commits(pack(), pack(without_editor), pack(other_editor), pack(other_editor))

    assert describe_violations(check_history(pack(other_editor), history)) == [("RR035", "error", "editor", "c0")]


def test_reuse_is_not_reported_for_a_role_that_was_removed_again() -> None:
    history = commits(pack(), pack(without_editor), pack(other_editor))

    codes = {v.finding.code for v in check_history(pack(without_editor), history)}

    assert codes == {"RR001", "RR002"}


def test_two_branches_that_add_the_same_role_do_not_reuse_it() -> None:
    grown = pack(lambda p: p["roles"].append(role("grip")))
    history = [
        PublishedCommit("root", pack(), ()),
        PublishedCommit("one", grown, ("root",)),
        PublishedCommit("side", pack(other_editor), ("root",)),
        PublishedCommit("two", grown, ("side",)),
        PublishedCommit("merge", grown, ("one", "two")),
    ]

    assert check_history(grown, history) == ()


def test_a_role_removed_on_one_branch_and_kept_by_the_merge_is_not_reused() -> None:
    history = [
        PublishedCommit("root", pack(), ()),
        PublishedCommit("removes", pack(without_editor), ("root",)),
        PublishedCommit("keeps", pack(), ("root",)),
        PublishedCommit("merge", pack(), ("removes", "keeps")),
    ]

    assert check_history(pack(), history) == ()


def test_a_role_removed_on_a_branch_that_was_merged_and_put_back_later_is_reused() -> None:
    history = [
        PublishedCommit("root", pack(), ()),
        PublishedCommit("removes", pack(without_editor), ("root",)),
        PublishedCommit("other", pack(), ("root",)),
        PublishedCommit("merge", pack(without_editor), ("other", "removes")),
        PublishedCommit("back", pack(other_editor), ("merge",)),
    ]

    assert [
        (code, commit) for code, _, _, commit in describe_violations(check_history(pack(other_editor), history))
    ] in [
        [("RR035", "root")],
        [("RR035", "other")],
    ]


def test_a_commit_without_a_readable_pack_changes_nothing() -> None:
    broken = parse_pack(b"<<<<<<<", "assets/pack.json")

    assert check_history(pack(), commits(pack(), None, broken, pack())) == ()
    assert describe_violations(
        check_history(pack(other_editor), commits(pack(), None, pack(without_editor), broken))
    ) == [("RR035", "error", "editor", "c0")]


def test_a_version_below_the_highest_published_one_is_an_error() -> None:
    third = pack(lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:3", title="Third")))
    late = pack(
        several(
            lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:3", title="Third")),
            lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:2", title="Late")),
        )
    )

    assert describe_violations(check_history(late, commits(pack(), third))) == [
        ("RR014", "error", "ROLE:editor:X:2", "c1")
    ]


def test_an_alias_that_was_the_id_of_another_role_is_an_error() -> None:
    grown = pack(lambda p: p["roles"].append(role("grip")))
    taken = pack(lambda p: p["roles"][EDITOR].update(aliases=["grip"]))

    assert describe_violations(check_history(taken, commits(grown, pack()))) == [
        ("RR001", "error", "grip", "c0"),
        ("RR010", "error", "grip", "c0"),
    ]


def test_an_alias_that_moved_in_an_old_commit_is_an_error() -> None:
    moved = pack(lambda p: (p["roles"][0].update(aliases=[]), p["roles"][EDITOR].update(aliases=["line_producer"])))

    assert describe_violations(check_history(moved, commits(pack(), moved, moved))) == [
        ("RR011", "error", "line_producer", "c0")
    ]


def test_an_unreadable_pack_is_left_to_its_own_check() -> None:
    assert check_history(parse_pack(b"{", "p"), commits(pack())) == ()


def test_reuse_stays_reuse_when_the_role_returns_once_more() -> None:
    history = commits(pack(), pack(without_editor), pack(other_editor), pack(without_editor), pack(other_editor))

    assert [
        (code, severity) for code, severity, _, _ in describe_violations(check_history(pack(other_editor), history))
    ] == [("RR035", "error")]


def test_a_second_root_commit_removes_nothing() -> None:
    history = [
        PublishedCommit("root", pack(), ()),
        PublishedCommit("other root", pack(without_editor), ()),
        PublishedCommit("grows", pack(other_editor), ("other root",)),
    ]

    assert check_history(pack(other_editor), history) == ()


def test_the_first_of_two_duplicate_roles_is_compared_when_it_returns() -> None:
    twice = pack(lambda p: p["roles"].append({**p["roles"][EDITOR], "department_id": "story"}))

    violations = check_history(pack(), commits(twice, pack(without_editor)))

    assert [(v.finding.code, v.finding.severity.value) for v in violations if v.finding.code == "RR035"] == [
        ("RR035", "warning")
    ]


def test_a_duplicate_contract_may_be_corrected_even_if_versions_share_it() -> None:
    snapshot = pack(lambda p: extract(p, EDITOR)[0]["schema_json"].update(title="Old")).snapshot
    current = pack()
    now = current.snapshot
    assert snapshot is not None
    assert now is not None
    kept = [each for each in now.contracts if each.contract_id == "ROLE:editor:X:1"]
    old = [each for each in snapshot.contracts if each.contract_id == "ROLE:editor:X:1"]
    both = PastPack(replace(now, contracts=(*kept, *old)), lambda: current)
    only = PastPack(replace(now, contracts=tuple(kept)), lambda: current)

    assert check_history(current, [PublishedCommit("one", only), PublishedCommit("both", both)]) == ()
