"""Find and apply the JSON Schemas that ship with the package (SPEC 3 "JSON Schemas"; DESIGN 4 and 6).

`jsonschema_rs` is the fast road: it says yes or no. Only where it does not say yes is `jsonschema`, the judge, asked
for every problem. Both are imported when a value is first judged, so that importing this module costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.errors import NotFoundError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

PROBLEM_LIMIT: Final = 1000
"""No more problems than this are told of one value, so that hostile input ends in bounded memory."""

_SHOWN: Final = 60
_LONGEST: Final = 200
_PACKAGE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """One violation: the JSON pointer of the offending value ("" is the whole document) and a short sentence."""

    pointer: str
    message: str


def schema_folder(package: Path = _PACKAGE) -> Path:
    """Return the folder of the schemas: a checkout's own top-level one, else the copy inside the package.

    An editable install leaves a copy of the schemas in site-packages too; the checkout's are the ones being edited.
    """
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "schemas").is_dir():
        return checkout / "schemas"
    return package / "schemas"


def has_schema(name: str) -> bool:
    """Tell whether a schema of that file name (`cli/verify.schema.json` for one in a folder) ships."""
    return (schema_folder() / name).is_file()


@cache
def schema_bytes(name: str) -> bytes:
    """Return a schema file as it ships, for the copy in a run folder.

    Raises:
        NotFoundError: no such schema ships.
    """
    try:
        return (schema_folder() / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no schema {name} ships with this version", "reinstall registry-pipeline") from None


@cache
def read_schema(name: str) -> Mapping[str, Any]:
    """Return a schema, parsed. Treat it as read-only: it is shared.

    Raises:
        NotFoundError: no such schema ships.
    """
    document: dict[str, Any] = json.loads(schema_bytes(name))
    return document


def check_value(name: str, value: object) -> list[SchemaProblem]:
    """Return every problem of a parsed JSON value against a schema, by JSON pointer; empty if it is valid.

    At most `PROBLEM_LIMIT` problems are told.

    Raises:
        NotFoundError: no such schema ships.
    """
    try:
        if _fast_road(name)(value):
            return []
    except (ValueError, OverflowError, RecursionError):
        # The fast road does not take every value that Python's parser makes, lone surrogates in keys for one.
        pass
    return _judge(name, value)


@cache
def _fast_road(name: str) -> Callable[[object], bool]:
    import jsonschema_rs  # noqa: PLC0415  # lazily: no verb that judges nothing pays for it

    return jsonschema_rs.Draft202012Validator(dict(read_schema(name))).is_valid


def _judge(name: str, value: object) -> list[SchemaProblem]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # lazily: only failures pay for it

    errors = Draft202012Validator(dict(read_schema(name))).iter_errors(value)
    try:
        told = {_problem(error): _order(error) for error in islice(map(_deepest, errors), PROBLEM_LIMIT)}
    except RecursionError:
        return [SchemaProblem("", "nested too deeply")]
    return sorted(told, key=lambda problem: (told[problem], problem.message))


def _deepest(error: ValidationError) -> ValidationError:
    """Return what is wrong inside the alternative that the value was meant to be, rather than `anyOf` failed."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    return best_match([error]) if error.context else error


def _order(error: ValidationError) -> list[tuple[int, int, str]]:
    """Return what sorts JSON pointers by position: items by number, members by name."""
    return [(0, step, "") if isinstance(step, int) else (1, 0, str(step)) for step in error.absolute_path]


def _problem(error: ValidationError) -> SchemaProblem:
    whole = repr(error.instance)
    message = error.message if len(whole) <= _SHOWN else error.message.replace(whole, f"{whole[:_SHOWN]}…")
    if error.validator == "required" and isinstance(error.instance, dict):
        # One error comes for each missing member; told so, they become one problem.
        required: Any = error.validator_value
        missing = (repr(name) for name in required if name not in error.instance)
        message = f"lacks {', '.join(missing)}"
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}…"
    return SchemaProblem(json_pointer(error.absolute_path), printable(message))


def json_pointer(path: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of member names and item numbers."""
    return "".join(f"/{printable(str(step)).replace('~', '~0').replace('/', '~1')}" for step in path)


def printable(text: str) -> str:
    """Return text that any UTF-8 stream takes: lone surrogates, as JSON escapes can make them, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
