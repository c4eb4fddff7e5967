"""The global options, which may stand before or after the command, and the settings that they give."""

from __future__ import annotations

import itertools
import os
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.param_types import UtcText
from registry_pipeline.values import value_type

Format = Literal["text", "json", "github", "markdown", "junit", "sarif"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json", "github", "markdown", "junit", "sarif")
_KEY: Final = "registry_pipeline.global_options"
# Clocks of two machines may differ by this much before --now counts as the future.
_MAX_CLOCK_SKEW: Final = timedelta(days=1)


@value_type
class Settings:
    """The global options of a command."""

    repo: Path | None
    format: Format
    verbosity: int  # how often -v was given, minus how often -q was
    now: datetime  # the clock of the whole command, in whole seconds UTC
    color: bool

    def format_command(self, *arguments: str, program: str = "registry-pipeline") -> str:
        """Return a command for a shell that acts on the same repository: with the `-C` that was given."""
        folder = () if self.repo is None else ("-C", str(self.repo))
        return shlex.join((program, *folder, *arguments))

    @property
    def quiet(self) -> bool:
        """Whether only errors are shown."""
        return self.verbosity < 0


def _remember_option(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # ctx.meta is shared by all contexts of a call. An option that was not given must not override the one that was
    # given on the other side of the command.
    if value:
        options, name = ctx.meta.setdefault(_KEY, {}), str(param.name)
        options[name] = options.get(name, 0) + value if name in ("verbose", "quiet") else value


def remember_format(ctx: click.Context, form: Format) -> None:
    """Use the value of a command's own `--format` as the global one, instead of any that was given."""
    ctx.meta.setdefault(_KEY, {})["format_"] = form


def make_global_options() -> list[click.Option]:
    """Return new instances of the options that every command and group takes."""
    return [
        _make_option("-C", "--repo", metavar="DIR", type=click.Path(path_type=Path), help="The repository."),
        _make_option("--json", "as_json", is_flag=True, help="The same as --format json."),
        _make_option(
            "--format",
            "format_",
            type=click.Choice(FORMATS),
            metavar="FORMAT",
            help=f"Output format: {', '.join(FORMATS)}.",
        ),
        _make_option("-q", "--quiet", count=True, help="Show errors only."),
        _make_option("-v", "--verbose", count=True, help="Show more, and the traceback of a failure."),
        _make_option(
            "--now", metavar="UTC", type=UtcText(), help="The clock of this command, as 2026-03-01T12:00:00Z."
        ),
        _make_option("--allow-future", is_flag=True, help="Allow a --now more than a day ahead of the system clock."),
        _make_option("--no-color", is_flag=True, help="Use no colours; NO_COLOR in the environment does the same."),
    ]


def _make_option(*names: str, **attributes: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_remember_option, **attributes)


def read_system_clock() -> datetime:
    """Return the time of the system in whole seconds, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the command line's only reading of it


def read_settings(ctx: click.Context) -> Settings:
    """Return the settings of a command, once all options are parsed; raise UsageError if they are refused."""
    options = ctx.meta.get(_KEY, {})
    if options.get("as_json") and options.get("format_", "json") != "json":
        raise click.UsageError(f"--json contradicts --format {options['format_']}", ctx)
    system_clock = read_system_clock()
    now: datetime = options.get("now", system_clock)
    if now - system_clock > _MAX_CLOCK_SKEW and not options.get("allow_future"):
        raise click.UsageError(
            f"--now {utc_text(now)} is more than a day ahead of the system clock, {utc_text(system_clock)}; "
            "runs with a later stamp supersede today's. Add --allow-future if you want that",
            ctx,
        )
    return Settings(
        repo=options.get("repo"),
        format="json" if options.get("as_json") else options.get("format_", "text"),
        verbosity=options.get("verbose", 0) - options.get("quiet", 0),
        now=now,
        color=not (options.get("no_color") or os.environ.get("NO_COLOR")),
    )


def find_repo_option(ctx: click.Context) -> Path | None:
    """Return the folder that `-C` names, None without it, also while the command line is still typed."""
    repo: Path | None = ctx.meta.get(_KEY, {}).get("repo")
    return repo


def find_requested_format(arguments: list[str]) -> Format:
    """Return the output format that unparsed arguments ask for; text if they ask for none or an unknown one."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in before:
        return "json"
    # The last one counts, as for click.
    words = itertools.pairwise([*before, ""])
    values = [value if word == "--format" else word for word, value in words if word.split("=")[0] == "--format"]
    values = [value.removeprefix("--format=") for value in values]
    return next((form for form in FORMATS if form in values[-1:]), "text")
