"""Which entries an entry names, and at which place: the ground of every coordination rule (SPEC 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.library import Entry, Library
from registry_pipeline.registries.entries.schemas import did_you_mean
from registry_pipeline.registries.entries.types import BINDINGS
from registry_pipeline.values import value_type

Target = Literal["module_type", "module_instance", "ability", "hook"]
GLOB_SIGNS: Final = frozenset("*?[")


@value_type
class Reference:
    """One name of another entry: what it names, and the steps that lead to it."""

    target: Target
    name: str
    steps: tuple[str | int, ...]


def member(value: Mapping[str, Any], *keys: str) -> Any:
    """Return what stands below some keys, None where anything on the way is not a mapping."""
    found: Any = value
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def texts(value: Any) -> list[tuple[int, str]]:
    """Return the texts of a list with their positions; what is no list, or no text, is the schema's business."""
    return [(at, item) for at, item in enumerate(value) if isinstance(item, str)] if isinstance(value, list) else []


def listed(entry: Entry, target: Target, *keys: str) -> Iterator[Reference]:
    """Yield a reference for each text of a list."""
    for at, name in texts(member(entry.value, *keys)):
        yield Reference(target, name, (*keys, at))


def single(entry: Entry, target: Target, key: str) -> Iterator[Reference]:
    """Yield the reference that one key makes, if it is a text."""
    name = entry.value.get(key)
    if isinstance(name, str):
        yield Reference(target, name, (key,))


def bound_hooks(entry: Entry) -> Iterator[Reference]:
    """Yield the hooks that an ability binds; one may stand without a list."""
    for binding in BINDINGS:
        yield from listed(entry, "hook", "hooks", binding)
        name = member(entry.value, "hooks", binding)
        if isinstance(name, str):
            yield Reference("hook", name, ("hooks", binding))


def references(entry: Entry) -> Iterator[Reference]:
    """Yield every reference of an entry to another; a pattern with `*` names none."""
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
        yield from (each for each in scope if not GLOB_SIGNS.intersection(each.name))


def referrers(contents: Library, entry: Entry) -> list[tuple[Entry, Reference]]:
    """Return who names an entry, itself apart."""
    target = "ability" if entry.type.family == "abilities" else entry.type.name
    return [
        (other, reference)
        for other in contents.entries
        if (other.type.name, other.key) != (entry.type.name, entry.key)
        for reference in references(other)
        if reference.target == target and reference.name == entry.key
    ]


def unknown_name(
    code: str, entry: Entry, reference: Reference, known: Mapping[str, Any], told: str | None = None
) -> Finding:
    """Return the finding that a name is not registered, with the one that was meant, or what is `told` instead."""
    return finding(
        code,
        entry.path,
        location=entry.location(*reference.steps),
        expected=some_of(known),
        got=reference.name,
        name=reference.name,
        meant=did_you_mean(reference.name, known) if told is None else told,
    )


def some_of(known: Mapping[str, Any]) -> str | None:
    """Return a few of the names that would have been right."""
    names = sorted(known)
    return (
        None if not names else "one of " + ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
    )
