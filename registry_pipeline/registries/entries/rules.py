"""The coordination rules: which rules apply to which type of entry, and their application to all entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.registries.entries.library import Check, Entry, Library
from registry_pipeline.registries.entries.modules import (
    check_ability,
    check_hook,
    check_interface_approval,
    check_maturity,
    check_module_instance,
    check_type_graph,
)
from registry_pipeline.registries.entries.references import check_references, find_referrers, find_value, select_items
from registry_pipeline.registries.entries.routes import check_file_name, check_route, check_route_slugs
from registry_pipeline.registries.entries.schemas import OVERRIDE
from registry_pipeline.values import replace, value_type

# The checks beyond the schema, by type; a type that the repository defines has none.
CHECKS: Final[Mapping[str, tuple[Check, ...]]] = MappingProxyType(
    {
        "module_type": (check_type_graph,),
        "module_instance": (check_module_instance,),
        "module_maturity": (check_maturity,),
        "module_interface": (check_references, check_interface_approval),
        "route": (check_route, check_file_name),
        "ability_low": (check_ability,),
        "ability_high": (check_ability,),
        "hook": (check_hook, check_file_name),
    }
)


@value_type
class Rule:
    """One row of the table of rules."""

    code: str
    when: str
    check: str
    violation: str


# `registry_coordination.md` and `entries rules` are generated from this table.
# fmt: off
RULES: Final = (
    Rule("EN001", "any entry changes", "it is valid by its schema, and its file is YAML 1.2", "write failure"),
    Rule("EN002", "any entry changes", "its key is unique, and its file is that of its type", "write failure"),
    Rule("EN003", "a schema of the repository changes", "it is a usable JSON Schema; otherwise the shipped schema is used", "warning; failure for a type of the repository's own"),
    Rule("EN010", "a module instance or its maturity changes", "its module_type is registered", "failure"),
    Rule("EN011", "a module instance changes", "its parent_module is registered, and the parents form no cycle", "failure"),
    Rule("EN012", "a module instance or the type graph changes", "each dependency is registered, and the type graph has an edge from type to type", "failure"),
    Rule("EN013", "a module type changes", "each edge is declared as outbound of one type and inbound of the other", "warning"),
    Rule("EN014", "a maturity or an interface changes", "its module instance is registered", "failure"),
    Rule("EN015", "an interface changes", "a lifecycle of RELEASED, SUNSET or REMOVED is approved", "failure"),
    Rule("EN016", "a maturity changes", "its value is configured, where the schema leaves the values to the configuration", "failure"),
    Rule("EN020", "a route changes", "no other route has the same scope and topic, unless their priorities differ", "failure"),
    Rule("EN021", "a route changes", "its related documents are files of the repository", "failure"),
    Rule("EN022", "a route or a module instance changes", "the owner is registered, and the file is not in the folder of another module", "warning"),
    Rule("EN023", "a route changes", "its stages are configured", "failure"),
    Rule("EN030", "an ability changes", "the modules of its scope are registered", "failure"),
    Rule("EN031", "an ability of the high level changes", "the abilities that it calls are registered", "failure"),
    Rule("EN032", "an ability changes", "a route of its modules, or one of the whole repository, mentions it", "recorded only"),
    Rule("EN033", "an ability or a hook changes", "the hooks that it binds are registered (warning), and for that event (failure)", "warning or failure"),
    Rule("EN040", "a hook or an ability changes", "each pattern of its ability_scope matches an ability; `*` is every ability", "warning"),
    Rule("EN041", "a hook or an ability changes", "each ability that its ability_scope names is registered", "failure"),
    Rule("EN042", "a hook changes", "its event_type and its stage are allowed", "failure"),
    Rule("EN043", "a hook changes", "it does not block or address an agent after the ability was called", "warning"),
    Rule("EN050", "a route or a hook changes", "its file is named by its key", "warning"),
    Rule("EN060", "an entry is removed", "no other entry refers to it", "failure, with the referrers"),
    Rule("EN070", "the rule tables of this version change", "AGENTS.md and registry_coordination.md are those that this version generates", "warning"),
    Rule("EN080", "a route or an ability changes", "it names a module; without one, EN022, EN030 and EN032 have nothing to check", "recorded only"),
    Rule("EN090", "any check runs", "no override is active", "warning"),
)
# fmt: on
# No override lifts these: such an entry cannot be written at all.
WRITE_FAILURES: Final = frozenset({"EN001", "EN002"})


def check_library(library: Library, *, shapes: bool = True) -> tuple[Finding, ...]:
    """Return all findings of a library and its entries, sorted; without `shapes` no schema is applied to the entries."""
    findings = list(library.findings)
    for entry in library.entries:
        findings += check_entry(entry, library, shape=shapes)
    return sorted_findings([*findings, *check_unique_keys(library)])


def check_entry(entry: Entry, library: Library, *, shape: bool = True) -> Iterator[Finding]:
    """Yield all findings about one entry; an override on the entry turns its failures into warnings."""
    if shape:
        yield from library.schemas.check(entry.type, entry.value, entry.path, entry.node)
    # A write failure stays a failure, even if a person lists its code on the entry.
    lifted = {code for _, code in select_items(str, find_value(entry.value, OVERRIDE, "codes"))} - WRITE_FAILURES
    for violation in check_rules(entry, library):
        is_lifted = violation.code in lifted and violation.severity is Severity.ERROR
        yield replace(violation, severity=Severity.WARNING) if is_lifted else violation
    if OVERRIDE in entry.value:
        by = find_value(entry.value, OVERRIDE, "by")
        detail = f"{entry.name}: {', '.join(sorted(lifted)) or 'no code'}, by {by}"
        yield entry.finding("EN090", OVERRIDE, detail=detail)


def check_rules(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the violations of the coordination rules by an entry; overrides are not applied."""
    for check in CHECKS.get(entry.type.name, ()):
        yield from check(entry, library)


def check_unique_keys(library: Library) -> Iterator[Finding]:
    """Yield a finding for each duplicate key of a type or of abilities, and each duplicate slug in a route (EN002).

    Route entries may share a key: EN020 compares their priorities.
    """
    for name in library.schemas.types:
        for key, entries in library.of(name).items() if name != "route" else ():
            first = entries[0]
            for second in entries[1:]:
                field = second.type.key_field
                detail = f"the {field} {key} is already used in {first.path}:{first.location() or '?'}"
                yield second.finding("EN002", got=key, detail=detail, advice="remove one of the two")
    for routes in library.of("route").values():
        for route in routes:
            yield from check_route_slugs(route)
    # Abilities of both levels share one set of ids.
    low = library.of("ability_low")
    for key, entries in library.of("ability_high").items():
        if key in low:
            detail = f"the ability_id {key} is already used in {low[key][0].path}"
            advice = "use an id for one ability only, of either level"
            yield entries[0].finding("EN002", got=key, detail=detail, advice=advice)


def check_removal(entry: Entry, library: Library) -> list[Finding]:
    """Return a finding for each reference to a removed entry (EN060)."""
    return [
        other.finding("EN060", *reference.steps, got=entry.key, name=entry.name, referrer=other.name)
        for other, reference in find_referrers(library, entry)
    ]
