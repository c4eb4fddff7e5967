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
        """The targets of links to other pages, in their order."""
        return [link for link in self._addresses if not link.startswith("#")]

    @property
    def dead_anchors(self) -> list[str]:
        """The links to parts that the page does not have, and the names that two parts have."""
        names = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        anchors = {link[1:] for link in self._addresses if link.startswith("#")}
        return [f"#{name}" for name in anchors.difference(names)] + [
            f"2 {name}" for name in names if names.count(name) > 1
        ]

    @property
    def _addresses(self) -> list[str]:
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
    """Return every link of the pages in a folder that leads to no file of the folder, or to no part of its page."""
    broken = []
    for page in folder.rglob("*.html"):
        reader = PageReader(page.read_text(encoding="utf-8"))
        broken += [f"{page.name}: {anchor}" for anchor in reader.dead_anchors]
        for link in reader.links:
            target = Path(os.path.normpath(page.parent / link.partition("#")[0]))
            if not target.is_file() or not target.is_relative_to(folder):
                broken.append(f"{page.name}: {link}")
    return broken
