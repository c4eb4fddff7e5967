"""A pack against every commit that published it (SPEC 9, `--history`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.locate import Index, place_in_current
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack
from registry_pipeline.registries.roles.pack_fields import shown_id
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.report import Published, Violation, sorted_violations, tell
from registry_pipeline.registries.roles.rules_append_only import PublishedIds, find_append_only_violations
from registry_pipeline.registries.roles.snapshot import RoleSpecEntry
from registry_pipeline.values import replace, value_type


@value_type(eq=False)
class PublishedCommit:
    """What one commit published.

    `pack` is None where the file is absent or cannot be read in it: then the commit says nothing. `parents` are those
    of the listed commits that it follows, empty for a beginning; None is the one before it in the list.
    """

    commit: str
    pack: ParsedPack | PastPack | None
    parents: tuple[str, ...] | None = None


@value_type
class _Standing:
    """The roles of one commit, and those that were removed on the way to it, as they last were.

    `number` is that of the commit whose pack declares the roles: an earlier one where the commit says nothing.
    """

    number: int
    roles: Mapping[str, RoleSpecEntry]
    removed: Mapping[str, tuple[RoleSpecEntry, int]]


def publishers(commits: Sequence[PublishedCommit]) -> dict[str, str]:
    """Return the first commit of every role_id and contract_id; commits come oldest first."""
    first: dict[str, str] = {}
    for each in commits:
        if each.pack is None or each.pack.snapshot is None:
            continue
        for role in each.pack.snapshot.roles:
            first.setdefault(role.role_id, each.commit)
        for contract in each.pack.snapshot.contracts:
            first.setdefault(contract.contract_id, each.commit)
    return first


def check_history(current: ParsedPack, commits: Sequence[PublishedCommit]) -> tuple[Violation, ...]:
    """Check a pack against all that any commit published: RR001, RR002, RR003, RR010, RR011, RR014 and RR035.

    Commits come oldest first, parents before children; the pack follows the last. Each violation names the first
    commit that published what it breaks. A `PastPack` is read whole where something is told of it, and what that raises
    is not caught.
    """
    if current.snapshot is None:
        return ()
    ledger: PublishedIds[int] = PublishedIds()
    entered: set[int] = set()
    for number, each in enumerate(commits):
        if each.pack is not None and each.pack.snapshot is not None and id(each.pack) not in entered:
            entered.add(id(each.pack))
            ledger.add(each.pack.snapshot, number)
    by_origin: dict[int, list[Problem]] = {}
    broken = [*find_append_only_violations(current.snapshot, ledger), *_reused(current, commits)]
    for number, offence in broken:
        by_origin.setdefault(number, []).append(replace(offence, commit=commits[number].commit))
    told: list[Violation] = []
    now = Index(current)
    now.locate(place_in_current(now, offence) for offences in by_origin.values() for offence in offences)
    for number, offences in by_origin.items():
        past = commits[number].pack
        if past is not None:
            pack = past.whole()
            told += tell(offences, current, Published(pack, f"{commits[number].commit[:12]}:{pack.path}"), now)
    return sorted_violations(told)


def _reused(current: ParsedPack, commits: Sequence[PublishedCommit]) -> list[tuple[int, Problem]]:
    """RR035: role_ids that were removed and came back, and are there now."""
    standings: dict[str, _Standing] = {}
    came_back: dict[str, tuple[int, bool]] = {}
    before: tuple[str, ...] = ()
    for number, each in enumerate([*commits, PublishedCommit("", current)]):
        names = before if each.parents is None else each.parents
        parents = [standings[name] for name in names if name in standings]
        if each.pack is not None and each.pack.snapshot is not None:
            roles = {role.role_id: role for role in reversed(each.pack.snapshot.roles)}
            standings[each.commit] = _step(number, roles, parents, came_back)
        else:
            standings[each.commit] = parents[0] if parents else _Standing(number, {}, {})
        before = (each.commit,)
    there = {role.role_id for role in current.snapshot.roles} if current.snapshot is not None else set()
    return [(origin, _reuse(role_id, same=same)) for role_id, (origin, same) in came_back.items() if role_id in there]


def _step(
    number: int,
    roles: Mapping[str, RoleSpecEntry],
    parents: Sequence[_Standing],
    came_back: dict[str, tuple[int, bool]],
) -> _Standing:
    """Follow one commit after its parents.

    Notes in `came_back` where what returned had stood last, and whether it is the same again.
    """
    removed: dict[str, tuple[RoleSpecEntry, int]] = {}
    for parent in parents:
        removed |= parent.removed
        gone = parent.roles.keys() - roles.keys()
        removed |= {role_id: (parent.roles[role_id], parent.number) for role_id in gone}
    for role_id in removed.keys() & roles.keys():
        role, last = removed.pop(role_id)
        if not any(role_id in parent.roles for parent in parents):
            same = role.definition == roles[role_id].definition
            came_back[role_id] = (last, same and came_back.get(role_id, (0, True))[1])
    return _Standing(number, roles, removed)


def _reuse(role_id: str, *, same: bool) -> Problem:
    return Problem(
        "RR035",
        (role_id,),
        {"id": shown_id(role_id), "detail": "as it was" if same else "as another role"},
        subject=Subject(role_id, member="role_id"),
        severity=Severity.WARNING if same else None,
    )
