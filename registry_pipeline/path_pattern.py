"""The pattern of a run folder's name or path in an adapter: fixed text, `*`, and `{field}` for what the path states.

No regular expression of a user is run. Matching a name takes at most the square of its length, whatever the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from registry_pipeline.findings.finding import did_you_mean
from registry_pipeline.values import value_type

PATH_FIELDS: Final = ("operation_id", "option", "run_type")
"""The fields of an envelope that a path may state."""
OPERATION_ID: Final = re.compile("OP-[A-Z]+[0-9]+")
"""The form of an operation id in every catalog of operations."""
_PART: Final = re.compile(r"(\*|\{[^{}]*\})")


@value_type
class _Sequence:
    """Fixed `texts` before, between and after parts; `names` are those of the parts, empty for `*`."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def match(self, text: str) -> dict[str, str] | None:
        """Return the text of each field; None if the text does not match."""
        if not text.startswith(self.texts[0]):
            return None
        fields: dict[str, str] = {}
        start = len(self.texts[0])
        for number, (name, following) in enumerate(zip(self.names, self.texts[1:], strict=True), 1):
            # A field has at least one character. Each part ends where it first can, and the last one at the end.
            least = start + bool(name)
            is_last = number == len(self.names)
            end = len(text) - len(following) if is_last else text.find(following, least)
            if end < least or not text.startswith(following, end):
                return None
            if name:
                fields[name] = text[start:end]
            start = end + len(following)
        return fields if start == len(text) else None


@value_type
class _Component:
    """One name of a path: a sequence, and if it has an operation id, a second one behind that."""

    before: _Sequence
    after: _Sequence | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that a matching name states."""
        names = self.before.names if self.after is None else ("operation_id", *self.before.names, *self.after.names)
        return tuple(name for name in names if name)

    def match(self, name: str) -> dict[str, str] | None:
        """Return the text of each field; None if the name does not match."""
        if self.after is None:
            return self.before.match(name)
        # An operation id contains a hyphen, which is often what separates the parts, too: only its form shows its end.
        for found in OPERATION_ID.finditer(name):
            before, after = self.before.match(name[: found.start()]), self.after.match(name[found.end() :])
            if before is not None and after is not None:
                return {"operation_id": found.group(), **before, **after}
        return None


@value_type
class PathPattern:
    """A parsed pattern: of the folder's name, or with slashes of its path from the root of the repository."""

    components: tuple[_Component, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that a matching path states."""
        return tuple(name for component in self.components for name in component.fields)

    def can_match_root(self, run_root: str) -> bool:
        """Return whether folders directly under a run root can match."""
        return len(self.components) == 1 or _match(self.components[:-1], run_root) is not None

    def match(self, run_root: str, run_id: str) -> Mapping[str, str] | None:
        """Return the fields that the path of a run folder states; None if it does not match."""
        return _match(self.components, run_id if len(self.components) == 1 else f"{run_root}/{run_id}")


def _match(components: tuple[_Component, ...], path: str) -> Mapping[str, str] | None:
    names = path.split("/")
    if len(names) != len(components):
        return None
    fields: dict[str, str] = {}
    for component, name in zip(components, names, strict=True):
        stated = component.match(name)
        if stated is None:
            return None
        fields |= stated
    return fields


@lru_cache(maxsize=256)
def parse_path_pattern(text: str) -> PathPattern:
    """Return a parsed pattern; raise ValueError if it is ambiguous, or names an unknown field or one twice."""
    pattern = PathPattern(tuple(_parse_component(component) for component in text.split("/")))
    twice = next((name for name in pattern.fields if pattern.fields.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"names {twice} twice")
    return pattern


def _parse_component(text: str) -> _Component:
    before, *after = (_parse_sequence(part) for part in text.split("{operation_id}"))
    if len(after) > 1:
        raise ValueError("names operation_id twice")
    return _Component(before, *after)


def _parse_sequence(text: str) -> _Sequence:
    # The pieces are texts and parts in turn, and begin and end with a text.
    pieces = _PART.split(text)
    texts, parts = pieces[::2], pieces[1::2]
    if any("{" in piece or "}" in piece for piece in texts):
        raise ValueError("has a brace without its other half; a field is written as {operation_id}")
    if not all(texts[1:-1]):
        raise ValueError("has two parts next to each other: write the text that separates them between them")
    unknown = next((part[1:-1] for part in parts if part != "*" and part[1:-1] not in PATH_FIELDS), None)
    if unknown is not None:
        near = did_you_mean(unknown, PATH_FIELDS)
        meant = f"; did you mean {near!r}?" if near else f"; it can name {', '.join(PATH_FIELDS)}"
        raise ValueError(f"names the unknown field {unknown!r}{meant}")
    return _Sequence(tuple(texts), tuple(part[1:-1] for part in parts))
