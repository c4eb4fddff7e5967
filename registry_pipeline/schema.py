"""Find and apply the JSON Schemas that ship with the package (SPEC 3 "JSON Schemas"; DESIGN 4 and 6).

`jsonschema_rs` is the fast road: it says yes or no. Only where it does not say yes is `jsonschema`, the judge, asked
for every problem. Both are imported when a value is first judged, so that importing this module costs nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from registry_pipeline.canonical import StrictCsvError, StrictJsonError, read_strict_csv, read_strict_json
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.display import printable
from registry_pipeline.schema_patterns import PatternLimitError, bounded_validator
from registry_pipeline.values import field, value_type
from registry_pipeline.yaml.compose import StrictYamlError, read_yaml

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

PROBLEM_LIMIT: Final = 1000
"""No more problems than this are told of one value, so that hostile input ends in bounded memory."""
_SHOWN: Final = 60
_LONGEST: Final = 200
_PACKAGE: Final = Path(__file__).resolve().parent


@value_type
class SchemaProblem:
    """One violation: the JSON pointer of the offending value ("" is the whole document) and a short sentence.

    `path` holds the steps of the pointer; `expected` and `got` are what the schema says and what stands there, where
    that can be said shortly.
    """

    pointer: str
    message: str
    path: tuple[str | int, ...] = field(default=(), compare=False)
    expected: str | None = field(default=None, compare=False)
    got: str | None = field(default=None, compare=False)


Validator = Callable[[object], "list[SchemaProblem]"]
"""Tells every problem of a parsed value against one schema."""


@value_type
class FileProblem:
    """What is wrong at one place of a file: it cannot be parsed there, or what stands there breaks the schema.

    `place` is a line, a JSON pointer, or a line and the pointer of a value on it.
    """

    kind: Literal["unparsable", "violation"]
    place: str
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


def shipped_validator(name: str) -> Validator:
    """Return the judge that a shipped schema is; it raises as `check_value` does."""
    return partial(check_value, name)


def read_validator(data: bytes) -> Validator:
    """Return the judge that the text of a JSON Schema (draft 2020-12) makes; what it refers to must be in it.

    Raises:
        ValueError: the text is not JSON, or not such a schema.
    """
    import jsonschema_rs  # noqa: PLC0415  # lazily, as below
    from jsonschema import Draft202012Validator, FormatChecker  # noqa: PLC0415
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    document = read_strict_json(data)
    if not isinstance(document, dict):
        raise ValueError("a schema is an object")  # noqa: TRY004 - bad data, and no bug of the caller
    # With a registry of its own, a reference to elsewhere is an error and no request over the network.
    registry: Registry[Any] = Registry().with_resource("", DRAFT202012.create_resource(document))
    try:
        # No format is checked here: `jsonschema` would compile each pattern with `re`, which takes other patterns and
        # fails on some. `jsonschema_rs` refuses a pattern that is none, and one whose program would be too large.
        Draft202012Validator.check_schema(document, format_checker=FormatChecker(()))
        for reference in _references(document):
            registry.resolver().lookup(reference)
        jsonschema_rs.Draft202012Validator(document)
    except SchemaError as error:
        raise ValueError(_unusable(error.absolute_path, error.message)) from None
    except jsonschema_rs.ValidationError as error:
        raise ValueError(_unusable(error.instance_path, error.message)) from None
    except Unresolvable as error:
        raise ValueError(f"it refers to {error.ref!r}, which is not in it") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if {"unevaluatedProperties", "patternProperties"} <= _keywords(document):
        raise ValueError("unevaluatedProperties and patternProperties cannot be checked together; use one of them")
    return partial(_problems, bounded_validator()(document, registry=registry))


def _unusable(path: Iterable[str | int], message: str) -> str:
    text, is_a_pattern, _ = message.partition(' is not a "regex"')
    if is_a_pattern:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        message = f"{shown} is not a valid pattern, or its repetitions are too large"
    return printable(f"{json_pointer(path)} {message[:_LONGEST]}".strip())


def _keywords(document: Any) -> set[str]:
    """Return every member name in a schema, at any depth."""
    names: set[str] = set()
    pending = [document]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            names.update(part)
            pending += part.values()
        elif isinstance(part, list):
            pending += part
    return names


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key in ("$ref", "$dynamicRef") and isinstance(value, str))
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _references(inner)


def check_bytes(artifact: str, data: bytes, judge: Validator) -> Iterator[FileProblem]:
    """Yield every problem of a file's bytes; the name's suffix tells the form that its values have.

    `.jsonl` is judged line by line, `.csv` row by row (an object of texts by the names of the columns), `.yaml`
    document by document, anything else as one JSON document.
    """
    if artifact.endswith(".yaml"):
        yield from _yaml_problems(data, judge)
    elif artifact.endswith(".jsonl"):
        yield from _line_problems(data, judge)
    elif artifact.endswith(".csv"):
        yield from _row_problems(data, judge)
    else:
        yield from _document_problems(data, judge, "")


def _document_problems(data: bytes, judge: Validator, place: str) -> Iterator[FileProblem]:
    try:
        value = read_strict_json(data)
    except StrictJsonError as error:
        yield FileProblem("unparsable", place.strip(), str(error))
        return
    for problem in judge(value):
        yield FileProblem("violation", f"{place}{problem.pointer}".strip(), problem.message)


def _yaml_problems(data: bytes, judge: Validator) -> Iterator[FileProblem]:
    try:
        documents = read_yaml(data)
    except StrictYamlError as error:
        yield FileProblem("unparsable", f"line {error.location}", str(error))
        return
    for node in documents:
        for problem in judge(node.value):
            place = f"line {node.at(problem.path).location} {problem.pointer}".strip()
            yield FileProblem("violation", place, problem.message)


def _line_problems(data: bytes, judge: Validator) -> Iterator[FileProblem]:
    lines = data.split(b"\n")
    if lines.pop():
        yield FileProblem("unparsable", f"line {len(lines) + 1}", "the last line has no newline")
        return
    for number, line in enumerate(lines, 1):
        yield from _document_problems(line, judge, f"line {number} ")


def _row_problems(data: bytes, judge: Validator) -> Iterator[FileProblem]:
    try:
        rows = read_strict_csv(data)
        _, names = next(rows)
        odd = sorted({repr(name) for name, count in Counter(names).items() if not name or count > 1})
        if odd or not names:
            told = f"column names that are empty or stand twice: {', '.join(odd)}" if odd else "no header row"
            yield FileProblem("unparsable", "line 1", told)
            return
        for number, cells in rows:
            if len(cells) != len(names):
                told = f"{len(names)} columns, and here {len(cells)}" if cells else "an empty line"
                yield FileProblem("unparsable", f"line {number}", told)
                continue
            for problem in judge(dict(zip(names, cells, strict=True))):
                yield FileProblem("violation", f"line {number} {problem.pointer}".strip(), problem.message)
    except StrictCsvError as error:
        yield FileProblem("unparsable", f"line {error.line}", str(error))


@cache
def _fast_road(name: str) -> Callable[[object], bool]:
    import jsonschema_rs  # noqa: PLC0415  # lazily: no verb that judges nothing pays for it

    return jsonschema_rs.Draft202012Validator(dict(read_schema(name))).is_valid


def _judge(name: str, value: object) -> list[SchemaProblem]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # lazily: only failures pay for it

    return _problems(Draft202012Validator(dict(read_schema(name))), value)


def _problems(validator: Draft202012Validator, value: object) -> list[SchemaProblem]:
    errors = validator.iter_errors(value)
    try:
        told = {_problem(error): _order(error) for error in islice(map(_deepest, errors), PROBLEM_LIMIT)}
    except RecursionError:
        return [SchemaProblem("", "nested too deeply")]
    except PatternLimitError as error:
        return [SchemaProblem("", printable(str(error)))]
    except OverflowError:
        return [SchemaProblem("", "a number is too large to be compared with the schema")]
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
    path = tuple(error.absolute_path)
    return SchemaProblem(json_pointer(path), printable(message), path, _expected(error), _got(error))


def _expected(error: ValidationError) -> str | None:
    """Return what a schema asks for, where a few words can say it."""
    asked: Any = error.validator_value
    if error.validator in ("enum", "type"):
        return printable(asked if isinstance(asked, str) else ", ".join(map(str, asked)))
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        return printable(", ".join(error.schema.get("properties", {}))) or None
    told = error.validator in ("const", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems")
    return printable(f"{error.validator} {asked}") if told else None


def _got(error: ValidationError) -> str | None:
    told = None if isinstance(error.instance, dict | list) else printable(repr(error.instance))
    return told if told is None or len(told) <= _SHOWN else f"{told[:_SHOWN]}…"


def json_pointer(path: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of member names and item numbers."""
    return "".join(f"/{printable(str(step)).replace('~', '~0').replace('/', '~1')}" for step in path)
