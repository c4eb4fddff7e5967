"""The options of commands that make a page for the browser: `--format html`, `-o` and `--open`."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.settings import FORMATS, remember_format

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
HTML: Final = "html"


def page_options(*formats: str, output_help: str) -> Callable[[_Decorated], _Decorated]:
    """Return a decorator that adds `--format` with further formats (as `page_format`), `--output` and `--open`."""

    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> str | None:  # noqa: ARG001 - click's
        if value in FORMATS:
            remember_format(ctx, value)
            return None
        return None if value is None else str(value)

    choices = (*FORMATS, *formats)
    options = (
        click.option(
            "--format",
            "page_format",
            type=click.Choice(choices),
            metavar="FORMAT",
            callback=remember,
            help=f"Output format: {', '.join(choices)}.",
        ),
        click.option(
            "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help=output_help
        ),
        click.option("--open", "open_page", is_flag=True, help="Also open the page in the browser."),
    )

    def decorate(command: _Decorated) -> _Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def refuse_contradiction(reporter: Reporter, page_format: str | None) -> None:
    """Raise UsageError if a page format is given beside another format."""
    if page_format is not None and reporter.settings.format != "text":
        raise click.UsageError(f"--format {page_format} contradicts the format {reporter.settings.format}")


def make_temporary_file(name: str) -> Path:
    """Return the path of a file in a new folder that only this user can read, for a page that is opened."""
    return Path(tempfile.mkdtemp(prefix="registry-pipeline-")) / name


def open_in_browser(reporter: Reporter, path: Path) -> None:
    """Open a file in the browser, or print a note that none could be started."""
    if not webbrowser.open(path.resolve().as_uri()):
        reporter.note(f"no browser could be started: open {path}")
