"""Records as rows for other programs: CSV and Parquet (SPEC 11). duckdb is imported by the call that needs it."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canon import json_line
from registry_pipeline.model.display import spreadsheet_cell
from registry_pipeline.run_index.record import RUN, Record

COLUMNS: Final = tuple(RUN.fields)
"""The columns of every answer, in the order of seed 004; keys beyond them follow by name."""

_LISTS: Final = frozenset(name for name, each in RUN.fields.items() if each.holds in ("ids", "fields"))


def columns_of(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the columns of some records: every field of SPEC 11, then what the toml allows beyond, by name."""
    extra = {name for record in records for name in record} - set(COLUMNS)
    return (*COLUMNS, *sorted(extra))


def csv_bytes(records: Sequence[Record], *, raw: bool = False) -> bytes:
    """Return records as CSV (RFC 4180, UTF-8, LF): a list is its JSON text, what is not stated is empty.

    A text that a spreadsheet would run as a formula gets an apostrophe before it, unless `raw`.
    """
    columns = columns_of(records)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    cell = _cell if raw else _safe_cell
    writer.writerow(map(cell, columns))
    writer.writerows([cell(record.get(name)) for name in columns] for record in records)
    return text.getvalue().encode("utf-8")


def parquet_bytes(records: Sequence[Record]) -> bytes:
    """Return records as a Parquet file: text columns, lists of text; a key beyond SPEC 11 is its JSON text."""
    import duckdb  # noqa: PLC0415  # lazily: most commands need none

    columns = columns_of(records)
    types = {name: "VARCHAR[]" if name in _LISTS else "VARCHAR" for name in columns}
    rows = ({name: _value(name, record.get(name)) for name in columns} for record in records)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:") as connection:
        source, target = Path(folder) / "rows.jsonl", Path(folder) / "rows.parquet"
        source.write_bytes(b"".join(map(json_line, rows)))
        connection.execute("SET threads = 1")
        read = "read_json($source, format = 'newline_delimited', columns = $types, maximum_object_size = 16777216)"
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM {read}", {"source": str(source), "types": types})  # noqa: S608
        connection.execute("COPY rows TO $target (FORMAT parquet)", {"target": str(target)})
        return target.read_bytes()


def _value(name: str, held: Any) -> Any:
    if held is None or name in _LISTS or isinstance(held, str):
        return held
    return json.dumps(held)


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _safe_cell(value: Any) -> str:
    # Numbers, lists and objects are JSON text that begins with no sign of a formula, apart from a negative number.
    return spreadsheet_cell(value) if isinstance(value, str) else _cell(value)
