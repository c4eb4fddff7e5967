"""Python values as the file of a sealed folder, and back: bytes, text, JSON, JSON lines, CSV and pandas DataFrames.

What is loaded has the type and the content of what was sealed. A value that would not is refused.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, Literal, get_args

from registry_pipeline.canonical import StrictCsvError, json_document, json_line, parse_strict_csv, parse_strict_json
from registry_pipeline.errors import RefusedError
from registry_pipeline.values import value_type

Format = Literal["bytes", "text", "json", "jsonl", "csv", "dataframe"]
"""How a value is stored; run.json states it."""
FILE_NAMES: Final[Mapping[Format, str]] = {
    "bytes": "value.bin",
    "text": "value.txt",
    "json": "value.json",
    "jsonl": "value.jsonl",
    "csv": "value.csv",
    "dataframe": "value.dataframe.json",
}
ADVICE: Final = (
    "return bytes, str, a JSON value (dict, list, str, int, float, bool, None), a CsvTable or a pandas DataFrame, "
    "or give the asset another IO manager"
)
_MAX_DEPTH: Final = 200


@value_type
class CsvTable:
    """A table of strings, which is sealed as a CSV file: the names of its columns, and its rows.

    Both are tuples, and so is each row. Names are unique and not empty; each row has one cell per column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def records(self) -> list[dict[str, str]]:
        """Return each row as a dict by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@value_type
class EncodedValue:
    """The bytes of a value, and their format."""

    format: Format
    data: bytes


def encode_value(value: object) -> EncodedValue:
    """Return a value as bytes from which `decode_value` makes the same value; raise RefusedError if there are none."""
    kind = type(value)
    if kind is bytes:
        return EncodedValue("bytes", _as(bytes, value))
    if kind is str:
        return EncodedValue("text", _encode_text(_as(str, value)))
    if kind is CsvTable:
        return EncodedValue("csv", _encode_csv(_as(CsvTable, value)))
    # pandas takes half a second to import. Without it there is no DataFrame.
    pandas = sys.modules.get("pandas")
    if pandas is not None and kind is pandas.DataFrame:
        from registry_pipeline.dagster import dataframe  # noqa: PLC0415 - as above

        return EncodedValue("dataframe", dataframe.encode(value))
    _refuse_other_json(value, "the value", _MAX_DEPTH)
    try:
        if isinstance(value, list) and value and all(type(item) is dict for item in value):
            return EncodedValue("jsonl", b"".join(map(json_line, value)))
        return EncodedValue("json", json_document(value))
    except ValueError as error:  # an integer of more than 4300 digits
        raise RefusedError(f"the value has no JSON form: {error}", ADVICE) from None


def decode_value(stored: Format, data: bytes) -> Any:
    """Return the value of a sealed file, or of any file in that format; raise ValueError if it cannot be parsed."""
    return _DECODERS[stored](data)


def is_format(name: object) -> bool:
    """Return whether this is the name of a format."""
    return name in get_args(Format)


def to_json_value(value: object) -> Any:
    """Return a value as a JSON Schema describes it: tables as an array of objects by column name.

    Raises:
        RefusedError: the value has no JSON form: bytes, or a DataFrame with the same label twice.
    """
    if isinstance(value, bytes):
        raise RefusedError("bytes have no JSON form", "check a schema of a string, JSON, CSV or a DataFrame")
    if isinstance(value, CsvTable):
        return value.records()
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        from registry_pipeline.dagster import dataframe  # noqa: PLC0415 - see encode_value

        return dataframe.to_records(value)
    return value


def is_encodable(text: str) -> bool:
    """Return whether a string has a UTF-8 form: a lone surrogate has none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _as(kind: type[Any], value: object) -> Any:
    assert type(value) is kind  # noqa: S101 - the caller compared the types
    return value


def _encode_text(text: str) -> bytes:
    if not is_encodable(text):
        raise RefusedError("the string contains a lone surrogate, which UTF-8 cannot encode", "return bytes")
    return text.encode("utf-8")


def _refuse_other_json(value: object, place: str, levels: int) -> None:
    """Raise RefusedError unless a value is made of exactly the types that a JSON parser returns."""
    kind = type(value)
    if kind in (bool, int, type(None)) or (kind is float and isfinite(value)):  # type: ignore[arg-type]
        return
    if kind is str and is_encodable(value):  # type: ignore[arg-type]
        return
    if levels == 0:
        raise RefusedError(f"the value is nested deeper than {_MAX_DEPTH} levels", "return a flatter value")
    if isinstance(value, dict) and kind is dict:
        for key, member in value.items():
            if type(key) is not str or not is_encodable(key):
                raise RefusedError(f"{place} has the key {key!r}, and JSON keys are strings", "use strings as keys")
            _refuse_other_json(member, f"{place}[{key!r}]", levels - 1)
        return
    if isinstance(value, list) and kind is list:
        for number, item in enumerate(value):
            _refuse_other_json(item, f"{place}[{number}]", levels - 1)
        return
    if kind is float:
        raise RefusedError(f"{place} is {value}, which JSON cannot express", "use None, or a DataFrame")
    if kind is str:
        raise RefusedError(f"{place} contains a lone surrogate, which UTF-8 cannot encode", "remove it")
    raise RefusedError(f"{place} is of the type {kind.__module__}.{kind.__qualname__}, which cannot be sealed", ADVICE)


def _encode_csv(table: CsvTable) -> bytes:
    text = io.StringIO()
    try:
        # Every cell is quoted: an empty row, a carriage return and a blank need no rule of their own then.
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([table.columns, *table.rows])
        data = text.getvalue().encode("utf-8")
        is_same = bool(table.columns) and all(table.columns) and len(set(table.columns)) == len(table.columns)
        is_same = is_same and _decode_csv(data) == table
    except (ValueError, TypeError, csv.Error):
        is_same = False
    if not is_same:
        raise RefusedError(
            "the CsvTable would not be loaded as it is",
            "use tuples of strings: unique column names, one cell per column, no NUL and no lone surrogate",
        )
    return data


def _decode_csv(data: bytes) -> CsvTable:
    (line, columns), *rows = parse_strict_csv(data)
    numbers: dict[str, int] = {}
    for number, column in enumerate(columns, 1):
        if not column:
            raise StrictCsvError(line, f"column {number} of the header has no name")
        first = numbers.setdefault(column, number)
        if first < number:
            raise StrictCsvError(line, f"columns {first} and {number} of the header have the same name: {column!r}")
    for line, cells in rows:
        if len(cells) != len(columns):
            raise StrictCsvError(line, f"expected {len(columns)} cells, got {len(cells)}")
    return CsvTable(tuple(columns), tuple(tuple(cells) for _, cells in rows))


def _decode_lines(data: bytes) -> list[Any]:
    *lines, rest = data.split(b"\n")
    if rest:
        raise ValueError("the last line has no newline")
    return [parse_strict_json(line) for line in lines]


def _decode_dataframe(data: bytes) -> Any:
    from registry_pipeline.dagster import dataframe  # noqa: PLC0415 - see encode_value

    return dataframe.decode(data)


_DECODERS: Final[Mapping[Format, Callable[[bytes], Any]]] = {
    "bytes": bytes,
    "text": lambda data: data.decode("utf-8"),
    "json": parse_strict_json,
    "jsonl": _decode_lines,
    "csv": _decode_csv,
    "dataframe": _decode_dataframe,
}
