"""The health report on demand: `report`, `build system_health_report`, and the daily build on a quiet repository."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from registry_pipeline.registries.system_health.page import PAGE
from registry_pipeline_tests.cli.conftest import NOON, Repository
from registry_pipeline_tests.copies import add_run_folder

LATER: Final = "2026-03-01T18:00:00Z"
# `stale_days` is 2.
THREE_DAYS_LATER: Final = "2026-03-04T18:00:00Z"
REPORT: Final = "SYSTEM_HEALTH_REPORT_v0_1.md"
SUMMARY: Final = "SYSTEM_HEALTH_SUMMARY_v0_1.json"


def report(repository: Repository, now: str = LATER, *words: str) -> dict[str, Any]:
    result = repository("report", *words, "--json", now=now)
    assert result.code == 0, result.err
    document: dict[str, Any] = result.document("report")
    return document


def folders(repository: Repository) -> set[str]:
    return {path.name for path in repository.runs.iterdir()}


def summary(repository: Repository, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((repository.runs / run_id / SUMMARY).read_bytes())
    return document


def test_every_call_seals_a_new_report_from_the_active_runs_and_moves_nothing(built: Repository) -> None:
    before, pointers = folders(built), built.pointers.read_bytes()

    first, second = report(built), report(built)

    assert folders(built) - before == {first["run_id"], second["run_id"]}
    assert first["run_id"] != second["run_id"]
    assert built.pointers.read_bytes() == pointers
    sealed = summary(built, first["run_id"])
    assert {name: first[name] for name in ("health_state", "counts", "system_drift")} == {
        name: sealed[name] for name in ("health_state", "counts", "system_drift")
    }
    assert {row["registry_id"]: row["run_id"] for row in first["inputs"]} == {
        name: built.active(name) for name in ("run_registry", "op_status_table", "drift_signals")
    }
    assert (built.root / first["report"]).is_file()
    assert built("verify", first["run_id"], second["run_id"]).code == 0


def test_the_text_says_where_the_report_is_and_what_it_says(built: Repository) -> None:
    result = built("report", now=LATER)

    document = summary(built, "2026-03-01__180000__system_health_render")
    assert result.code == 0
    assert result.out.splitlines()[0] == document["health_state"]
    assert f"rendered    .codex/RUNS/2026-03-01__180000__system_health_render/{PAGE}" in result.out
    assert f"operations  {document['counts']['total_ops']}: {document['counts']['observed']} observed" in result.out
    assert "op_status_table_build, built 2026-03-01T12:00:00Z (0 days ago)" in result.out


@pytest.mark.parametrize(("name", "artifact"), [("health.md", REPORT), ("health.json", SUMMARY)])
def test_a_copy_is_made_of_what_was_sealed(built: Repository, name: str, artifact: str) -> None:
    document = report(built, LATER, "-o", name)

    assert document["output"] == name
    assert (built.root / name).read_bytes() == (built.runs / document["run_id"] / artifact).read_bytes()


@pytest.mark.parametrize(("name", "code"), [("health.txt", 2), ("health", 2), ("missing/health.md", 7)])
def test_a_copy_that_cannot_be_made_is_refused_before_anything_is_sealed(
    built: Repository, name: str, code: int
) -> None:
    before = built.files()

    assert built("report", "-o", name, now=LATER).code == code
    assert built.files() == before


BUILD: Final = ("build", "system_health_report")


@pytest.mark.parametrize("words", [("report",), BUILD, (*BUILD, "--dry-run")])
def test_without_active_runs_it_is_refused_and_nothing_is_sealed(known: Repository, words: tuple[str, ...]) -> None:
    assert known("init").code == 0
    before = folders(known)

    refused = known(*words)

    assert refused.code == 5
    assert "the report is rendered from the active op_status_table, but none is active" in refused.err
    assert "registry-pipeline build" in refused.err
    assert folders(known) == before


@pytest.mark.parametrize("words", [("report",), ("build", "system_health_report")])
def test_an_active_run_that_does_not_verify_is_no_source_of_a_report(built: Repository, words: tuple[str, ...]) -> None:
    built.tamper(built.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json")
    before = folders(built)

    failed = built(*words, now=LATER)

    assert failed.code == 3
    assert "the active drift_signals" in failed.err
    assert folders(built) == before


def test_a_pointer_file_that_cannot_be_parsed_is_invalid_and_not_empty(built: Repository) -> None:
    built.pointers.write_text("{", encoding="utf-8")

    failed = built("report", now=LATER)

    assert failed.code == 3
    assert "the pointer file or the chain has an error" in failed.err
    assert "registry-pipeline doctor" in failed.err


def test_a_report_on_runs_of_an_earlier_day_says_so_and_names_the_build(built: Repository) -> None:
    document = report(built, THREE_DAYS_LATER)

    text = (built.root / document["report"]).read_text(encoding="utf-8")
    printed = built("report", now=THREE_DAYS_LATER).out
    table = next(row for row in document["inputs"] if row["registry_id"] == "op_status_table")
    assert (table["built_utc"], table["age_days"]) == (NOON, 3)
    assert document["outdated_ages"] == summary(built, document["run_id"])["outdated_ages"] != []
    for words in (text, printed):
        assert f"are those of the active op_status_table, {built.active('op_status_table')}." in words
        assert "`registry-pipeline build` counts them again" in words


def test_a_report_is_outdated_only_if_a_build_would_find_something_to_do(plain: Repository) -> None:
    for hour in (13, 14, 15):
        assert plain("build", now=f"2026-03-01T{hour}:00:00Z").code == 0

    for now in ("2026-03-01T16:00:00Z", "2026-03-01T23:59:59Z", "2026-03-02T00:00:01Z", "2026-03-02T16:00:00Z"):
        outdated = report(plain, now)["outdated_ages"]
        preview = plain("build", "--dry-run", "--json", now=now).document("build")["preview"]
        changes = {row["registry_id"] for row in preview if row["outcome"] in ("new", "depends")}
        assert bool(outdated) == bool(changes), now


def test_a_day_that_only_passes_gives_a_report_with_stale_operations(built: Repository) -> None:
    """The daily job of the command line is `build`."""
    (built.runs / "fresh").mkdir()
    run = {"run_id": "fresh", "created_utc": NOON, "operation_id": "OP-A01", "run_type": "op_run"}
    (built.runs / "fresh/run.json").write_text(json.dumps(run), encoding="utf-8")
    first = json.loads(built("build", "--json", now=LATER).out)
    assert "OP-A01" not in summary(built, first["report_run_id"])["stale"]

    later = json.loads(built("build", "--json", now=THREE_DAYS_LATER).out)

    assert "OP-A01" in summary(built, later["report_run_id"])["stale"]
    assert "outdated_ages" not in summary(built, later["report_run_id"])


def build(repository: Repository, *words: str, now: str = LATER) -> dict[str, Any]:
    result = repository("build", *words, "--json", now=now)
    assert result.code == 0, result.err
    document: dict[str, Any] = result.document("build")
    return document


@pytest.mark.parametrize("words", [(), ("--only",)])
def test_a_build_of_the_report_alone_renders_it_and_builds_nothing_else(
    built: Repository, words: tuple[str, ...]
) -> None:
    before, pointers = folders(built), built.pointers.read_bytes()

    document = build(built, "system_health_report", *words)

    (row,) = document["built"]
    assert (row["registry_id"], row["verdict"], row["activated"]) == ("system_health_report", "pass", False)
    assert document["report_run_id"] == row["run_id"]
    assert folders(built) - before == {row["run_id"]}
    assert built.pointers.read_bytes() == pointers


def test_a_report_that_is_named_beside_a_registry_is_rendered_once_from_the_new_active_set(built: Repository) -> None:
    add_run_folder(built.runs / "some_work")

    document = build(built, "run_registry", "system_health_report")

    reports = [row for row in document["built"] if row["registry_id"] == "system_health_report"]
    assert [row["run_id"] for row in reports] == [document["report_run_id"]]
    sources = summary(built, document["report_run_id"])["input_sources"]
    assert sources["run_registry"]["run_id"] == built.active("run_registry") == "2026-03-01__180000__run_registry_build"


def test_a_report_that_is_named_is_rendered_also_if_nothing_has_changed(plain: Repository) -> None:
    for hour in (13, 14, 15):
        build(plain, now=f"2026-03-01T{hour}:00:00Z")

    assert build(plain, now="2026-03-01T16:00:00Z")["report_run_id"] is None
    document = build(plain, "run_registry", "system_health_report", now="2026-03-01T17:00:00Z")

    assert document["activation_run_id"] is None
    assert document["report_run_id"] == "2026-03-01__170000__system_health_render"


def test_a_report_that_is_named_and_cannot_be_rendered_after_a_move_is_missing(known: Repository) -> None:
    assert known("init").code == 0

    result = known("build", "migration_ledger", "system_health_report", "--json", now=LATER)

    document = result.document("build")
    assert (result.code, document["report_run_id"]) == (8, None)
    assert document["activation_run_id"] is not None
    (missing,) = [f for f in document["findings"] if f["code"] == "REPORT_NOT_RENDERED"]
    assert missing["severity"] == "warning"
    assert "none is active" in missing["message"]
    assert "registry-pipeline build" in missing["hint"]


def test_what_a_dry_run_says_of_the_report_is_what_the_build_does(built: Repository) -> None:
    add_run_folder(built.runs / "some_work")
    before = built.files()

    alone = build(built, "system_health_report", "--dry-run")["preview"]
    after = build(built, "run_registry", "system_health_report", "--dry-run")["preview"]

    assert [(row["registry_id"], row["outcome"]) for row in alone] == [("system_health_report", "new")]
    assert (after[-1]["outcome"], after[-1]["because_of"][0]) == ("depends", "op_status_table")
    assert built.files() == before


def test_a_report_cannot_be_named_and_left_out(built: Repository) -> None:
    refused = built("build", "system_health_report", "--no-activate", now=LATER)

    assert refused.code == 2
    assert "--no-activate renders no report" in refused.err
