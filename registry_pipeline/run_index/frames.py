"""The queries as pandas DataFrames (SPEC 11). pandas is imported by the calls that need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from registry_pipeline.config import Governed
from registry_pipeline.run_index.gates import Surroundings
from registry_pipeline.run_index.logs import overrides_log, run_index_log
from registry_pipeline.run_index.overrides import read_book
from registry_pipeline.run_index.query import Question, find_latest, find_records, find_run
from registry_pipeline.run_index.record import Record
from registry_pipeline.run_index.scan import read_whole
from registry_pipeline.run_index.tables import columns_of
from registry_pipeline.values import replace

if TYPE_CHECKING:
    import pandas as pd


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """Return records as a DataFrame: a row each, what is not stated is None, stamps are the text of the log."""
    import pandas as pd  # noqa: PLC0415  # lazily: most commands need none

    columns = columns_of(records)
    rows = [[record.get(name) for name in columns] for record in records]
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def show(governed: Governed, run_id: str, *, history: bool = False) -> pd.DataFrame:
    """Return the current record of a run, with `history` all its records, the current one last; empty: no such run."""
    found = find_run(run_index_log(governed), run_id).records
    return frame_of(found if history else found[-1:])


def list_runs(governed: Governed, question: Question) -> pd.DataFrame:
    """Return the records that a question asks for."""
    return frame_of(find_records(run_index_log(governed), question).records)


def failed_uniqueness(governed: Governed, question: Question | None = None) -> pd.DataFrame:
    """Return the records with a FAIL of a uniqueness check, further narrowed by a question."""
    asked = replace(question or Question(), failed=True)
    return frame_of(find_records(run_index_log(governed), asked).records)


def latest(governed: Governed, artist_id: str | None = None, genre_id: str | None = None) -> pd.DataFrame:
    """Return the newest current record with qa_gate2 PASS whose rules hold, in one row; empty: there is none."""
    overrides = overrides_log(governed)
    book = read_book(overrides.shown, read_whole(overrides, missing_ok=True).entries)
    answer = find_latest(run_index_log(governed), Surroundings(book), artist_id=artist_id, genre_id=genre_id)
    return frame_of(answer.records)
