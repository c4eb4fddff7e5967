"""The family of abilities, of the low and the high level (SPEC 10: EN030-EN033)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from registry_pipeline.config import find_repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.library import Entry, Library, folder_of, read_library
from registry_pipeline.registries.entries.references import bound_hooks, listed, some_of, unknown_name
from registry_pipeline.registries.entries.schemas import did_you_mean
from registry_pipeline.registries.entries.types import BINDINGS, ENTRY_TYPES, EntryType

_NO_DOMAIN: Final = "general"


def place_ability(contents: Library, entry_type: EntryType, entry: Mapping[str, Any]) -> str:
    """Return the file of an ability: where it stands already, else that of its domain.

    The domain is the part of the id before its first dot or colon, `general` where it has none.
    """
    key = entry_type.key_of(entry) or ""
    found = contents.of(entry_type.name).get(key, ())
    if found:
        return found[0].path
    head, *rest = re.split(r"[.:]", key)
    return f"{folder_of(contents.config, entry_type)}/{head if rest and head else _NO_DOMAIN}.yaml"


def check_ability_addition_consistency(
    new_ability_entry: Mapping[str, Any], contents: Library | None = None
) -> list[Finding]:
    """Return how an ability disagrees with the registries (EN030-EN033); empty if it does not.

    An entry with `ability_ids` or `type` is one of the high level. `contents` are those of the repository at or above
    the working directory where none are given.

    Raises:
        NotFoundError: there is no governed repository (exit 7).
    """
    known = read_library(find_repository()) if contents is None else contents
    is_high = "ability_ids" in new_ability_entry or "type" in new_ability_entry
    entry_type = ENTRY_TYPES["ability_high" if is_high else "ability_low"]
    path = place_ability(known, entry_type, new_ability_entry)
    entry = Entry(entry_type, entry_type.key_of(new_ability_entry) or "", new_ability_entry, path)
    return list(check_ability(entry, known))


def check_ability(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield modules, abilities and hooks that an ability names and that are not there, or not for that event."""
    yield from _check_scope(entry, contents)
    yield from _check_callable(entry, contents)
    yield from _check_hooks(entry, contents)
    yield from _check_routes(entry, contents)


def _check_scope(entry: Entry, contents: Library) -> Iterator[Finding]:
    known = contents.of("module_instance")
    for reference in listed(entry, "module_instance", "scope", "modules"):
        if reference.name not in known:
            yield unknown_name("EN030", entry, reference, known)


def _check_callable(entry: Entry, contents: Library) -> Iterator[Finding]:
    known = contents.abilities()
    for reference in listed(entry, "ability", "ability_ids"):
        if reference.name == entry.key:
            yield unknown_name("EN031", entry, reference, known, "; it is the ability itself")
        elif reference.name not in known:
            yield unknown_name("EN031", entry, reference, known)


def _check_hooks(entry: Entry, contents: Library) -> Iterator[Finding]:
    known = contents.of("hook")
    for reference in bound_hooks(entry):
        place, name = entry.location(*reference.steps), reference.name
        event = BINDINGS[str(reference.steps[1])]
        if name not in known:
            detail = f"{name} is not registered{did_you_mean(name, known)}"
            yield finding("EN033", entry.path, location=place, expected=some_of(known), got=name, detail=detail)
            continue
        theirs = known[name][0].value.get("event_type")
        if theirs != event:
            detail = f"{name} is for another event"
            yield finding(
                "EN033",
                entry.path,
                location=place,
                severity=Severity.ERROR,
                expected=event,
                got=theirs,
                detail=detail,
            )


def _check_routes(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield what is recorded only: that no route of the ability's modules leads to it (EN032)."""
    modules = {reference.name for reference in listed(entry, "module_instance", "scope", "modules")}
    if not modules:
        return
    owned = sorted(modules & contents.route_texts.keys())
    if any(entry.key in contents.route_texts[owner] for owner in owned):
        return
    if not owned:
        detail = f"no route of its modules leads to {entry.key}"
        yield finding("EN032", entry.path, location=entry.location(), detail=detail)
    for owner in owned:
        for instance in contents.of("module_instance").get(owner, ()):
            detail = f"no route of {owner} mentions the ability {entry.key}"
            yield finding("EN032", instance.path, location=instance.location(), detail=detail)
