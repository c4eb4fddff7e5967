"""Catalog, matrix and version documents, in addition to the cases of cases/{catalog,matrix,versions}/."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Config
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.registries.base.operations import (
    MAX_BYTES,
    parse_catalog_document,
    parse_matrix_document,
    parse_operations_document,
    read_operation_catalog,
)
from registry_pipeline.registries.base.upstream import (
    parse_expected_versions,
    read_envelope_version,
    read_threshold_version,
)
from registry_pipeline_tests.cases.layout import Case
from registry_pipeline_tests.laws import examples


def test_a_missing_document_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    config = Config(operations_catalog=("no.md", "folder"), coverage_matrix=("neither.md",))
    (tmp_path / "folder").mkdir()

    catalog, files = read_operation_catalog(WorkingTree(tmp_path), config)

    assert [(f.code, f.path, f.severity.value) for f in catalog.findings] == [
        ("CATALOG_MISSING", "folder", "error"),
        ("CATALOG_MISSING", "neither.md", "error"),
        ("CATALOG_MISSING", "no.md", "error"),
    ]
    assert files == ()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("o.yaml", b"a: " + b"x" * MAX_BYTES, "the document is larger than 256 KiB"),
        ("o.json", b" " * (MAX_BYTES + 1), "the document is larger than 256 KiB"),
        ("o.yaml", b"[" * 40 + b"]" * 40, "nested deeper than 32"),
        ("o.yaml", b"[" * 100_000, "not YAML: maximum recursion depth exceeded"),
        ("o.yaml", b'a: "\\UFFFFFFFF"', "not YAML: "),
        ("o.yaml", b"a: \xff", "not UTF-8: invalid start byte"),
        ("o.yaml", b"a: \x00", "not YAML: unacceptable character"),
        ("o.yaml", b"a: " + b"9" * 5000, "is not a JSON number"),
        ("o.yaml", b"? [a]\n: b\n", "a key is not text"),
        ("o.json", b"[" * 100_000, "not JSON: nested too deeply"),
        ("o.json", b"\xff", "not JSON: "),
    ],
)
def test_garbage_in_a_structured_document_is_reported_in_bounded_time(name: str, data: bytes, message: str) -> None:
    operations, (found,) = parse_operations_document(data, name)

    assert (operations, found.code, found.severity.value) == ([], "CATALOG_MALFORMED", "error")
    assert message in found.message


@given(st.binary(max_size=80) | st.text("ab:-[]{}&*!|>%@`\"'#,?\n \t01.~", max_size=60).map(str.encode))
@examples(100)
def test_any_content_of_a_structured_catalog_is_checked(data: bytes) -> None:
    for name in ("o.yaml", "o.json"):
        operations, findings = parse_operations_document(data, name)

        assert operations == [] or not findings
        assert {found.code for found in findings} <= {"CATALOG_MALFORMED"}


def test_the_parsers_are_functions_of_text() -> None:
    assert [d.line for d in parse_catalog_document("## Option A\n\n### OP-A01: One\n", "x.md")] == [3]
    assert [r.line for r in parse_matrix_document("\n| OP-A01 | A | E | C3 | x |", "x.md")] == [2]


def test_only_the_files_that_were_read_for_a_version_are_recorded(tmp_path: Path) -> None:
    Case("versions", "the_first_source_that_has_one").write_to(tmp_path)

    _, files = read_threshold_version(WorkingTree(tmp_path / "input"), ["missing.json", "a.json", "b.json", "c.json"])

    assert [file.path for file in files] == ["a.json", "b.json"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"expected": {"schema_version": "0.1", "threshold_pack_version": "v3"}}', ("0.1", "v3")),
        (b'{"expected": {"schema_version": 1, "threshold_pack_version": null}}', (None, None)),
        (b'{"expected": {}}', (None, None)),
        (b'{"expected": []}', None),
        (b"{}", None),
        (b"[]", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"expected": {}, "expected": {}}', None),
    ],
)
def test_expected_versions_are_strings_or_unknown(data: bytes, expected: tuple[str | None, str | None] | None) -> None:
    found = parse_expected_versions(data)

    assert (None if found is None else (found.schema_version, found.threshold_pack_version)) == expected


def test_the_envelope_version_is_observed_by_the_presence_of_its_standard(tmp_path: Path) -> None:
    (tmp_path / "standard.md").write_text("# anything\n", encoding="utf-8")

    assert read_envelope_version(WorkingTree(tmp_path), "standard.md") == "0.1"
    assert read_envelope_version(WorkingTree(tmp_path), "none.md") is None
