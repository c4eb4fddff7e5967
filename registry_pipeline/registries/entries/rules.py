"""The rules between the registries: which apply to which type, and all of them applied (SPEC 10: EN001-EN090).

The codes are in `model.codes`. `registry_coordination.md` and `entries rules` are generated from WHEN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.findings.codes import CODES, finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.registries.entries.abilities import check_ability
from registry_pipeline.registries.entries.hooks import check_hook
from registry_pipeline.registries.entries.library import Entry, Library
from registry_pipeline.registries.entries.modules import (
    check_approval,
    check_instance,
    check_module_type,
    check_owner_instance,
    check_type_graph,
)
from registry_pipeline.registries.entries.references import member, referrers, texts
from registry_pipeline.registries.entries.routes import check_file_name, check_route, check_slugs
from registry_pipeline.registries.entries.types import OVERRIDE
from registry_pipeline.values import replace, value_type

Check = Callable[[Entry, Library], Iterable[Finding]]
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
# fmt: off
WHEN: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("EN001", "any entry changes", "its shape against its schema; its file is YAML 1.2", "write failure"),
    ("EN002", "any entry changes", "its key is unique, and its file is that of its type", "write failure"),
    ("EN003", "a schema of the repository changes", "it is a JSON Schema that can judge; else the shipped one does", "warning; failure for a type of the repository's own"),
    ("EN010", "a module instance or its maturity changes", "its module_type is registered", "failure"),
    ("EN011", "a module instance changes", "its parent_module is registered, and no cycle comes of it", "failure"),
    ("EN012", "a module instance or the type graph changes", "each dependency is registered, and the type graph has an edge from type to type", "failure"),
    ("EN013", "a module type changes", "each edge is outbound of the one type and inbound of the other", "warning"),
    ("EN014", "a maturity or an interface changes", "its module instance is registered", "failure"),
    ("EN015", "an interface changes", "RELEASED, SUNSET and REMOVED were approved by somebody", "failure"),
    ("EN020", "a route changes", "no other has the same scope and topic, unless priorities tell them apart", "failure"),
    ("EN021", "a route changes", "its related documents are files of the repository", "failure"),
    ("EN022", "a route or a module instance changes", "the owner is registered, and the file does not lie under another module", "warning"),
    ("EN023", "a route changes", "its stages are configured", "failure"),
    ("EN030", "an ability changes", "the modules of its scope are registered", "failure"),
    ("EN031", "an ability of the high level changes", "the abilities that it calls are registered", "failure"),
    ("EN032", "an ability changes", "the routes of its modules lead to it", "recorded only"),
    ("EN033", "an ability or a hook changes", "the hooks that it binds are registered (warning), and for that event (failure)", "warning or failure"),
    ("EN040", "a hook or an ability changes", "each pattern of its ability_scope matches an ability", "warning"),
    ("EN041", "a hook or an ability changes", "each ability that its ability_scope names is registered", "failure"),
    ("EN042", "a hook changes", "its event_type and its stage are legal", "failure"),
    ("EN043", "a hook changes", "nothing is blocking or speaks to an agent after the ability was called", "warning"),
    ("EN050", "a route or a hook changes", "its file has the name that its key makes", "warning"),
    ("EN060", "an entry is removed", "nothing refers to it", "failure, with the referrers"),
    ("EN070", "the tables of this version change", "AGENTS.md and registry_coordination.md are the ones that they make", "warning"),
    ("EN090", "any check runs", "no override stands", "warning"),
)
# fmt: on
"""Code, when this changes, check that, and what a violation does, of each rule."""
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
    """Return the rows of WHEN with the severity of each code."""
    return tuple(Rule(code, when, check, effect, CODES[code].severity) for code, when, check, effect in WHEN)


def check_contents(contents: Library, *, shapes: bool = True) -> tuple[Finding, ...]:
    """Return every finding about the registries of a repository, sorted; an override makes its failures warnings.

    Without `shapes` the schemas are not asked, which is what takes the time.
    """
    found = list(contents.findings)
    for entry in contents.entries:
        found += check_entry(entry, contents, shape=shapes)
    return sorted_findings([*found, *check_keys(contents)])


def check_entry(entry: Entry, contents: Library, *, shape: bool = True) -> Iterator[Finding]:
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


def check_rules_of(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield how an entry breaks the coordination rules of its type, overrides apart."""
    for check in CHECKS.get(entry.type.name, ()):
        yield from check(entry, contents)


def overridden(entry: Entry) -> frozenset[str]:
    """Return the codes that an override on the entry lifts."""
    stated = {code for _, code in texts(member(entry.value, OVERRIDE, "codes"))}
    return frozenset(stated - WRITE_FAILURES)


def check_keys(contents: Library) -> Iterator[Finding]:
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


def check_removal(entry: Entry, contents: Library) -> list[Finding]:
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
