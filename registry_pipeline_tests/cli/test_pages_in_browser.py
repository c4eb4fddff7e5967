"""Every page in Chromium: widths, colours, keyboard, links, and what axe-core finds.

The repositories: one with hostile names, one without runs, and in `make soak` one with 5,000 runs of 300 operations.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline.cli import report_watch
from registry_pipeline_tests.cli.conftest import NOON, Repository
from registry_pipeline_tests.copies import copied_repository, make_removable
from registry_pipeline_tests.defs.served import open_browser_page
from registry_pipeline_tests.hostile_names import FOLDER, HOSTILE, make_hostile
from registry_pipeline_tests.many_runs import make_many_runs
from registry_pipeline_tests.page_reader import PageReader, find_broken_links
from registry_pipeline_tests.registries.test_health_page_in_browser import AXE

pytestmark = pytest.mark.process

# The folder of a page is the name of the fixture that makes it.
HOSTILE_PAGES: Final = [
    f"hostile/{name}"
    for name in (
        *("index.html", "history.html", "operations/OP-A01.html", "diff.html", "broken.html", "overview.html"),
        "sealed.html",
    )
]
QUIET_PAGES: Final = [
    f"quiet/{name}" for name in ("index.html", "history.html", "operations/OP-A000.html", "diff.html", "overview.html")
]
LARGE_PAGES: Final = [
    pytest.param(f"large/{name}", marks=pytest.mark.soak)
    for name in ("index.html", "history.html", "operations/OP-A000.html", "diff.html", "sealed.html")
]
ALL_PAGES: Final = [*HOSTILE_PAGES, *QUIET_PAGES, *LARGE_PAGES]
LATER: Final = "2026-03-03T12:00:00Z"


@pytest.fixture(scope="module")
def hostile(known_repository: Path, tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Path]:
    """The pages of a repository whose operation, run folder, files, actors and reasons have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    with (
        copied_repository(known_repository, folder / HOSTILE.replace("/", "")) as root,
        pytest.MonkeyPatch.context() as m,
    ):
        make_hostile(root)
        repository = Repository(root, home)

        def run(*words: str, now: str = LATER) -> str:
            result = repository(*words, now=now, REGISTRY_PIPELINE_ACTOR=HOSTILE)
            assert result.code == 0, result.err
            return result.out

        run("init", now=NOON)
        run("build", "--reason", HOSTILE, now=NOON)
        toml = root / "registry-pipeline.toml"
        run("build", "drift_signals_daily", "--as-of", "2026-02-26..2026-03-01")
        (root / "reports/runs" / f"{FOLDER}2").mkdir()
        run("build", "--force", "--reason", HOSTILE)
        target = folder / "hostile"
        run("report", "--pages", str(target))
        run("diff", "active", "--registry", "run_registry", "-o", str(target / "diff.html"))
        run("report", "-o", str(target / "sealed.html"))
        # A repository that cannot be read is on the page, too.
        assert repository("overview", ".", HOSTILE, "-o", str(target / "overview.html"), now=LATER).code == 7

        def break_or_end(_seconds: float) -> None:
            if toml.read_text() == HOSTILE:
                raise KeyboardInterrupt
            toml.write_text(HOSTILE)

        m.setattr(report_watch, "wait", break_or_end)
        run("report", "--watch", "-o", str(target / "broken.html"))
        yield target


def make_pages(folder: Path, home: Path, operations: int, runs: int) -> None:
    """Make a repository, build it on two days, and write its pages and those of the differences."""
    make_many_runs(folder / "repository", operations, runs)
    repository, target = Repository(folder / "repository", home), folder / "site"
    for now in (NOON, LATER):
        assert repository("build", "--force", now=now).code == 0
    assert repository("build", "drift_signals_daily", "--as-of", "2026-02-27..2026-02-28", now=LATER).code == 0
    assert repository("report", "--pages", str(target), now=LATER).code == 0
    diff = ("diff", "active", "--registry", "op_status_table", "-o", str(target / "diff.html"))
    assert repository(*diff, now=LATER).code == 0
    assert repository("report", "-o", str(target / "sealed.html"), now=LATER).code == 0
    assert repository("overview", ".", "-o", str(target / "overview.html"), now=LATER).code == 0
    make_removable(repository.root)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    folder = tmp_path_factory.mktemp("quiet")
    make_pages(folder, home, operations=2, runs=0)
    return folder / "site"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    folder = tmp_path_factory.mktemp("large")
    make_pages(folder, home, operations=300, runs=5000)
    return folder / "site"


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Any]:
    with open_browser_page() as page:
        yield page


@pytest.fixture
def opened(browser_page: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open a page; the attribute `messages` collects console messages and requests of other files."""
    site, _, name = request.param.partition("/")
    file = request.getfixturevalue(site) / name
    messages: list[str] = []

    def record_request(sent: Any) -> None:
        if sent.url not in (file.as_uri(), "data:,"):
            messages.append(sent.url)

    def record_message(message: Any) -> None:
        messages.append(message.text)

    browser_page.on("console", record_message)
    browser_page.on("request", record_request)
    browser_page.goto(file.as_uri())
    browser_page.messages = messages
    yield browser_page
    browser_page.remove_listener("console", record_message)
    browser_page.remove_listener("request", record_request)
    browser_page.emulate_media(color_scheme="light", media="screen")


@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_names_are_shown_as_text_with_escapes(hostile: Path, name: str) -> None:
    page = PageReader((hostile.parent / name).read_text(encoding="utf-8"))

    assert page.hidden == []
    assert page.loads == []
    assert "img" not in {tag for tag, _ in page.tags}
    assert not any(attribute.startswith("on") for _, attributes in page.tags for attribute in attributes)
    assert "\\u202egpj.exe" in "".join(page.text), "the name is on the page"


def test_the_runs_with_hostile_names_are_on_the_page_of_their_operation(hostile: Path) -> None:
    text = "".join(PageReader((hostile / "operations/OP-A01.html").read_text(encoding="utf-8")).text)

    assert FOLDER.count("|<img") == 1
    assert "\\x9b1m|<img src=x>`[a](b)" in text
    assert "registry-pipeline seal 'reports/runs/x\\x1b[2J" in text
    # The overview leads to the health page in the repository, which is no page of this folder.
    assert [link for link in find_broken_links(hostile) if not link.startswith("overview.html: ")] == []


@pytest.mark.parametrize("opened", ALL_PAGES, indirect=True)
def test_no_width_needs_sideways_scrolling_and_nothing_is_loaded(opened: Any) -> None:
    for width in (360, 768, 1200):
        opened.set_viewport_size({"width": width, "height": 900})

        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.messages == []


def choose_looks() -> Iterator[Any]:
    """Yield each page, but for the sealed one, which has tests of its own, in one width and colour.

    Each template has both: one in the repository with hostile names, the other in the one without runs.
    """
    for name in (*HOSTILE_PAGES[:-1], *QUIET_PAGES):
        is_light = name.endswith(("history.html", "diff.html", "overview.html")) != name.startswith("hostile")
        yield (name, 360, "light") if is_light else (name, 1200, "dark")
    yield from (pytest.param(*page.values, 360, "dark", marks=page.marks) for page in LARGE_PAGES)


@pytest.mark.parametrize(("opened", "width", "colours"), list(choose_looks()), indirect=["opened"])
def test_axe_finds_nothing(opened: Any, width: int, colours: str) -> None:
    if not AXE.is_file() and not os.environ.get("CI"):
        pytest.skip("axe-core is not here: make .axe/.ready")
    opened.set_viewport_size({"width": width, "height": 900})
    opened.emulate_media(color_scheme=colours)
    opened.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    opened.evaluate(AXE.read_text(encoding="utf-8"))

    found = opened.evaluate("axe.run()")

    assert len(found["passes"]) > 15
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]] == []


@pytest.mark.parametrize("opened", ["hostile/index.html"], indirect=True)
def test_a_reader_goes_from_page_to_page_by_keyboard(opened: Any) -> None:
    def follow(word: str) -> str:
        for _ in range(200):
            opened.keyboard.press("Tab")
            if opened.evaluate("document.activeElement.textContent").startswith(word):
                with opened.expect_navigation():
                    opened.keyboard.press("Enter")
                return str(opened.url).rpartition("/hostile/")[2]
        raise AssertionError(f"no link {word}")

    assert follow("History") == "history.html"
    assert follow("System health") == "index.html"
    assert follow("x\\x1b[2J") == "operations/OP-A01.html"
    assert follow("History") == "history.html"


@pytest.mark.parametrize("opened", ["hostile/history.html"], indirect=True)
def test_on_paper_there_are_no_links_to_other_pages(opened: Any) -> None:
    assert opened.locator("nav").is_visible()
    opened.emulate_media(media="print")

    assert not opened.locator("nav").is_visible()
    assert opened.locator("h1").is_visible()
