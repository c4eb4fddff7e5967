"""Modules, hooks and abilities: their files and the rules between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.library import (
    NO_MODULE,
    Entry,
    Library,
    check_new_entry,
    is_single_ability,
)
from registry_pipeline.registries.entries.references import (
    check_references,
    find_references,
    find_texts,
    find_value,
    format_known_names,
    is_glob,
    put_entry,
    select_items,
)
from registry_pipeline.registries.entries.schemas import (
    APPROVAL,
    BINDINGS,
    EVENTS,
    NEEDS_APPROVAL,
    EntryType,
    format_suggestion,
)


def put_in_list(entry_type: EntryType, documents: list[Any], entry: dict[str, Any]) -> list[Any]:
    """Return the document of a file with an entry inserted or updated in its list; a missing list is created.

    Raises:
        RefusedError: the file is that of another, single ability.
    """
    document = documents[0] if documents and documents[0] is not None else {}
    if is_single_ability(entry_type, document):
        known = entry_type.key_of(document)
        if known != entry_type.key_of(entry):
            raise RefusedError(f"its file contains one ability, {known}", "rename that file by its own id first")
        return [entry]
    key = str(entry_type.list_key)
    entries = list(document if isinstance(document, list) else document.get(key) or [])
    put_entry(entries, entry, entry_type.key_of)
    return [entries if isinstance(document, list) else {**document, key: entries}]


def check_module_instance_consistency(
    new_instance_entry: Mapping[str, Any], library: Library | None = None
) -> list[Finding]:
    """Return the coordination findings of a module instance (EN010 to EN012); see `check_new_entry`."""
    return check_new_entry(check_module_instance, "module_instance", new_instance_entry, library)


def check_module_instance(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the findings about the type, the parent and the dependencies of a module instance."""
    yield from check_references(entry, library)
    yield from _check_parent(entry, library)
    for at, name in select_items(str, find_value(entry.value, "dependencies", "modules")):
        problem = _explain_dependency_problem(entry, name, library)
        if problem:
            yield entry.finding("EN012", "dependencies", "modules", at, got=name, detail=problem)


def check_interface_approval(entry: Entry, library: Library) -> Iterator[Finding]:  # noqa: ARG001 - the same call for all rules
    """Yield a finding if an interface is RELEASED, SUNSET or REMOVED without an approval of that lifecycle (EN015)."""
    lifecycle = entry.value.get("lifecycle")
    if isinstance(lifecycle, str) and lifecycle in NEEDS_APPROVAL and not is_approved(entry.value):
        expected = f"{APPROVAL} with this lifecycle"
        yield entry.finding("EN015", "lifecycle", expected=expected, got=lifecycle, name=lifecycle)


def check_maturity(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the findings about the type and the module of a maturity, and about a value that is not configured."""
    yield from check_references(entry, library)
    maturity, allowed = entry.value.get("maturity"), library.config.maturity
    if library.schemas.maturity_is_configured and isinstance(maturity, str) and maturity not in allowed:
        meant = format_suggestion(maturity, allowed) or format_suggestion(maturity.upper(), allowed)
        details = {"name": maturity, "meant": meant}
        yield entry.finding("EN016", "maturity", expected=", ".join(allowed), got=maturity, **details)


def is_approved(value: Mapping[str, Any]) -> bool:
    """Return whether an interface has an approval of its present lifecycle."""
    by = find_value(value, APPROVAL, "by")
    return (
        isinstance(by, str) and bool(by.strip()) and find_value(value, APPROVAL, "lifecycle") == value.get("lifecycle")
    )


def check_type_graph(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield a finding for each edge of a module type that the type at the other end does not declare (EN013)."""
    for side, other_side in (("outbound", "inbound"), ("inbound", "outbound")):
        for at, name in select_items(str, entry.value.get(side)):
            if entry.key not in _find_edges(library, name, other_side):
                ends = (entry.key, name) if side == "outbound" else (name, entry.key)
                expected = f"{entry.key} in {other_side} of {name}"
                yield entry.finding("EN013", side, at, expected=expected, edge=" -> ".join(ends))


def _find_edges(library: Library, type_id: str, side: str) -> set[str]:
    types = library.of("module_type").get(type_id, ())
    return {name for entry in types for _, name in select_items(str, entry.value.get(side))}


def _check_parent(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield a finding if the parent is not registered, or if the entry is in a cycle of parents (EN011)."""
    parent = entry.value.get("parent_module")
    if not isinstance(parent, str):
        return
    instances = library.of("module_instance")
    if parent != entry.key and parent not in instances:
        detail = f"{parent} is not registered{format_suggestion(parent, instances)}"
        yield entry.finding("EN011", "parent_module", expected=format_known_names(instances), got=parent, detail=detail)
        return
    chain = [entry.key]
    ancestor: Any = parent
    while isinstance(ancestor, str) and ancestor not in chain:
        chain.append(ancestor)
        ancestor = instances[ancestor][0].value.get("parent_module") if ancestor in instances else None
    # A cycle that does not contain this entry is reported at its own members.
    if ancestor == entry.key:
        detail = f"makes a cycle: {' -> '.join([*chain, ancestor])}"
        yield entry.finding("EN011", "parent_module", got=parent, detail=detail)


def _explain_dependency_problem(entry: Entry, name: str, library: Library) -> str:
    """Return why a module may not depend on the module `name`: itself, not registered, or no edge between their types.

    "" if it may, also if a type is unknown (EN010 reports that).
    """
    instances = library.of("module_instance")
    if name == entry.key:
        return f"{name} is the module itself"
    if name not in instances:
        return f"{name} is not registered{format_suggestion(name, instances)}"
    # One side of an edge is enough here; EN013 warns if the other side is missing.
    own, other = entry.value.get("module_type"), instances[name][0].value.get("module_type")
    types = library.of("module_type")
    if not isinstance(own, str) or not isinstance(other, str) or own not in types or other not in types:
        return ""  # EN010 reports an unknown type
    if other in _find_edges(library, own, "outbound") or own in _find_edges(library, other, "inbound"):
        return ""
    return f"{name} has no edge in the type graph: {own} -> {other}"


# After these events a hook can no longer block anything.
_TOO_LATE: Final = ("PostAbilityCall", "SessionStop")
_AI_FACING: Final = "ai_"


def put_hook(entry_type: EntryType, documents: list[Any], entry: dict[str, Any]) -> list[Any]:
    """Return the documents of a hook's file with the hook; RefusedError if the file contains another hook."""
    kept = [document for document in documents if document is not None]
    keys = [entry_type.key_of(document) if isinstance(document, dict) else None for document in kept]
    # A hook file is named by its hook, so it contains one hook.
    if any(key != entry_type.key_of(entry) for key in keys):
        raise RefusedError(f"its file contains another hook, {keys[0]}", "rename that file by its own id first")
    put_entry(kept, entry, entry_type.key_of)
    return kept


def check_hook_addition_consistency(new_hook_entry: Mapping[str, Any], library: Library | None = None) -> list[Finding]:
    """Return the coordination findings of a hook (EN040 to EN043); see `check_new_entry`."""
    return check_new_entry(check_hook, "hook", new_hook_entry, library)


def check_hook(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the findings about the abilities, the event, the stage and the effects of a hook."""
    yield from check_references(entry, library)
    for steps, name in find_texts(entry.value, "match", "ability_scope"):
        # A pattern that matches nothing is a warning, because abilities may be added later. `*` means these too.
        if is_glob(name) and name != "*" and not any(fnmatchcase(key, name) for key in library.of("abilities")):
            yield entry.finding("EN040", *steps, got=name, name=repr(name))
    for field, allowed in (("event_type", EVENTS), ("stage", library.config.stages)):
        value = entry.value.get(field)
        if isinstance(value, str) and value not in allowed:
            details = {"field": field, "name": value, "meant": format_suggestion(value, allowed)}
            yield entry.finding("EN042", field, expected=", ".join(allowed), got=value, **details)
    event = entry.value.get("event_type")
    if event not in _TOO_LATE:
        return
    if entry.value.get("blocking") is True:
        yield entry.finding("EN043", "blocking", got="true", field="blocking", event=event)
    for at, effect in select_items(object, entry.value.get("effects")):
        # An effect is its name, or a mapping of names to what they apply to.
        for name in map(str, effect if isinstance(effect, dict) else (effect,)):
            if name.startswith(_AI_FACING):
                yield entry.finding("EN043", "effects", at, got=name, field=f"the effect {name}", event=event)


def check_ability_addition_consistency(
    new_ability_entry: Mapping[str, Any], library: Library | None = None
) -> list[Finding]:
    """Return the coordination findings of an ability (EN030 to EN033); see `check_new_entry`."""
    # Only abilities of the high level have these keys.
    is_high = "ability_ids" in new_ability_entry or "type" in new_ability_entry
    return check_new_entry(check_ability, "ability_high" if is_high else "ability_low", new_ability_entry, library)


def check_ability(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the findings about the names in an ability, the events of its hooks, and modules that do not mention it.

    EN032 means that no route of any of its modules, and no route of the whole repository, contains the key of the
    ability. Each of the modules that has routes gets the finding, or the ability if none has. An ability without
    modules gets EN080 instead.
    """
    yield from check_references(entry, library)
    yield from _check_mentions(entry, library)
    hooks = library.of("hook")
    for reference in find_references(entry, "hook"):
        if reference.name not in hooks:
            continue  # `check_references` reports it
        expected, got = BINDINGS[str(reference.steps[1])], hooks[reference.name][0].value.get("event_type")
        if got != expected:
            details = {"expected": expected, "got": got, "detail": f"{reference.name} is for another event"}
            yield entry.finding("EN033", *reference.steps, severity=Severity.ERROR, **details)


def _check_mentions(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield findings if no route of its modules mentions an ability (EN032), or one if it names none (EN080)."""
    modules = {reference.name for reference in find_references(entry, "module_instance")}
    owners = sorted(modules & library.route_texts.keys())
    if not modules:
        yield entry.finding("EN080", name=entry.key, field="scope.modules")
        return
    if any(entry.key in library.route_texts.get(owner, "") for owner in (*owners, NO_MODULE)):
        return
    if not owners:
        yield entry.finding("EN032", detail=f"no route of its modules leads to {entry.key}")
    # The finding is reported at each module that has routes: that is where a route would be added.
    for owner in owners:
        for instance in library.of("module_instance").get(owner, ()):
            yield instance.finding("EN032", detail=f"no route of {owner} mentions the ability {entry.key}")
