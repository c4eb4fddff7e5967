"""Types of configuration options, and the parser of a table of options.

A class of options is a value class whose fields are made by `option_row`. `parse_table` checks a TOML table against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, Final, TypeVar

from registry_pipeline.findings.finding import did_you_mean
from registry_pipeline.values import MISSING, FieldInfo, field_infos, value_type

Place = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""
REQUIRED: Final = MISSING
"""The default of an option that must be given."""
_T = TypeVar("_T")
_MAX_PATH: Final = 4096
_MAX_SHOWN: Final = 80


@value_type
class OptionProblem:
    """What is wrong at a place of the file."""

    place: Place
    message: str
    # For an unknown key: the keys that the table has.
    known: tuple[str, ...] | None = None

    def to_text(self) -> str:
        """Return the key and what is wrong with it; for an unknown key also the known one that is closest."""
        key = ".".join(str(part) for part in self.place)
        shown = key if len(key) <= _MAX_SHOWN else f"{key[:_MAX_SHOWN]}…"
        if self.known is None:
            return f"{shown}: {self.message}"
        near = did_you_mean(str(self.place[-1]), self.known)
        return f"unknown key {shown}" + (f"; did you mean {near!r}?" if near else "")


OptionType = Callable[[Any, Place, list[OptionProblem]], Any]
"""Returns a value of the file as the program uses it, or adds problems; the result is then ignored."""


class Option(FieldInfo):
    """A row of a configuration table."""

    __slots__ = ("help", "kind")

    def __init__(self, default: Any, kind: OptionType, help_text: str) -> None:
        is_empty_table = default is dict
        super().__init__(MISSING if is_empty_table else default, dict if is_empty_table else None, compare=True)
        self.kind = kind
        self.help = help_text


def option_row(default: Any, kind: OptionType, help_text: str) -> Any:
    """Return the row of an option: `default` (REQUIRED if there is none, `dict` for an empty table), type and help."""
    # Declared as Any, because a field has the type of the parsed value.
    return Option(default, kind, help_text)


def options_of(cls: type) -> dict[str, Option]:
    """Return the options of a class by key, in order; raise TypeError if it is no value class."""
    return {name: row for name, row in field_infos(cls).items() if isinstance(row, Option)}


def parse_table(cls: type[_T], content: Any, place: Place, problems: list[OptionProblem]) -> _T | None:
    """Return a TOML table as an instance of `cls`; if it is invalid, add to `problems` and return None."""
    if not isinstance(content, dict):
        problems.append(OptionProblem(place, f"Input should be a valid dictionary or instance of {cls.__name__}"))
        return None
    count_before = len(problems)
    rows = options_of(cls)
    given = {}
    for key, row in rows.items():
        if key in content:
            given[key] = row.kind(content[key], (*place, key), problems)
        elif row.default is REQUIRED and row.default_factory is None:
            problems.append(OptionProblem((*place, key), "Field required"))
    problems += [OptionProblem((*place, key), "", tuple(rows)) for key in content if key not in rows]
    return cls(**given) if len(problems) == count_before else None


def table(cls: type) -> OptionType:
    """Return the type of a table `[key]`; its value is an instance of `cls`."""
    return lambda content, place, problems: parse_table(cls, content, place, problems)


def tables(cls: type) -> OptionType:
    """Return the type of one table for each name, `[key.name]`; its value is a dict of `cls` by name."""
    return by_name(table(cls))


def by_name(kind: OptionType) -> OptionType:
    """Return the type of a table whose values have one type, whatever their keys; its value is a dict."""

    def parse(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
        if not isinstance(content, dict):
            problems.append(OptionProblem(place, "Input should be a valid dictionary"))
            return None
        return {name: kind(item, (*place, name), problems) for name, item in content.items()}

    return parse


def boolean(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
    """Return `true` or `false` as it is; anything else is a problem."""
    if not isinstance(content, bool):
        problems.append(OptionProblem(place, "Input should be a valid boolean"))
    return content


def list_of(kind: OptionType) -> OptionType:
    """Return the type of a list whose items have one type; its value is a tuple."""

    def parse(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
        if not isinstance(content, list):
            problems.append(OptionProblem(place, "Input should be a valid tuple"))
            return None
        return tuple(kind(item, (*place, number), problems) for number, item in enumerate(content))

    return parse


def text(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
    """Return a text as it is; anything else is a problem."""
    if not isinstance(content, str):
        problems.append(OptionProblem(place, "Input should be a valid string"))
    return content


def nonempty_text(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
    """Return a text of at least one character as it is; anything else is a problem."""
    if content == "":
        problems.append(OptionProblem(place, "String should have at least 1 character"))
    return text(content, place, problems)


def checked_text(check: Callable[[str], str]) -> OptionType:
    """Return the type of a text that `check` checks; its value is what `check` returns, a ValueError is a problem."""

    def parse(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
        if isinstance(text(content, place, problems), str):
            try:
                return check(content)
            except ValueError as error:
                problems.append(OptionProblem(place, f"Value error, {error}"))
        return content

    return parse


def choice(*texts: str) -> OptionType:
    """Return the type of an option that is one of a few texts."""
    named = " or ".join(map(repr, texts))

    def parse(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
        if content not in texts:
            problems.append(OptionProblem(place, f"Input should be {named}"))
        return content

    return parse


def between(low: Any, high: Any) -> OptionType:
    """Return the type of an integer or a date from `low` to `high`, both included; a date may be a text."""
    kind = type(low)
    name = "integer" if kind is int else "date"

    def parse(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
        if kind is date and isinstance(content, str):
            # A quoted date is the same date. Other ISO 8601 forms, such as 20260301, are none here.
            with suppress(ValueError):
                day = date.fromisoformat(content)
                content = day if day.isoformat() == content else content
        # By exact type: for Python a boolean is an integer, and an instant is a date.
        if type(content) is not kind:
            problems.append(OptionProblem(place, f"Input should be a valid {name}"))
        elif content > high:
            problems.append(OptionProblem(place, f"Input should be less than or equal to {high}"))
        elif content < low:
            problems.append(OptionProblem(place, f"Input should be greater than or equal to {low}"))
        return content

    return parse


def check_path(path: str) -> str:
    """Return a repository path in its shortest form; raise ValueError if it is absolute, too long or has `..`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or "\\" in path or "\0" in path or ".." in parts or not parts:
        raise ValueError("must be a relative POSIX path inside the repository")
    if len(path) > _MAX_PATH:
        raise ValueError(f"must have at most {_MAX_PATH} characters")
    return "/".join(parts)


repo_path: Final = checked_text(check_path)
"""A path relative to the repository root."""


def format_problems(problems: Sequence[OptionProblem], limit: int) -> str:
    """Return the first problems in one line, and how many more than `limit` there are."""
    lines = [problem.to_text() for problem in problems[:limit]]
    more = len(problems) - limit
    return "; ".join([*lines, f"and {more} more"] if more > 0 else lines)
