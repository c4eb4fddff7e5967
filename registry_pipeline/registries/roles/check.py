"""Check a pack against one baseline and against every commit that published it, and build its registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.capture_table import ROLE_ARTIFACT
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.json_text import format_id
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack, find_pack_problems, parse_pack
from registry_pipeline.registries.roles.report import (
    PackIndex,
    PublishedPack,
    RoleRegistryViolation,
    make_unlocated_violation,
    make_violation,
    make_violations,
    sort_violations,
)
from registry_pipeline.registries.roles.retired import NO_RETIRED_IDS, RetiredIds, format_contract
from registry_pipeline.registries.roles.rules_change import (
    PublishedIds,
    find_append_only_violations,
    find_changes,
    find_highest_versions,
    make_changed_surface,
)
from registry_pipeline.registries.roles.snapshot import Problem, RoleRegistrySnapshot, RoleSpecEntry, Subject
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import replace, value_type

_EMPTY = RoleRegistrySnapshot((), ())


def check_against_baseline(current: ParsedPack, baseline: PublishedPack | None) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations of a pack compared with a baseline; None means a first publish (RR031).

    An error of the pack itself that the baseline has too is a warning. A baseline without an array `roles` is RR030.
    """
    return make_baseline_violations(find_baseline_problems(current, baseline), current, baseline)


def find_baseline_problems(current: ParsedPack, baseline: PublishedPack | None) -> list[Problem]:
    """Return the problems of a pack compared with a baseline; RR030 and RR031, which are about no id, are left out."""
    published = baseline.pack.snapshot if baseline is not None else None
    if baseline is None or published is None:
        return [*current.problems, *_compare(current.snapshot, _EMPTY)]
    known = {problem.identity for problem in baseline.pack.problems}
    problems = [lower_if_known(problem, known) for problem in current.problems]
    if current.data != baseline.pack.data:
        problems += _compare(current.snapshot, published)
        problems += _compare_texts(current, baseline.pack)
    return problems


def make_baseline_violations(
    problems: Sequence[Problem], current: ParsedPack, baseline: PublishedPack | None
) -> tuple[RoleRegistryViolation, ...]:
    """Return the result of `find_baseline_problems` as violations, with RR030 or RR031 where it applies."""
    if baseline is None:
        return sort_violations([*make_violations(problems, current, None), make_violation("RR031", current.path)])
    if baseline.pack.snapshot is None:
        reason = f"the baseline {baseline.source} is not a valid RolePack"
        violations = make_violations(problems, current, None)
        return sort_violations([*violations, make_not_checked(current.path, reason)])
    return sort_violations(make_violations(problems, current, baseline))


class RoleRegistryAppendOnlyValidator:
    """Compares a snapshot with a published one: what was published must stay, as it was."""

    @staticmethod
    def validate(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> tuple[RoleRegistryViolation, ...]:
        """Return the violations of a snapshot compared with a published one, by code and id; () if it may replace it.

        They have no path and no location; `check_against_baseline` reports both.
        """
        known = {problem.identity for problem in find_pack_problems(baseline)}
        problems = [lower_if_known(problem, known) for problem in find_pack_problems(current)]
        return sort_violations(map(make_unlocated_violation, [*problems, *_compare(current, baseline)]))


def find_pack_violations(pack: ParsedPack) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations of a pack by itself, sorted and at their full severity, whatever was published before."""
    return sort_violations(make_violations(pack.problems, pack, None))


def make_not_checked(path: str, reason: str) -> RoleRegistryViolation:
    """Return the violation RR030: a pack or its baseline could not be checked (exit 7 on the command line)."""
    return make_violation("RR030", path, key=reason, detail=reason)


def _compare(current: RoleRegistrySnapshot | None, published: RoleRegistrySnapshot) -> list[Problem]:
    """Return what the change from one snapshot to another breaks; nothing if the current one is unknown."""
    # The same content breaks no rule. Equal roles of two packs are mostly the same objects: comparing them is cheap.
    if current is None or current == published:
        return []
    ids = PublishedIds()
    ids.add(published, 0)
    append_only = [problem for _, problem in find_append_only_violations(current, ids)]
    return [*append_only, *find_changes(current, published)]


def lower_if_known(problem: Problem, known: Collection[tuple[str, tuple[str, ...], str, str | None]]) -> Problem:
    """Return a problem as a warning if it is an error that the baselines have too."""
    # A change is not refused for an error that was published before it.
    if CODES[problem.code].severity is Severity.ERROR and problem.identity in known:
        return replace(problem, severity=Severity.WARNING)
    return problem


def _compare_texts(current: ParsedPack, baseline: ParsedPack) -> list[Problem]:
    """Return RR003 for each surface without canonical bytes in both packs whose characters differ."""
    old, new = (() if pack.snapshot is None else pack.snapshot.contracts for pack in (baseline, current))
    unknown = {contract.contract_id for contract in old if contract.schema_hash is None}
    contracts = [contract for contract in new if contract.schema_hash is None and contract.contract_id in unknown]
    if not contracts:
        return []
    highest = find_highest_versions(new)
    index, published_index = PackIndex(current), PackIndex(baseline)
    problems = []
    for contract in contracts:
        subject = Subject(contract.role_id, contract.contract_id, member="schema_json")
        if index.read_text(subject) != published_index.read_text(subject):
            got = "unknown, with different characters"
            problems.append(make_changed_surface(contract, "", got, highest.get(contract.line, 0)))
    return problems


@value_type(eq=False)
class PublishedCommit:
    """The pack in one commit."""

    commit: str
    # None if the file is missing or cannot be read in it; such a commit is ignored.
    pack: ParsedPack | PastPack | None
    # the parents among the listed commits; None for the previous one of the list
    parents: tuple[str, ...] | None = None


@value_type
class _RoleState:
    """The roles at one commit."""

    # the commit that declares them: an earlier one if the commit itself has no pack
    number: int
    roles: Mapping[str, RoleSpecEntry]
    # each role that was removed before, as it last was, with the number of that commit
    removed: Mapping[str, tuple[RoleSpecEntry, int]]


def check_history(current: ParsedPack, commits: Sequence[PublishedCommit]) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations RR001 to RR003, RR010, RR011, RR014 and RR035 of a pack compared with all commits.

    Commits come oldest first, parents before children; the pack follows the last. Each violation names the first commit
    that published what is broken; RR035 names the last one before the removal. A pack without roles has none.
    """
    if current.snapshot is None:
        return ()
    # (1) collect all published ids
    published = PublishedIds()
    for number, commit in enumerate(commits):
        if commit.pack is not None and commit.pack.snapshot is not None:
            published.add(commit.pack.snapshot, number)
    # (2) compare, and group the problems by the commit whose pack must be loaded to locate them
    problems: dict[int, list[Problem]] = {}
    for number, problem in [
        *find_append_only_violations(current.snapshot, published),
        *_find_reused_roles(current, commits),
    ]:
        problems.setdefault(number, []).append(replace(problem, commit=commits[number].commit))
    # (3) locate all problems of the current pack at once, and format
    index = PackIndex(current)
    index.locate(index.find_current_path(problem) for group in problems.values() for problem in group)
    violations: list[RoleRegistryViolation] = []
    for number, group in problems.items():
        past = commits[number].pack
        if past is not None:
            pack = past.load()
            source = f"{commits[number].commit[:12]}:{pack.path}"
            violations += make_violations(group, current, PublishedPack(pack, source), index)
    return sort_violations(violations)


def _find_reused_roles(current: ParsedPack, commits: Sequence[PublishedCommit]) -> list[tuple[int, Problem]]:
    """Return RR035 for each role_id of the pack that was removed and added again, with a commit's number.

    It is the last commit that had the role before its removal. A role that came back unchanged is a warning.
    """
    states: dict[str, _RoleState] = {}
    # the number of the last commit with a role that came back, and whether it is the same
    returned: dict[str, tuple[int, bool]] = {}
    previous: tuple[str, ...] = ()
    for number, commit in enumerate([*commits, PublishedCommit("", current)]):
        # Without parents the list is a linear history.
        names = previous if commit.parents is None else commit.parents
        parents = [states[name] for name in names if name in states]
        if commit.pack is not None and commit.pack.snapshot is not None:
            # Of a duplicated role_id the first role counts.
            roles = {role.role_id: role for role in reversed(commit.pack.snapshot.roles)}
            states[commit.commit] = _next_state(number, roles, parents, returned)
        else:
            states[commit.commit] = parents[0] if parents else _RoleState(number, {}, {})
        previous = (commit.commit,)
    declared = states[""].roles
    problems: list[tuple[int, Problem]] = []
    for role_id, (number, is_same) in returned.items():
        if role_id in declared:
            fillers = {"id": format_id(role_id), "detail": "unchanged" if is_same else "as another role"}
            subject, severity = Subject(role_id, member="role_id"), Severity.WARNING if is_same else None
            problems.append((number, Problem("RR035", (role_id,), fillers, subject=subject, severity=severity)))
    return problems


def _next_state(
    number: int,
    roles: Mapping[str, RoleSpecEntry],
    parents: Sequence[_RoleState],
    returned: dict[str, tuple[int, bool]],
) -> _RoleState:
    """Return the state after a commit, and note each role that came back in `returned`."""
    removed: dict[str, tuple[RoleSpecEntry, int]] = {}
    for parent in parents:
        removed |= parent.removed
        gone = parent.roles.keys() - roles.keys()
        removed |= {role_id: (parent.roles[role_id], parent.number) for role_id in gone}
    for role_id in removed.keys() & roles.keys():
        role, last = removed.pop(role_id)
        # A merge with a branch that still has the role adds nothing again.
        if not any(role_id in parent.roles for parent in parents):
            is_same = role.definition == roles[role_id].definition
            returned[role_id] = (last, is_same and returned.get(role_id, (0, True))[1])
    return _RoleState(number, roles, removed)


def make_registry_document(pack: ParsedPack, retired: RetiredIds = NO_RETIRED_IDS) -> dict[str, Any]:
    """Return the roles of a pack and its contracts with the sha256 of their surfaces, in the order of the pack.

    A registry without retired ids has no `retired`, as those of earlier versions.
    """
    snapshot = pack.snapshot
    # The reader refuses to capture such a pack.
    if snapshot is None:
        raise ValueError("the pack cannot be read")
    return {
        "registry_version": "0.1",
        "pack_id": snapshot.pack_id,
        "pack_version": snapshot.pack_version,
        "spec_id": snapshot.spec_id,
        "pack_sha256": pack.sha256,
        "roles": [
            {
                "role_id": role.role_id,
                "department_id": role.department_id,
                "display_name": role.display_name,
                "aliases": list(role.aliases),
                "lifecycle": role.lifecycle,
            }
            for role in snapshot.roles
        ],
        "contracts": [format_contract(contract) for contract in snapshot.contracts],
        **({"retired": retired.to_json()} if retired.count else {}),
    }


@value_type
class RoleRegistryInputs:
    """A role pack by its file name, and the ids that were published and that it does not declare."""

    files: Mapping[str, bytes]
    retired: RetiredIds = NO_RETIRED_IDS


def build_role_registry(inputs: RoleRegistryInputs, context: BuildContext) -> Artifacts:
    """Return the captured pack under its own name, and ROLE_REGISTRY_v0_1.json; a record is a role."""
    del context  # a pack has no time of its own
    ((name, data),) = inputs.files.items()
    document = make_registry_document(parse_pack(data, name), inputs.retired)
    roles, contracts = len(document["roles"]), len(document["contracts"])
    files = {ROLE_ARTIFACT: json_document(document), name: data}
    return Artifacts(files, roles, sha256_hex(data), {"roles": roles, "contracts": contracts, "bytes": len(data)})
