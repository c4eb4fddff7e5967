"""The rules between the registries: which apply to which type, and all of them applied (SPEC 10: EN001-EN090).

The table of codes is `model.codes_entries`; the documents in `documents` and `entries rules` are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.entries.abilities import check_ability
from registry_pipeline.entries.contents import Contents, Entry
from registry_pipeline.entries.hooks import check_hook
from registry_pipeline.entries.modules import (
    check_approval,
    check_instance,
    check_module_type,
    check_owner_instance,
    check_type_graph,
)
from registry_pipeline.entries.references import member, referrers, texts
from registry_pipeline.entries.routes import check_file_name, check_route, check_slugs
from registry_pipeline.model.codes import finding
from registry_pipeline.model.codes_entries import ROWS, WHEN
from registry_pipeline.model.entry_types import OVERRIDE
from registry_pipeline.model.finding import Finding, Severity, sorted_findings
from registry_pipeline.values import replace, value_type

Check = Callable[[Entry, Contents], Iterable[Finding]]

CHECKS: Final[Mapping[str, tuple[Check, ...]]] = MappingProxyType(
    {
        "module_type": (check_type_graph,),
        "module_instance": (check_instance,),
        "module_maturity": (check_owner_instance, check_module_type),
        "module_interface": (check_owner_instance, check_approval),
        "route": (check_route, check_file_name),
        "ability_low": (check_ability,),
        "ability_high": (check_ability,),
        "hook": (check_hook, check_file_name),
    }
)
"""What is checked of an entry beyond its shape, by its type; a type of the repository's own has no rules."""

WRITE_FAILURES: Final = frozenset({"EN001", "EN002"})
"""Codes that no override lifts: what they name cannot be written at all."""


@value_type
class Rule:
    """One row of the rule table, as people read it."""

    code: str
    when: str
    check: str
    violation: str
    severity: Severity


def rules() -> tuple[Rule, ...]:
    """Return the rule table."""
    severities = {row[0]: row[1] for row in ROWS}
    return tuple(Rule(code, when, check, does, severities[code]) for code, when, check, does in WHEN)


def check_contents(contents: Contents, *, shapes: bool = True) -> tuple[Finding, ...]:
    """Return every finding about the registries of a repository, sorted; an override makes its failures warnings.

    Without `shapes` the schemas are not asked, which is what takes the time.
    """
    found = list(contents.findings)
    for entry in contents.entries:
        found += check_entry(entry, contents, shape=shapes)
    return sorted_findings([*found, *check_keys(contents)])


def check_entry(entry: Entry, contents: Contents, *, shape: bool = True) -> Iterator[Finding]:
    """Yield every finding about one entry: its shape, its coordination, and an override that stands on it."""
    if shape:
        yield from contents.schemas.check(entry.type, entry.value, entry.path, entry.node)
    lifted = overridden(entry)
    for found in check_rules_of(entry, contents):
        waived = found.code in lifted and found.severity is Severity.ERROR
        yield replace(found, severity=Severity.WARNING) if waived else found
    if OVERRIDE in entry.value:
        by = member(entry.value, OVERRIDE, "by")
        detail = f"{entry.name}: {', '.join(sorted(lifted)) or 'no code'}, by {by}"
        yield finding("EN090", entry.path, location=entry.location(OVERRIDE), detail=detail)


def check_rules_of(entry: Entry, contents: Contents) -> Iterator[Finding]:
    """Yield how an entry breaks the coordination rules of its type, overrides apart."""
    for check in CHECKS.get(entry.type.name, ()):
        yield from check(entry, contents)


def overridden(entry: Entry) -> frozenset[str]:
    """Return the codes that an override on the entry lifts."""
    stated = {code for _, code in texts(member(entry.value, OVERRIDE, "codes"))}
    return frozenset(stated - WRITE_FAILURES)


def check_keys(contents: Contents) -> Iterator[Finding]:
    """Yield the entries whose key another has already (EN002); routes are told apart by EN020."""
    for name in contents.schemas.types:
        for key, entries in contents.of(name).items():
            for second in entries[1:] if name != "route" else ():
                first = entries[0]
                detail = f"the {second.type.key_field} {key} stands in {first.path}:{first.location() or '?'} already"
                advice = "remove one of the two"
                yield finding("EN002", second.path, location=second.location(), got=key, detail=detail, advice=advice)
    for entry in (each for found in contents.of("route").values() for each in found):
        yield from check_slugs(entry)
    low = contents.of("ability_low")
    for key, entries in contents.of("ability_high").items():
        if key in low:
            detail = f"the ability_id {key} stands in {low[key][0].path} already"
            yield finding(
                "EN002",
                entries[0].path,
                location=entries[0].location(),
                got=key,
                detail=detail,
                advice="an id is for one ability, of whichever level",
            )


def check_removal(entry: Entry, contents: Contents) -> list[Finding]:
    """Return who still refers to an entry that is removed (EN060)."""
    return [
        finding(
            "EN060",
            other.path,
            location=other.location(*reference.steps),
            got=entry.key,
            name=entry.name,
            referrer=other.name,
        )
        for other, reference in referrers(contents, entry)
    ]
