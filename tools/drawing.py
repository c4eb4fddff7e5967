"""SVG drawings of the documents: boxes, lines and text that are readable in light and dark, and can be selected."""

from __future__ import annotations

from html import escape
from typing import Final

# A code host shows a drawing as an image, which follows the colours of the system. The site shows it in the page, where
# docs/stylesheets/site.css sets the same variables for its two palettes.
_STYLE: Final = """\
.drawing { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #c4ccd4; --fill: #f1f4f8; --accent: #3f51b5;
  --warm: #b35900; font: 13px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { .drawing { --paper: #14161f; --ink: #e6e9f0; --soft: #a3adb9; --line: #4b5361;
  --fill: #232735; --accent: #9fa8f5; --warm: #f0a35c } }
.drawing text { fill: var(--ink) } .drawing .soft { fill: var(--soft) } .drawing .small { font-size: 11px }
.drawing .bold { font-weight: 600 } .drawing .code { font-family: ui-monospace, monospace; font-size: 11.5px }
.drawing .paper { fill: var(--paper) } .drawing .box { fill: var(--fill); stroke: var(--line) }
.drawing .strong { fill: var(--fill); stroke: var(--accent); stroke-width: 2 }
.drawing .dashed { fill: none; stroke: var(--line); stroke-dasharray: 5 4 } .drawing .bar { fill: var(--accent) }
.drawing .line { fill: none; stroke: var(--line) }
.drawing .link { fill: none; stroke: var(--accent); stroke-width: 1.5 }
.drawing .warm { fill: var(--warm) } .drawing .mark { fill: none; stroke: var(--warm); stroke-width: 1.5 }"""


class Drawing:
    """A drawing in the making; each method adds one element."""

    def __init__(self, name: str, width: int, height: int, title: str, description: str) -> None:
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {width} {height}"',
            f'  width="{width}" height="{height}" role="img" aria-labelledby="{name}-title {name}-desc">',
            f'<title id="{name}-title">{escape(title)}</title>',
            f'<desc id="{name}-desc">{escape(description)}</desc>',
            f"<style>\n{_STYLE}\n</style>",
        ]
        self.box(0, 0, width, height, "paper")

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """Write one line of text; `y` is its base line."""
        self.lines.append(f'<text x="{x:g}" y="{y:g}"{_class(kind)}{_anchor(anchor)}>{escape(text)}</text>')

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box", title: str = "") -> None:
        """Draw a rectangle; a title is shown where the pointer of a mouse rests."""
        inside = f"><title>{escape(title)}</title></rect>" if title else "/>"
        self.lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"{_class(kind)}{inside}'
        )

    def dot(self, x: float, y: float, radius: float, kind: str = "bar", title: str = "") -> None:
        """Draw a disc."""
        inside = f"><title>{escape(title)}</title></circle>" if title else "/>"
        self.lines.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}"{_class(kind)}{inside}')

    def line(self, *points: tuple[float, float], kind: str = "line") -> None:
        """Draw a line through the points."""
        self.lines.append(f'<path d="{_path(points)}"{_class(kind)}/>')

    def arrow(self, *points: tuple[float, float], kind: str = "link", head: str = "bar") -> None:
        """Draw a line through the points, with a head at the last one."""
        (x0, y0), (x, y) = points[-2:]
        dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
        self.line(*points[:-1], (x - 5 * dx, y - 5 * dy), kind=kind)
        left, right = (x - 8 * dx - 4 * dy, y - 8 * dy - 4 * dx), (x - 8 * dx + 4 * dy, y - 8 * dy + 4 * dx)
        self.lines.append(f'<path d="{_path(((x, y), left, right))}Z"{_class(head)}/>')

    def finish(self) -> str:
        """Return the SVG document."""
        return "\n".join([*self.lines, "</svg>", ""])


def _path(points: tuple[tuple[float, float], ...]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _anchor(anchor: str) -> str:
    return "" if anchor == "start" else f' text-anchor="{anchor}"'
