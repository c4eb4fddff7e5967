"""Render the templates of pages: HTML that loads nothing from elsewhere, in which no text becomes markup.

The same values give the same bytes.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from registry_pipeline.canonical import parse_instant
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.system_health.charts import format_day, list_months

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_template(name: str, *, title: str, unsealed: str = "", folder: str | None = None, **values: Any) -> bytes:
    """Return a page as UTF-8.

    `title` is the name of the repository, `unsealed` says how to get a sealed page and is empty for a sealed one, and
    `folder` is the way to the folder of pages, None for a single page.
    """
    text = (
        _make_environment()
        .get_template(name)
        .render(
            title=title,
            unsealed=unsealed,
            folder=folder,
            sort_script=_read_script(),
            script_hash=base64.b64encode(sha256(_read_script().encode()).digest()).decode(),
            **values,
        )
    )
    return text.encode("utf-8", "backslashreplace")


def format_time(moment: datetime) -> str:
    """Return a time in words that do not depend on the locale."""
    return f"{format_day(moment, with_year=True)}, {moment:%H:%M} UTC"


@cache
def _make_environment() -> Environment:
    # Only what renders a page pays for the import.
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415

    # Every value is escaped as it is inserted, and characters that change how others are shown become escapes.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_read_file),
        finalize=_make_printable,
    )
    environment.globals["list_months"] = list_months
    environment.filters |= {"sentence": _make_sentence, "person": _shorten_actor, "time": format_time}
    environment.filters |= {"minute": lambda text: text[:16].replace("T", " "), "moment": _format_moment}
    environment.filters |= {"plural": plural, "age": _format_age, "commands": _mark_commands}
    return environment


def _make_printable(value: Any) -> Any:
    """Return a text that is inserted with its hidden characters as escapes; markup has had that already."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _read_file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


@cache
def _read_script() -> str:
    return _read_file("sort.js").strip()


def _make_sentence(text: str) -> str:
    line = printable(text)
    return f"{line[:1].upper()}{line[1:]}{'' if line.endswith('.') else '.'}"


def _shorten_actor(actor: str | None) -> str:
    """Return the name of an actor, without the address that git adds."""
    return printable((actor or "").partition(" <")[0])


def _format_moment(text: str) -> str:
    """Return a time stamp in words."""
    moment = parse_instant(text)
    return text if moment is None else format_time(moment.astimezone(UTC))


def _mark_commands(advice: str) -> Markup:
    """Return advice as a sentence with its commands as code: what is between backticks, or all if it is a command."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - as in `_make_environment`

    text = printable(advice)
    if text.startswith(("registry-pipeline ", "git ")):
        text = f"`{text}`"
    text = f"{text[:1].upper()}{text[1:]}"
    parts = (escape(part) for part in text.split("`"))
    # Every second part is between backticks.
    return Markup().join(Markup('<code class="do">{}</code>').format(p) if n % 2 else p for n, p in enumerate(parts))


def _format_age(days: int | None) -> str:
    """Return an age in days as people say it."""
    if days is None:
        return "unknown"
    return "today" if days == 0 else f"in {-days} d" if days < 0 else f"{days} d"
