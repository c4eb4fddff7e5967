"""The check of a pack against every commit that published it (`roles check --history`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.json_positions import format_id
from registry_pipeline.registries.roles.locate import PackIndex
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.report import Published, Violation, make_violations, sorted_violations
from registry_pipeline.registries.roles.rules_append_only import PublishedIds, find_append_only_violations
from registry_pipeline.registries.roles.snapshot import RoleSpecEntry
from registry_pipeline.values import replace, value_type


@value_type(eq=False)
class PublishedCommit:
    """The pack in one commit.

    Attributes:
        pack: None if the file is missing or cannot be read in it; such a commit is ignored.
        parents: its parents among the listed commits; None for the previous one of the list.
    """

    commit: str
    pack: ParsedPack | PastPack | None
    parents: tuple[str, ...] | None = None


@value_type
class _RoleState:
    """The roles at one commit.

    Attributes:
        number: the commit that declares them: an earlier one if the commit itself has no pack.
        removed: each role that was removed before, as it last was, with the number of that commit.
    """

    number: int
    roles: Mapping[str, RoleSpecEntry]
    removed: Mapping[str, tuple[RoleSpecEntry, int]]


def check_history(current: ParsedPack, commits: Sequence[PublishedCommit]) -> tuple[Violation, ...]:
    """Return RR001, RR002, RR003, RR010, RR011, RR014 and RR035 of a pack compared with all commits.

    Commits come oldest first, parents before children; the pack follows the last. Each violation names the first commit
    that published what is broken. Whatever `PastPack.load` raises is not caught.
    """
    if current.snapshot is None:
        return ()
    # (1) collect all published ids
    published: PublishedIds[int] = PublishedIds()
    added: set[int] = set()
    for number, commit in enumerate(commits):
        if commit.pack is not None and commit.pack.snapshot is not None and id(commit.pack) not in added:
            added.add(id(commit.pack))
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
    violations: list[Violation] = []
    for number, group in problems.items():
        past = commits[number].pack
        if past is not None:
            pack = past.load()
            source = f"{commits[number].commit[:12]}:{pack.path}"
            violations += make_violations(group, current, Published(pack, source), index)
    return sorted_violations(violations)


def _find_reused_roles(current: ParsedPack, commits: Sequence[PublishedCommit]) -> list[tuple[int, Problem]]:
    """Return RR035 for each role_id of the pack that was removed and added again."""
    states: dict[str, _RoleState] = {}
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
    role_ids = {role.role_id for role in current.snapshot.roles} if current.snapshot is not None else set()
    return [
        (number, _make_reused(role_id, is_same=is_same))
        for role_id, (number, is_same) in returned.items()
        if role_id in role_ids
    ]


def _next_state(
    number: int,
    roles: Mapping[str, RoleSpecEntry],
    parents: Sequence[_RoleState],
    returned: dict[str, tuple[int, bool]],
) -> _RoleState:
    """Return the state after a commit.

    Adds to `returned` each role that came back: the number of the last commit with it, and whether it is the same.
    """
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


def _make_reused(role_id: str, *, is_same: bool) -> Problem:
    return Problem(
        "RR035",
        (role_id,),
        {"id": format_id(role_id), "detail": "unchanged" if is_same else "as another role"},
        subject=Subject(role_id, member="role_id"),
        severity=Severity.WARNING if is_same else None,
    )
