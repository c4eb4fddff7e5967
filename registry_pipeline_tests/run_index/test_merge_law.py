"""Laws of the merge: commutative, idempotent, and both logs are ordered subsets of it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index.check import check_append_only
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.merge import merge_logs
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.run_index.values import Run, logs, repository_at

LOG = run_index_log(repository_at(Path("nowhere")))


def _bytes(records: list[Run]) -> bytes:
    return b"".join(map(json_line, records))


@examples(150)
@given(logs, logs)
def test_a_merge_is_the_same_on_every_machine_and_loses_nothing(one: list[Run], two: list[Run]) -> None:
    a, b = _bytes(one), _bytes(two)

    merged = merge_logs(LOG, ("a", a), ("b", b))

    assert merged.data == merge_logs(LOG, ("b", b), ("a", a)).data
    if merged.data is None:
        assert {each.code for each in merged.findings} <= {"RI024", "RI060"}
        return
    for side in (a, b):
        assert check_append_only(LOG, side, merged.data, "a side") == ()
        assert merge_logs(LOG, ("c", merged.data), ("s", side)).data == merged.data
    assert sorted(set(merged.data.splitlines())) == sorted({*a.splitlines(), *b.splitlines()})
    assert merged.in_both + merged.only_first + merged.only_second == len(merged.data.splitlines())
