"""The names of other entries in an entry, with positions, and the place where a new entry is inserted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, Literal

from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.library import Entry, Library
from registry_pipeline.registries.entries.schemas import BINDINGS, suggestion
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import same_value

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


def insert_or_update_entry(data: Any, key_field: str, new_entry: Mapping[str, Any]) -> Any:
    """Insert an entry into `data`, or update the entry with the same key, and return `data`.

    A new entry goes to its sorted position, or to the end of a list that is not sorted. An entry that exists with the
    same values changes nothing.

    Args:
        data: a list of entries, or a mapping that contains exactly one list (`{"types": [...]}`); changed in place.
        key_field: the key that identifies an entry.
        new_entry: the entry.

    Raises:
        RefusedError: the entry has no key, two entries have its key, or `data` is not a list of entries (exit 5).
    """
    lists = [data] if isinstance(data, list) else []
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
    if len(lists) != 1:
        raise RefusedError("the data is not a list of entries, nor a mapping with exactly one list", "pass the list")
    key = new_entry.get(key_field)
    if not isinstance(key, str) or not key:
        raise RefusedError(f"the entry has no {key_field}", f"give it a {key_field}, a text")
    put_entry(lists[0], dict(new_entry), lambda entry: entry.get(key_field))
    return data


def put_entry(entries: list[Any], new_entry: dict[str, Any], key_of: Callable[[Any], Any]) -> None:
    """Insert or update an entry, as `insert_or_update_entry` does.

    Raises:
        RefusedError: two entries have its key (exit 5).
    """
    key = key_of(new_entry)
    keys = [key_of(entry) if isinstance(entry, dict) else None for entry in entries]
    matches = [index for index, known in enumerate(keys) if known == key]
    if len(matches) > 1:
        raise RefusedError(f"two entries have the key {key!r}", "remove one of them by hand, then try again")
    if matches:
        if not same_value(entries[matches[0]], new_entry):
            entries[matches[0]] = new_entry
        return
    # A list that people keep in another order is not sorted again.
    texts = [known for known in keys if isinstance(known, str)]
    is_sorted = len(texts) == len(keys) and all(left <= right for left, right in pairwise(texts))
    entries.insert(bisect_left(texts, key) if is_sorted else len(entries), new_entry)
