"""The check of a pack against one baseline."""

from __future__ import annotations

from registry_pipeline.findings.codes import CODES, finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.roles.locate import PackIndex
from registry_pipeline.registries.roles.pack import ParsedPack
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.report import (
    Published,
    Violation,
    fingerprint_of,
    make_violations,
    sorted_violations,
)
from registry_pipeline.registries.roles.rules_append_only import (
    PublishedIds,
    find_append_only_violations,
    highest_versions,
    next_id,
)
from registry_pipeline.registries.roles.rules_change import find_changes
from registry_pipeline.registries.roles.rules_pack import find_pack_problems
from registry_pipeline.registries.roles.snapshot import RoleRegistrySnapshot
from registry_pipeline.values import replace

_EMPTY = RoleRegistrySnapshot((), ())


def check_against_baseline(current: ParsedPack, baseline: Published | None) -> tuple[Violation, ...]:
    """Return the violations of a pack compared with a baseline; None means a first publish (RR031).

    An error of the pack itself that the baseline has too is a warning. A baseline that declares nothing is RR030.
    """
    published = baseline.pack.snapshot if baseline is not None else None
    if baseline is None or published is None:
        violations = make_violations([*current.problems, *_compare(current.snapshot, _EMPTY)], current, None)
        if baseline is None:
            first_publish = Violation(finding("RR031", current.path), (), fingerprint_of("RR031", ()))
            return sorted_violations([*violations, first_publish])
        reason = f"the baseline {baseline.source} is not a valid RolePack"
        return sorted_violations([*violations, could_not_check(current.path, reason)])
    known = {problem.identity for problem in baseline.pack.problems}
    problems = [_lower_known(problem, known) for problem in current.problems]
    if current.data != baseline.pack.data:
        problems += _compare(current.snapshot, published)
        problems += _compare_texts(current, baseline.pack)
    return sorted_violations(make_violations(problems, current, baseline))


def validate(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Finding]:
    """Return the findings of a snapshot compared with a published one, by code and id.

    These findings have no path and no location; `check_against_baseline` reports both.
    """
    known = {problem.identity for problem in find_pack_problems(baseline)}
    problems = [_lower_known(problem, known) for problem in find_pack_problems(current)]
    problems += _compare(current, baseline)
    problems.sort(key=lambda problem: (problem.code, problem.ids[::-1], problem.key))
    return [
        finding(
            problem.code,
            "",
            expected=problem.expected,
            got=problem.got,
            severity=problem.severity,
            **({"published": "", "detail": ""} | dict(problem.fillers)),
        )
        for problem in problems
    ]


def find_pack_violations(pack: ParsedPack) -> tuple[Violation, ...]:
    """Return the violations of a pack by itself, whatever was published before."""
    return sorted_violations(make_violations(pack.problems, pack, None))


def could_not_check(path: str, reason: str) -> Violation:
    """Return RR030: a pack or its baseline could not be checked (exit 7 on the command line)."""
    return Violation(finding("RR030", path, detail=reason), (), fingerprint_of("RR030", (), reason))


def _compare(current: RoleRegistrySnapshot | None, published: RoleRegistrySnapshot) -> list[Problem]:
    if current is None:
        return []
    ids: PublishedIds[str] = PublishedIds()
    ids.add(published, "")
    append_only = [problem for _, problem in find_append_only_violations(current, ids)]
    return [*append_only, *find_changes(current, published)]


def _lower_known(problem: Problem, known: set[tuple[str, tuple[str, ...], str, str | None]]) -> Problem:
    # A change is not refused for an error that was published before it.
    if CODES[problem.code].severity is Severity.ERROR and problem.identity in known:
        return replace(problem, severity=Severity.WARNING)
    return problem


def _compare_texts(current: ParsedPack, baseline: ParsedPack) -> list[Problem]:
    """Return RR003 for each surface without canonical bytes in both packs whose characters differ."""
    if current.snapshot is None or baseline.snapshot is None:
        return []
    unknown = {contract.contract_id for contract in baseline.snapshot.contracts if contract.schema_hash is None}
    contracts = [
        contract
        for contract in current.snapshot.contracts
        if contract.schema_hash is None and contract.contract_id in unknown
    ]
    if not contracts:
        return []
    highest = highest_versions(current.snapshot.contracts)
    index, published_index = PackIndex(current), PackIndex(baseline)
    problems = []
    for contract in contracts:
        subject = Subject(contract.role_id, contract.contract_id, member="schema_json")
        if index.read_text(subject) == published_index.read_text(subject):
            continue
        short_id = contract.contract_id.partition(":")[2].partition(":")[2] or contract.contract_id
        fillers = {
            "id": contract.contract_id,
            "next": next_id(contract, highest.get(contract.line, 0)),
            "kept": short_id,
        }
        ids, got = (contract.role_id, contract.contract_id), "unknown, with different characters"
        problems.append(Problem("RR003", ids, fillers, expected="unknown", got=got, subject=subject))
    return problems
