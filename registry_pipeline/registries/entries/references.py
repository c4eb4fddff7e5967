"""The names of other entries in an entry, with their positions; every coordination rule uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.library import Entry, Library
from registry_pipeline.registries.entries.schemas import suggestion
from registry_pipeline.registries.entries.types import BINDINGS
from registry_pipeline.values import value_type

Target = Literal["module_type", "module_instance", "ability", "hook"]
GLOB_SIGNS: Final = frozenset("*?[")


@value_type
class Reference:
    """The name of another entry, and the path to it inside the entry."""

    target: Target
    name: str
    steps: tuple[str | int, ...]


def member(value: Mapping[str, Any], *keys: str) -> Any:
    """Return the value at a path of keys, or None."""
    result: Any = value
    for key in keys:
        result = result.get(key) if isinstance(result, Mapping) else None
    return result


def texts(value: Any) -> list[tuple[int, str]]:
    """Return the texts of a list with their indexes; the schema reports values that are not lists or texts."""
    return [(at, item) for at, item in enumerate(value) if isinstance(item, str)] if isinstance(value, list) else []


def listed(entry: Entry, target: Target, *keys: str) -> Iterator[Reference]:
    """Yield a reference for each text of a list."""
    for at, name in texts(member(entry.value, *keys)):
        yield Reference(target, name, (*keys, at))


def single(entry: Entry, target: Target, key: str) -> Iterator[Reference]:
    """Yield the reference of a key, if its value is a text."""
    name = entry.value.get(key)
    if isinstance(name, str):
        yield Reference(target, name, (key,))


def bound_hooks(entry: Entry) -> Iterator[Reference]:
    """Yield the hooks that an ability binds, as a list or as a single text."""
    for binding in BINDINGS:
        yield from listed(entry, "hook", "hooks", binding)
        name = member(entry.value, "hooks", binding)
        if isinstance(name, str):
            yield Reference("hook", name, ("hooks", binding))


def references(entry: Entry) -> Iterator[Reference]:
    """Yield all references of an entry; a pattern is not a reference."""
    kind = entry.type.name
    if kind == "module_type":
        yield from listed(entry, "module_type", "inbound")
        yield from listed(entry, "module_type", "outbound")
    elif kind == "module_instance":
        yield from single(entry, "module_type", "module_type")
        yield from single(entry, "module_instance", "parent_module")
        yield from listed(entry, "module_instance", "dependencies", "modules")
    elif kind in ("module_maturity", "module_interface", "route"):
        yield from single(entry, "module_type", "module_type")
        yield from single(entry, "module_instance", "module_id")
    elif kind in ("ability_low", "ability_high"):
        yield from listed(entry, "module_instance", "scope", "modules")
        yield from listed(entry, "ability", "ability_ids")
        yield from bound_hooks(entry)
    elif kind == "hook":
        scope = listed(entry, "ability", "match", "ability_scope")
        yield from (reference for reference in scope if not GLOB_SIGNS.intersection(reference.name))


def find_referrers(library: Library, entry: Entry) -> list[tuple[Entry, Reference]]:
    """Return the other entries that refer to an entry."""
    # A reference does not say of which level an ability is.
    target = "ability" if entry.type.family == "abilities" else entry.type.name
    return [
        (other, reference)
        for other in library.entries
        if (other.type.name, other.key) != (entry.type.name, entry.key)
        for reference in references(other)
        if reference.target == target and reference.name == entry.key
    ]


def unknown_name(code: str, entry: Entry, reference: Reference, known: Mapping[str, Any], note: str = "") -> Finding:
    """Return the finding that a name is not registered, with a note or else the closest known name."""
    name = reference.name
    details = {"name": name, "meant": note or suggestion(name, known)}
    return entry.finding(code, *reference.steps, expected=known_names(known), got=name, **details)


def known_names(known: Mapping[str, Any]) -> str | None:
    """Return "one of ..." with the first five known names, or None if there are none."""
    names = sorted(known)
    if not names:
        return None
    return "one of " + ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
