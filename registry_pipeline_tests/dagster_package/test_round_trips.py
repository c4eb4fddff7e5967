"""Every value that is encoded is decoded with the same type and content; what would not be is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import pandas as pdst

from registry_pipeline.canonical import StrictCsvError, parse_strict_json
from registry_pipeline.dagster import dataframe
from registry_pipeline.dagster.sealed_folder import Origin, read_value, seal_value, verify_reference
from registry_pipeline.dagster.sealed_value import CsvTable, decode_value, encode_value, to_json_value
from registry_pipeline.errors import RefusedError
from registry_pipeline_tests.laws import examples

TEXTS = st.text(st.characters(codec="utf-8"))
ANY_TEXTS = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@st.composite
def tables(draw: st.DrawFn) -> CsvTable:
    columns = draw(st.lists(CELLS.filter(bool), min_size=1, max_size=4, unique=True))
    rows = draw(st.lists(st.tuples(*(CELLS for _ in columns)), max_size=4))
    return CsvTable(tuple(columns), tuple(rows))


VALUES = st.binary() | TEXTS | JSON | st.lists(st.dictionaries(TEXTS, JSON, max_size=3), min_size=1) | tables()


def round_trip(value: object) -> Any:
    encoded = encode_value(value)
    return decode_value(encoded.format, encoded.data)


def typed(value: object) -> object:
    """Return a value so that == distinguishes 1, 1.0 and True, 0.0 and -0.0, and the order of keys."""
    if isinstance(value, dict):
        return [(key, typed(member)) for key, member in value.items()]
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type(value), repr(value))


@given(VALUES)
def test_a_value_is_decoded_with_its_type_and_content(value: object) -> None:
    assert typed(round_trip(value)) == typed(value)


@given(VALUES)
@examples(25)
def test_a_sealed_value_is_read_with_its_type_and_content(value: object) -> None:
    origin = Origin(("tides",), None, "run", datetime(2026, 3, 1, tzinfo=UTC))
    with TemporaryDirectory() as folder:
        sealed = seal_value(Path(folder), origin, encode_value(value))

        assert verify_reference(Path(folder), sealed.reference)[1] == []
        assert typed(read_value(Path(folder), sealed.reference, "tides")) == typed(value)


KEYS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.tuples(KEYS, KEYS), st.tuples(KEYS, KEYS))
@examples(30)
def test_every_asset_key_and_partition_has_a_folder_of_its_own(first: tuple[str, str], second: tuple[str, str]) -> None:
    started = datetime(2026, 3, 1, tzinfo=UTC)
    with TemporaryDirectory() as folder:
        references = [
            seal_value(Path(folder), Origin((key,), partition, "run", started), encode_value("tide")).reference
            for key, partition in (first, second)
        ]
        parents = [reference.folder.rpartition("/")[0] for reference in references]

        assert [verify_reference(Path(folder), reference)[1] for reference in references] == [[], []]
        assert (parents[0] == parents[1]) == (first == second)
        assert not [parent for parent in parents if parent.startswith(".") or parent.count("/") != 1]


@pytest.mark.parametrize("key", ["con", "..", ".", ".staging", "a.", " ", "", "manifest.json", "a/b", "%41"])
def test_a_key_that_is_no_folder_name_is_encoded(tmp_path: Path, key: str) -> None:
    origin = Origin((key,), "north", "run", datetime(2026, 3, 1, tzinfo=UTC))

    reference = seal_value(tmp_path, origin, encode_value("tide")).reference

    assert verify_reference(tmp_path, reference)[1] == []
    assert not reference.folder.startswith(".")
    assert reference.folder.count("/") == 2


LONG_KEYS = st.text(st.sampled_from("a.%潮 -"), min_size=60, max_size=250) | st.sampled_from(["con.", "潮", "."]).map(
    lambda text: text * 250
)


@given(LONG_KEYS, LONG_KEYS)
@examples(30)
def test_a_long_key_has_a_short_folder_name_of_its_own(first: str, second: str) -> None:
    started = datetime(2026, 3, 1, tzinfo=UTC)
    with TemporaryDirectory() as folder:
        references = [
            seal_value(Path(folder), Origin((key,), None, "run", started), encode_value("tide")).reference
            for key in (first, second)
        ]
        names = [reference.folder.partition("/")[0] for reference in references]

        assert [verify_reference(Path(folder), reference)[1] for reference in references] == [[], []]
    assert (names[0] == names[1]) == (first == second)
    assert max(map(len, names)) <= 200


def test_a_key_of_29_cjk_characters_has_a_folder_name_that_does_not_end_in_a_part_of_a_character(
    tmp_path: Path,
) -> None:
    origin = Origin(("潮" * 29,), None, "run", datetime(2026, 3, 1, tzinfo=UTC))

    name = seal_value(tmp_path, origin, encode_value("tide")).reference.folder.partition("/")[0]

    assert re.fullmatch(r"(%[0-9A-F]{2})+%-[0-9a-f]{32}", name)


@given(ANY_TEXTS | st.lists(ANY_TEXTS) | st.dictionaries(ANY_TEXTS, ANY_TEXTS))
def test_a_lone_surrogate_is_refused_and_every_other_text_is_kept(value: object) -> None:
    try:
        decoded = round_trip(value)
    except RefusedError:
        assert any("\ud800" <= character <= "\udfff" for character in repr_of_texts(value))
    else:
        assert typed(decoded) == typed(value)


def repr_of_texts(value: Any) -> str:
    if isinstance(value, dict):
        return "".join([*value.keys(), *value.values()])
    return value if isinstance(value, str) else "".join(value)


@given(tables())
def test_a_schema_sees_a_table_as_its_records(table: CsvTable) -> None:
    assert to_json_value(table) == [dict(zip(table.columns, row, strict=True)) for row in table.rows]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "which JSON cannot express"),
        ([float("inf")], "the value[0] is inf"),
        # A JSON parser would make one character of these two.
        (["\ud83d\ude00"], "a lone surrogate"),
        ({"\ud83d\ude00": 1}, "JSON keys are strings"),
        ((1, 2), "builtins.tuple"),
        ({"a": {1}}, "the value['a'] is of the type builtins.set"),
        ({1: "a"}, "JSON keys are strings"),
        (np.float64(1), "numpy.float64"),
        (True + np.int64(1), "numpy.int64"),
        (bytearray(b"a"), "builtins.bytearray"),
        pytest.param(10**5000, "has no JSON form", id="a long integer"),
        (CsvTable(("a", "a"), ()), "would not be loaded as it is"),
        (CsvTable((), ()), "would not be loaded as it is"),
        (CsvTable(("a",), (("b", "c"),)), "would not be loaded as it is"),
        (CsvTable(("a",), (("\0",),)), "would not be loaded as it is"),
        (CsvTable(("a",), (("b" * 200_000,),)), "would not be loaded as it is"),
        (CsvTable(("a",), (["b"],)), "would not be loaded as it is"),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_another_type_is_refused_with_advice(value: object, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        encode_value(value)

    assert reason in refused.value.message
    assert refused.value.advice


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless += [endless, endless]

    with pytest.raises(RefusedError, match="nested deeper"):
        encode_value(endless)


@pytest.mark.parametrize("data", [b'{"a":1}', b"{}\n\n", b"{]\n"])
def test_lines_that_are_no_jsonl_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"line|JSON|Expect"):
        decode_value("jsonl", data)


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 1, "header"),
        (b"a,b\n1,2\n1\n", 3, "expected 2 cells, got 1"),
        (b'a,b\n"1\n",2\n1,2,3\n', 4, "expected 2 cells, got 3"),
        (b"a,b\n\n", 2, "expected 2 cells, got 0"),
        (b"a,b,a\n", 1, "columns 1 and 3 of the header have the same name: 'a'"),
        (b"a,\n", 1, "column 2 of the header has no name"),
        (b'"a\n', 1, "end of data"),
    ],
)
def test_a_file_that_is_not_csv_is_refused_with_its_line(data: bytes, line: int, reason: str) -> None:
    with pytest.raises(StrictCsvError) as refused:
        decode_value("csv", data)

    assert refused.value.line == line
    assert reason in str(refused.value)


INDEXES = pdst.range_indexes(max_size=5) | st.builds(
    lambda labels, name, dtype: pd.Index(labels, name=name, dtype=dtype),
    st.lists(TEXTS, max_size=5),
    st.none() | TEXTS,
    st.sampled_from(["str", "object", "string", "category"]),
)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Return a frame with columns of every known dtype, in some order, with missing cells."""
    index = draw(INDEXES)
    size = len(index)

    def cells(strategy: st.SearchStrategy[Any], *, missing: bool = True) -> list[Any]:
        chosen = strategy | st.none() if missing else strategy
        return draw(st.lists(chosen, min_size=size, max_size=size))

    small, floats = st.integers(-128, 127), st.floats(width=32)
    moments = st.integers(-(2**33), 2**33)
    unit = draw(st.sampled_from(["s", "ms", "us", "ns"]))
    times = np.array([-(2**63) if n is None else n for n in cells(moments)], dtype="int64").view(f"M8[{unit}]")
    objects = pd.Series(cells(TEXTS | small | floats | st.booleans()), dtype=object)
    makers: list[Any] = [
        np.array(cells(small, missing=False), dtype=draw(st.sampled_from(["int8", "int64"]))),
        np.array(cells(st.integers(0, 2**64 - 1), missing=False), dtype="uint64"),
        np.array(cells(floats, missing=False), dtype=draw(st.sampled_from(["float32", "float64"]))),
        np.array(cells(st.booleans(), missing=False), dtype=bool),
        pd.array(cells(small), dtype="Int8"),
        pd.array(cells(st.booleans()), dtype="boolean"),
        pd.array(cells(st.floats(allow_nan=False)), dtype="Float64"),
        pd.array(cells(TEXTS), dtype="string"),
        pd.array(cells(TEXTS), dtype="str"),
        times,
        times.view(f"m8[{unit}]"),
        pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(draw(st.sampled_from(["UTC", "Europe/Berlin"]))),
        pd.Categorical(cells(st.sampled_from("ab")), categories=["b", "a"], ordered=draw(st.booleans())),
        objects,
    ]
    columns = draw(st.lists(st.sampled_from(makers), max_size=4))
    frame = pd.DataFrame(dict(enumerate(columns)), index=None if columns else index)
    frame.index = index
    if draw(st.booleans()):
        frame.columns = pd.Index(draw(st.lists(TEXTS, min_size=len(columns), max_size=len(columns))), dtype=str)
    return frame


@given(frames())
@examples(50)
def test_a_dataframe_is_decoded_with_index_labels_dtypes_and_cells(frame: pd.DataFrame) -> None:
    decoded = round_trip(frame)

    assert list(decoded.dtypes) == list(frame.dtypes)
    assert (type(decoded.index), type(decoded.columns)) == (type(frame.index), type(frame.columns))
    pd.testing.assert_frame_equal(decoded, frame, check_exact=True, check_index_type=True, check_column_type=True)
    for column in range(frame.shape[1]):
        assert list(map(typed, decoded.iloc[:, column])) == list(map(typed, frame.iloc[:, column]))


@given(frames())
@examples(50)
def test_a_schema_sees_a_dataframe_as_strict_json(frame: pd.DataFrame) -> None:
    frame.columns = pd.Index([f"{number} {label}" for number, label in enumerate(frame.columns)], dtype=str)

    records = to_json_value(frame)

    assert len(records) == len(frame)
    encode_value(records)  # raises unless JSON can express it
    assert parse_strict_json(encode_value(frame).data)


@pytest.mark.parametrize("labels", [["a", "a"], [1, "1"]], ids=str)
def test_a_schema_sees_no_dataframe_with_the_same_label_twice(labels: list[Any]) -> None:
    frame = pd.DataFrame([["wrong", 1]], columns=pd.Index(labels, dtype=object))

    with pytest.raises(RefusedError, match="the same label"):
        to_json_value(round_trip(frame))


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2026-01-01", periods=2, freq="D", name="day"),
        pd.date_range("2026-03-28", periods=2, freq="D", tz="Europe/Berlin"),
        pd.CategoricalIndex(["a", "b"]),
        pd.Index(["a", "a"], name="twice"),
        pd.Index([1.5, float("nan")]),
        pd.RangeIndex(4, 0, -2),
    ],
    ids=str,
)
def test_an_index_is_kept_with_its_name_and_frequency(index: Any) -> None:
    frame = pd.DataFrame({"height": [1, 2]}, index=index)

    pd.testing.assert_frame_equal(round_trip(frame), frame, check_exact=True, check_index_type=True, check_freq=True)


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame(index=["a"])], ids=repr)
def test_an_empty_frame_is_kept(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(round_trip(frame), frame, check_index_type=True, check_column_type=True)


class Subclass(pd.DataFrame):
    """A frame of another type."""


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (pd.DataFrame({"a": [1j]}), "complex128"),
        (pd.DataFrame({"a": [[1], [2]]}), "a cell of the dtype object is a list"),
        (pd.DataFrame({"a": pd.Series([pd.NA], dtype=object)}), "NAType"),
        (pd.DataFrame({"a": pd.period_range("2026", periods=1, freq="Y")}), "period"),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "several levels"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name=1)), "whose name is not a string"),
        (pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False), "would not be loaded as it is"),
        (Subclass({"a": [1]}), "Subclass"),
    ],
    ids=str,
)
def test_a_dataframe_that_would_not_be_decoded_as_it_is_is_refused(frame: pd.DataFrame, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        encode_value(frame)

    assert reason in refused.value.message
    assert refused.value.advice


def test_attributes_of_a_dataframe_are_refused() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "m"

    with pytest.raises(RefusedError, match="attrs"):
        encode_value(frame)


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"index": {"range": [0]}, "columns": {}, "data": []}', b"null"])
def test_a_document_that_is_no_dataframe_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a sealed DataFrame"):
        dataframe.decode(data)
