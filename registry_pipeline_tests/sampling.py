"""Which of many points a test run tries: the same ones for the same source, others after a change."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import registry_pipeline

OFFSET_VARIABLE = "REGISTRY_PIPELINE_FAULT_OFFSET"


@cache
def source_offset() -> int:
    """Return a number made from the product's source code; `OFFSET_VARIABLE` in the environment replaces it."""
    given = os.environ.get(OFFSET_VARIABLE)
    if given is not None:
        return int(given)
    root = Path(registry_pipeline.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:4], "big")


def sample_points(total: int, wanted: int) -> list[int]:
    """Return at least `wanted` of the points 1 to `total`, evenly spaced from `source_offset`; all if there are few."""
    step = max(1, total // wanted)
    return [1 + (source_offset() + number) % total for number in range(0, total, step)]
