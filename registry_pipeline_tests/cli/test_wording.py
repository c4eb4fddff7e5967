from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.cli.formats.annotations import format_annotation
from registry_pipeline.cli.reporter import format_finding
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable


def test_a_line_says_where_what_expected_got_clause_and_what_next() -> None:
    mismatch = finding("HASH_MISMATCH", "runs/r/a.json", expected="152d", got="9ab0")

    assert format_finding(mismatch) == (
        "SEAL_INVALID: HASH_MISMATCH runs/r/a.json: the content of the file differs from the manifest: "
        "expected 152d got 9ab0 (File content) -> rebuild the run; never edit a sealed run"
    )


def test_a_location_follows_the_path() -> None:
    violation = finding("SCHEMA_VIOLATION", "runs/r/a.json", location="/0/option", detail="'x' is not an option")

    assert format_finding(violation).startswith(
        "SCHEMA_INVALID: SCHEMA_VIOLATION runs/r/a.json:/0/option: 'x' is not an option"
    )


def test_an_annotation_names_file_line_and_code() -> None:
    bad_line = finding("HASHFILE_LINE_FORM", "runs/r/MANIFEST.sha256", location="line 3")

    assert format_annotation(bad_line).startswith(
        "::error file=runs/r/MANIFEST.sha256,line=3,title=HASHFILE_LINE_FORM::the line does"
    )


def test_a_line_and_column_become_the_position_and_a_json_pointer_stays_text() -> None:
    placed = finding("POINTER_DUPLICATE", "p.json", location="3:7", registry="run_registry")
    pointed = finding("POINTER_TRISTATE", "p.json", location="/pointers/0", registry="run_registry")

    assert "file=p.json,line=3,col=7,title=" in format_annotation(placed)
    assert "::/pointers/0: active_ref_known" in format_annotation(pointed)


def test_an_annotation_escapes_what_would_end_it_early() -> None:
    unlisted = finding("UNLISTED_FILE", "a,b:c%\nd", got="100%\r\n::error::forged")

    line = format_annotation(unlisted)

    assert "file=a%2Cb%3Ac%25%0Ad," in line
    assert "100%25%0D%0A::error::forged" in line
    assert len(line.splitlines()) == 1


def test_control_characters_are_printed_as_escapes() -> None:
    assert printable("a\x1b[2J\u202eb\n\ud800é") == "a\\x1b[2J\\u202eb\\n\\ud800é"


@given(st.text())
def test_printed_text_stays_on_one_line_and_controls_no_terminal(text: str) -> None:
    shown = printable(text)

    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    shown.encode("utf-8")
