"""The family of routes (SPEC 10: EN020-EN023, EN050)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry_pipeline.config import find_repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.insert import put_entry
from registry_pipeline.registries.entries.library import Entry, Library, folder_of, is_split_route, read_library
from registry_pipeline.registries.entries.references import some_of
from registry_pipeline.registries.entries.schemas import did_you_mean
from registry_pipeline.registries.entries.types import ENTRY_TYPES, EntryType

_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9]+")


def slug(text: str) -> str:
    """Return the slug of `when_to_use`, which tells the routes of one topic apart."""
    return _NOT_IN_SLUGS.sub("-", text.casefold()).strip("-")


def place_route(contents: Library, entry_type: EntryType, entry: Mapping[str, Any]) -> str:
    """Return the file of a route: where its scope, topic and owner stand already, else the one of its own name."""
    key = entry_type.key_of(entry) or ""
    for found in contents.of("route").get(key, ()):
        if found.value.get("module_id") == entry.get("module_id"):
            return found.path
    return f"{folder_of(contents.config, entry_type)}/{key}.yaml"


def put_route(entry_type: EntryType, documents: list[Any], entry: dict[str, Any]) -> list[Any]:
    """Return the documents of a file with the routes of an entry added or updated, told apart by their slugs."""
    if is_split_route(entry_type, documents):
        whole = _joined({**documents[0], **documents[1]}, entry)
        head = {name: whole[name] for name in whole if name != "routes" and name not in documents[1]}
        return [head, {name: whole[name] for name in whole if name not in head}]
    for at, document in enumerate(documents):
        if isinstance(document, dict) and _same_route(entry_type, document, entry):
            return [*documents[:at], _joined(document, entry), *documents[at + 1 :]]
    kept = [document for document in documents if document is not None]
    if len(kept) > 1:
        raise RefusedError("a route file has at most two YAML documents", "give this route another scope or topic")
    return [*kept, entry]


def _same_route(entry_type: EntryType, document: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    same_key = entry_type.key_of(document) == entry_type.key_of(entry)
    return same_key and document.get("module_id") == entry.get("module_id")


def _joined(before: Mapping[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return a route entry with the fields of a new one, and its routes put among those that are there."""
    routes = list(before.get("routes") or [])
    for route in entry.get("routes") or []:
        put_entry(routes, route, lambda each: slug(str(each.get("when_to_use", ""))))
    kept = {name: value for name, value in before.items() if name in entry}
    return {**kept, **entry, "routes": routes}


def check_route_addition_consistency(
    new_route_entry: Mapping[str, Any], contents: Library | None = None
) -> list[Finding]:
    """Return how a route disagrees with the registries (EN020-EN023); empty if it does not.

    `contents` are those of the repository at or above the working directory where none are given.

    Raises:
        NotFoundError: there is no governed repository (exit 7).
    """
    known = read_library(find_repository()) if contents is None else contents
    entry_type = ENTRY_TYPES["route"]
    path = place_route(known, entry_type, new_route_entry)
    return list(check_route(Entry(entry_type, entry_type.key_of(new_route_entry) or "", new_route_entry, path), known))


def check_route(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield conflicts with other routes, documents that are not there, a doubtful owner, unknown stages."""
    yield from _check_conflict(entry, contents)
    yield from _check_owner(entry, contents)
    routes = entry.value.get("routes")
    for i, route in enumerate(routes if isinstance(routes, list) else []):
        docs = route.get("related_docs") if isinstance(route, dict) else None
        for j, doc in enumerate(docs if isinstance(docs, list) else []):
            if isinstance(doc, dict):
                yield from _check_document(entry, contents, doc, ("routes", i, "related_docs", j))


def check_slugs(entry: Entry) -> Iterator[Finding]:
    """Yield the routes of an entry whose situation another of its routes has already (EN002)."""
    seen: set[str] = set()
    routes = entry.value.get("routes")
    for at, route in enumerate(routes if isinstance(routes, list) else []):
        when = route.get("when_to_use") if isinstance(route, dict) else None
        if not isinstance(when, str):
            continue
        if slug(when) in seen:
            place = entry.location("routes", at, "when_to_use")
            detail = f"the route {slug(when)} stands twice in {entry.key}"
            yield finding("EN002", entry.path, location=place, got=entry.key, detail=detail, advice="join the two")
        seen.add(slug(when))


def _check_conflict(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield the routes of the same scope and topic that no priority tells apart; itself is no other."""
    owner, priority = entry.value.get("module_id"), entry.value.get("priority")
    for other in contents.of("route").get(entry.key, ()):
        if other is entry or (
            entry.node is None and other.path == entry.path and owner == other.value.get("module_id")
        ):
            continue
        theirs = other.value.get("priority")
        if isinstance(priority, int) and isinstance(theirs, int) and priority != theirs:
            continue
        told = f"{other.path} ({other.value.get('module_id')})"
        place = entry.location("topic")
        yield finding("EN020", entry.path, location=place, got=priority, name=entry.key, other=told)


def _check_owner(entry: Entry, contents: Library) -> Iterator[Finding]:
    known, owner = contents.of("module_instance"), entry.value.get("module_id")
    if not isinstance(owner, str):
        return
    place = entry.location("module_id")
    if owner not in known:
        detail = f"{owner} is not a registered module instance{did_you_mean(owner, known)}"
        yield finding("EN022", entry.path, location=place, expected=some_of(known), got=owner, detail=detail)
    folder = folder_of(contents.config, entry.type)
    inside = PurePosixPath(entry.path).parts[len(PurePosixPath(folder).parts) : -1]
    for module in (part for part in inside if part in known and part != owner):
        detail = f"{owner} does not own {module}, under which the file lies"
        yield finding("EN022", entry.path, location=place, expected=module, got=owner, detail=detail)


def _check_document(
    entry: Entry, contents: Library, doc: Mapping[str, Any], steps: tuple[str | int, ...]
) -> Iterator[Finding]:
    path = doc.get("path")
    if isinstance(path, str):
        problem = document_problem(contents, path)
        if problem:
            place = entry.location(*steps, "path")
            yield finding("EN021", entry.path, location=place, got=path, detail=f"{path!r} {problem}")
    stages = doc.get("stage")
    for at, stage in enumerate(stages if isinstance(stages, list) else [stages]):
        if isinstance(stage, str) and stage not in contents.config.stages:
            yield finding(
                "EN023",
                entry.path,
                location=entry.location(*steps, "stage", at),
                expected=", ".join(contents.config.stages),
                got=stage,
                name=stage,
                meant=did_you_mean(stage, contents.config.stages),
            )


def document_problem(contents: Library, path: str) -> str:
    """Return what is wrong with the path of a related document, "" if nothing is: a `#` opens a place in it."""
    bare = path.partition("#")[0]
    parts = bare.split("/")
    if not bare or bare.startswith("/") or "\\" in bare or "\0" in bare or ".." in parts:
        return "does not stay inside the repository"
    place = contents.root
    try:
        for part in parts:
            place = place / part
            if place.is_symlink() and not place.resolve().is_relative_to(contents.root.resolve()):
                return "leads out of the repository by a link"
        return "" if place.is_file() else "is no file" if place.exists() else "is not there"
    except (OSError, RuntimeError):  # a name that no file system takes, or links that lead in a circle
        return "is not there"


def check_file_name(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield that the file of a route or a hook bears another name than its entry (EN050)."""
    del contents
    name = PurePosixPath(entry.path).name
    if name != f"{entry.key}.yaml":
        yield finding("EN050", entry.path, expected=f"{entry.key}.yaml", got=name)
