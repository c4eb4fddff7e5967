"""Where two JSON values differ, as JSON pointers with old and new values (SPEC 9)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from registry_pipeline.registries.roles.json_positions import Place, json_pointer
from registry_pipeline.registries.roles.pack_fields import shown_value
from registry_pipeline.values import value_type

MAX_DIFFERENCES: Final = 20
_TOLD_IN_WORDS: Final = 3


@value_type
class Difference:
    """One place at which two values differ: its pointer, and both values as JSON text of at most some 200 characters.

    None is absence, not the value null.
    """

    pointer: str
    old: str | None
    new: str | None

    def to_json(self) -> dict[str, str | None]:
        """Return the difference with the keys pointer, old and new."""
        return {"pointer": self.pointer, "old": self.old, "new": self.new}


def find_differences(old: Any, new: Any) -> tuple[Difference, ...]:
    """Return the first differences of two JSON values, 20 at most and one more that says that there are others.

    Numbers are compared as numbers: 1 and 1.0 are the same, true and 1 are not.
    """
    found = tuple(islice(_walk(old, new, ()), MAX_DIFFERENCES + 1))
    if len(found) > MAX_DIFFERENCES:
        return (*found[:MAX_DIFFERENCES], Difference("", "…", "more differences, which are not listed"))
    return found


def format_difference(differences: tuple[Difference, ...]) -> str:
    """Return the first differences as the end of a sentence, empty without any."""
    told = [
        f"{each.pointer}{': ' if each.pointer else ''}{each.old or 'absent'} became {each.new or 'absent'}"
        for each in differences[:_TOLD_IN_WORDS]
    ]
    rest = " and more" if len(differences) > _TOLD_IN_WORDS else ""
    return f"; {'; '.join(told)}{rest}" if told else ""


def _walk(old: Any, new: Any, place: Place) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key in old and key in new:
                yield from _walk(old[key], new[key], (*place, key))
            else:
                yield _difference((*place, key), old, new, key)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index < len(old) and index < len(new):
                yield from _walk(old[index], new[index], (*place, index))
            elif index < len(old):
                yield Difference(json_pointer((*place, index)), shown_value(old[index]), None)
            else:
                yield Difference(json_pointer((*place, index)), None, shown_value(new[index]))
    elif isinstance(old, bool) is not isinstance(new, bool) or old != new:
        yield Difference(json_pointer(place), shown_value(old), shown_value(new))


def _difference(place: Place, old: dict[str, Any], new: dict[str, Any], key: str) -> Difference:
    was = shown_value(old[key]) if key in old else None
    now = shown_value(new[key]) if key in new else None
    return Difference(json_pointer(place), was, now)
