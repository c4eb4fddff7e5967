"""The program: a group that imports a command when it is called, with help texts from a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from registry_pipeline.cli.exit_codes import MEANINGS, ExitCode
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.settings import global_options, read_settings
from registry_pipeline.findings.finding import did_you_mean

PROGRAM: Final = "registry-pipeline"
# Each command and group: "module:name" in `cli.commands`, and its line of help, in the order in which users need them.
# A test compares the lines with the help texts of the commands.
COMMANDS: Final = {
    "init": ("setup:init_command", "Set up a repository, or a plain folder."),
    "example": ("example:example_command", "Make the example repository in DIR."),
    "build": ("build:build_command", "Build, seal, validate and activate registries."),
    "verify": ("verify:verify_command", "Verify sealed runs, byte for byte."),
    "activate": ("pointers:activate_command", "Activate a run of a registry."),
    "rollback": ("pointers:rollback_command", "Undo an activation."),
    "mark-bad": ("pointers:mark_bad_command", "Mark a run bad, permanently."),
    "status": ("status:status_command", "Show active runs, whether they verify, and what to do next."),
    "log": ("inspect:log_command", "List activations and builds, the newest first."),
    "show": ("inspect:show_command", "Show one run and who activated it."),
    "runs": ("inspect:runs_command", "List runs from the active run registry."),
    "diff": ("diff:diff_command", "Show the differences between two runs."),
    "doctor": ("setup:doctor_command", "Show what is wrong, and repair it with --fix."),
    "anchor": ("pointers:anchor_command", "Print the hash of the last activation record."),
    "registries": ("inspect:registries_command", "List the registries."),
    "roles": ("roles:roles_group", "Check and extend the role pack."),
    "entries": ("entries:entries_group", "Registry entries: modules, routes, abilities and hooks in YAML files."),
    "run-index": ("run_index:run_index_group", "Append to the run index, query it, check it, merge it."),
    "overrides": ("overrides:overrides_group", "Append to the overrides log, list it, check it, merge it."),
    "explain": ("explain:explain_command", "Explain the CODE of a finding, or list every code."),
    "ui": ("ui:ui_command", "Start Dagster's web UI for this repository."),
}
_GLOBAL_TITLE: Final = "Global options (before or after the command)"


class _SuggestingCommand(click.Command):
    """A command that suggests an option for a misspelt one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            _refuse_unknown(ctx, "option", error.option_name, [name for param in self.params for name in param.opts])


class Command(_SuggestingCommand):
    """A command: its own options, the global ones, and examples (arguments, what they do) that a test runs."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.examples = tuple(examples)
        self._own_count = len(self.params)
        # An own option replaces the global option of its name.
        own_names = {name for param in self.params for name in param.opts}
        self.params += [option for option in global_options() if not own_names.intersection(option.opts)]

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command with its reporter."""
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


def command(name: str, *examples: tuple[str, str]) -> Callable[[Callable[..., int]], Command]:
    """Make a function a command; its first argument is the reporter, the others are the options."""

    def decorate(function: Callable[..., int]) -> Command:
        return click.command(name, cls=Command, examples=examples)(click.pass_obj(function))

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
        defaults: dict[str, Any] = {"params": global_options(), "callback": _show_help, "invoke_without_command": True}
        super().__init__(*args, **(defaults | attributes))
        self.help_lines = {name: line for name, (_, line) in members.items()}
        self._places = {name: place for name, (place, _) in members.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of the commands."""
        return list(self.help_lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the signature is click's
        """Return a command, or None if the name is unknown."""
        if cmd_name not in self._places:
            return None
        module, attribute = self._places[cmd_name].split(":")
        command = getattr(import_module(f"registry_pipeline.cli.commands.{module}"), attribute)
        return command if isinstance(command, click.Command) else None

    def all_commands(self) -> Iterator[tuple[str, Command]]:
        """Yield each command with its full name, such as `roles check`."""
        for name in self.help_lines:
            command = self.get_command(click.Context(self), name)
            if isinstance(command, CommandGroup):
                yield from ((f"{name} {subname}", subcommand) for subname, subcommand in command.all_commands())
            elif isinstance(command, Command):
                yield name, command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the called command, or suggest one for a misspelt name."""
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
    suggestion = did_you_mean(name, known)
    question = f"; did you mean {suggestion}?" if suggestion else ""
    raise click.UsageError(f"unknown {kind} {name}{question}", ctx) from None


program = CommandGroup(
    name=PROGRAM,
    help="""Keep verifiable registries of a repository with many automated runs.

    Builds registries from run folders, seals and validates them, and activates them by moving a pointer. The active
    run is always the one that the pointer file names, never just the newest.
    """,
    members=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(package_name=PROGRAM, prog_name=PROGRAM)(program)
