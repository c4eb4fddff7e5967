"""What a case folder of `cases/roles` is made of: a change to the base pack, and what must be told of it.

Expected places are told by the text that stands there, so that line and column owe nothing to the code that is tested.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_pipeline.roles import Published, Violation, check_against, parse_pack
from registry_pipeline_tests.roles.base_pack import Change, base_pack, written

CASES = Path(__file__).parents[1] / "cases" / "roles"
END = "the end"
CURRENT = "assets/pack.json"
SOURCE = "main:assets/pack.json"


@dataclass(frozen=True, slots=True)
class Told:
    """One expected violation: code, severity, ids, and the text that stands at its place in both files."""

    code: str
    severity: str
    ids: Sequence[str] = ()
    here: str | None = None
    there: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One case: both files as bytes (no baseline is a first publish) and all that must be told, by code and id."""

    name: str
    current: bytes
    baseline: bytes | None
    expected: tuple[Told, ...]

    def expected_json(self) -> list[dict[str, Any]]:
        """Return what `expected.json` holds."""
        return [
            {
                "code": told.code,
                "severity": told.severity,
                "ids": list(told.ids),
                "location": place_of(self.current, told.here),
                "baseline_location": None if self.baseline is None else place_of(self.baseline, told.there, SOURCE),
            }
            for told in self.expected
        ]


def place_of(data: bytes, needle: str | None, source: str = "") -> str | None:
    """Return `line:column` of the text `needle`; in `a » b^c` it is where `c` begins, in the first `bc` behind `a`."""
    if needle is None:
        return None
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    at = len(text) if needle == END else found(text, needle)
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f"{source}:{line}:{column}" if source else f"{line}:{column}"


def found(text: str, needle: str) -> int:
    at = 0
    *anchors, last = needle.split(" » ")
    for anchor in anchors:
        at = text.index(anchor, at) + len(anchor)
    before, caret, _ = last.partition("^")
    return text.index(last.replace("^", ""), at) + (len(before) if caret else 0)


def case(name: str, change: Change | bytes, *expected: Told, baseline: Change | bytes | None = None) -> Recipe:
    """Return the case of a changed current pack; `baseline` changes the baseline from which it starts too."""
    before = base_pack()
    if callable(baseline):
        baseline(before)
    baseline_bytes = baseline if isinstance(baseline, bytes) else written(before)
    if isinstance(change, bytes):
        return Recipe(name, change, baseline_bytes, expected)
    change(before)
    return Recipe(name, written(before), baseline_bytes, expected)


def first(name: str, change: Change, *expected: Told) -> Recipe:
    """Return the case of a pack that no baseline has."""
    pack = base_pack()
    change(pack)
    return Recipe(name, written(pack), None, expected)


def judge(current: bytes, baseline: bytes | None) -> list[dict[str, Any]]:
    """Check one file against another and return what is told, in the form of `expected.json`."""
    published = None if baseline is None else Published(parse_pack(baseline, CURRENT), SOURCE)
    return [shape_of(each) for each in check_against(parse_pack(current, CURRENT), published)]


def shape_of(violation: Violation) -> dict[str, Any]:
    return {
        "code": violation.finding.code,
        "severity": violation.finding.severity.value,
        "ids": list(violation.ids),
        "location": violation.finding.location,
        "baseline_location": violation.baseline_location,
    }


def write(recipe: Recipe, root: Path = CASES) -> None:
    """Write the folder of a case."""
    folder = root / recipe.name
    folder.mkdir(parents=True)
    (folder / "current.json").write_bytes(recipe.current)
    if recipe.baseline is not None:
        (folder / "baseline.json").write_bytes(recipe.baseline)
    (folder / "expected.json").write_text(json.dumps(recipe.expected_json(), indent=2) + "\n", encoding="utf-8")
