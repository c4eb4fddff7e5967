"""Collect the findings of one folder; their text can always be encoded as UTF-8."""

from __future__ import annotations

from typing import Final

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.values import replace

MAX_OF_A_CODE: Final = 1000
"""Reported findings of one code in one folder; the others are only counted."""
_LONGEST_QUOTE: Final = 200


def encodable(text: str) -> str:
    """Return `text` with every character that UTF-8 cannot encode (from undecodable file names) escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _shorten(value: object) -> str:
    text = encodable(str(value))
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


class FindingCollector:
    """Collects the findings of one folder; `shown` is the folder's path in them."""

    __slots__ = ("_counts", "_findings", "shown")

    def __init__(self, shown: str) -> None:
        self.shown = encodable(shown)
        self._findings: list[Finding] = []
        # Not a Counter: a collector is made for each folder of a repository, and most stay empty.
        self._counts: dict[str, int] = {}

    def add(
        self,
        code: str,
        relpath: str = "",
        *,
        location: str | None = None,
        expected: object = None,
        got: object = None,
        detail: object = "",
    ) -> None:
        """Add a finding about a file of the folder, or about the folder if `relpath` is empty.

        After MAX_OF_A_CODE findings of a code, others are only counted. Long values are cut.
        """
        self._counts[code] = self._counts.get(code, 0) + 1
        # A manifest of 64 MiB can cause millions of findings.
        if self._counts[code] > MAX_OF_A_CODE:
            return
        path = encodable(relpath)
        self._findings.append(
            finding(
                code,
                f"{self.shown}/{path}" if path else self.shown,
                location=location,
                expected=None if expected is None else _shorten(expected),
                got=None if got is None else _shorten(got),
                detail=_shorten(detail),
            )
        )

    def count(self) -> int:
        """Return the number of findings so far, including those over the limit."""
        return sum(self._counts.values())

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings sorted, with one more for each code over the limit: it has the number of the others."""
        rest = [
            replace(finding(code, self.shown), message=f"and {count - MAX_OF_A_CODE} more findings of this code")
            for code, count in self._counts.items()
            if count > MAX_OF_A_CODE
        ]
        return sorted_findings([*self._findings, *rest])
