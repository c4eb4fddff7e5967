"""What MkDocs does with this repository beside its defaults: pages outside docs/, and pictures with text.

Documents link to files of the repository as a code host shows them, such as `../../examples/github/tracked-runs.yml`.
Each linked file outside docs/ becomes a page of the site, and the link leads to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
# Pages of the navigation that are not in docs/, because a code host expects them where they are.
_AT_THE_TOP: Final = (ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")
_CODE_OR_LINK: Final = re.compile(r"```.*?```|`[^`\n]*`|\]\(([^)\s#]+)(#[^)\s]*)?\)", re.DOTALL)
_PICTURE: Final = re.compile(r'<p><img alt="([^"]*)" src="[^"]*images/([^"/]+\.svg)" ?/?></p>')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ to which a document links."""
    pages = [Path(file.abs_src_path or "") for file in files.documentation_pages()]
    waiting = [*_AT_THE_TOP, *(target for page in pages for target in find_targets(page))]
    while waiting:
        path = waiting.pop()
        uri = find_uri(path)
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, content=read_page(path)))
            waiting += find_targets(path)
    return files


def on_page_markdown(markdown: str, page: Page, **_rest: object) -> str:
    """Return the text of a page with links to the pages that `on_files` added."""
    uri = page.file.src_uri
    source = DOCS / uri if (DOCS / uri).is_file() else ROOT / uri

    def replace(match: re.Match[str]) -> str:
        target = _resolve(source, match[1])
        if target is None:
            return match[0]
        return f"]({os.path.relpath(find_uri(target), Path(uri).parent)}{match[2] or ''})"

    return _CODE_OR_LINK.sub(replace, markdown)


def on_page_content(html: str, **_rest: object) -> str:
    """Return the page with its drawings in it, so that their text can be selected and has the colours of the page."""
    return _PICTURE.sub(_insert_drawing, html)


def on_post_page(output: str, **_rest: object) -> str:
    """Return the page with a name for the search, which the theme leaves without one for screen readers."""
    search = 'data-md-component="search" role="dialog"'
    return output.replace(search, f'{search} aria-label="Search"', 1)


def find_targets(path: Path) -> Iterator[Path]:
    """Yield the files outside docs/ to which a document links."""
    if path.suffix == ".md":
        for match in _CODE_OR_LINK.finditer(path.read_text(encoding="utf-8")):
            target = _resolve(path, match[1])
            if target is not None and not target.is_relative_to(DOCS):
                yield target


def find_uri(path: Path) -> str:
    """Return the source of the page that shows a file of the repository, relative to docs/."""
    if path == ROOT / "README.md":
        return "index.md"
    uri = path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()
    return uri if path.is_relative_to(DOCS) or path.suffix == ".md" else uri + ".md"


def read_page(path: Path) -> str:
    """Return a file outside docs/ as Markdown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    language = {".json": "json", ".py": "python", ".yml": "yaml"}.get(path.suffix, "text")
    return f"# {path.name}\n\n````{language}\n{text.rstrip()}\n````\n"


def _resolve(source: Path, link: str | None) -> Path | None:
    """Return the file of the repository to which a link leads, or None if MkDocs resolves it or reports it."""
    if not link or ":" in link:
        return None
    target = Path(os.path.normpath(source.parent / link))
    target = target / "README.md" if target.is_dir() else target
    inside = source.is_relative_to(DOCS) and target.is_relative_to(DOCS) and not link.endswith("/")
    return target if target.is_file() and target.is_relative_to(ROOT) and not inside else None


def _insert_drawing(match: re.Match[str]) -> str:
    """Return a drawing in a frame that scrolls, by keyboard too, where the window is narrower than the drawing."""
    drawing = (DOCS / "images" / match[2]).read_text(encoding="utf-8").strip()
    return f'<div class="picture" tabindex="0" role="group" aria-label="{match[1]}">\n{drawing}\n</div>'
