"""The family of modules: types, instances, maturities, interfaces (SPEC 10: EN010-EN015)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from registry_pipeline.config import find_repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.insert import put_entry
from registry_pipeline.registries.entries.library import Entry, Library, fixed_path, read_library
from registry_pipeline.registries.entries.references import listed, member, single, some_of, texts, unknown_name
from registry_pipeline.registries.entries.schemas import did_you_mean
from registry_pipeline.registries.entries.types import APPROVAL, ENTRY_TYPES, NEEDS_APPROVAL, EntryType


def place_module(contents: Library, entry_type: EntryType, entry: Mapping[str, Any]) -> str:
    """Return the content file of an entry of this family, of which each type has one."""
    del entry
    return fixed_path(contents.config, entry_type)


def put_in_list(entry_type: EntryType, documents: list[Any], entry: dict[str, Any]) -> list[Any]:
    """Return the documents of a file with an entry added or updated in its list; the list is made where it lacks."""
    document = documents[0] if documents and documents[0] is not None else {}
    if isinstance(document, list):
        entries = list(document)
        put_entry(entries, entry, entry_type.key_of)
        return [entries]
    key = str(entry_type.list_key)
    entries = list(document.get(key) or [])
    put_entry(entries, entry, entry_type.key_of)
    return [{**document, key: entries}]


def check_module_instance_consistency(
    new_instance_entry: Mapping[str, Any], contents: Library | None = None
) -> list[Finding]:
    """Return how a module instance disagrees with the registries (EN010, EN011, EN012); empty if it does not.

    `contents` are those of the repository at or above the working directory where none are given; the entry itself
    need not be among them.

    Raises:
        NotFoundError: there is no governed repository (exit 7).
    """
    known = read_library(find_repository()) if contents is None else contents
    entry_type = ENTRY_TYPES["module_instance"]
    key = entry_type.key_of(new_instance_entry) or ""
    entry = Entry(entry_type, key, new_instance_entry, fixed_path(known.config, entry_type))
    return list(check_instance(entry, known))


def check_instance(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield what a module instance names that is not there, and dependencies that the type graph does not allow."""
    yield from check_module_type(entry, contents)
    yield from _check_parent(entry, contents)
    for reference in listed(entry, "module_instance", "dependencies", "modules"):
        problem = _dependency_problem(entry, reference.name, contents)
        if problem:
            place = entry.location(*reference.steps)
            yield finding("EN012", entry.path, location=place, got=reference.name, detail=problem)


def check_module_type(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield that the module type of an instance or a maturity is not registered (EN010)."""
    known = contents.of("module_type")
    for reference in single(entry, "module_type", "module_type"):
        if reference.name not in known:
            yield unknown_name("EN010", entry, reference, known)


def check_owner_instance(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield that the module instance of a maturity or an interface is not registered (EN014)."""
    known = contents.of("module_instance")
    for reference in single(entry, "module_instance", "module_id"):
        if reference.name not in known:
            yield unknown_name("EN014", entry, reference, known)


def check_approval(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield that a lifecycle that people must approve was not approved (EN015)."""
    del contents
    lifecycle = entry.value.get("lifecycle")
    if isinstance(lifecycle, str) and lifecycle in NEEDS_APPROVAL and not is_approved(entry.value):
        expected = f"{APPROVAL} with this lifecycle"
        yield finding(
            "EN015", entry.path, location=entry.location("lifecycle"), expected=expected, got=lifecycle, name=lifecycle
        )


def is_approved(value: Mapping[str, Any]) -> bool:
    """Tell whether an interface's lifecycle is the one that somebody approved."""
    by = member(value, APPROVAL, "by")
    return isinstance(by, str) and bool(by.strip()) and member(value, APPROVAL, "lifecycle") == value.get("lifecycle")


def check_type_graph(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield the edges of a module type that the type at the other end does not declare (EN013)."""
    for mine, theirs in (("outbound", "inbound"), ("inbound", "outbound")):
        for reference in listed(entry, "module_type", mine):
            if entry.key not in _names(contents, reference.name, theirs):
                ends = (entry.key, reference.name) if mine == "outbound" else (reference.name, entry.key)
                place = entry.location(*reference.steps)
                expected = f"{entry.key} in {theirs} of {reference.name}"
                yield finding("EN013", entry.path, location=place, expected=expected, edge=" -> ".join(ends))


def _names(contents: Library, type_id: str, side: str) -> set[str]:
    return {name for entry in contents.of("module_type").get(type_id, ()) for _, name in texts(entry.value.get(side))}


def _check_parent(entry: Entry, contents: Library) -> Iterator[Finding]:
    parent = entry.value.get("parent_module")
    if not isinstance(parent, str):
        return
    known = contents.of("module_instance")
    place = entry.location("parent_module")
    if parent != entry.key and parent not in known:
        detail = f"{parent} is not registered{did_you_mean(parent, known)}"
        yield finding("EN011", entry.path, location=place, expected=some_of(known), got=parent, detail=detail)
        return
    chain = [entry.key]
    at: Any = parent
    while isinstance(at, str) and at not in chain:
        chain.append(at)
        above = known.get(at)
        at = above[0].value.get("parent_module") if above else None
    if at == entry.key:
        detail = f"makes a cycle: {' -> '.join([*chain, at])}"
        yield finding("EN011", entry.path, location=place, got=parent, detail=detail)


def _dependency_problem(entry: Entry, name: str, contents: Library) -> str:
    """Return what is wrong with a dependency, "" if nothing is."""
    known = contents.of("module_instance")
    if name == entry.key:
        return f"{name} is the module itself"
    if name not in known:
        return f"{name} is not registered{did_you_mean(name, known)}"
    mine, theirs = entry.value.get("module_type"), known[name][0].value.get("module_type")
    types = contents.of("module_type")
    if not isinstance(mine, str) or not isinstance(theirs, str) or mine not in types or theirs not in types:
        return ""  # told as EN010 where it stands
    if theirs in _names(contents, mine, "outbound") or mine in _names(contents, theirs, "inbound"):
        return ""
    return f"{name} has no edge in the type graph: {mine} -> {theirs}"
