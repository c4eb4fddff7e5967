"""The health page in Chromium: widths, colours, sorting by mouse and keyboard, and what axe-core finds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline.registries.system_health.page import HealthPage, render_health_page
from registry_pipeline_tests.defs.served import open_browser_page
from registry_pipeline_tests.hostile_names import HOSTILE
from registry_pipeline_tests.registries.page_values import health_page, page_operation

pytestmark = pytest.mark.process

AXE: Final = Path(__file__).parents[2] / ".axe/package/axe.min.js"
LONG: Final = "a-name-without-any-place-to-break-it" * 6
PAGES: Final[dict[str, HealthPage]] = {
    "usual": health_page(
        *(page_operation(f"OP-A{n:02}", n, n + 7, drift_reasons=("op_drift_last_run_dirty",)) for n in range(12)),
        page_operation("OP-B01", evidence="UNOBSERVED", age_days=None),
    ),
    "mixed": health_page(
        page_operation("OP-A01", 9),
        page_operation("OP-A02", 0, drift_reasons=("op_drift_last_run_dirty",)),
        page_operation("OP-A03", 0, coverage_level="C1"),
        *(page_operation(f"OP-B{n:02}", 0) for n in range(9)),
        page_operation("OP-C01", evidence="UNOBSERVED", age_days=None),
    ),
    "empty": health_page(days=(), activations=(), findings=(), registries=(), runs_by_seal={}),
    "hostile": health_page(
        *(page_operation(f"OP-{name}", 3, name=name, drift_reasons=(name,)) for name in (HOSTILE, LONG, "<b>")),
        title=LONG,
        unused_registries=(LONG,),
    ),
}


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Any]:
    with open_browser_page() as page:
        yield page


@pytest.fixture
def opened(browser_page: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Open one of PAGES as a file; the attribute `messages` collects console messages and requests of other files."""
    file = tmp_path / "page.html"
    file.write_bytes(render_health_page(PAGES[request.param]))
    messages: list[str] = []
    listeners = (
        ("console", lambda message: messages.append(message.text)),
        ("request", lambda sent: messages.append(sent.url) if sent.url not in (file.as_uri(), "data:,") else None),
    )
    for event, listener in listeners:
        browser_page.on(event, listener)
    browser_page.goto(file.as_uri())
    browser_page.messages = messages
    yield browser_page
    for event, listener in listeners:
        browser_page.remove_listener(event, listener)


@pytest.mark.parametrize("opened", PAGES, indirect=True)
@pytest.mark.parametrize("width", [360, 768, 1200])
def test_no_width_needs_sideways_scrolling(opened: Any, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 900})

    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.messages == []


@pytest.mark.parametrize("opened", ["usual"], indirect=True)
def test_a_table_is_sorted_by_mouse_and_by_keyboard(opened: Any) -> None:
    opened.set_viewport_size({"width": 1200, "height": 900})
    ids = "[...document.querySelectorAll('table.sortable .id')].map((cell) => cell.textContent.slice(0, 6))"
    as_written = opened.evaluate(ids)
    head = opened.get_by_role("columnheader", name="operation").first

    head.get_by_role("button").click()
    by_name = opened.evaluate(ids)
    opened.keyboard.press("Enter")

    assert by_name == sorted(as_written) != as_written
    assert opened.evaluate(ids) == by_name[::-1]
    assert head.get_attribute("aria-sort") == "descending"
    opened.get_by_role("columnheader", name="last run").get_by_role("button").click()
    assert opened.evaluate(ids)[:3] == ["OP-B01", "OP-A00", "OP-A01"], "numbers, not texts"


def find_shown(page: Any) -> list[str]:
    """Return the ids of the operations that a reader sees."""
    rows = page.locator(".operations tbody tr")
    return list(rows.evaluate_all("(rows) => rows.filter((row) => row.checkVisibility()).map((row) => row.id)"))


@pytest.mark.parametrize("opened", ["mixed"], indirect=True)
def test_what_needs_attention_is_shown_first_and_a_link_shows_another_group(opened: Any) -> None:
    opened.set_viewport_size({"width": 1200, "height": 900})
    links = opened.get_by_role("navigation", name="Operations to show").get_by_role("link")
    assert links.all_inner_texts() == ["Needs attention 3", "Stale 1", "Drifting 1", "Below C3 1", "No run 1", "All 13"]
    shown = [find_shown(opened)]

    for name in ("Stale 1", "Drifting 1", "Below C3 1", "No run 1", "Needs attention 3"):
        links.get_by_text(name).focus()
        opened.keyboard.press("Enter")
        opened.locator(".filter [aria-current=true]", has_text=name).wait_for(timeout=5000)
        shown.append(find_shown(opened))
    links.get_by_text("All").click()

    attention = ["OP-A01", "OP-A02", "OP-A03"]
    assert shown == [attention, ["OP-A01"], ["OP-A02"], ["OP-A03"], ["OP-C01"], attention]
    assert len(find_shown(opened)) == 13
    # A figure of the top shows its group, and a link to one operation shows it, whatever was chosen before.
    opened.get_by_role("link", name="1 drifting").click()
    assert find_shown(opened) == ["OP-A02"]
    opened.evaluate("location.hash = 'OP-B07'")
    assert find_shown(opened) == [*attention, "OP-B07"]


@pytest.mark.parametrize("opened", ["mixed"], indirect=True)
def test_on_paper_every_row_and_every_fold_is_open_in_light_colours(opened: Any) -> None:
    opened.emulate_media(media="print", color_scheme="dark")
    hidden = "[...document.querySelectorAll('tr')].filter((row) => !row.checkVisibility({contentVisibilityAuto: true}))"

    assert opened.evaluate("document.querySelector('details:not([open])') !== null")
    assert opened.evaluate(f"{hidden}.length") == 0
    assert opened.evaluate("getComputedStyle(document.body).color") == "rgb(22, 25, 29)"
    assert not opened.locator(".filter").is_visible()
    opened.emulate_media(media="screen", color_scheme="light")


@pytest.mark.parametrize("opened", ["usual"], indirect=True)
def test_a_link_opens_the_fold_that_it_leads_into(opened: Any) -> None:
    is_open = "document.querySelector('.days td').checkVisibility({contentVisibilityAuto: true})"
    assert not opened.evaluate(is_open)

    opened.get_by_role("link", name="The last 120 days as a table").click()

    assert opened.evaluate(is_open)


def test_without_scripts_the_groups_work_too(browser_page: Any, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(render_health_page(PAGES["mixed"]))
    context = browser_page.context.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{file.as_uri()}#drifting")

    assert page.get_by_role("row", name="OP-A02").is_visible()
    assert not page.get_by_text("Name of OP-A01").is_visible()
    context.close()


@pytest.mark.parametrize("opened", ["usual", "empty", "hostile"], indirect=True)
@pytest.mark.parametrize(("width", "colours"), [(360, "light"), (1200, "dark")])
def test_axe_finds_nothing(opened: Any, width: int, colours: str) -> None:
    if not AXE.is_file() and not os.environ.get("CI"):
        pytest.skip("axe-core is not here: make .axe/.ready")
    opened.set_viewport_size({"width": width, "height": 900})
    opened.emulate_media(color_scheme=colours)
    if colours == "light":
        opened.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    opened.evaluate(AXE.read_text(encoding="utf-8"))

    found = opened.evaluate("axe.run()")
    opened.emulate_media(color_scheme="light")

    assert len(found["passes"]) > 20
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]] == []
