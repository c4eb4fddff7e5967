"""The global options: told before or after the verb, gathered into one frozen value (SPEC 8)."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.param_types import UtcText
from registry_pipeline.values import value_type

Format = Literal["text", "json", "github"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json", "github")
_KEY: Final = "registry_pipeline.global_options"
_AHEAD: Final = timedelta(days=1)
"""So far the clocks of two machines may differ before an instant counts as one of the future."""


@value_type
class Settings:
    """How a command was asked to run. `now` is the clock of the whole command, UTC with whole seconds."""

    repo: Path | None
    format: Format
    verbosity: int
    now: datetime
    color: bool

    @property
    def quiet(self) -> bool:
        """Only errors are told."""
        return self.verbosity < 0


def _tell(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Remember an option where the other side of the verb finds it; what is not said overrides nothing."""
    if value:
        told, name = ctx.meta.setdefault(_KEY, {}), str(param.name)
        told[name] = told.get(name, 0) + value if name in ("verbose", "quiet") else value


def remember_format(ctx: click.Context, form: Format) -> None:
    """Take the word of a verb's own `--format` as the global one's (decision 13)."""
    ctx.meta.setdefault(_KEY, {})["format_"] = form


def global_options() -> list[click.Option]:
    """Return the options that every command takes, new each time as click wants them."""
    return [
        _option("-C", "--repo", metavar="DIR", type=click.Path(path_type=Path), help="The governed repository."),
        _option("--json", "as_json", is_flag=True, help="The same as --format json."),
        _option(
            "--format", "format_", type=click.Choice(FORMATS), help="How to answer; json is one document on stdout."
        ),
        _option("-q", "--quiet", count=True, help="Tell errors only."),
        _option("-v", "--verbose", count=True, help="Tell more; show the traceback of a failure."),
        _option("--now", metavar="UTC", type=UtcText(), help="The clock of this command, as 2026-03-01T12:00:00Z."),
        _option("--allow-future", is_flag=True, help="Take a --now that is more than a day ahead of the system clock."),
        _option("--no-color", is_flag=True, help="No colours; so does NO_COLOR in the environment."),
    ]


def _option(*names: str, **attributes: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_tell, **attributes)


def settings_of(ctx: click.Context) -> Settings:
    """Return the settings of a command, once its options before and after the verb are parsed."""
    told = ctx.meta.get(_KEY, {})
    if told.get("as_json") and told.get("format_", "json") != "json":
        raise click.UsageError(f"--json contradicts --format {told['format_']}", ctx)
    system_clock = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the only place where it is read
    now: datetime = told.get("now", system_clock)
    if now - system_clock > _AHEAD and not told.get("allow_future"):
        raise click.UsageError(
            f"--now {utc_text(now)} is more than a day ahead of the system clock, {utc_text(system_clock)}; "
            "add --allow-future if that is what you want: runs with a later stamp supersede those of today",
            ctx,
        )
    return Settings(
        repo=told.get("repo"),
        format="json" if told.get("as_json") else told.get("format_", "text"),
        verbosity=told.get("verbose", 0) - told.get("quiet", 0),
        now=now,
        color=not (told.get("no_color") or os.environ.get("NO_COLOR")),
    )


def requested_format(arguments: list[str]) -> Format:
    """Return the format that was asked for, where the arguments could not be parsed."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in before:
        return "json"
    pairs = [word.partition("=")[::2] for word in before if word.startswith("--format=")]
    pairs += [(one, two) for one, two in itertools.pairwise(before) if one == "--format"]
    told = pairs[-1][1] if pairs else "text"
    return next((known for known in FORMATS if known == told), "text")
