"""Expected positions, found by searching the text, independently of the tested code."""

from __future__ import annotations

END = "the end"


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
