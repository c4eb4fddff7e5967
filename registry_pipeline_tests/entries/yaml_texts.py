"""Strategies: entries, and files of entries as people lay them out."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from registry_pipeline.yaml.values import Style, format_item_lines

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(max_size=12),
    st.sampled_from(["no", "010", "~", "1e3", "a: b", "- x", "#", "a #b", "'", '"', "x\ny\n", "x\n\n", " x", "é", "|"]),
)
"""Any scalar that JSON has; surrogates are no text that UTF-8 takes."""

KEYS = st.text(min_size=1, max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
IDS = st.text("abcdefgh", min_size=1, max_size=3)


@st.composite
def entries(draw: st.DrawFn, key: str | None = None) -> dict[str, Any]:
    """An entry with an id and a few fields of any kind."""
    rest = draw(st.dictionaries(st.sampled_from(["name", "tags", "scope", "on"]), VALUES, max_size=3))
    return {"id": draw(IDS) if key is None else key, **rest}


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """A file of sorted entries under `types:` with comments and blank lines, and the entries."""
    ids = sorted(draw(st.sets(IDS, max_size=5)))
    made = [draw(entries(key=each)) for each in ids]
    style = Style(draw(st.sampled_from([0, 2, 4])), draw(st.sampled_from([2, 4])))
    lines = [f"# head {draw(st.integers(0, 9))}", "types:" if made else "types: []"]
    spaced = draw(st.booleans())
    for entry in made:
        lines += ["", f"{' ' * style.sequence}# about {entry['id']}"] if spaced else []
        lines += format_item_lines(entry, style.sequence, style)
    text = "\n".join([*lines, *draw(st.sampled_from([[], ["# foot"], ["other: 1"]]))])
    return text + draw(st.sampled_from(["\n", ""])), made
