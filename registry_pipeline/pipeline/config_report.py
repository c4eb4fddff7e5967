"""The options of a repository with their values and lines in the toml file, and every problem of that file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from registry_pipeline.config import CONFIG_NAME, Config, Repository, parse_config, parse_toml
from registry_pipeline.config_types import OptionProblem, Place, options_of, parse_table
from registry_pipeline.errors import ConfigError
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.values import value_type

# An array of more lines than this is one place: each of its lines would be parsed again with those before it.
_MAX_LINES: Final = 1000


@value_type
class OptionValue:
    """An option in effect; `line` is that of the toml file which sets it, or its table; None for a default."""

    key: str
    value: Any
    line: int | None

    def to_json(self) -> dict[str, Any]:
        """Return an entry of `options` in the document of `config show`."""
        return {"key": self.key, "value": self.value, "line": self.line}


@value_type
class ConfigProblem:
    """A problem of the toml file; `line` is None if it belongs to no line, or only the message names it."""

    line: int | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return an entry of `problems` in the document of `config check`."""
        return {"file": CONFIG_NAME, "line": self.line, "message": self.message}

    def to_text(self) -> str:
        """Return `file:line: message`."""
        return f"{CONFIG_NAME}{'' if self.line is None else f':{self.line}'}: {self.message}"


def read_config_bytes(root: Path) -> bytes | None:
    """Return the bytes of the toml file, None if there is none; raise ConfigError if it cannot be read."""
    try:
        return read_regular_file(root / CONFIG_NAME)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{CONFIG_NAME} cannot be read: {error.strerror}", "fix the file's permissions") from None


def list_options(repository: Repository) -> list[OptionValue]:
    """Return every option in effect, in the order of the table; those of a table have its name before a dot."""
    data = read_config_bytes(repository.root) or b""
    document, lines = parse_toml(data), locate_keys(data)
    return [
        OptionValue(_join(place), value, _find_line(place, lines) if _is_set(document, place) else None)
        for place, value in _walk((), repository.config)
    ]


def _is_set(document: Any, place: Place) -> bool:
    for part in place:
        if isinstance(document, int):
            return part == "default"  # `stale_days = 2` is short for a table with this key
        if isinstance(document, dict) and part not in document:
            return False
        document = document[part]
    return True


def _walk(place: Place, value: Any) -> Iterator[tuple[Place, Any]]:
    """Yield the options of a value of the configuration, with their places."""
    if options := options_of(type(value)) if hasattr(type(value), "__value_fields__") else {}:
        for name in options:
            yield from _walk((*place, name), getattr(value, name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk((*place, name), item)
    elif isinstance(value, tuple) and any(hasattr(type(item), "__value_fields__") for item in value):
        for number, item in enumerate(value):
            yield from _walk((*place, number), item)
    else:
        yield place, _to_json(value)


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value.isoformat() if isinstance(value, date) else value


def find_config_problems(data: bytes, root: Path) -> list[ConfigProblem]:
    """Return every problem of the options of a toml text; if there is none, the first one between options."""
    try:
        document = parse_toml(data)
    except ConfigError as error:
        # Before Python 3.14 the error of the TOML reader has its line in the message only.
        number = error.message.partition("(at line ")[2].partition(",")[0]
        return [ConfigProblem(int(number) if number.isdecimal() else None, error.message)]
    lines = locate_keys(data)
    problems: list[OptionProblem] = []
    parse_table(Config, document, (), problems)
    if problems:
        return [ConfigProblem(_find_line(problem.place, lines), problem.to_text()) for problem in problems]
    try:
        parse_config(data, root)
    except ConfigError as error:
        # Its message starts with the key, if it is about one.
        key = error.message.split(maxsplit=1)[0].rstrip(":")
        return [ConfigProblem({_join(place): line for place, line in lines.items()}.get(key), error.message)]
    return []


def _find_line(place: Place, lines: Mapping[Place, int]) -> int | None:
    """Return the line of the innermost known key of a place."""
    return next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)


def locate_keys(data: bytes) -> dict[Place, int]:
    """Return the line of each key of a valid toml text, and of each table; {} for an invalid text.

    A key in an inline table has no line of its own, nor has an item of a list, apart from `[[tables]]`.
    """
    try:
        texts = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return {}
    lines: dict[Place, int] = {}
    table: Place = ()
    start = 0
    while start < len(texts):
        # (1) A statement is the shortest run of lines that is a document by itself.
        end = start + 1
        while (document := _parse("\n".join(texts[start:end]))) is None:
            if end in (len(texts), start + _MAX_LINES):
                return lines
            end += 1
        # (2) A header opens a table; other statements set keys in it.
        place = _find_inner_place(document)
        if texts[start].lstrip().startswith("["):
            table = _number_table(place, lines)
            lines.setdefault(table, start + 1)
        elif document:
            lines[(*table, *place)] = start + 1
        start = end
    return lines


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _find_inner_place(document: Mapping[str, Any]) -> Place:
    """Return the keys of a statement: each table of the document has one key, until a value or an empty table."""
    place: list[str | int] = []
    value: Any = document
    while isinstance(value, dict) and len(value) == 1:
        ((key, value),) = value.items()
        place.append(key)
        if isinstance(value, list) and value == [{}]:
            place.append(0)
            break
    return tuple(place)


def _number_table(place: Place, lines: Mapping[Place, int]) -> Place:
    """Return the place of a table; a `[[table]]` has the next number that is not used."""
    number = 0
    while place[-1] == number and place in lines:
        number += 1
        place = (*place[:-1], number)
    return place


def _join(place: Place) -> str:
    return ".".join(map(str, place))
