"""The classes of commands and of groups, which import a command when it is called."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from registry_pipeline.cli.exit_codes import MEANINGS, ExitCode
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.settings import make_global_options, read_settings
from registry_pipeline.findings.finding import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM: Final = "registry-pipeline"
_GLOBAL_TITLE: Final = "Global options (before or after the command)"


class _SuggestingCommand(click.Command):
    """A command that suggests an option for a misspelt one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            _refuse_unknown(ctx, "option", error.option_name, [name for param in self.params for name in param.opts])


class Command(_SuggestingCommand):
    """A command: its own options, the global ones, and examples (arguments, what they do) that a test runs.

    A failure of the command has at least the exit code `lowest_failure_code`.
    """

    def __init__(
        self, *args: Any, examples: Sequence[tuple[str, str]] = (), lowest_failure_code: int = 0, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.examples = tuple(examples)
        self.lowest_failure_code = lowest_failure_code
        self._own_count = len(self.params)
        # An own option replaces the global option of its name.
        own_names = {name for param in self.params for name in param.opts}
        self.params += [option for option in make_global_options() if not own_names.intersection(option.opts)]

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command with a new reporter; raise UsageError if the global options contradict each other."""
        gc.enable()
        ctx.obj = Reporter(read_settings(ctx))
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the global ones."""
        _write_options(ctx, formatter, "Options", self.params[: self._own_count])
        _write_options(ctx, formatter, _GLOBAL_TITLE, self.get_params(ctx)[self._own_count :])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature is click's
        """Write the examples."""
        with formatter.section("Examples"):
            formatter.write_dl([(f"{PROGRAM} {arguments}", does) for arguments, does in self.examples], col_max=46)


def command(name: str, *examples: tuple[str, str], **attributes: Any) -> Callable[[Callable[..., int]], Command]:
    """Make a function a command; its first argument is the reporter, the others are the options.

    `attributes` are further arguments of `Command`.
    """

    def decorate(function: Callable[..., int]) -> Command:
        return click.command(name, cls=Command, examples=examples, **attributes)(click.pass_obj(function))

    return decorate


@click.pass_context
def _show_help(ctx: click.Context) -> int | None:
    # A group without a command is a usage error, answered with the help text.
    if ctx.invoked_subcommand is not None:
        return None
    click.echo(ctx.get_help(), err=True)
    return int(ExitCode.USAGE)


class CommandGroup(_SuggestingCommand, click.Group):
    """The program or a group of commands, with their lines of help. A module is imported when its command is called."""

    def __init__(self, *args: Any, members: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        defaults: dict[str, Any] = {"callback": _show_help, "invoke_without_command": True}
        super().__init__(*args, **({"params": make_global_options()} | defaults | attributes))
        self.help_lines = {name: line for name, (_, line) in members.items()}
        self._places = {name: place for name, (place, _) in members.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of the commands."""
        return list(self.help_lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the signature is click's
        """Import and return a command, or return None if the name is unknown."""
        if cmd_name not in self._places:
            return None
        module, attribute = self._places[cmd_name].split(":")
        command = getattr(import_module(f"registry_pipeline.cli.{module}"), attribute)
        return command if isinstance(command, click.Command) else None

    def all_commands(self) -> Iterator[tuple[str, Command]]:
        """Import and yield each command with its full name, such as `roles check`."""
        for name in self.help_lines:
            command = self.get_command(click.Context(self), name)
            if isinstance(command, CommandGroup):
                yield from ((f"{name} {subname}", subcommand) for subname, subcommand in command.all_commands())
            elif isinstance(command, Command):
                yield name, command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, without importing them, and options that start with `incomplete`."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for a completion

        names = [name for name in self.help_lines if name.startswith(incomplete)]
        items = [CompletionItem(name, help=self.help_lines[name]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the called command as click does; raise UsageError with a suggestion for an unknown name."""
        if args[0] not in self.help_lines:
            _refuse_unknown(ctx, "command", args[0], self.help_lines)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, without importing them, then the options."""
        limit = formatter.width - 6 - max(len(name) for name in self.help_lines)
        lines = self.help_lines.items()
        rows = [(name, click.Command(name, help=line).get_short_help_str(limit)) for name, line in lines]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        _write_options(ctx, formatter, _GLOBAL_TITLE, self.get_params(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature is click's
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


def _write_options(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, params: Sequence[click.Parameter]
) -> None:
    options = [param for param in params if isinstance(param, click.Option)]
    records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def _refuse_unknown(ctx: click.Context, kind: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise UsageError for a name that is not in `known`, with the most similar known name."""
    suggestion = did_you_mean(name, known)
    question = f"; did you mean {suggestion}?" if suggestion else ""
    raise click.UsageError(f"unknown {kind} {name}{question}", ctx) from None
