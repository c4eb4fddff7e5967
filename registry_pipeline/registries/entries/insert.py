"""An entry into a list of entries: at its sorted place, once (SPEC 10; seed 003, 4.2)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from registry_pipeline.errors import RefusedError
from registry_pipeline.yaml.compose import same_value


def insert_or_update_entry(data: Any, key_field: str, new_entry: Mapping[str, Any]) -> Any:
    """Put an entry into `data` and return `data`, changed in place.

    `data` is a list of entries, or a mapping that holds exactly one list (`{"types": [...]}`), as `load_yaml` gives
    them or plain. An entry with the same `key_field` is replaced where it stands; a new one goes to its sorted place,
    or to the end of a list that is not sorted, which is not re-sorted. An entry that is there already changes nothing.

    Raises:
        RefusedError: the entry has no text for `key_field`, two entries have that key already, or `data` is no list of
            entries (exit 5).
    """
    entries = _list_of(data)
    key = new_entry.get(key_field)
    if not isinstance(key, str) or not key:
        raise RefusedError(f"the entry has no {key_field}", f"give it a {key_field}, a text")
    put_entry(entries, dict(new_entry), lambda entry: entry.get(key_field))
    return data


def put_entry(entries: list[Any], new_entry: dict[str, Any], key_of: Callable[[Any], Any]) -> bool:
    """Put an entry into a list, as `insert_or_update_entry` does; return whether anything changed.

    Raises:
        RefusedError: two entries have that key already (exit 5).
    """
    key = key_of(new_entry)
    keys = [key_of(entry) if isinstance(entry, dict) else None for entry in entries]
    at = [place for place, each in enumerate(keys) if each == key]
    if len(at) > 1:
        raise RefusedError(f"two entries have the key {key!r}", "remove one of them by hand, then try again")
    if at:
        if same_value(entries[at[0]], new_entry):
            return False
        entries[at[0]] = new_entry
        return True
    texts = [each for each in keys if isinstance(each, str)]
    is_sorted = len(texts) == len(keys) and all(one <= two for one, two in pairwise(texts))
    entries.insert(bisect_left(texts, key) if is_sorted else len(entries), new_entry)
    return True


def _list_of(data: Any) -> list[Any]:
    lists = [data] if isinstance(data, list) else []
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
    if len(lists) != 1:
        raise RefusedError(
            "the data is no list of entries, nor a mapping that holds exactly one", "hand in the list itself"
        )
    return lists[0]
