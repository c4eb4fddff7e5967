"""Records as rows for other programs: CSV and Parquet (SPEC 11). duckdb is imported by the call that needs it."""

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
from registry_pipeline.registries.run_index.log_file import overrides_log, run_index_log
from registry_pipeline.registries.run_index.overrides import index_overrides
from registry_pipeline.registries.run_index.query import Query, find_latest, find_records, find_run
from registry_pipeline.registries.run_index.record import RUN, Record
from registry_pipeline.registries.run_index.scan import read_whole
from registry_pipeline.values import replace

if TYPE_CHECKING:
    import pandas as pd

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


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """Return records as a DataFrame: a row each, what is not stated is None, stamps are the text of the log."""
    import pandas as pd  # noqa: PLC0415  # lazily: most commands need none

    columns = columns_of(records)
    rows = [[record.get(name) for name in columns] for record in records]
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def show(repository: Repository, run_id: str, *, history: bool = False) -> pd.DataFrame:
    """Return the current record of a run, with `history` all its records, the current one last; empty: no such run."""
    found = find_run(run_index_log(repository), run_id).records
    return frame_of(found if history else found[-1:])


def list_runs(repository: Repository, question: Query) -> pd.DataFrame:
    """Return the records that a question asks for."""
    return frame_of(find_records(run_index_log(repository), question).records)


def failed_uniqueness(repository: Repository, question: Query | None = None) -> pd.DataFrame:
    """Return the records with a FAIL of a uniqueness check, further narrowed by a question."""
    asked = replace(question or Query(), failed=True)
    return frame_of(find_records(run_index_log(repository), asked).records)


def latest(repository: Repository, artist_id: str | None = None, genre_id: str | None = None) -> pd.DataFrame:
    """Return the newest current record with qa_gate2 PASS whose rules hold, in one row; empty: there is none."""
    overrides = overrides_log(repository)
    book = index_overrides(overrides.shown, read_whole(overrides, missing_ok=True).entries)
    answer = find_latest(run_index_log(repository), RuleContext(book), artist_id=artist_id, genre_id=genre_id)
    return frame_of(answer.records)
