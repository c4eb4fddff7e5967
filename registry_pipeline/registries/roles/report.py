"""Violations: offences that are placed in both files and told as findings (SPEC 6, 9)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.roles.json_diff import Difference, find_differences, format_difference
from registry_pipeline.registries.roles.locate import Index, place_in_baseline, place_in_current
from registry_pipeline.registries.roles.pack import ParsedPack
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.values import field, replace, value_type

_WEIGHT = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@value_type(eq=False)
class Published:
    """A pack that was published: a baseline.

    `source` is what people are told, such as `main:assets/pack.json`. `published_by` has the commit that first
    published a role_id or contract_id, as far as that is known. `commit` is the one that has the pack, None for a file.
    """

    pack: ParsedPack
    source: str
    published_by: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None


@value_type
class Violation:
    """One violation of the role registry, with all that is known about it.

    `finding.location` is `line:column` in the current file, `baseline_location` is `source:line:column`. `fingerprint`
    (64 hexadecimal digits) is the same wherever in the file it stands: it is made of the code, the ids and the member.
    """

    finding: Finding
    ids: tuple[str, ...]
    fingerprint: str
    baseline_location: str | None = None
    published_by: str | None = None
    differences: tuple[Difference, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the keys of a Finding (SPEC 6) and ids, fingerprint, baseline_location, published_by, differences."""
        return self.finding.to_json() | {
            "ids": list(self.ids),
            "fingerprint": self.fingerprint,
            "baseline_location": self.baseline_location,
            "published_by": self.published_by,
            "differences": [each.to_json() for each in self.differences],
        }

    @classmethod
    def from_json(cls, value: Any) -> Violation:
        """Return the violation that `to_json` wrote, without its differences: the message contains the first of them.

        Raises:
            ValueError: the value has another shape.
        """
        found = Finding.from_json(value)
        ids, optional = value.get("ids"), (value.get("baseline_location"), value.get("published_by"))
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in (*ids, value.get("fingerprint"))):
            raise ValueError("not a violation")
        if not all(isinstance(each, str | None) for each in optional):
            raise ValueError("not a violation")
        return cls(found, tuple(ids), value["fingerprint"], *optional)

    @property
    def sort_key(self) -> tuple[str, tuple[str, ...], tuple[int, ...], str]:
        """By code, then id (of the contract before that of its role), then place."""
        line, _, column = (self.finding.location or "0:0").partition(":")
        place = (int(line), int(column)) if line.isdigit() and column.isdigit() else (0, 0)
        return (self.finding.code, self.ids[::-1], place, self.finding.message)


def fingerprint_of(code: str, ids: Sequence[str], key: str = "") -> str:
    """Return the fingerprint of what a code found about some ids; `key` tells several of them apart."""
    text = json.dumps([code, list(ids), key], separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def as_warning(violation: Violation) -> Violation:
    """Return a violation that does not fail the check: an error becomes a warning."""
    if violation.finding.severity is not Severity.ERROR:
        return violation
    return replace(violation, finding=replace(violation.finding, severity=Severity.WARNING))


def sorted_violations(*groups: Iterable[Violation]) -> tuple[Violation, ...]:
    """Return the violations by code, then id; of those with one fingerprint the gravest of the first group."""
    kept: dict[str, Violation] = {}
    for group in groups:
        for each in group:
            there = kept.get(each.fingerprint)
            if there is None or _WEIGHT[each.finding.severity] < _WEIGHT[there.finding.severity]:
                kept[each.fingerprint] = each
    return tuple(sorted(kept.values(), key=lambda each: each.sort_key))


def tell(
    offences: Sequence[Problem], current: ParsedPack, baseline: Published | None, now: Index | None = None
) -> list[Violation]:
    """Place offences in the current file and in the baseline's and put them into words; `now` is of the current one."""
    if not offences:
        return []
    now = Index(current) if now is None else now
    before = Index(baseline.pack) if baseline is not None else None
    here = [place_in_current(now, each) for each in offences]
    there = [place_in_baseline(before, each) if before is not None else None for each in offences]
    now.locate(here)
    if before is not None:
        before.locate(there)
    told = []
    for offence, place, published_place in zip(offences, here, there, strict=True):
        published = before.location(published_place) if before is not None else None
        source = f"{baseline.source}:{published}" if baseline is not None and published is not None else None
        commit = offence.commit or _publisher(offence, baseline)
        differences = _differences(offence, now, before)
        words = {"published": _published_words(source, commit), "detail": format_difference(differences)}
        told.append(
            Violation(
                finding(
                    offence.code,
                    current.path,
                    location=now.location(place, offence.at),
                    expected=offence.expected,
                    got=offence.got,
                    severity=offence.severity,
                    **(words | dict(offence.words)),
                ),
                offence.ids,
                fingerprint_of(offence.code, offence.ids, offence.key),
                source,
                commit,
                differences,
            )
        )
    return told


def _publisher(offence: Problem, baseline: Published | None) -> str | None:
    if baseline is None:
        return None
    for each in reversed(offence.ids):
        if each in baseline.published_by:
            return baseline.published_by[each]
    return None


def _published_words(source: str | None, commit: str | None) -> str:
    parts = [*([source] if source else []), *([f"published by commit {commit[:12]}"] if commit else [])]
    return f" ({', '.join(parts)})" if parts else ""


def _differences(offence: Problem, now: Index, before: Index | None) -> tuple[Difference, ...]:
    """Return what changed in a surface, a definition or a member of the pack."""
    if before is None or offence.subject is None or offence.code not in {"RR003", "RR012", "RR021", "RR026"}:
        return ()
    subject = replace(offence.subject, member=None) if offence.code == "RR026" else offence.subject
    old_place, new_place = before.place_of(subject), now.place_of(subject)
    if old_place is None or new_place is None:
        return ()
    old, new = before.value_at(old_place), now.value_at(new_place)
    if offence.code != "RR026":
        return find_differences(old, new)
    fields = offence.key.split(",")
    return find_differences({name: old[name] for name in fields}, {name: new[name] for name in fields})


def same_text(subject: Subject, now: Index, before: Index) -> bool:
    """Tell whether a subject is written in both packs with the same characters."""
    return now.text_of(subject) == before.text_of(subject)
