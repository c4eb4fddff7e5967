"""The asset page, made from values."""

from __future__ import annotations

from registry_pipeline.defs import metadata
from registry_pipeline.findings.codes import finding
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.manifest import make_entry
from registry_pipeline.runs.reference import Pointer, PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import SealReport


def test_a_changed_record_counts_as_one_added_and_one_removed() -> None:
    before, after = b'{"n":1}\n{"n":2}\n', b'{"n":1}\n{"n":3}\n{"n":4}\n'

    assert metadata.count_changes("A.jsonl", before, after) == {
        "changed_records": "2 added, 1 removed since the active run"
    }


def test_the_order_and_the_indentation_of_a_json_array_are_no_change() -> None:
    changes = metadata.count_changes("A.json", b'[{"n": 1}, {"n": 2}]', b'[\n {"n": 2},\n {"n": 1}\n]')

    assert changes == {"changed_records": "0 added, 0 removed since the active run"}


def test_no_change_is_reported_against_a_snapshot_that_is_not_json() -> None:
    assert metadata.count_changes("A.json", b"{", b"[]") == {}


def test_rows_of_csv_are_records() -> None:
    before, after = b"a,b\n1,x\n2,y\n", b'a,b\n1,x\n2,"z"\n3,\n'

    assert metadata.count_changes("A.csv", before, after) == {
        "changed_records": "2 added, 1 removed since the active run"
    }
    assert metadata.format_preview("A.csv", after).splitlines()[2:] == ["| 1 | x |", "| 2 | z |", "| 3 |  |"]
    assert metadata.format_preview("A.csv", b"a,b\n") == "No records."
    assert metadata.count_changes("A.csv", b"\xff", after) == {}


def test_the_files_of_a_run_are_compared_by_their_hashes() -> None:
    entries = tuple(
        make_entry(name, data) for name, data in {"a.json": b"1", "b.json": b"2", "run.json": b"{}"}.items()
    )
    active = SealReport("runs/a", "a", "pass", "0" * 64, entries, {}, ())

    page = metadata.make_files_metadata({"b.json": b"3", "c.json": b"4"}, active)

    assert page["changed_files"] == "1 added, 1 removed, 1 modified since the active run"
    assert page["sealed_files"].value.splitlines()[0] == "| file | bytes | sha256 |"
    assert list(metadata.make_files_metadata({"b.json": b"3"}, None)) == ["sealed_files"]


def test_a_preview_shows_ten_records_and_says_that_there_are_more() -> None:
    data = b"".join(b'{"n":%d,"list":[]}\n' % n for n in range(11))

    lines = metadata.format_preview("A.jsonl", data).splitlines()

    assert lines[:3] == ["| n |", "|---|", "| 0 |"]
    assert lines[11] == "| 9 |"
    assert lines[-1].startswith("… more records")


def test_a_preview_keeps_its_table_with_any_text_in_a_cell() -> None:
    table = metadata.format_table([{"a": "x|y\nz", "b": None, "c": True}])

    assert table.splitlines()[-1] == "| x\\|y z |  | true |"


def test_an_empty_registry_says_so() -> None:
    assert metadata.format_preview("A.jsonl", b"") == metadata.format_preview("A.json", b"[]") == "No records."


def test_every_registry_of_the_stack_has_columns_of_known_types() -> None:
    for spec in SHIPPED.build_order:
        columns = metadata.make_column_schema(spec)
        assert (columns is None) == (not spec.artifacts), spec.registry_id
        if columns is None:
            continue
        types = {word for column in columns.columns for word in column.type.split(" | ")}
        assert types <= {"string", "integer", "number", "boolean", "array", "object", "null"}, spec.registry_id


def test_a_finding_is_shown_with_expected_value_actual_value_and_hint() -> None:
    (row,) = metadata.make_findings_table([finding("ROOT_MISMATCH", "runs/a", expected="1", got="2")])

    assert list(row.data) == ["severity", "code", "where", "finding", "next step"]
    assert (row.data["severity"], row.data["code"], row.data["where"]) == ("error", "ROOT_MISMATCH", "runs/a")
    assert str(row.data["finding"]).endswith("(expected 1, got 2)")
    assert row.data["next step"] == "rebuild the run; never edit a sealed run"


def test_the_pointers_page_has_one_row_a_registry_with_its_run_its_state_and_the_notes() -> None:
    ref, moment = SealedRef("a", "runs", None, "0" * 64), "2026-01-02T00:00:00Z"
    pointers = (
        Pointer("run_registry", ref, True, moment, ""),
        Pointer("drift_signals", ref, False, moment, "marked bad"),
        Pointer("op_status_table", None, "unknown", None, "rolled back"),
    )

    page = metadata.make_pointers_metadata(PointerFile({}, pointers, None))

    assert page == {
        "active_registries": 1,
        "run_registry": "a, active since 2026-01-02T00:00:00Z",
        "drift_signals": "a, no longer active since 2026-01-02T00:00:00Z: marked bad",
        "op_status_table": "no run, unknown: rolled back",
        "pointer_file_sha256": "no pointer file",
    }
