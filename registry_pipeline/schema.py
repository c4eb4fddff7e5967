"""Find the JSON Schemas that ship with the package, and check values and files against a schema.

jsonschema-rs decides and locates; the table `_WORDS` words the message. It is imported when a value is first checked.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from io import BytesIO
from itertools import islice
from operator import attrgetter
from pathlib import Path
from signal import SIG_BLOCK, SIG_SETMASK, SIGHUP, SIGINT, SIGTERM, pthread_sigmask
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from registry_pipeline.canonical import StrictCsvError, StrictJsonError, parse_strict_csv, parse_strict_json
from registry_pipeline.differing_lines import find_differing_lines
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.display import json_pointer, printable
from registry_pipeline.values import field, value_type
from registry_pipeline.yaml.compose import StrictYamlError, parse_yaml

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

PROBLEM_LIMIT: Final = 1000
"""Reported problems of one value; more would let hostile input take unbounded memory."""
_SHOWN: Final = 60
_LONGEST: Final = 200
UNDESCRIBED: Final = "not described"
"""The message of a problem that is only counted."""
UNPARSABLE: Final = "SCHEMA_UNPARSABLE"
VIOLATION: Final = "SCHEMA_VIOLATION"
_PACKAGE: Final = Path(__file__).resolve().parent
_WORDS: Final[Mapping[str, str]] = {
    "type": "is not of type {limit}",
    "enum": "is not one of {limit}",
    "const": "is not {limit}",
    "pattern": "does not match {limit}",
    "minimum": "is less than {limit}",
    "maximum": "is greater than {limit}",
    "exclusiveMinimum": "is not greater than {limit}",
    "exclusiveMaximum": "is not less than {limit}",
    "multipleOf": "is not a multiple of {limit}",
    "minLength": "is shorter than {limit} characters",
    "maxLength": "is longer than {limit} characters",
    "minItems": "has fewer than {limit} items",
    "maxItems": "has more than {limit} items",
    "minProperties": "has fewer than {limit} keys",
    "maxProperties": "has more than {limit} keys",
    "uniqueItems": "has duplicate items",
    "contains": "contains no item that the schema requires",
    "anyOf": "matches none of the allowed forms",
    "oneOf": "does not match exactly one of the allowed forms",
    "not": "has a form that is not allowed",
}
"""The predicate of a message, by keyword of JSON Schema; `limit` is what the schema states."""
_LIMITED: Final = ("const", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems")
"""Keywords whose limit is short enough for `SchemaProblem.expected`."""


@value_type
class SchemaProblem:
    """One violation of a schema, in a short sentence."""

    # The JSON pointer of the value; "" is the document.
    pointer: str
    message: str
    # The steps of the pointer.
    path: tuple[str | int, ...] = field(default=(), compare=False)
    # What the schema states, if that is short.
    expected: str | None = field(default=None, compare=False)
    # The value, if it is short.
    got: str | None = field(default=None, compare=False)


class _Required(NamedTuple):
    """The required keys of an object, of its properties by name, and of the items of an array."""

    keys: tuple[str, ...]
    properties: tuple[tuple[str, _Required], ...]
    items: _Required | None


_UNDESCRIBED: Final = SchemaProblem("", UNDESCRIBED)


@value_type
class FileProblem:
    """One problem of a file, with the code of its finding."""

    code: str
    # A line, a JSON pointer, or a line and the pointer of a value on it; "" is the whole file.
    location: str
    message: str


@cache
def schema_folder(package: Path = _PACKAGE) -> Path:
    """Return the folder of the schemas: the one at the top of a checkout, else the copy inside the package."""
    # An editable install leaves a copy in site-packages too; the checkout's schemas are the ones being edited.
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "schemas").is_dir():
        return checkout / "schemas"
    return package / "schemas"


@cache
def has_schema(name: str) -> bool:
    """Return whether a schema file ships; `name` is relative to the schema folder, as `cli/verify.schema.json`."""
    return (schema_folder() / name).is_file()


@cache
def schema_bytes(name: str) -> bytes:
    """Return the bytes of a shipped schema file; raise NotFoundError if no such schema ships."""
    try:
        return (schema_folder() / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no schema {name} ships with this version", "reinstall registry-pipeline") from None


@cache
def read_schema(name: str) -> Mapping[str, Any]:
    """Return a parsed schema, which is shared: do not change it. Raises as `schema_bytes`."""
    document: dict[str, Any] = json.loads(schema_bytes(name))
    return document


def check_value(name: str, value: object) -> list[SchemaProblem]:
    """Return the problems of a parsed JSON value against a shipped schema, sorted by location; empty if it is valid.

    All missing keys of an object are one problem. At most PROBLEM_LIMIT errors are described.

    Raises:
        NotFoundError: no such schema ships.
    """
    return shipped_validator(name)(value)


def make_validator(data: bytes) -> Validator:
    """Return a function that checks values against a JSON Schema (draft 2020-12), given as the bytes of its file.

    Raises:
        ValueError: the bytes are not strict JSON or not such a schema, or the schema refers to another document.
    """
    with _block_signals():
        import jsonschema_rs  # noqa: PLC0415 - see the module docstring

    document = parse_strict_json(data)
    if not isinstance(document, dict):
        raise ValueError("a schema is an object")  # noqa: TRY004 - invalid data, not a bug of the caller
    try:
        return Validator(document)
    except jsonschema_rs.ValidationError as error:
        raise ValueError(_describe_unusable(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_retrieval(uri: str) -> NoReturn:
    # A schema of a repository must not cause a request over the network.
    raise ValueError(f"{uri} is another document")


def _describe_unusable(error: ValidationError) -> str:
    message = error.message
    if error.kind.name == "$ref":
        return printable(f"it refers to something that it does not contain: {message[:_LONGEST]}")
    if error.kind.as_dict().get("format") == "regex":
        pattern = message.removesuffix(' is not a "regex"')
        message = f"{_shorten(pattern)} is not a valid pattern, or its repetitions are too large"
    return printable(f"{json_pointer(error.instance_path)} {message[:_LONGEST]}".strip())


def check_bytes(
    artifact: str, data: bytes, validate: Validator, known_lines: bytes = b"", described: int = sys.maxsize
) -> Iterator[FileProblem]:
    """Yield the problems of a file, in its order: `.jsonl` by line, `.csv` by row, `.yaml` by document, else as JSON.

    A row of CSV is an object of texts by column name. What cannot be parsed is a problem too, with code UNPARSABLE; so
    is a blank line of JSONL or CSV. It is the only problem if the last line of JSONL has no newline, the header of CSV
    is unusable, or YAML is invalid. The lines of JSONL that `known_lines` has too are not checked again. After so many
    `described` problems of JSON or JSONL the others have the message UNDESCRIBED; of JSONL, one for each invalid line.
    """
    if artifact.endswith(".yaml"):
        yield from _check_yaml(data, validate)
    elif artifact.endswith(".jsonl"):
        yield from _check_lines(data, validate, known_lines, described)
    elif artifact.endswith(".csv"):
        yield from _check_rows(data, validate)
    else:
        yield from _check_document(data, validate, "", described)


def _check_document(data: bytes, validate: Validator, place: str, described: int) -> Iterator[FileProblem]:
    try:
        value = parse_strict_json(data)
    except StrictJsonError as error:
        yield FileProblem(UNPARSABLE, place.strip(), str(error))
        return
    for problem in validate(value, described):
        yield FileProblem(VIOLATION, f"{place}{problem.pointer}".strip(), problem.message)


def _check_yaml(data: bytes, validate: Validator) -> Iterator[FileProblem]:
    try:
        documents = parse_yaml(data)
    except StrictYamlError as error:
        yield FileProblem(UNPARSABLE, f"line {error.location}", str(error))
        return
    for node in documents:
        for problem in validate(node.value):
            place = f"line {node.find_nearest(problem.path).location} {problem.pointer}".strip()
            yield FileProblem(VIOLATION, place, problem.message)


def _check_lines(data: bytes, validate: Validator, known_lines: bytes, described: int) -> Iterator[FileProblem]:
    if data and not data.endswith(b"\n"):
        last = data.count(b"\n") + 1
        yield FileProblem(UNPARSABLE, f"line {last}", "the last line has no newline")
        return
    parts = find_differing_lines(known_lines, data)
    known = {line for part in parts for line in part.old.split(b"\n")[:-1]}
    for part in parts:
        # BytesIO shares the bytes. A list of all lines would take as much memory as a large registry again.
        for number, line in enumerate((line[:-1] for line in BytesIO(part.new)), part.before + 1):
            if line in known:
                continue
            if described > 0:
                for problem in _check_document(line, validate, f"line {number} ", described):
                    described -= 1
                    yield problem
            else:
                code = _find_code(line, validate)
                if code is not None:
                    yield FileProblem(code, f"line {number}", UNDESCRIBED)


def _find_code(line: bytes, validate: Validator) -> str | None:
    """Return the code of the first problem of a line, None if it is valid."""
    try:
        return None if validate.is_valid(parse_strict_json(line)) else VIOLATION
    except StrictJsonError:
        return UNPARSABLE


def _check_rows(data: bytes, validate: Validator) -> Iterator[FileProblem]:
    try:
        rows = parse_strict_csv(data)
        _, names = next(rows)
        odd = sorted({repr(name) for name, count in Counter(names).items() if not name or count > 1})
        if odd or not names:
            detail = f"column names that are empty or duplicated: {', '.join(odd)}" if odd else "no header row"
            yield FileProblem(UNPARSABLE, "line 1", detail)
            return
        for number, cells in rows:
            if len(cells) != len(names):
                detail = f"{len(cells)} columns instead of {len(names)}" if cells else "an empty line"
                yield FileProblem(UNPARSABLE, f"line {number}", detail)
                continue
            for problem in validate(dict(zip(names, cells, strict=True))):
                yield FileProblem(VIOLATION, f"line {number} {problem.pointer}".strip(), problem.message)
    except StrictCsvError as error:
        yield FileProblem(UNPARSABLE, f"line {error.line}", str(error))


class Validator:
    """Checks parsed values against one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._validator = _compile(schema)
        # Made for the first invalid value: the objects whose missing keys are found here, and a validator without them.
        self._objects: Any = None
        self._required: _Required | None = None
        self._lister: Draft202012Validator | None = None

    def __call__(self, value: object, described: int = PROBLEM_LIMIT) -> list[SchemaProblem]:
        """Return the problems of a value as `check_value` does; after so many `described` all are UNDESCRIBED."""
        # A value that jsonschema-rs cannot take is nested too deeply.
        try:
            try:
                return self._find_problems(value, described)
            except UnicodeEncodeError:
                # jsonschema-rs refuses lone surrogates, which Python's JSON parser accepts: others stand in for them.
                stand_ins, surrogates = _make_surrogate_tables()
                problems = self._find_problems(_translate_texts(value, stand_ins), described)
                return [_translate_problem(problem, surrogates) for problem in problems]
        except (ValueError, RecursionError):
            return [SchemaProblem("", "nested too deeply")]

    def is_valid(self, value: object) -> bool:
        """Return whether a value has no problem, without describing one."""
        try:
            return self._validator.is_valid(value)
        except (ValueError, RecursionError):
            return not self(value)

    def _find_problems(self, value: object, described: int) -> list[SchemaProblem]:
        if self._validator.is_valid(value):
            return []
        # jsonschema-rs makes an error of each missing key, with a copy of the object. Most are found here instead.
        if self._lister is None:
            self._objects, without_required = _separate_required(self._schema)
            self._required = _list_required(self._objects)
            self._lister = _compile(without_required)
        errors = list(islice(self._lister.iter_errors(value), PROBLEM_LIMIT))
        missing = dict(islice(_find_missing_keys(self._required, value, ()), PROBLEM_LIMIT))
        by_path: dict[tuple[str | int, ...], list[ValidationError]] = {path: [] for path in missing}
        for error in errors:
            deepest = _find_deepest(error)
            path = tuple(deepest.instance_path)
            others = by_path.setdefault(path, [])
            if deepest.kind.name == "required":
                missing.setdefault(path, []).append(_format_missing_key(error, deepest))
            else:
                others.append(deepest)
        problems: list[SchemaProblem] = []
        for path in sorted(by_path, key=_sort_key):
            if len(problems) >= described:
                problems += [_UNDESCRIBED] * (len(by_path[path]) + (path in missing))
                continue
            here = [_describe_error(error, path, self._objects or self._schema) for error in by_path[path]]
            if path in missing:
                here.append(_describe_missing_keys(path, missing[path]))
            problems += here if len(here) == 1 else sorted(dict.fromkeys(here), key=attrgetter("message"))
        # An invalid value always has a problem, even if the library names no reason.
        return problems or [SchemaProblem("", "does not satisfy the schema")]


def _compile(schema: Mapping[str, Any]) -> Draft202012Validator:
    with _block_signals():
        import jsonschema_rs  # noqa: PLC0415 - see the module docstring

    return jsonschema_rs.Draft202012Validator(dict(schema), retriever=_refuse_retrieval)


@cache
def shipped_validator(name: str) -> Validator:
    """Return the validator of a shipped schema; raise NotFoundError if no such schema ships."""
    return Validator(read_schema(name))


def _list_parts(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """Return the schemas of the properties of an object, by name, and that of all items of an array."""
    properties = schema.get("properties")
    # With prefixItems, `items` is about the rest of the array.
    items = None if "prefixItems" in schema else schema.get("items")
    return properties if isinstance(properties, dict) else {}, items


def _replace_parts(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a schema whose parts (see `_list_parts`) are changed."""
    properties, items = _list_parts(schema)
    replaced = dict(schema)
    if properties:
        replaced["properties"] = {name: change(part) for name, part in properties.items()}
    if items is not None:
        replaced["items"] = change(items)
    return replaced


def _separate_required(schema: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Return the schema for `_find_missing_keys`, and the one that finds all other problems."""
    text = json.dumps(schema)
    # A reference to anything but a definition may need a part with its `required`.
    if text.count('Ref"') or text.count('"$ref"') != text.count('"$ref": "#/$defs/'):
        return {}, schema
    inlined = _inline_definitions(schema, schema.get("$defs", {}), frozenset())
    return inlined, _drop_required(inlined)


def _inline_definitions(schema: Any, definitions: Mapping[str, Any], inlined: frozenset[str]) -> Any:
    """Return a schema in which each part that is only a reference to a definition is that definition.

    A definition inside itself stays a reference.
    """
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if len(schema) == 1 and name in definitions and name not in inlined:
        return _inline_definitions(definitions[name], definitions, inlined | {name})
    return _replace_parts(schema, lambda part: _inline_definitions(part, definitions, inlined))


def _drop_required(schema: Any) -> Any:
    """Return a schema without `required` of the objects that `_find_missing_keys` visits."""
    if not isinstance(schema, dict):
        return schema
    return _replace_parts({key: part for key, part in schema.items() if key != "required"}, _drop_required)


def _list_required(schema: Any) -> _Required | None:
    """Return the required keys of an object and of the values inside it; None if there are none."""
    if not isinstance(schema, dict):
        return None
    properties, items = _list_parts(schema)
    required = _Required(
        tuple(schema.get("required", ())),
        tuple((name, inner) for name, part in properties.items() if (inner := _list_required(part))),
        _list_required(items),
    )
    return required if any(required) else None


def _find_missing_keys(
    required: _Required | None, value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], list[str]]]:
    """Yield the path of each object that lacks required keys, and these, in the order of the schema."""
    if required is None:
        return
    if isinstance(value, dict):
        missing = [key for key in required.keys if key not in value]
        if missing:
            yield path, missing
        for name, part in required.properties:
            if name in value:
                yield from _find_missing_keys(part, value[name], (*path, name))
    elif isinstance(value, list) and required.items is not None:
        for number, item in enumerate(value):
            yield from _find_missing_keys(required.items, item, (*path, number))


@contextmanager
def _block_signals() -> Iterator[None]:
    # A handler that raises while the library loads ends in a Rust panic: Ctrl-C waits these milliseconds.
    before = pthread_sigmask(SIG_BLOCK, {SIGHUP, SIGINT, SIGTERM})
    try:
        yield
    finally:
        pthread_sigmask(SIG_SETMASK, before)


@cache
def _make_surrogate_tables() -> tuple[Mapping[int, int], Mapping[int, int]]:
    """Return the private character that replaces each surrogate, and the reverse."""
    stand_ins = {0xD800 + offset: 0xF0000 + offset for offset in range(0x800)}
    return stand_ins, {stand_in: surrogate for surrogate, stand_in in stand_ins.items()}


def _translate_texts(value: Any, table: Mapping[int, int]) -> Any:
    if isinstance(value, dict):
        return {name.translate(table): _translate_texts(member, table) for name, member in value.items()}
    if isinstance(value, list):
        return [_translate_texts(item, table) for item in value]
    return value.translate(table) if isinstance(value, str) else value


def _translate_problem(problem: SchemaProblem, table: Mapping[int, int]) -> SchemaProblem:
    path = tuple(_translate_texts(list(problem.path), table))
    message = printable(problem.message.translate(table))
    got = None if problem.got is None else printable(problem.got.translate(table))
    return SchemaProblem(json_pointer(path), message, path, problem.expected, got)


def _find_deepest(error: ValidationError) -> ValidationError:
    """Return the error inside the alternative that the value fits best; without alternatives, the error itself."""
    branches = [branch for branch in getattr(error.kind, "context", ()) if branch]
    if not branches:
        return error
    # An alternative that fails by the value's own type is the least meant one.
    best = max(branches, key=lambda branch: min((len(e.instance_path), e.kind.name != "type") for e in branch))
    return _find_deepest(max(best, key=lambda inner: len(inner.instance_path)))


def _format_missing_key(error: ValidationError, deepest: ValidationError) -> str:
    """Return the key that is missing, or "a or b" if the alternatives of the error are different keys."""
    branches = getattr(error.kind, "context", ())
    if any([inner.kind.name for inner in branch] != ["required"] for branch in branches):
        branches = ()
    return " or ".join(str(inner.kind.as_dict()["property"]) for (inner,) in branches or [(deepest,)])


def _sort_key(path: Sequence[str | int]) -> list[tuple[int, int, str]]:
    """Return a sort key for the steps of JSON pointers: items by number, members by name."""
    return [(0, step, "") if isinstance(step, int) else (1, 0, step) for step in path]


def _describe_missing_keys(path: tuple[str | int, ...], names: Iterable[str]) -> SchemaProblem:
    return SchemaProblem(json_pointer(path), _word_keys("missing keys: ", tuple(names), _LONGEST), path)


# Many objects of a file lack the same keys, and have the same unknown ones.
@lru_cache(maxsize=300)
def _word_keys(beginning: str, names: tuple[str, ...], longest: int = sys.maxsize) -> str:
    return printable(_shorten(beginning + ", ".join(dict.fromkeys(names)), longest))


def _describe_error(error: ValidationError, path: tuple[str | int, ...], schema: Mapping[str, Any]) -> SchemaProblem:
    """Return an error of jsonschema-rs as a problem: worded by _WORDS, cut, and with hidden characters escaped."""
    keyword, stated = error.kind.name, error.kind.as_dict()
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        # Not even asked for its instance, because the library copies the whole object.
        unknown = tuple(sorted(map(str, stated.get("unexpected", ()))))
        known_keys = _word_keys("", tuple(_find_known_keys(error, schema))) or None
        return SchemaProblem(json_pointer(path), _word_keys("unknown keys: ", unknown, _LONGEST), path, known_keys)
    instance = error.instance
    got = printable(_shorten(repr(instance)))
    expected: str | None = None
    if type(error.kind).__name__ == "BacktrackLimitExceeded":
        # Its verdict is never "valid", inside `not` neither.
        message = "a pattern of the schema takes too many steps on this text; simplify it"
    elif keyword in _WORDS:
        limit = _format_limit(stated)
        message = f"{got} {_WORDS[keyword].format(limit=limit)}"
        if keyword in ("enum", "type"):
            expected = printable(limit)
        elif keyword in _LIMITED:
            expected = printable(f"{keyword} {limit}")
    else:
        message = error.message
    shown = None if isinstance(instance, dict | list) else got
    return SchemaProblem(json_pointer(path), printable(_shorten(message, _LONGEST)), path, expected, shown)


def _find_known_keys(error: ValidationError, schema: Mapping[str, Any]) -> Iterable[str]:
    """Return the keys that the failing part of a schema allows, or none if the part is behind a reference."""
    part: Any = schema
    for step in error.schema_path[:-1]:
        try:
            part = part[step]
        except (KeyError, IndexError, TypeError):
            return ()
    return part.get("properties", ()) if isinstance(part, dict) else ()


def _format_limit(stated: Mapping[str, Any]) -> str:
    """Return what the schema states for a keyword, as text; empty if the error does not have it."""
    keys = ("types", "options", "expected_value", "pattern", "multiple_of", "limit")
    limit = next((stated[key] for key in keys if key in stated), "")
    return ", ".join(map(str, limit)) if isinstance(limit, list) else str(limit)


def _shorten(text: str, longest: int = _SHOWN) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
