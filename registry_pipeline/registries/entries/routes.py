"""Routes: their files and their rules (EN020 to EN023), and the rule about file names (EN050)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.library import Entry, Library, check_new_entry, is_split_route
from registry_pipeline.registries.entries.references import format_known_names, put_entry, select_items
from registry_pipeline.registries.entries.schemas import EntryType, folder_of, format_suggestion

_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9]+")


def make_slug(route: Mapping[str, Any]) -> str:
    """Return the slug of an item of `routes`: its `when_to_use` in lower case, its words joined by hyphens."""
    return _NOT_IN_SLUGS.sub("-", str(route.get("when_to_use", "")).casefold()).strip("-")


def put_route(entry_type: EntryType, documents: list[Any], entry: dict[str, Any]) -> list[Any]:
    """Return the documents of a file with an entry added, or merged into its old version.

    Raises:
        RefusedError: the file would contain a third document.
    """
    if is_split_route(entry_type, documents):
        before = {**documents[0], **documents[1]}
        if not entry_type.is_same_entry(before, entry):
            raise RefusedError("its file has the head and the routes of another entry", "give this route another topic")
        merged = _merge_route(before, entry)
        head = {name: merged[name] for name in merged if name != "routes" and name not in documents[1]}
        return [head, {name: merged[name] for name in merged if name not in head}]
    for at, document in enumerate(documents):
        if isinstance(document, dict) and entry_type.is_same_entry(document, entry):
            return [*documents[:at], _merge_route(document, entry), *documents[at + 1 :]]
    kept = [document for document in documents if document is not None]
    if len(kept) > 1:
        raise RefusedError("a route file has at most two YAML documents", "give this route another scope or topic")
    return [*kept, entry]


def _merge_route(before: Mapping[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the new entry only, with the routes of the old one and the new ones in `routes`."""
    routes = list(before.get("routes") or [])
    for route in entry.get("routes") or []:
        put_entry(routes, route, make_slug)
    # Fields that exist keep their order in the file.
    kept = {name: value for name, value in before.items() if name in entry}
    return {**kept, **entry, "routes": routes}


def check_route_addition_consistency(
    new_route_entry: Mapping[str, Any], library: Library | None = None
) -> list[Finding]:
    """Return the coordination findings of a route (EN020 to EN023); see `check_new_entry`."""
    return check_new_entry(check_route, "route", new_route_entry, library)


def check_route(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the coordination findings of a route entry (EN020 to EN023).

    A route conflicts with another entry of the same scope and topic, unless their priorities differ. Its owner must be
    a module instance, its related documents must be files of the repository, and their stages must be configured.
    An entry without owner is for the whole repository (EN080).
    """
    yield from _check_conflict(entry, library)
    yield from _check_owner(entry, library)
    for i, route in select_items(dict, entry.value.get("routes")):
        for j, document in select_items(dict, route.get("related_docs")):
            yield from _check_document(entry, library, document, ("routes", i, "related_docs", j))


def check_route_slugs(entry: Entry) -> Iterator[Finding]:
    """Yield a finding for each item of `routes` that has the slug of an earlier item of the entry (EN002)."""
    known: set[str] = set()
    for at, route in select_items(dict, entry.value.get("routes")):
        if not isinstance(route.get("when_to_use"), str):
            continue
        name = make_slug(route)
        if name in known:
            detail = f"the route {name} is duplicated in {entry.key}"
            words = {"detail": detail, "advice": "join the two"}
            yield entry.finding("EN002", "routes", at, "when_to_use", got=entry.key, **words)
        known.add(name)


def _check_conflict(entry: Entry, library: Library) -> Iterator[Finding]:
    owner, priority = entry.value.get("module_id"), entry.value.get("priority")
    for other in library.of("route").get(entry.key, ()):
        other_owner, other_priority = other.value.get("module_id"), other.value.get("priority")
        # An entry without a node is not written yet: the one that it replaces is no conflict.
        if other is entry or (entry.node is None and other.path == entry.path and owner == other_owner):
            continue
        # A key is ambiguous where a schema of the repository allows dots in topics.
        if any(entry.value.get(name) != other.value.get(name) for name in ("scope", "topic")):
            continue
        if isinstance(priority, int) and isinstance(other_priority, int) and priority != other_priority:
            continue
        name = other.path if other_owner is None else f"{other.path} ({other_owner})"
        yield entry.finding("EN020", "topic", got=priority, name=entry.key, other=name)


def _check_owner(entry: Entry, library: Library) -> Iterator[Finding]:
    instances, owner = library.of("module_instance"), entry.value.get("module_id")
    if owner is None:
        yield entry.finding("EN080", name=entry.key, field="module_id")
    if not isinstance(owner, str):
        return
    if owner not in instances:
        detail = f"{owner} is not a registered module instance{format_suggestion(owner, instances)}"
        yield entry.finding("EN022", "module_id", expected=format_known_names(instances), got=owner, detail=detail)
    # A folder that is named by a module contains routes of that module.
    folder = PurePosixPath(folder_of(library.config, entry.type))
    for module in PurePosixPath(entry.path).parts[len(folder.parts) : -1]:
        if module in instances and module != owner and not owner.startswith(f"{module}/"):
            detail = f"{owner} does not own {module}, whose folder contains the file"
            yield entry.finding("EN022", "module_id", expected=module, got=owner, detail=detail)


def _check_document(
    entry: Entry, library: Library, document: Mapping[str, Any], steps: tuple[str | int, ...]
) -> Iterator[Finding]:
    path = document.get("path")
    problem = _explain_path_problem(library, path) if isinstance(path, str) else ""
    if problem:
        yield entry.finding("EN021", *steps, "path", got=path, detail=f"{path!r} {problem}")
    stages, allowed = document.get("stage"), library.config.stages
    # The schema accepts one stage or a list of stages.
    for at, stage in enumerate(stages if isinstance(stages, list) else [stages]):
        if isinstance(stage, str) and stage not in allowed:
            details = {"name": stage, "meant": format_suggestion(stage, allowed)}
            yield entry.finding("EN023", *steps, "stage", at, expected=", ".join(allowed), got=stage, **details)


def _explain_path_problem(library: Library, path: str) -> str:
    """Return the problem of the path of a related document, or "".

    A `/` at the start is the root of the repository; a `#` starts a position inside the document.
    """
    file_path = path.partition("#")[0]
    parts = file_path.split("/")  # the empty part before a `/` at the start adds nothing to the root
    # Backslashes and two slashes at the start would lead elsewhere on other systems.
    if not file_path or file_path.startswith("//") or "\\" in file_path or "\0" in file_path or ".." in parts:
        return "does not stay inside the repository"
    if "//" in file_path:
        return "has two slashes in a row"
    target = library.repository.root
    try:
        for part in parts:
            target = target / part
            if target.is_symlink() and not target.resolve().is_relative_to(library.repository.root.resolve()):
                return "leads out of the repository by a link"
        return "" if target.is_file() else "is not a file" if target.exists() else "does not exist"
    except (OSError, RuntimeError):  # a name that the file system refuses, or a cycle of links
        return "does not exist"


def check_file_name(entry: Entry, library: Library) -> Iterator[Finding]:  # noqa: ARG001 - the same call for all rules
    """Yield a finding if the file of a route or a hook is not named by its key (EN050)."""
    name = PurePosixPath(entry.path).name
    if name != f"{entry.key}.yaml":
        yield finding("EN050", entry.path, expected=f"{entry.key}.yaml", got=name)
