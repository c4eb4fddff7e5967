"""Chance that repeats itself: numbers drawn by hashing their own names.

`random` promises its numbers for one Python only; a hash gives the same example on every machine.
"""

from __future__ import annotations

from registry_pipeline.canon import sha256_hex


def draw(below: int, *names: object) -> int:
    """Return a number from 0 to `below` - 1 that depends on `names` alone."""
    return int(sha256_hex("\x1f".join(map(str, names)).encode())[:16], 16) % below
