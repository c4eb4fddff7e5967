"""`doctor` proposes limits for operations that run seldom, and with them `status` counts what is late only."""

from __future__ import annotations

import json

import pytest

from registry_pipeline_tests.cli.conftest import Repository

NOW = "2026-03-01T12:00:00Z"
TOML = 'options = ["A"]\n'


@pytest.fixture
def weekly(known: Repository) -> Repository:
    """A repository in which OP-A01 runs every seventh day, the last time five days ago."""
    for day in ("01-20", "01-27", "02-03", "02-10", "02-17", "02-24"):
        folder = known.runs / f"weekly-{day}"
        folder.mkdir()
        envelope = {"operation_id": "OP-A01", "created_utc": f"2026-{day}T10:00:00Z"}
        (folder / "run.json").write_text(json.dumps(envelope), encoding="utf-8")
    (known.root / "registry-pipeline.toml").write_text(TOML, encoding="utf-8")
    assert known("build", now=NOW).code == 0
    return known


def count_stale(repository: Repository) -> int:
    count: int = repository("status", "--json", now=NOW).document("status")["operations"]["stale"]
    return count


def test_the_limits_that_doctor_proposes_can_be_pasted_and_settle_the_matter(weekly: Repository) -> None:
    assert count_stale(weekly) == 2, "OP-A02 is late by any limit"
    head, _, rest = weekly("doctor", now=NOW).out.partition("stale between two of their usual runs\n")
    table = [line for line in rest.splitlines() if line.startswith("  ")]
    assert head.splitlines()[-1].startswith("proposed for registry-pipeline.toml: ")
    assert table[-1] == '  "OP-A01" = 11  # usually runs every 7 days; the limit is 2'

    (weekly.root / "registry-pipeline.toml").write_text("\n".join([TOML, *table, ""]), encoding="utf-8")

    assert weekly("config", "check", now=NOW).code == 0
    assert count_stale(weekly) == 1
    assert "proposed" not in weekly("doctor", now=NOW).out


def test_a_limit_that_no_operation_can_have_is_a_warning(weekly: Repository) -> None:
    table = '[stale_days]\noperations = {"OP-A1" = 9, "OP-A0*" = 9, "*" = 1}\noptions = {A = 3, "Q\\u001B" = 4}\n'
    (weekly.root / "registry-pipeline.toml").write_text(TOML + table, encoding="utf-8")
    found = weekly("status", "--json", now=NOW).document("status")["findings"]

    messages = [f["message"] for f in found if f["code"] == "CONFIG_STALE_LIMIT_UNUSED"]
    assert messages == [
        "`[stale_days.operations]` has a limit for 'OP-A1', but no operation has that id",
        r"`[stale_days.options]` has a limit for 'Q\x1b', but no operation has that option",
    ]
    assert "CONFIG_STALE_LIMIT_UNUSED" in weekly("doctor", now=NOW).out


def test_doctor_proposes_in_json_too(weekly: Repository) -> None:
    assert weekly("doctor", "--json", now=NOW).document("doctor")["proposed_limits"] == [
        {"operation_id": "OP-A01", "limit_days": 11, "usual_gap_days": 7, "current_limit_days": 2}
    ]


def test_another_limit_changes_the_report_but_not_the_status_table(weekly: Repository) -> None:
    table = weekly.runs / weekly.active("op_status_table") / "OPERATION_STATUS_TABLE_v0_1.json"
    before = table.read_bytes()
    (weekly.root / "registry-pipeline.toml").write_text(f"{TOML}[stale_days.options]\nA = 30\n", encoding="utf-8")
    assert weekly("build", "--force", now=NOW).code == 0

    folders = sorted(path for path in weekly.runs.iterdir() if path.name.endswith(("health_render", "render__02")))
    counts = [json.loads((f / "SYSTEM_HEALTH_SUMMARY_v0_1.json").read_bytes())["counts"]["stale"] for f in folders]
    after = weekly.runs / weekly.active("op_status_table") / "OPERATION_STATUS_TABLE_v0_1.json"

    assert after != table
    assert after.read_bytes() == before
    assert counts[0] > counts[-1] == 0
