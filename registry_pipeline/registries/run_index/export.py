"""Records for other programs: CSV, Parquet and pandas DataFrames. duckdb and pandas are imported when they are used."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.canonical import json_line
from registry_pipeline.config import Repository
from registry_pipeline.findings.display import spreadsheet_cell
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.query import Query, find_latest, find_records, find_run
from registry_pipeline.registries.run_index.record import RUN, Record
from registry_pipeline.registries.run_index.service import read_overrides
from registry_pipeline.values import replace

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = tuple(RUN.fields)
"""The columns of every result; extra keys follow by name."""
_LISTS: Final = frozenset(name for name, field in RUN.fields.items() if field.form in ("ids", "fields"))


def columns_of(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the columns of some records: every field of a RUN record, then the extra keys by name."""
    extra = {name for record in records for name in record} - set(COLUMNS)
    return (*COLUMNS, *sorted(extra))


def csv_bytes(records: Sequence[Record], *, raw: bool = False) -> bytes:
    """Return records as CSV (RFC 4180, UTF-8, LF). A list is its JSON text, a missing field is empty.

    Unless `raw`, a text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    columns = columns_of(records)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    format_cell = _cell if raw else _safe_cell
    writer.writerow(map(format_cell, columns))
    writer.writerows([format_cell(record.get(name)) for name in columns] for record in records)
    return text.getvalue().encode("utf-8")


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _safe_cell(value: Any) -> str:
    # Numbers, lists and objects are JSON text, which does not start like a formula except for a negative number.
    return spreadsheet_cell(value) if isinstance(value, str) else _cell(value)


def parquet_bytes(records: Sequence[Record]) -> bytes:
    """Return records as a Parquet file: columns of text and of lists of text; an extra key is its JSON text."""
    import duckdb  # noqa: PLC0415 - only this format needs it

    columns = columns_of(records)
    types = {name: "VARCHAR[]" if name in _LISTS else "VARCHAR" for name in columns}
    rows = ({name: _parquet_value(name, record.get(name)) for name in columns} for record in records)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:") as connection:
        source, target = Path(folder) / "rows.jsonl", Path(folder) / "rows.parquet"
        source.write_bytes(b"".join(map(json_line, rows)))
        connection.execute("SET threads = 1")
        read = "read_json($source, format = 'newline_delimited', columns = $types, maximum_object_size = 16777216)"
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM {read}", {"source": str(source), "types": types})  # noqa: S608
        connection.execute("COPY rows TO $target (FORMAT parquet)", {"target": str(target)})
        return target.read_bytes()


def _parquet_value(name: str, value: Any) -> Any:
    return value if value is None or name in _LISTS or isinstance(value, str) else json.dumps(value)


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """Return records as a DataFrame: one row each, None for a missing field, timestamps as text."""
    import pandas as pd  # noqa: PLC0415 - commands do not need it

    columns = columns_of(records)
    rows = [[record.get(name) for name in columns] for record in records]
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def show(repository: Repository, run_id: str, *, history: bool = False) -> pd.DataFrame:
    """Return the current record of a run, or with `history` all its records, the current one last."""
    records = find_run(run_index_log(repository), run_id).records
    return frame_of(records if history else records[-1:])


def list_runs(repository: Repository, query: Query) -> pd.DataFrame:
    """Return the records that a query selects."""
    return frame_of(find_records(run_index_log(repository), query).records)


def failed_uniqueness(repository: Repository, query: Query | None = None) -> pd.DataFrame:
    """Return the records with a FAIL of a uniqueness check that a query selects."""
    return list_runs(repository, replace(query or Query(), failed=True))


def latest(repository: Repository, artist_id: str | None = None, genre_id: str | None = None) -> pd.DataFrame:
    """Return the newest current record with qa_gate2 PASS whose run breaks no rule, in at most one row."""
    context = RuleContext(read_overrides(repository))
    result = find_latest(run_index_log(repository), context, artist_id=artist_id, genre_id=genre_id)
    return frame_of(result.records)
