"""Apply the patterns of JSON Schemas that nobody reviewed in bounded time.

`jsonschema` applies patterns with `re`, which can backtrack for ever. The keywords here ask the engine of
`jsonschema_rs` instead: it is linear, and has a limit for patterns that look around or back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_SHOWN: Final = 60


class PatternLimitError(Exception):
    """A pattern took more steps on a text than it may take."""


@cache
def bounded_validator() -> Callable[..., Draft202012Validator]:
    """Return the validator for schemas that do not ship: that of `jsonschema` with the three keywords below.

    `unevaluatedProperties` beside `patternProperties` would use `re` too; a schema with both is refused before.
    """
    import attrs  # noqa: PLC0415  # lazily: only checks of values pay for it
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    plain = Draft202012Validator.VALIDATORS["additionalProperties"]

    def pattern(validator: Any, stated: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
        if validator.is_type(value, "string") and not _matches(stated, value):
            yield ValidationError(f"{value!r} does not match {stated!r}")

    def pattern_properties(validator: Any, stated: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
        for each, schema in stated.items() if validator.is_type(value, "object") else ():
            for name in value:
                if _matches(each, name):
                    yield from validator.descend(value[name], schema, path=name, schema_path=each)

    def additional_properties(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        patterns = schema.get("patternProperties", {})
        if not patterns or not validator.is_type(value, "object"):
            yield from plain(validator, allowed, value, schema)
            return
        left = {name: value[name] for name in value if not any(_matches(each, name) for each in patterns)}
        names = sorted(set(left).difference(schema.get("properties", {})))
        if allowed is False and names:
            verb, regexes = "does" if len(names) == 1 else "do", ", ".join(map(repr, sorted(patterns)))
            yield ValidationError(f"{', '.join(map(repr, names))} {verb} not match any of the regexes: {regexes}")
        elif allowed is not False:
            rest = {keyword: stated for keyword, stated in schema.items() if keyword != "patternProperties"}
            yield from plain(validator, allowed, left, rest)

    def evolve(validator: Any, **changes: Any) -> Any:
        # The original returns the plain validator for a part that names its `$schema`, as a `$ref` to the root does.
        return attrs.evolve(validator, **changes)

    extend: Any = validators.extend
    bounded: Any = extend(
        Draft202012Validator,
        {
            "pattern": pattern,
            "patternProperties": pattern_properties,
            "additionalProperties": additional_properties,
        },
    )
    bounded.evolve = evolve
    made: Callable[..., Draft202012Validator] = bounded
    return made


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Any:
    import jsonschema_rs  # noqa: PLC0415  # lazily, as above

    return jsonschema_rs.Draft202012Validator({"pattern": pattern})


def _matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern occurs in a text.

    The engine is linear, and has a limit for patterns that look around or back.

    Raises:
        PatternLimitError: the limit was reached.
    """
    import jsonschema_rs  # noqa: PLC0415  # lazily, as above

    matcher = _matcher(pattern)
    # The engine takes no lone surrogates; another character that is no letter, digit or blank stands for them.
    subject = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if matcher.is_valid(subject):
        return True
    if isinstance(next(matcher.iter_errors(subject)).kind, jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded):
        shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
        raise PatternLimitError(f"the pattern {shown!r} takes too many steps on {len(text)} characters; simplify it")
    return False
