"""Run folders are never deleted or rewritten. Each way to fail is a case of `cases/history`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.base.drift import make_missing_findings
from registry_pipeline.registries.run_registry.build import compare_with_previous

RUN_ROOTS = (".codex/RUNS", "reports/runs")
ROW = st.fixed_dictionaries(
    {
        "run_root": st.sampled_from(RUN_ROOTS),
        "run_id": st.sampled_from("abcdef"),
        "manifest_root_sha256": st.none() | st.sampled_from(["1" * 64, "2" * 64]),
    }
)
ROWS = st.lists(ROW, max_size=6, unique_by=lambda row: (row["run_root"], row["run_id"]))


@given(ROWS, ROWS)
def test_a_finding_is_reported_exactly_for_listed_runs_that_are_missing_or_resealed(
    then: list[dict[str, str | None]], now: list[dict[str, str | None]]
) -> None:
    after = {(row["run_root"], row["run_id"]): row["manifest_root_sha256"] for row in now}
    lost = {
        (row["run_root"], row["run_id"])
        for row in then
        if (key := (row["run_root"], row["run_id"])) not in after
        or (row["manifest_root_sha256"] is not None and after[key] != row["manifest_root_sha256"])
    }

    findings = compare_with_previous(b"".join(map(json_line, then)), b"".join(map(json_line, now)), RUN_ROOTS)

    assert {f"{root}/{run}" for root, run in lost} == {f.path for f in findings}


@given(st.sets(st.tuples(st.sampled_from([*RUN_ROOTS, "assets"]), st.sampled_from("ab"), st.sampled_from("xyzw"))))
def test_each_missing_run_folder_or_tracked_file_is_reported_once(missing: set[tuple[str, str, str]]) -> None:
    lost = {f"{root}/{run}" if root in RUN_ROOTS else f"{root}/{run}/{file}" for root, run, file in missing}

    findings = make_missing_findings(("/".join(path) for path in missing), RUN_ROOTS)

    assert sorted(lost) == sorted(f.path for f in findings)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_checked(before: bytes, after: bytes) -> None:
    compare_with_previous(before, after, RUN_ROOTS)


def test_a_run_that_the_previous_registry_lists_twice_is_not_lost() -> None:
    rows = [json_line({"run_root": RUN_ROOTS[0], "run_id": run_id, "manifest_root_sha256": None}) for run_id in "ab"]

    assert compare_with_previous(b"".join([*rows, rows[0]]), b"".join(rows), RUN_ROOTS) == ()
    assert compare_with_previous(b"".join([rows[0], *rows]), b"".join(rows), RUN_ROOTS) == ()
