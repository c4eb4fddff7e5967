"""The health page as a file: its content, its limits, and that it loads nothing and trusts no text."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line
from registry_pipeline.findings.display import is_hidden
from registry_pipeline.pipeline.health_page import _read_runs
from registry_pipeline.registries.base.values import count_days_since, is_stale, last_second
from registry_pipeline.registries.system_health.build import HealthCondition, HealthState
from registry_pipeline.registries.system_health.charts import DAYS
from registry_pipeline.registries.system_health.page import (
    MAX_CONDITIONS,
    MAX_FINDINGS,
    MAX_OPERATIONS,
    PageActivation,
    PageDay,
    PageFinding,
    PageRegistry,
    PageRun,
    _find_stale_days,
    render_health_page,
)
from registry_pipeline.runs.envelope import ADAPTED
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline.values import replace
from registry_pipeline_tests.hostile_names import HOSTILE
from registry_pipeline_tests.page_reader import PageReader
from registry_pipeline_tests.registries.page_values import NOW, ROOT, TODAY, health_page, page_day, page_operation


def render(*operations: Any, **changes: Any) -> str:
    return render_health_page(health_page(*operations, **changes)).decode("utf-8")


def test_the_same_values_give_the_same_bytes() -> None:
    assert render(page_operation("OP-A01", 3, 9)) == render(page_operation("OP-A01", 3, 9))


def test_the_most_stale_operation_comes_first_then_drifting_ones_then_those_below_c3_then_the_oldest() -> None:
    operations = [
        page_operation("OP-FRESH", 1),
        page_operation("OP-OLDER", 4, limit_days=9),
        page_operation("OP-DRIFTS", 0, drift_reasons=("op_drift_commit_mismatch",)),
        page_operation("OP-OPEN", 0, coverage_level="C1"),
        page_operation("OP-LATE", 3),
        page_operation("OP-LATER", 60, limit_days=10),
        page_operation("OP-NEVER", evidence="UNOBSERVED", age_days=None),
    ]
    names = re.findall(r'class="id">(OP-[A-Z]+)', render(*operations))

    assert names == ["OP-LATER", "OP-LATE", "OP-DRIFTS", "OP-OPEN", "OP-FRESH", "OP-OLDER", "OP-NEVER"]


def test_conditions_and_findings_name_what_to_do() -> None:
    html = render()

    assert "The schema version drifts." in html
    assert '<code class="do">registry-pipeline status --all</code>' in html
    assert 'Run <code class="do">registry-pipeline verify a</code>' in html


def describe(subject: str, *days: PageDay) -> str:
    """Return what the page says about the history of a condition."""
    condition = HealthCondition("DEGRADED_NON_BLOCKING", "reason", subject=subject)
    html = render(health=HealthState("DEGRADED_NON_BLOCKING", (condition,)), days=days)
    found = re.search(r'class="about"><span>(.*?)</span>', html)
    return "" if found is None else found[1]


def days_until(last: int, *values: Any) -> list[PageDay]:
    """Return days with these values of `schema_drift`, the last of them so many days ago."""
    return [page_day(last + ago, schema_drift=value) for ago, value in enumerate(reversed(values))][::-1]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (days_until(0, False, False, True, True, True), "since 27 Feb 2026 · 2 days ago"),
        (days_until(0, True, False, True), "since 1 Mar 2026"),
        (days_until(0, True, True), "at least since 28 Feb 2026 · 1 day ago"),
        (days_until(0, True, None, True, True), "at least since 28 Feb 2026 · 1 day ago"),
        # The days between the last one that is known and today break the state.
        ([*days_until(5, False, True), *days_until(0, True)], ""),
        (days_until(0, True), ""),
    ],
)
def test_a_reason_says_since_when_as_far_as_days_are_known(days: list[PageDay], words: str) -> None:
    assert describe("schema_drift", *days) == words


def test_a_reason_that_counts_operations_says_how_many_a_week_ago() -> None:
    days = [page_day(ago, drifting=0 if ago > 8 else 20 + ago) for ago in range(30, -1, -1)]

    assert describe("drifting", *days) == "since 21 Feb 2026 · 27 a week ago"
    assert describe("", *days) == ""


def test_a_reason_names_the_first_operations_and_links_the_rest() -> None:
    operations = [page_operation(f"OP-A{n}", n, limit_days=9, drift_reasons=("x",)) for n in range(5)]
    condition = HealthCondition("DEGRADED_NON_BLOCKING", "5 of 6 operations drift", subject="drifting")
    html = render(*operations, page_operation("OP-B1"), health=HealthState("DEGRADED_NON_BLOCKING", (condition,)))

    names = [f'<a href="#OP-A{n}">Name of OP-A{n}</a>' for n in (4, 3, 2)]
    assert ", ".join(names) + ' and <a href="#drifting">2 more</a>' in html
    assert PageReader(html).dead_anchors == []


def test_the_curves_end_with_the_figures_of_the_tiles() -> None:
    operations = [page_operation("OP-A01", 9), page_operation("OP-A02", 0, drift_reasons=("x",))]
    today = page_day(0, total=2, observed=2, stale=1, drifting=1, coverage_below_c3=0)
    html = render(*operations, days=(page_day(2), page_day(1), today))

    assert re.findall(r"<b>(.*?)</b> <span class=\"soft\">", html) == ["2 / 2", "1", "1", "100 %"]
    ends = re.findall(r'aria-label="[^"]*?, (\S+(?: %)?) on 2026-03-01"', html)
    assert ends == ["2", "1", "1", "100 %"]


def test_the_page_says_that_it_does_not_verify_run_folders() -> None:
    text = " ".join(" ".join(PageReader(render(runs_by_seal={"sealed": 3000, "partial": 1})).text).split())

    assert "3 001 run folders: 3 000 sealed, 1 partial, 0 unsealed." in text
    assert "This page does not verify the content: registry-pipeline verify --all" in text


def test_limits_that_do_not_fit_the_runs_are_named() -> None:
    rare = page_operation("OP-A01", 3, usual_gap_days=9)
    sentence = "1 operation usually runs less often than its limit allows"

    assert f"{sentence}: every limit is the default, 2 days. <code" in render(rare)
    assert '/ 2 d<span class="usual">, usually 9 d</span>' in render(rare)
    assert f"{sentence}. <code" in render(rare, default_limit_days=None)
    assert "less often" not in render(page_operation("OP-A01", 3))


def test_registries_are_folded_only_if_all_are_valid() -> None:
    valid = PageRegistry("run_registry", "run", ROOT, "valid", 0, "2026-03-01T11:00:00Z", "Ada <a@b.cd>", "nightly")
    broken = replace(valid, registry_id="drift_signals", check="invalid", actor="Bob")
    folded, opened = render(registries=(valid,)), render(registries=(valid, broken))

    assert '<details class="sheet">' in folded
    assert "1 of 1 registry is active and valid, all activated 1 Mar 2026, 11:00 UTC by Ada: nightly" in folded
    assert '<details class="sheet" open>' in opened
    assert "1 of 2 registries are active and valid<" in opened
    assert opened.index(">drift_signals<") < opened.index(">run_registry<"), "what is not valid comes first"
    assert ROOT in folded


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (None, 'set <code class="do">history_start</code> in registry-pipeline.toml'),
        (TODAY, "its first day, 2026-03-01, is not over"),
        (TODAY - timedelta(9), "--as-of 2026-02-20..2026-02-28</code>"),
        (TODAY - timedelta(900), "--as-of 2025-11-02..2026-02-28</code>"),
    ],
)
def test_without_history_the_page_says_how_to_get_one(start: date | None, words: str) -> None:
    assert words in render(days=(page_day(0),), history_start=start)


def test_a_list_that_is_cut_says_how_many_are_left_out() -> None:
    operations = [page_operation(f"OP-A{number:03}", 1) for number in range(MAX_OPERATIONS + 7)]
    findings = [PageFinding("HASH_MISMATCH", "error", f"runs/{n}", "changed", "") for n in range(MAX_FINDINGS + 3)]
    conditions = tuple(HealthCondition("DEGRADED_BLOCKING", f"reason {n}") for n in range(MAX_CONDITIONS + 5))
    health = HealthState("DEGRADED_BLOCKING", conditions)
    html = render(*operations, findings=tuple(findings), earlier_activations=40, health=health)

    assert html.count('class="id">') == MAX_OPERATIONS
    assert "7 more operations" in html
    assert "3 more findings" in html
    assert html.count("Reason ") == MAX_CONDITIONS
    assert "5 more reasons" in html
    assert "40 earlier records" in html
    assert "more operations" not in render(*operations[:MAX_OPERATIONS])


def test_five_thousand_runs_of_three_hundred_operations_take_less_than_200_kb() -> None:
    operations = [
        page_operation(f"OP-QA{number:03}", *range(number % 7, DAYS, 7), name=f"Harbour notices ingest {number}")
        for number in range(300)
    ]
    assert sum(len(operation.runs) for operation in operations) >= 5000

    assert len(render(*operations).encode()) < 200_000


def test_without_history_and_operations_the_page_says_so() -> None:
    html = render(days=(), activations=(), findings=(), runs_by_seal={"sealed": 0})

    assert "No history yet" in html
    assert "The operations catalog lists none." in html
    assert "has no record that can be shown" in html
    assert "every active run, the pointer file and the activation chain verify" in html
    assert render(days=(page_day(1),)) != html, "one day makes no curve, but two do"


def test_the_page_loads_nothing_and_runs_only_its_own_script() -> None:
    html = render(page_operation("OP-A01", 1))
    reader = PageReader(html)
    script = html[html.index("<script>") + 8 : html.index("</script>")]
    policy = next(a["content"] or "" for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")

    loads = [a[name] for _, a in reader.tags for name in ("src", "href", "srcset", "action") if name in a]
    assert [value for value in loads if value != "data:," and not str(value).startswith("#")] == []
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in policy
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


NAMES = ("<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7 * 7 }}", HOSTILE, "a\udce9\n\u2028b")


@pytest.mark.parametrize("name", NAMES)
def test_no_text_becomes_markup_or_hides_another(name: str) -> None:
    plain = render(page_operation("OP-A01", 1, drift_reasons=("x",)))
    hostile = render(
        page_operation(name, 1, name=name, option=name, drift_reasons=(name,), coverage_level=f"C3{name}"),
        title=name,
        commit=name,
        working_tree_state=name,
        run_id=name,
        health=HealthState("UNKNOWN", (HealthCondition("UNKNOWN", name, name),)),
        findings=(PageFinding(name, "error", name, name, name),),
        activations=(PageActivation(name, name, name, name, name, (name,)),),
        registries=(PageRegistry(name, name, name, "invalid", 1, name, name, name),),
        unused_registries=(name,),
    )
    allowed = {tag for tag, _ in PageReader(plain).tags}

    assert {tag for tag, _ in PageReader(hostile).tags} <= allowed
    assert not any(attribute.startswith("on") for _, attributes in PageReader(hostile).tags for attribute in attributes)
    assert not any(is_hidden(c) for text in PageReader(hostile).text for c in text if c != "\n")


@pytest.mark.parametrize(
    ("has_run_json", "warnings", "count"),
    [(True, [], 1), (False, [], 0), (False, [f"{ADAPTED}meta.json"], 1), (False, ["missing run.json"], 0)],
)
def test_the_strip_has_the_runs_that_the_status_table_counts(
    has_run_json: bool, warnings: list[str], count: int
) -> None:
    row = {"created_utc": "2026-02-27T08:00:00Z", "operation_id": "OP-A01", "has_run_json": has_run_json}
    row |= {"has_manifest_sha256": True, "has_manifest_json": True, "warnings": warnings, "run_id": "r"}
    row |= dict.fromkeys(("run_root", "git_commit", "working_tree_state"))

    assert len(_read_runs(json_line(row), TODAY - timedelta(9)).get("OP-A01", [])) == count


@given(st.lists(st.integers(0, 48 * DAYS), min_size=1), st.integers(0, 40))
def test_an_operation_is_stale_on_the_days_at_whose_end_is_stale_says_so(hours: list[int], limit: int) -> None:
    created = [NOW - timedelta(hours=number) for number in hours]
    operation = page_operation(limit_days=limit, age_days=(NOW - max(created)).days)
    operation = replace(operation, runs=tuple(PageRun(moment, sealed=True) for moment in created))
    first = TODAY - timedelta(DAYS - 1)

    def is_stale_at(moment: datetime) -> bool:
        before = [run for run in created if run <= moment]
        age = count_days_since(max(before).isoformat(), moment) if before else None
        row = {"operation_id": "OP-A01", "option": "A", "run_evidence_state": "OBSERVED", "staleness_days": age}
        return is_stale(row, StaleLimits(default=limit))

    past = [day for day in (first + timedelta(n) for n in range(DAYS - 1)) if is_stale_at(last_second(day))]
    # The last day is not over: its cell is what the number beside it says.
    assert _find_stale_days(operation, first, TODAY) == [*past, *([TODAY] if is_stale_at(NOW) else [])]
