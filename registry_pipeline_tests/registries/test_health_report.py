from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from registry_pipeline.findings.display import is_hidden, markdown_text
from registry_pipeline.registries.base.values import count_operations, group_operations
from registry_pipeline.registries.system_health.build import (
    REPORT,
    SUMMARY,
    HealthCondition,
    HealthState,
    render_health_report,
)
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline.values import replace
from registry_pipeline_tests.registries.builder_values import CONTEXT, NOON, context
from registry_pipeline_tests.registries.health_values import REF, counts, health_inputs, status_row

SCHEMA = Path(__file__).parents[2] / "schemas" / "REGISTRY_system_health_report_v0_1.schema.json"


def report(*rows: dict[str, Any], **changes: Any) -> str:
    return render_health_report(health_inputs(*rows, **changes), CONTEXT).files[REPORT].decode()


def summary(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(render_health_report(health_inputs(*rows, **changes), CONTEXT).files[SUMMARY])
    return made


ROWS = (
    status_row("OP-A01", staleness_days=1),
    status_row("OP-A02", staleness_days=2, op_drift=True, op_drift_reasons=["op_drift_commit_mismatch"]),
    status_row("OP-A03", staleness_days=9, coverage_level="C2"),
    status_row("OP-A04", staleness_days=None),
    status_row("OP-A05", staleness_days=-3),
    status_row("OP-B01", run_evidence_state="LEGACY_ONLY", staleness_days=None, op_drift=None),
    status_row("OP-B02", run_evidence_state="UNOBSERVED", staleness_days=None, op_drift=None, coverage_level="C0"),
)


def test_operations_are_counted_by_what_is_true_of_them() -> None:
    assert count_operations(ROWS, StaleLimits()) == counts(
        total=7, observed=5, stale=2, drifting=1, legacy_only=1, unobserved=1, coverage_below_c3=2
    )
    assert [row["operation_id"] for row in group_operations(ROWS, StaleLimits())["stale"]] == ["OP-A03", "OP-A02"]


def test_sections_are_in_the_documented_order() -> None:
    assert re.findall(r"^## (.+)$", report(*ROWS), re.MULTILINE) == [
        "System Drift Summary",
        "Counts",
        "Observed",
        "Stale",
        "Drifting",
        "Legacy Only",
        "Unobserved",
        "Coverage Below C3",
    ]


def test_the_summary_has_the_keys_of_the_contract_and_obeys_its_schema() -> None:
    conditions = (HealthCondition("DEGRADED_NON_BLOCKING", "the working tree is dirty"),)
    document = summary(*ROWS, health=HealthState("DEGRADED_NON_BLOCKING", conditions))

    schema = json.loads(SCHEMA.read_bytes())
    jsonschema.validate(document, schema)
    assert list(document) == schema["required"]
    assert document["counts"]["total_ops"] == 7
    assert document["stale"] == ["OP-A03", "OP-A02"]
    assert document["system_drift"] == {"canon_dirty": False, "schema_drift": None, "threshold_drift": True}


def test_long_tables_are_cut_with_a_line_that_says_so() -> None:
    rows = [status_row(f"OP-A{number:02}") for number in range(1, 23)]

    text = report(*rows)
    document = summary(*rows)

    assert "OP-A20" in text
    assert "OP-A21" not in text
    assert text.count("The first 20 of 22 are shown.") == 1
    assert len(document["observed"]) == 20
    assert document["truncated"] == {
        "observed": True,
        "stale": False,
        "drifting": False,
        "legacy_only": False,
        "unobserved": False,
        "coverage_below_c3": False,
    }
    assert "are shown" not in report(*rows[:20])


def test_cells_are_escaped_and_stay_on_their_line() -> None:
    text = report(status_row(operation_name="a | b\n## c <script> `x` [y](z)\u2028\ud800"))

    assert r"| a \| b ## c \<script\> \`x\` \[y\](z)" in text
    assert "\n## c" not in text


@pytest.mark.parametrize("name", ["\u202egpj.exe", "a\u2066b", "\x1b[2Ja", "a\u200bb", "\u3164", "a\x7fb", "\u061c"])
def test_hidden_characters_are_shown_as_escapes(name: str) -> None:
    row = status_row(operation_name=name, last_run_id=name, op_drift_reasons=[name], op_drift=True)
    health = HealthState("UNKNOWN", (HealthCondition("UNKNOWN", name),))

    text = report(row, health=health)

    assert not any(is_hidden(c) for c in text if c != "\n")
    assert text.count(markdown_text(name)) >= 3
    assert "\\\\" in markdown_text(name)


def test_a_title_in_a_name_makes_no_title() -> None:
    health = HealthState("UNKNOWN", (HealthCondition("UNKNOWN", "# reason"),))

    text = report(status_row(operation_name="# name"), health=health)

    assert "| \\# name |" in text
    assert "- UNKNOWN: \\# reason" in text


def test_unknown_is_said_and_not_left_blank() -> None:
    text = report(status_row(staleness_days=None))

    assert "| schema_drift | unknown |" in text
    assert "| unknown | PRESENT |" in text
    assert (
        "commit unknown, working tree unknown"
        in render_health_report(health_inputs(), context(None, None)).files[REPORT].decode()
    )


def test_the_report_names_its_state_its_reasons_and_its_inputs() -> None:
    health = HealthState("UNKNOWN", (HealthCondition("UNKNOWN", "no *drift*"),))

    text = report(health=health)

    assert "**UNKNOWN**" in text
    assert r"- UNKNOWN: no \*drift\*" in text
    assert f"| run_registry | 2026-03-01__000000__run_registry_build | {'ab' * 32} |" in text


def test_the_same_inputs_give_the_same_bytes_and_a_later_rendering_the_same_content_hash() -> None:
    first, again = (render_health_report(health_inputs(*ROWS), CONTEXT) for _ in range(2))
    later = render_health_report(health_inputs(*ROWS), context(at=CONTEXT.as_of.replace(year=2027)))

    assert first == again
    assert later.files != first.files
    assert later.content_sha256 == first.content_sha256


def test_a_limit_of_nothing_shows_no_table() -> None:
    assert "The first 0 of 1 are shown." in report(max_list=0)


def test_ages_that_a_build_would_count_otherwise_are_named() -> None:
    rows = (status_row("OP-A01"), status_row("OP-A02", staleness_days=None), status_row("OP-A03", staleness_days=3))
    table = replace(REF, run_id="2026-03-01__120000__op_status_table_build")
    inputs = health_inputs(*rows, input_sources={"op_status_table": table})

    def render(**later: int) -> tuple[str, dict[str, Any]]:
        files = render_health_report(inputs, context(at=NOON + timedelta(**later))).files
        return files[REPORT].decode(), json.loads(files[SUMMARY])

    # The runs are as old as their ages to the second, so nothing changes before a whole day has passed.
    assert "outdated_ages" not in render(hours=23, minutes=59)[1]
    text, document = render(days=1)
    assert document["outdated_ages"] == ["OP-A01", "OP-A03"]
    assert f"The ages of 2 operations are those of the active op_status_table, {table.run_id}." in text
    jsonschema.validate(document, json.loads(SCHEMA.read_bytes()))
