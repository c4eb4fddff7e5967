"""The JSON rules of the specification for `plain_reading`; nothing of registry_pipeline is imported."""

from __future__ import annotations

import json
from typing import Any


class NotJson(Exception):  # noqa: N818 -- it is a verdict on a document
    """Bytes that the rows on JSON refuse; the argument is the end of the code."""


def read_document(data: bytes, name: str, family: str, kind: type, findings: set[tuple[str, str]]) -> Any:
    """Rows "run.json" and "manifest.json": return the parsed document, or None."""

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise NotJson("DUPLICATE_KEY")
        return dict(pairs)

    def finite(text: str) -> float:
        if text in ("NaN", "Infinity", "-Infinity") or abs(float(text)) == float("inf"):
            raise NotJson("NON_FINITE")
        return float(text)

    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=no_duplicates, parse_constant=finite, parse_float=finite
        )
    except NotJson as refusal:
        findings.add((f"{family}_{refusal}", name))
    except (ValueError, RecursionError):
        findings.add((f"{family}_INVALID", name))
    else:
        if _depth(document) > 200:
            findings.add((f"{family}_INVALID", name))
        elif isinstance(document, kind):
            return document
        else:
            findings.add((f"{family.removesuffix('_JSON') if family == 'MANIFEST_JSON' else family}_SHAPE", name))
    return None


def _depth(value: Any) -> int:
    # Level by level: since Python 3.12 the parser accepts values nested more deeply than a function may recurse.
    depth, level = 0, [value]
    while level:
        depth += 1
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [child for each in containers for child in (each.values() if isinstance(each, dict) else each)]
    return depth
