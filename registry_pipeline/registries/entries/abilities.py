"""Abilities of the low and the high level: their rules (EN030 to EN033)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.library import Entry, Library, library_or_default
from registry_pipeline.registries.entries.references import bound_hooks, known_names, listed, unknown_name
from registry_pipeline.registries.entries.schemas import suggestion
from registry_pipeline.registries.entries.types import BINDINGS, ENTRY_TYPES


def check_ability_addition_consistency(
    new_ability_entry: Mapping[str, Any], library: Library | None = None
) -> list[Finding]:
    """Return the coordination findings of an ability (EN030 to EN033); it need not be in the library.

    An entry with `ability_ids` or `type` is of the high level.

    Raises:
        NotFoundError: no library is given, and there is no repository (exit 7).
    """
    library = library_or_default(library)
    is_high = "ability_ids" in new_ability_entry or "type" in new_ability_entry
    entry_type = ENTRY_TYPES["ability_high" if is_high else "ability_low"]
    return list(check_ability(library.new_entry(entry_type, new_ability_entry), library))


def check_ability(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the findings about modules, abilities, hooks and routes of an ability."""
    modules = library.of("module_instance")
    for reference in listed(entry, "module_instance", "scope", "modules"):
        if reference.name not in modules:
            yield unknown_name("EN030", entry, reference, modules)
    abilities = library.abilities()
    for reference in listed(entry, "ability", "ability_ids"):
        if reference.name == entry.key:
            yield unknown_name("EN031", entry, reference, abilities, "; it is the ability itself")
        elif reference.name not in abilities:
            yield unknown_name("EN031", entry, reference, abilities)
    yield from _check_hooks(entry, library)
    yield from _check_routes(entry, library)


def _check_hooks(entry: Entry, library: Library) -> Iterator[Finding]:
    hooks = library.of("hook")
    for reference in bound_hooks(entry):
        name = reference.name
        if name not in hooks:
            detail = f"{name} is not registered{suggestion(name, hooks)}"
            yield entry.finding("EN033", *reference.steps, expected=known_names(hooks), got=name, detail=detail)
            continue
        expected, got = BINDINGS[str(reference.steps[1])], hooks[name][0].value.get("event_type")
        if got != expected:
            details = {"expected": expected, "got": got, "detail": f"{name} is for another event"}
            yield entry.finding("EN033", *reference.steps, severity=Severity.ERROR, **details)


def _check_routes(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield an information if no route of the ability's modules mentions it (EN032)."""
    modules = {reference.name for reference in listed(entry, "module_instance", "scope", "modules")}
    if not modules:
        return
    owners = sorted(modules & library.route_texts.keys())
    if any(entry.key in library.route_texts[owner] for owner in owners):
        return
    if not owners:
        yield entry.finding("EN032", detail=f"no route of its modules leads to {entry.key}")
    # The finding is reported at each module that has routes: that is where a route would be added.
    for owner in owners:
        for instance in library.of("module_instance").get(owner, ()):
            yield instance.finding("EN032", detail=f"no route of {owner} mentions the ability {entry.key}")
