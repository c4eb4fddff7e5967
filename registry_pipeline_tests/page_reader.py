"""Read a page as a browser would: its tags, its text and its links."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

from registry_pipeline.findings.display import is_hidden


class PageReader(HTMLParser):
    """Collects tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def links(self) -> list[str]:
        """The targets of links, in their order."""
        return [attributes["href"] or "" for tag, attributes in self.tags if tag == "a"]

    @property
    def loads(self) -> list[str]:
        """The addresses that a browser would request."""
        names = ("src", "srcset", "action", "data", "poster")
        values = [a[name] or "" for _, a in self.tags for name in names if name in a]
        values += [a["href"] or "" for tag, a in self.tags if tag in ("link", "use", "image") and "href" in a]
        return [value for value in values if value != "data:," and not value.startswith("#")]

    @property
    def hidden(self) -> list[str]:
        """The characters of texts and attributes that nobody sees."""
        values = [value or "" for _, attributes in self.tags for value in attributes.values()]
        return [repr(c) for text in (*self.text, *values) for c in text if is_hidden(c) and c != "\n"]


def find_broken_links(folder: Path) -> list[str]:
    """Return every link of the pages in a folder that leads to no file of the folder."""
    broken = []
    for page in folder.rglob("*.html"):
        for link in PageReader(page.read_text(encoding="utf-8")).links:
            target = Path(os.path.normpath(page.parent / link.partition("#")[0]))
            if not target.is_file() or not target.is_relative_to(folder):
                broken.append(f"{page.name}: {link}")
    return broken
