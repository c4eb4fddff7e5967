"""`status` and `doctor`: what a rebuild adds, measured from the sealed folders."""

from __future__ import annotations

from typing import Any

import pytest

from registry_pipeline.pipeline.growth import count_rebuild_folders
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.cli.conftest import Repository

RUN = "2026-03-01__120000__run_registry_build"


def growth(repository: Repository) -> dict[str, Any]:
    document: dict[str, Any] = repository("doctor", "--json", now="2026-03-05T12:00:00Z").document("doctor")["growth"]
    return document


def test_the_size_of_every_run_of_this_tool_is_counted_once(built: Repository) -> None:
    for day in (2, 3):
        assert built("build", "--force", now=f"2026-03-0{day}T12:00:00Z").code == 0
    own = [path for path in built.runs.iterdir() if path.name.startswith("2026-03-0") and "__1200" in path.name]
    size = sum(file.stat().st_size for path in own for file in path.rglob("*") if file.is_file())

    document = growth(built)

    march = document["months"][-1]
    assert (march["month"], march["rebuilds"], march["folders"], march["bytes"]) == ("2026-03", 3, len(own), size)
    rows = [row for row in document["registries"] if row["month"] == "2026-03"]
    assert sum(row["bytes"] for row in rows) == size
    assert {row["registry_id"]: row["folders"] for row in rows}["run_registry"] == 3
    assert all(row["scan_seconds"] > 0 for row in rows)
    assert march["scan_seconds"] == pytest.approx(sum(row["scan_seconds"] for row in rows), abs=1e-4)


def test_status_counts_the_folders_of_the_newest_month_with_a_rebuild(built: Repository) -> None:
    assert built("build", "--force", now="2026-03-02T12:00:00Z").code == 0
    months = {month["month"]: month for month in growth(built)["months"]}

    status = built("status", "--json", now="2026-03-02T12:00:00Z").document("status")["growth"]

    assert status == {key: months["2026-03"][key] for key in ("month", "rebuilds", "folders")}
    for words in (("status",), ("status", "--all")):
        line = next(line for line in built(*words).out.splitlines() if line.startswith("growth"))
        assert f"({status['folders']} for 2 in 2026-03)" in line


def test_doctor_prints_the_average_and_with_verbose_the_months_and_registries(built: Repository) -> None:
    march = growth(built)["months"][-1]

    short, long = built("doctor").out.splitlines(), built("doctor", "--verbose").out.splitlines()

    expected = f"growth: each rebuild of 2026-03 added {march['folders']} folders, {march['bytes']} bytes"
    assert short[-1] == f"{expected} (--verbose: by registry and month)"
    assert long[-1].startswith(f"{expected}, ")
    assert long[-1].endswith(" ms of scan time")
    assert any(line.split()[:3] == ["2026-03", "1", str(march["folders"])] for line in long)
    assert any(line.split()[:2] == ["governance_scorecard", "1"] for line in long)


def test_past_days_are_sizes_but_no_part_of_a_rebuild(built: Repository) -> None:
    before = built("status", "--json").document("status")["growth"]
    assert built("build", "drift_signals_daily", "--as-of", "2026-02-01", now="2026-03-02T12:00:00Z").code == 0

    rows = {row["registry_id"]: row for row in growth(built)["registries"] if row["month"] == "2026-03"}

    assert rows["drift_signals_daily"]["folders"] == 1
    assert built("status", "--json").document("status")["growth"] == before


def test_before_the_first_build_nothing_is_measured_or_guessed(known: Repository) -> None:
    for path in list(known.runs.iterdir()):
        path.rename(known.root / path.name)

    assert known("status", "--json").document("status")["growth"] is None
    assert "growth" not in known("doctor").out
    assert growth(known)["months"] == []


def test_names_of_other_months_and_of_other_tools_do_not_count() -> None:
    names = [
        "2026-02-28__120000__run_registry_build",
        "2026-03-01__120000__drift_signals_build",
        RUN,
        "2026-03-02__120000__gauge_ingest",
        "2026-031",
        "2026-03x",
        "2026-04-01__120000__drift_signals_build",
    ]

    counted = count_rebuild_folders(SHIPPED, names, RUN)

    assert counted is not None
    assert (counted.month, counted.rebuilds, counted.folders) == ("2026-03", 1, 2)
    assert count_rebuild_folders(SHIPPED, names, None) is None
