"""Collects what is wrong with one folder. Pure; whatever a folder says, its findings can be printed and encoded."""

from __future__ import annotations

from typing import Final

from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding

_LONGEST_QUOTE: Final = 200


def encodable(text: str) -> str:
    """Return `text` as it can be written in UTF-8: the bytes of a file name that are none become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _quoted(value: object) -> str:
    text = encodable(str(value))
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


class Telling:
    """The findings of one folder, which the caller calls `shown`."""

    __slots__ = ("findings", "shown")

    def __init__(self, shown: str) -> None:
        self.shown = encodable(shown)
        self.findings: list[Finding] = []

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
        place = encodable(relpath)
        self.findings.append(
            finding(
                code,
                f"{self.shown}/{place}" if place else self.shown,
                location=location,
                expected=None if expected is None else _quoted(expected),
                got=None if got is None else _quoted(got),
                detail=_quoted(detail),
            )
        )
