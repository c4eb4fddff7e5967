"""The check of a pack against a baseline: the one place where the ratchet is applied."""

from __future__ import annotations

from registry_pipeline.findings.codes import CODES, finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.roles.locate import Index
from registry_pipeline.registries.roles.pack import ParsedPack
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.report import (
    Published,
    Violation,
    fingerprint_of,
    same_text,
    sorted_violations,
    tell,
)
from registry_pipeline.registries.roles.rules_append_only import PublishedIds, find_append_only_violations, next_id
from registry_pipeline.registries.roles.rules_change import find_changes
from registry_pipeline.registries.roles.rules_pack import find_pack_problems
from registry_pipeline.registries.roles.snapshot import RoleRegistrySnapshot
from registry_pipeline.values import replace

_NOTHING = RoleRegistrySnapshot((), ())


def check_against_baseline(current: ParsedPack, baseline: Published | None) -> tuple[Violation, ...]:
    """Check a pack's own rules, and what was published against it; None is the first publish.

    A defect of the pack itself that the baseline has too is a warning (ratchet). A baseline that declares nothing that
    could be compared is RR030.
    """
    published = baseline.pack.snapshot if baseline is not None else None
    if baseline is None or published is None:
        offences = [*current.offences, *_compared(current.snapshot, _NOTHING)]
        told = tell(offences, current, None)
        if baseline is None:
            return sorted_violations([*told, _first_publish(current.path)])
        reason = f"the baseline {baseline.source} is no RolePack that can be read"
        return sorted_violations([*told, could_not_check(current.path, reason)])
    offences = _ratcheted(current, baseline.pack)
    if current.data != baseline.pack.data:
        offences += [*_compared(current.snapshot, published), *_changed_text(current, baseline.pack)]
    return sorted_violations(tell(offences, current, baseline))


def validate(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Finding]:
    """Return what is wrong with a snapshot after a published one, by code and id (seed 002, RoleRegistryViolation).

    These findings have no path and no place. `check_against` tells both.
    """
    known = {offence.identity for offence in find_pack_problems(baseline)}
    offences = [_lighter(each, known) for each in find_pack_problems(current)]
    offences += _compared(current, baseline)
    offences.sort(key=lambda each: (each.code, each.ids[::-1], each.key))
    return [
        finding(
            each.code,
            "",
            expected=each.expected,
            got=each.got,
            severity=each.severity,
            **({"published": "", "detail": ""} | dict(each.words)),
        )
        for each in offences
    ]


def find_pack_violations(pack: ParsedPack) -> tuple[Violation, ...]:
    """Return what is wrong with a pack by itself, whatever was published before."""
    return sorted_violations(tell(pack.offences, pack, None))


def could_not_check(path: str, reason: str) -> Violation:
    """Return RR030: `path` could not be checked, and why (exit 7 on the command line)."""
    return Violation(finding("RR030", path, detail=reason), (), fingerprint_of("RR030", (), reason))


def _first_publish(path: str) -> Violation:
    return Violation(finding("RR031", path), (), fingerprint_of("RR031", ()))


def _compared(current: RoleRegistrySnapshot | None, published: RoleRegistrySnapshot) -> list[Problem]:
    if current is None:
        return []
    ledger: PublishedIds[str] = PublishedIds()
    ledger.add(published, "")
    return [
        *(offence for _, offence in find_append_only_violations(current, ledger)),
        *find_changes(current, published),
    ]


def _ratcheted(current: ParsedPack, baseline: ParsedPack) -> list[Problem]:
    known = {offence.identity for offence in baseline.offences}
    return [_lighter(each, known) for each in current.offences]


def _lighter(offence: Problem, known: set[tuple[str, tuple[str, ...], str, str | None]]) -> Problem:
    if CODES[offence.code].severity is Severity.ERROR and offence.identity in known:
        return replace(offence, severity=Severity.WARNING)
    return offence


def _changed_text(current: ParsedPack, baseline: ParsedPack) -> list[Problem]:
    """RR003 where neither surface has canonical bytes: then the characters must be the same."""
    if current.snapshot is None or baseline.snapshot is None:
        return []
    unknown = {each.contract_id for each in baseline.snapshot.contracts if each.schema_hash is None}
    suspects = [each for each in current.snapshot.contracts if each.schema_hash is None and each.contract_id in unknown]
    if not suspects:
        return []
    now, before = Index(current), Index(baseline)
    found = []
    for contract in suspects:
        subject = Subject(contract.role_id, contract.contract_id, member="schema_json")
        if not same_text(subject, now, before):
            highest = max(each.version or 0 for each in current.snapshot.contracts if each.line == contract.line)
            words = {
                "id": contract.contract_id,
                "next": next_id(contract, highest),
                "kept": contract.contract_id.partition(":")[2].partition(":")[2] or contract.contract_id,
            }
            ids = (contract.role_id, contract.contract_id)
            found.append(
                Problem("RR003", ids, words, expected="unknown", got="unknown, and written otherwise", subject=subject)
            )
    return found
