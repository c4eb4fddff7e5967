from __future__ import annotations

import pytest

from registry_pipeline.files.path_policy import find_collisions, path_codes


@pytest.mark.parametrize(
    "relpath",
    [
        "run.json",
        "a b.txt",
        "notes/manifest.json",
        ".hidden",
        "é.txt",
        "x" * 255,
        "console.log",
        "com10",
        "a.b..c",
        "日本",
    ],
)
def test_ordinary_names_may_be_sealed(relpath: str) -> None:
    assert path_codes(relpath) == ()


@pytest.mark.parametrize(
    ("relpath", "codes"),
    [
        ("", ["TYPE"]),
        ("\ud800", ["NOT_UTF8", "CONTROL_CHAR"]),
        ("x" * 256, ["TOO_LONG"]),
        ("é" * 128, ["TOO_LONG"]),
        ("/".join(["x" * 255] * 4) + "/y", ["TOO_LONG"]),
        ("a\tb", ["CONTROL_CHAR"]),
        ("a\u200bb", ["CONTROL_CHAR"]),
        ("a\u2028b", ["CONTROL_CHAR"]),
        ('a"?*|<>', ["BAD_CHAR"]),
        ("C:\\x", ["BAD_CHAR"]),
        ("/etc", ["ABSOLUTE", "DOT_COMPONENT"]),
        ("e\u0301", ["NOT_NFC"]),
        ("a  b", ["DOUBLE_SPACE"]),
        ("./a", ["DOT_COMPONENT"]),
        ("a//b", ["DOT_COMPONENT"]),
        ("a/", ["DOT_COMPONENT"]),
        (" a", ["EDGE_SPACE_OR_DOT"]),
        ("a\u00a0", ["EDGE_SPACE_OR_DOT"]),
        ("a./b", ["EDGE_SPACE_OR_DOT"]),
        ("...", ["EDGE_SPACE_OR_DOT"]),
        ("dir/nul", ["DOS_DEVICE"]),
        ("LPT1.tar.gz", ["DOS_DEVICE"]),
        ("com¹", ["DOS_DEVICE"]),
        ("Root_SHA256", ["RESERVED"]),
        ("manifest.json/x", ["RESERVED"]),
        ("../ a  b:.", ["BAD_CHAR", "DOUBLE_SPACE", "DOT_COMPONENT", "EDGE_SPACE_OR_DOT"]),
    ],
)
def test_a_path_breaks_every_rule_that_applies_to_it(relpath: str, codes: list[str]) -> None:
    assert path_codes(relpath) == tuple(f"MANIFEST_PATH_{code}" for code in codes)


@pytest.mark.parametrize(
    ("relpaths", "found"),
    [
        (["a", "b", "c/a", "c/b"], []),
        (["a", "A"], [("A", "a")]),
        (["a", "a"], [("a", "a")]),
        (["straße", "STRASSE"], [("STRASSE", "straße")]),
        (["é", "e\u0301"], [("e\u0301", "é")]),
        (["a", "a/b"], [("a/b", "a")]),
        (["A/b", "a"], [("a", "A")]),
        (["Dir/a", "dir/b"], [("dir/b", "Dir")]),
        (["x/Dir/a", "x/Dir/b", "x/dir/c"], [("x/dir/c", "x/Dir")]),
    ],
)
def test_paths_collide_where_case_form_or_kind_would_merge_them(
    relpaths: list[str], found: list[tuple[str, str]]
) -> None:
    assert find_collisions(relpaths) == found
