"""Wording that every message shares: the closest known name, and a number with its noun."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest to a misspelt one, or None if none is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a misspelt name needs it

    # Matching takes quadratic time, so a longer name is compared by its first characters.
    return next(iter(get_close_matches(name[:64], list(known), n=1)), None)


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: "1 run", "3 runs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
