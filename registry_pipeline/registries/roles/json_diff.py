"""The differences of two JSON values, as JSON pointers with old and new values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from registry_pipeline.registries.roles.json_positions import JsonPath, format_value, json_pointer
from registry_pipeline.values import value_type

MAX_DIFFERENCES: Final = 20
_MAX_IN_MESSAGE: Final = 3
_ABSENT: Final = object()


@value_type
class Difference:
    """One value that differs: its JSON pointer, and both values as truncated JSON text (None: absent, not null)."""

    pointer: str
    old: str | None
    new: str | None

    def to_json(self) -> dict[str, str | None]:
        """Return the difference with the keys pointer, old and new."""
        return {"pointer": self.pointer, "old": self.old, "new": self.new}


def find_differences(old: Any, new: Any) -> tuple[Difference, ...]:
    """Return the first 20 differences of two JSON values; a 21st entry says that there are more.

    Numbers are compared as numbers: 1 and 1.0 are equal, true and 1 are not.
    """
    differences = tuple(islice(_compare(old, new, ()), MAX_DIFFERENCES + 1))
    if len(differences) > MAX_DIFFERENCES:
        return (*differences[:MAX_DIFFERENCES], Difference("", "…", "more differences, which are not listed"))
    return differences


def format_difference(differences: tuple[Difference, ...]) -> str:
    """Return the first differences as the end of a sentence, or an empty text."""
    texts = [
        f"{difference.pointer}{': ' if difference.pointer else ''}"
        f"{difference.old or 'absent'} became {difference.new or 'absent'}"
        for difference in differences[:_MAX_IN_MESSAGE]
    ]
    rest = " and more" if len(differences) > _MAX_IN_MESSAGE else ""
    return f"; {'; '.join(texts)}{rest}" if texts else ""


def _compare(old: Any, new: Any, path: JsonPath) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _compare(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            old_item = old[index] if index < len(old) else _ABSENT
            new_item = new[index] if index < len(new) else _ABSENT
            yield from _compare(old_item, new_item, (*path, index))
    elif isinstance(old, bool) is not isinstance(new, bool) or old != new:
        yield Difference(
            json_pointer(path),
            None if old is _ABSENT else format_value(old),
            None if new is _ABSENT else format_value(new),
        )
