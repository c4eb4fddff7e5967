"""A regular expression matcher that counts its steps.

Python's `re` does not say how much work it did, and a clock is no measure on a busy machine. This matcher parses a
pattern with the parser of `re`, backtracks as `re` does, and counts every instruction. It has none of the shortcuts of
`re`, so that a pattern that is linear here is linear there.
"""

from __future__ import annotations

import re
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]  # not in the type stubs
from typing import Any, Final

_SINGLE: Final = {_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN}
_REPEATS: Final = {_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT}

Text = str | bytes
Span = tuple[int, int]


class TooManyStepsError(Exception):
    """The matcher needed more steps than it was allowed."""


class CountingMatcher:
    """One pattern, with `search`, `match`, `fullmatch` and `scan`, and the number of steps that they took.

    Raises:
        NotImplementedError: the pattern has a back reference, a condition, or an unbounded repetition of what can be
            empty. The package has no such pattern.
    """

    def __init__(self, pattern: re.Pattern[Any], limit: int = 50_000_000) -> None:
        self.steps = 0
        self.limit = limit
        self._flags = pattern.flags
        tree = _parser.parse(pattern.pattern, pattern.flags)
        self._state = tree.state
        self._program = self._compiled(tree)

    def search(self, text: Text, start: int = 0) -> Span | None:
        """Return the span of the first match at or after `start`."""
        for position in range(start, len(text) + 1):
            end = self._run(self._program, text, position)
            if end is not None:
                return position, end
        return None

    def match(self, text: Text) -> Span | None:
        """Return the span of the match at the beginning."""
        end = self._run(self._program, text, 0)
        return None if end is None else (0, end)

    def fullmatch(self, text: Text) -> Span | None:
        """Return the span of the match that is the whole text."""
        end = self._run(self._program, text, 0, whole=True)
        return None if end is None else (0, end)

    def scan(self, text: Text) -> list[Span]:
        """Return the spans of all matches, as `finditer`, `findall`, `sub` and `split` find them."""
        spans, start = [], 0
        while start <= len(text):
            span = self.search(text, start)
            if span is None:
                break
            spans.append(span)
            start = span[1] + (span[0] == span[1])
        return spans

    def _compiled(self, tree: Any) -> list[tuple[Any, ...]]:
        program: list[tuple[Any, ...]] = []
        self._emit(tree, program)
        return program

    def _leaf(self, item: Any) -> Any:
        """Return a pattern of one item, so that `re` itself decides about characters and positions."""
        return _compiler.compile(_parser.SubPattern(self._state, [item]), self._flags).match

    def _emit(self, tree: Any, program: list[tuple[Any, ...]]) -> None:
        for code, argument in tree:
            if code in _SINGLE:
                program.append(("character", self._leaf((code, argument))))
            elif code is _constants.AT:
                program.append(("position", self._leaf((code, argument))))
            elif code is _constants.SUBPATTERN and not argument[1] and not argument[2]:
                self._emit(argument[3], program)
            elif code is _constants.BRANCH:
                self._emit_branch(argument[1], program)
            elif code in _REPEATS:
                self._emit_repeat(code, argument, program)
            elif code is _constants.ATOMIC_GROUP:
                program.append(("atomic", self._compiled(argument)))
            elif code in (_constants.ASSERT, _constants.ASSERT_NOT):
                direction, inner = argument
                back = inner.getwidth()[0] if direction < 0 else 0
                program.append(("look", self._compiled(inner), back, code is _constants.ASSERT))
            else:
                raise NotImplementedError(f"{code} in {tree}")

    def _emit_branch(self, branches: list[Any], program: list[tuple[Any, ...]]) -> None:
        ends = []
        for branch in branches[:-1]:
            split = len(program)
            program.append(())
            self._emit(branch, program)
            ends.append(len(program))
            program.append(())
            program[split] = ("split", split + 1, len(program))
        self._emit(branches[-1], program)
        for end in ends:
            program[end] = ("split", len(program), None)

    def _emit_repeat(self, code: Any, argument: Any, program: list[tuple[Any, ...]]) -> None:
        least, most, inner = argument
        if code is _constants.POSSESSIVE_REPEAT:
            body: list[tuple[Any, ...]] = []
            self._emit_repeat(_constants.MAX_REPEAT, argument, body)
            program.append(("atomic", body))
            return
        if most is _constants.MAXREPEAT and inner.getwidth()[0] == 0:
            raise NotImplementedError("an unbounded repetition of what can be empty")
        for _ in range(least):
            self._emit(inner, program)
        splits = []
        for _ in range(1 if most is _constants.MAXREPEAT else most - least):
            splits.append(len(program))
            program.append(())
            self._emit(inner, program)
        if most is _constants.MAXREPEAT:
            program.append(("split", splits[0], None))
        for split in splits:
            first, second = split + 1, len(program)
            program[split] = ("split", *((first, second) if code is _constants.MAX_REPEAT else (second, first)))

    def _run(self, program: list[tuple[Any, ...]], text: Text, start: int, *, whole: bool = False) -> int | None:
        """Return where the first match from `start` ends, None if there is none."""
        pending = [(0, start)]
        while pending:
            at, position = pending.pop()
            while at is not None:
                self.steps += 1
                if self.steps > self.limit:
                    raise TooManyStepsError
                if at == len(program):
                    if not whole or position == len(text):
                        return position
                    break
                at, position = self._step(program[at], at, text, position, pending)
        return None

    def _step(
        self, instruction: tuple[Any, ...], at: int, text: Text, position: int, pending: list[tuple[int, int]]
    ) -> tuple[Any, int]:
        """Return where to go on in the program and the text; None for the program means that this path failed."""
        kind, argument = instruction[:2]
        if kind == "character":
            return (at + 1 if position < len(text) and argument(text, position) else None), position + 1
        if kind == "position":
            return (at + 1 if argument(text, position) else None), position
        if kind == "split":
            if instruction[2] is not None:
                pending.append((instruction[2], position))
            return argument, position
        if kind == "atomic":
            end = self._run(argument, text, position)
            return (None if end is None else at + 1), (position if end is None else end)
        _, _, back, wanted = instruction
        found = position >= back and self._run(argument, text, position - back) is not None
        return (at + 1 if found == wanted else None), position
