"""The names of other entries in an entry, with positions, and the place where a new entry is inserted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, TypeVar

from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.library import Entry, Library
from registry_pipeline.registries.entries.schemas import BINDINGS, format_suggestion
from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import is_same_value

_T = TypeVar("_T")
_GLOB_SIGNS: Final = frozenset("*?[")
_Row = tuple[str, tuple[str, ...], str | None]
_MODULE_TYPE: Final[_Row] = ("module_type", ("module_type",), "EN010")
_OWNER: Final[_Row] = ("module_instance", ("module_id",), "EN014")
_ABILITY: Final[tuple[_Row, ...]] = (
    ("module_instance", ("scope", "modules"), "EN030"),
    ("abilities", ("ability_ids",), "EN031"),
    *(("hook", ("hooks", binding), "EN033") for binding in BINDINGS),
)
# What each type of entry refers to: the type of the other entry, or the family `abilities` for both levels; the keys
# that lead to its name or to a list of names; and the code if a name is not registered, None if a rule of its own
# decides.
_REFERENCES: Final[Mapping[str, tuple[_Row, ...]]] = {
    "module_type": (("module_type", ("inbound",), None), ("module_type", ("outbound",), None)),
    "module_instance": (
        _MODULE_TYPE,
        ("module_instance", ("parent_module",), None),
        ("module_instance", ("dependencies", "modules"), None),
    ),
    "module_maturity": (_MODULE_TYPE, _OWNER),
    "module_interface": (("module_type", ("module_type",), None), _OWNER),
    "route": (("module_type", ("module_type",), None), ("module_instance", ("module_id",), None)),
    "ability_low": _ABILITY,
    "ability_high": _ABILITY,
    "hook": (("abilities", ("match", "ability_scope"), "EN041"),),
}


@value_type
class Reference:
    """The name of another entry, the path to it inside the entry, and the code if it is not registered."""

    target: str
    name: str
    steps: tuple[str | int, ...]
    code: str | None


def find_value(value: Mapping[str, Any], *keys: str) -> Any:
    """Return the value at a path of keys in nested mappings, or None."""
    result: Any = value
    for key in keys:
        result = result.get(key) if isinstance(result, Mapping) else None
    return result


def select_items(kind: type[_T], value: Any) -> list[tuple[int, _T]]:
    """Return the items of a list that are of a type, with their indexes; the schema reports all other values."""
    return [(at, item) for at, item in enumerate(value) if isinstance(item, kind)] if isinstance(value, list) else []


def find_texts(value: Mapping[str, Any], *keys: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the text at a path of keys, or each text of the list there, with the path to it."""
    found = find_value(value, *keys)
    if isinstance(found, str):
        yield keys, found
    for at, text in select_items(str, found):
        yield (*keys, at), text


def is_glob(name: str) -> bool:
    """Return whether a name in the ability_scope of a hook is a pattern."""
    return not _GLOB_SIGNS.isdisjoint(name)


def find_references(entry: Entry, target: str | None = None) -> Iterator[Reference]:
    """Yield the references of an entry, all or those to one target; a pattern in a hook is not a reference."""
    for row_target, keys, code in _REFERENCES.get(entry.type.name, ()):
        if target not in (None, row_target):
            continue
        for steps, name in find_texts(entry.value, *keys):
            if entry.type.name != "hook" or not is_glob(name):
                yield Reference(row_target, name, steps, code)


def check_references(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield a finding for each reference with a code whose entry is not registered, or is the ability itself."""
    for reference in find_references(entry):
        name, code = reference.name, reference.code
        known = library.of(reference.target)
        is_itself = code == "EN031" and name == entry.key
        if code is not None and (is_itself or name not in known):
            meant = "; it is the ability itself" if is_itself else format_suggestion(name, known)
            details = {"name": name, "meant": meant, "detail": f"{name} is not registered{meant}"}
            yield entry.finding(code, *reference.steps, expected=format_known_names(known), got=name, **details)


def find_referrers(library: Library, entry: Entry) -> list[tuple[Entry, Reference]]:
    """Return each reference to an entry from another one, with that other entry."""
    # A reference does not say of which level an ability is.
    target = "abilities" if entry.type.family == "abilities" else entry.type.name
    return [
        (other, reference)
        for other in library.entries
        if (other.type.name, other.key) != (entry.type.name, entry.key)
        for reference in find_references(other, target)
        if reference.name == entry.key
    ]


def format_known_names(known: Mapping[str, Any]) -> str | None:
    """Return "one of ..." with the first five known names, or None if there are none."""
    names = sorted(known)
    if not names:
        return None
    return "one of " + ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")


def insert_or_update_entry(data: Any, key_field: str, new_entry: Mapping[str, Any]) -> Any:
    """Insert an entry into `data`, or update the entry with the same key, and return `data`, changed in place.

    `data` is a list of entries, or a mapping that contains exactly one list (`{"types": [...]}`). A new entry goes to
    its sorted position, or to the end of a list that is not sorted. An entry that exists with the same values changes
    nothing.

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
    """Insert or update an entry in place, as `insert_or_update_entry`; RefusedError if two entries have its key."""
    key = key_of(new_entry)
    keys = [key_of(entry) if isinstance(entry, dict) else None for entry in entries]
    matches = [index for index, known in enumerate(keys) if known == key]
    if len(matches) > 1:
        raise RefusedError(f"two entries have the key {key!r}", "remove one of them by hand, then try again")
    if matches:
        if not is_same_value(entries[matches[0]], new_entry):
            entries[matches[0]] = new_entry
        return
    # A list that people keep in another order is not sorted again.
    texts = [known for known in keys if isinstance(known, str)]
    is_sorted = len(texts) == len(keys) and all(left <= right for left, right in pairwise(texts))
    entries.insert(bisect_left(texts, key) if is_sorted else len(entries), new_entry)
