"""Collects what is wrong with one folder. Pure; whatever a folder says, its findings can be printed and encoded."""

from __future__ import annotations

from collections import Counter
from typing import Final

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.values import replace

MOST_OF_A_CODE: Final = 1000
"""So many findings of one code are told of a folder; of the others, their number."""
_LONGEST_QUOTE: Final = 200


def encodable(text: str) -> str:
    """Return `text` as it can be written in UTF-8: the bytes of a file name that are none become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _quoted(value: object) -> str:
    text = encodable(str(value))
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


class FindingCollector:
    """The findings of one folder, which the caller calls `shown`."""

    __slots__ = ("_counts", "_told", "shown")

    def __init__(self, shown: str) -> None:
        self.shown = encodable(shown)
        self._told: list[Finding] = []
        self._counts: Counter[str] = Counter()

    def tell(
        self,
        code: str,
        relpath: str = "",
        *,
        location: str | None = None,
        expected: object = None,
        got: object = None,
        detail: object = "",
    ) -> None:
        """Add a finding about a file of the folder, or about the folder itself where `relpath` is empty."""
        self._counts[code] += 1
        # A manifest of 64 MiB has room for millions of faults, and nobody reads them.
        if self._counts[code] > MOST_OF_A_CODE:
            return
        place = encodable(relpath)
        self._told.append(
            finding(
                code,
                f"{self.shown}/{place}" if place else self.shown,
                location=location,
                expected=None if expected is None else _quoted(expected),
                got=None if got is None else _quoted(got),
                detail=_quoted(detail),
            )
        )

    def count(self) -> int:
        """Return how many findings there were so far, told or not."""
        return self._counts.total()

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings in their telling order, and for each code with too many the number of the others."""
        rest = [
            replace(finding(code, self.shown), message=f"and {count - MOST_OF_A_CODE} more findings of this code")
            for code, count in self._counts.items()
            if count > MOST_OF_A_CODE
        ]
        return sorted_findings([*self._told, *rest])
