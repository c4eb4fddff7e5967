"""The documents on a code host and on the site of `make docs`: links lead somewhere, and pages work in Chromium."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from registry_pipeline_tests.defs.served import open_browser_page

ROOT: Final = Path(__file__).resolve().parents[2]
AXE: Final = ROOT / ".axe/package/axe.min.js"
DOCUMENTS: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"))
    if "governance" not in path.parts
)
HOST: Final = "http://site.invalid/"
# What axe-core finds in elements that the theme's script makes, by their class. They can be used all the same: the bars
# of copy buttons are landmarks without a name, and Chromium scrolls a wide table by keyboard without a tab stop.
OF_THE_THEME: Final = {"landmark-unique": "md-code__nav", "scrollable-region-focusable": "md-typeset__scrollwrap"}
_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


class Site(HTMLParser):
    """The links and anchors of the pages that were fed."""

    def __init__(self) -> None:
        super().__init__()
        self.page = ""
        self.anchors: set[str] = set()
        self.links: set[tuple[str, str]] = set()
        """The page, and the address to which it links."""

    def read(self, folder: Path) -> Site:
        for path in sorted(folder.rglob("*.html")):
            relative = path.relative_to(folder).as_posix()
            self.page = HOST + re.sub(r"(^|/)index\.html$", r"\1", relative)
            self.anchors.add(self.page)
            if relative != "404.html":  # its links begin at the root of the host, where it is shown for any address
                self.feed(path.read_text(encoding="utf-8"))
        self.anchors |= {HOST + path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        return self

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(f"{self.page}#{value}")
            elif name in ("href", "src") and value:
                self.links.add((self.page, urljoin(self.page, value)))

    def find_broken_links(self) -> list[tuple[str, str]]:
        internal = {link for link in self.links if link[1].startswith(HOST)}
        return sorted(link for link in internal if unquote(link[1]).removesuffix("#") not in self.anchors)


def anchors_of_a_code_host(text: str) -> set[str]:
    """Return the anchors of the headings: lower case, no punctuation, a hyphen for each space, a number for repeats."""
    anchors: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.*?) *$", _FENCE.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        anchors.add(next(f"{anchor}{end}" for end in ("", "-1", "-2", "-3") if f"{anchor}{end}" not in anchors))
    return anchors


def find_broken_links(page: Path) -> list[str]:
    """Return the links of a document that lead nowhere on a code host."""
    text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
    broken = []
    for link in _LINK.findall(text):
        address = urlsplit(link)
        target = page.parent / unquote(address.path) if address.path else page
        if address.scheme or (target.exists() and not address.fragment):
            continue
        if not target.is_file() or address.fragment not in anchors_of_a_code_host(target.read_text(encoding="utf-8")):
            broken.append(link)
    return broken


def build_site(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build the site as `make check` does. With `--quiet` MkDocs would count no warning."""
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder), *options]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build_site(folder)
    assert done.returncode == 0, done.stderr
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    """A handler that prints no log."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class has
        """Print nothing."""


class Reader:
    """A person with a browser; `complaints` has console messages, failed requests, and requests to other hosts."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._check(request.url))
        page.on("response", lambda response: self._check_status(response.url, response.status))

    def _check(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(url)

    def _check_status(self, url: str, status: int) -> None:
        if status not in (200, 304):
            self.complaints.append(f"{status} {url}")

    def open(self, path: str, width: int = 1200, colours: str = "light") -> None:
        self.page.emulate_media(color_scheme=colours)
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(self.address + path)


@pytest.fixture(scope="module")
def reader(site: Path) -> Iterator[Reader]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_browser_page() as page:
            page.set_default_timeout(120_000)
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            page.context.add_init_script("localStorage.clear()")  # the palette that an earlier page was shown in
            yield Reader(page, f"http://127.0.0.1:{server.server_address[1]}/")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_of_a_document_leads_somewhere_on_a_code_host(name: str) -> None:
    assert find_broken_links(ROOT / name) == []


def test_a_broken_link_of_a_document_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `page` of\n[a](page.md#a-page-of) [b](gone.md) [c](#a-page) `[d](gone.md)`\n```\n# code\n```\n", "utf-8"
    )

    assert find_broken_links(page) == ["gone.md", "#a-page"]


@pytest.mark.process
def test_a_page_without_a_place_and_a_link_to_nowhere_fail_the_build(tmp_path: Path) -> None:
    pages = {
        "index.md": "# Home\n\n[a](page.md#no-anchor) [b](gone.md)\n",
        "page.md": "# Page\n",
        "lost.md": "# Lost\n",
    }
    (tmp_path / "docs").mkdir()
    for name, text in pages.items():
        (tmp_path / "docs" / name).write_text(text, "utf-8")
    settings = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:\n  - Home")
    hooks = settings[0].replace("hooks:\n  - tools/site_hook.py\n", "")
    (tmp_path / "mkdocs.yml").write_text(f"{hooks}nav: [index.md, page.md]\n", "utf-8")

    done = build_site(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))

    assert done.returncode == 1
    assert "lost.md" in done.stderr
    assert "'gone.md'" in done.stderr
    assert "'#no-anchor'" in done.stderr


@pytest.mark.process
def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    pages = Site().read(site)

    assert pages.find_broken_links() == []
    assert len(pages.links) > 1000
    assert not [link for page, link in pages.links if link.startswith("http://") and not link.startswith(HOST)]


def test_a_broken_link_of_a_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").write_text(
        '<a href="../#top">a</a><a href="../page/">b</a><img src="x.svg">', "utf-8"
    )
    (tmp_path / "index.html").write_text("<p>no anchor</p>", "utf-8")

    assert Site().read(tmp_path).find_broken_links() == [
        (HOST + "page/", HOST + "#top"),
        (HOST + "page/", HOST + "page/x.svg"),
    ]


@pytest.mark.process
def test_pages_fit_each_width_and_ask_no_other_host(reader: Reader) -> None:
    for path in ("", "how-to/roll-back/", "reference/command-line/", "explanation/architecture/"):
        for width in (360, 1200):
            reader.open(path, width)
            assert reader.page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)

    reader.open("how-to/roll-back/")
    reader.page.get_by_title("Copy to clipboard").first.click()
    reader.page.get_by_text("Copied to clipboard").wait_for()
    lines = reader.page.evaluate("navigator.clipboard.readText()").split()
    assert lines[:4] == ["registry-pipeline", "example", "tides", ">"], "a session is copied without its prompts"
    assert reader.complaints == []


@pytest.mark.process
def test_the_search_finds_a_command(reader: Reader) -> None:
    reader.open("")
    reader.page.get_by_role("textbox", name="Search").fill("mark-bad")

    found = reader.page.locator(".md-search-result__link[href*='reference/command-line']").first
    found.wait_for()
    found.click()
    reader.page.wait_for_url("**/reference/command-line/**")

    assert "mark-bad" in reader.page.locator("article").inner_text()
    assert reader.complaints == []


@pytest.mark.process
def test_axe_finds_nothing_but_what_the_theme_makes(reader: Reader) -> None:
    if not AXE.is_file() and not os.environ.get("CI"):
        pytest.skip("axe-core is not here: make .axe/.ready")
    for path, width, colours in (
        ("", 360, "light"),
        ("explanation/architecture/", 1200, "light"),
        ("how-to/roll-back/", 360, "dark"),
    ):
        reader.open(path, width, colours)
        reader.page.evaluate(AXE.read_text(encoding="utf-8"))

        found = reader.page.evaluate("axe.run()")

        assert len(found["passes"]) > 20
        rows = [(rule["id"], node["html"][:200]) for rule in found["violations"] for node in rule["nodes"]]
        assert [row for row in rows if OF_THE_THEME.get(row[0], row[0]) not in row[1]] == [], path
