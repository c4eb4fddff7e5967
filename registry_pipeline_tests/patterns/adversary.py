"""Look for a text on which a pattern takes more than linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import inf
from re import _constants, _parser  # type: ignore[attr-defined]  # not in the type stubs
from typing import Any, Final

from registry_pipeline_tests.patterns.backtracking import CountingMatcher, TooManyStepsError
from registry_pipeline_tests.patterns.collecting import Use
from registry_pipeline_tests.patterns.worst_texts import Worst

MOST_GROWTH: Final = 5.0
"""Four times the text may take so many times the steps: linear, and room for what is constant."""

_SHORT, _LONG = 48, 320
_STEPS_A_CHARACTER: Final = 300
_STRANGERS: Final = ("\x01", "é", "!")


def growth(use: Use, worst: Worst, times: int) -> float:
    """Return how many times more steps a text takes when its body is repeated four times as often."""
    few, many = (steps(use, worst.repeated(each)) for each in (times, 4 * times))
    return inf if few == inf else many / few


def steps(use: Use, text: str) -> float:
    """Return the steps that a pattern takes on a text, in all ways in which it is applied; infinity: far too many."""
    matcher = _matcher(use.pattern)
    matcher.steps, matcher.limit = 0, _STEPS_A_CHARACTER * (len(text) + 10)
    subject = text if isinstance(use.pattern.pattern, str) else text.encode("utf-8", "surrogatepass")
    for mode in use.modes:
        try:
            getattr(matcher, mode)(subject)
        except TooManyStepsError:
            return inf
    return matcher.steps


@cache
def _matcher(pattern: re.Pattern[Any]) -> CountingMatcher:
    return CountingMatcher(pattern)


def find_slow_text(use: Use) -> Worst | None:
    """Return a text that takes more than linear time, made of the pattern's own characters; None if none is found."""
    for worst in dict.fromkeys(candidates(use)):
        # Where a repetition has a limit the growth ends with it: what looks bad on short texts is tried on long ones.
        if growth(use, worst, _SHORT) > MOST_GROWTH and growth(use, worst, _LONG) > MOST_GROWTH:
            return worst
    return None


def candidates(use: Use) -> Iterator[Worst]:
    """Yield texts: what begins a match, then one or two pieces of the pattern again and again, then a stranger."""
    tree = _parser.parse(use.pattern.pattern, use.pattern.flags)
    heads = ["", *_heads(tree)]
    pieces = list(dict.fromkeys([*_characters(tree), *_words(tree), *heads[-1:]]))
    pieces = [piece for piece in pieces if piece]
    for head, body, tail in product(dict.fromkeys(heads), pieces, ("", _STRANGERS[0])):
        yield Worst(head, body, tail)
    for one, other in product(pieces[:14], repeat=2):
        if one != other:
            yield Worst("", one + other, "")


def _heads(tree: Any) -> Iterator[str]:
    """Yield a text that the first part of the pattern matches, the first two parts, and so on."""
    text = ""
    for item in tree:
        text += _sample(item)
        yield text


def _sample(item: Any) -> str:
    """Return a short text that one part of a pattern matches."""
    code, argument = item
    if code in (_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN):
        return next(_members(item))
    if code in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
        return "".join(map(_sample, argument[2])) * max(int(argument[0]), 1)
    if code is _constants.SUBPATTERN:
        return "".join(map(_sample, argument[3]))
    if code is _constants.ATOMIC_GROUP:
        return "".join(map(_sample, argument))
    return "".join(map(_sample, argument[1][0])) if code is _constants.BRANCH else ""


def _characters(tree: Any) -> Iterator[str]:
    """Yield characters that take part in the pattern, and some that do not."""
    for item in _items(tree):
        yield from _members(item)
    yield from _STRANGERS


def _members(item: Any) -> Iterator[str]:
    """Yield a few characters that a single-character item matches."""
    code, argument = item
    if code is _constants.LITERAL:
        yield chr(argument)
    elif code is _constants.IN:
        negated = argument[0][0] is _constants.NEGATE
        stated = [_member(part) for part in argument if part[0] is not _constants.NEGATE]
        yield from ["~", *stated] if negated else stated[:3]
    elif code in (_constants.ANY, _constants.NOT_LITERAL):
        yield "~"


def _member(part: Any) -> str:
    code, argument = part
    if code is _constants.CATEGORY:
        return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(argument), "a")
    return chr(argument[0] if code is _constants.RANGE else argument)


def _items(tree: Any) -> Iterator[Any]:
    """Yield every single-character item of a pattern, in its order."""
    for item in tree:
        code, argument = item
        if code is _constants.BRANCH:
            for branch in argument[1]:
                yield from _items(branch)
        elif code in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
            yield from _items(argument[2])
        elif code is _constants.SUBPATTERN:
            yield from _items(argument[3])
        elif code in (_constants.ASSERT, _constants.ASSERT_NOT):
            yield from _items(argument[1])
        elif code is _constants.ATOMIC_GROUP:
            yield from _items(argument)
        else:
            yield item


def _words(tree: Any) -> Iterator[str]:
    """Yield the longest words of literal characters."""
    text = "".join(chr(argument) if code is _constants.LITERAL else "\0" for code, argument in _items(tree))
    words = sorted({word for word in re.split("\0", text) if len(word) > 1}, key=lambda word: (-len(word), word))
    for word in words[:3]:
        yield word
        yield f"{word} "
