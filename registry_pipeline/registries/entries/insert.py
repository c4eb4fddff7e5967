"""Insert an entry into a list of entries, at its sorted position."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from registry_pipeline.errors import RefusedError
from registry_pipeline.yaml.compose import same_value


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
