"""The health page as a file: its content, its limits, and that it loads nothing and trusts no text."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.findings.display import is_hidden
from registry_pipeline.registries.system_health.build import HealthCondition, HealthState
from registry_pipeline.registries.system_health.charts import DAYS
from registry_pipeline.registries.system_health.page import (
    MAX_FINDINGS,
    MAX_OPERATIONS,
    PageActivation,
    PageFinding,
    PageRegistry,
    PageRun,
    _find_late_spans,
    render_health_page,
)
from registry_pipeline.values import replace
from registry_pipeline_tests.hostile_names import HOSTILE
from registry_pipeline_tests.registries.page_values import TODAY, health_page, page_day, page_operation


class Reader(HTMLParser):
    """Collects tags with their attributes, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def render(*operations: Any, **changes: Any) -> str:
    return render_health_page(health_page(*operations, **changes)).decode("utf-8")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_the_same_values_give_the_same_bytes() -> None:
    assert render(page_operation("OP-A01", 3, 9)) == render(page_operation("OP-A01", 3, 9))


def test_the_most_overdue_operation_comes_first_then_drifting_ones_then_the_oldest() -> None:
    operations = [
        page_operation("OP-FRESH", 1),
        page_operation("OP-OLDER", 4, limit_days=9),
        page_operation("OP-DRIFTS", 0, drift_reasons=("op_drift_commit_mismatch",)),
        page_operation("OP-LATE", 3),
        page_operation("OP-LATER", 60, limit_days=10),
        page_operation("OP-NEVER", evidence="UNOBSERVED", age_days=None),
    ]
    names = re.findall(r'class="id">(OP-[A-Z]+)', render(*operations))

    assert names == ["OP-LATER", "OP-LATE", "OP-DRIFTS", "OP-FRESH", "OP-OLDER", "OP-NEVER"]


def test_conditions_and_findings_name_what_to_do() -> None:
    html = render()

    assert "<span>The schema version drifts.</span>" in html
    assert '<code class="do">registry-pipeline status --all</code>' in html
    assert 'run <code class="do">registry-pipeline verify a</code>' in html


def test_a_list_that_is_cut_says_how_many_are_left_out() -> None:
    operations = [page_operation(f"OP-A{number:03}", 1) for number in range(MAX_OPERATIONS + 7)]
    findings = [PageFinding("HASH_MISMATCH", "error", f"runs/{n}", "changed", "") for n in range(MAX_FINDINGS + 3)]
    html = render(*operations, findings=tuple(findings), earlier_activations=40)

    assert html.count('class="id">') == MAX_OPERATIONS
    assert "7 more operations" in html
    assert "3 more findings" in html
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
    assert "None: every active run" in html
    assert render(days=(page_day(1),)) != html, "one day makes no curve, but two do"


def test_the_page_loads_nothing_and_runs_only_its_own_script() -> None:
    html = render(page_operation("OP-A01", 1))
    reader = read(html)
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
    allowed = {tag for tag, _ in read(plain).tags}

    assert {tag for tag, _ in read(hostile).tags} <= allowed
    assert not any(attribute.startswith("on") for _, attributes in read(hostile).tags for attribute in attributes)
    assert not any(is_hidden(c) for text in read(hostile).text for c in text if c != "\n")


@given(st.lists(st.integers(0, 2 * DAYS), min_size=1), st.integers(1, 40))
def test_an_operation_is_overdue_on_each_day_as_long_after_a_run_as_its_limit(ages: list[int], limit: int) -> None:
    days = [TODAY - timedelta(age) for age in ages]
    operation = replace(page_operation(limit_days=limit), runs=tuple(PageRun(day, sealed=True) for day in days))
    first = TODAY - timedelta(DAYS - 1)
    spans = _find_late_spans(operation, days, first, TODAY)

    shown = {start + timedelta(number) for start, count in spans for number in range(count)}
    all_days = (first + timedelta(number) for number in range(DAYS))
    before = {day: [run for run in days if run <= day] for day in all_days}
    assert shown == {day for day, runs in before.items() if runs and (day - max(runs)).days >= limit}
