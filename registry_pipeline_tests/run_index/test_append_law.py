"""Law: records are read as they were appended, in the same order, and a repetition adds nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index.append import append_records
from registry_pipeline.registries.run_index.scan import read_log
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.run_index.values import Run, log_at, logs

BATCHES = st.lists(logs, max_size=4)


@examples(60)
@given(BATCHES)
def test_a_record_is_read_as_it_was_appended(batches: list[list[Run]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = log_at(Path(folder))
        wanted: list[Run] = []
        for batch in batches:
            append_records(log, batch, lambda _entries: ())
            again = append_records(log, batch, lambda _entries: ())
            wanted += [each for number, each in enumerate(batch) if each not in [*wanted, *batch[:number]]]
            assert again.added == ()
            assert again.changed_files == ()

        held = read_log(log, missing_ok=True)

        assert [dict(entry.record) for entry in held.entries] == wanted
        assert held.findings == ()
        if log.path.exists():
            assert log.path.read_bytes() == b"".join(map(json_line, wanted))
