"""The commands' common shape: verbs loaded when they are called, global options on both sides, examples in the help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from registry_pipeline.cli.exit_codes import MEANINGS, ExitCode
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.settings import global_options, settings_of

PROGRAM: Final = "registry-pipeline"
VERBS: Final = {
    "init": "Make a repository, or a plain folder, a governed one.",
    "example": "Make the example governed repository in DIR.",
    "build": "Build, seal, validate and activate registries.",
    "verify": "Verify sealed runs, byte for byte.",
    "activate": "Put RUN in force for REGISTRY.",
    "rollback": "Undo an activation.",
    "mark-bad": "Mark a run bad, for good.",
    "status": "Tell what is active, whether it holds, and what to do next.",
    "log": "List activations and builds, the newest first.",
    "show": "Show one run and who put it in force.",
    "runs": "List runs from the active run registry.",
    "diff": "Show what leads from one run to another.",
    "doctor": "Tell what is wrong, and mend it with --fix.",
    "anchor": "Print the hash of the chain's head.",
    "registries": "List the registries.",
    "roles": "Check and extend the role pack.",
    "entries": "Registry entries: modules, routes, abilities and hooks in YAML files.",
    "run-index": "Append to the run index, query it, check it, merge it.",
    "overrides": "Append to the overrides log, list it, check it, merge it.",
    "explain": "Explain the CODE of a finding, or list every code.",
    "ui": "Start the pages of Dagster for this repository.",
}
"""Every verb and noun with its line of help, in the order in which people meet them.

Each is `command` in the module of its name under `verbs`, with `_` for `-`; the verbs of a noun are modules of its
package. The help of a group is written from this table, so that it imports no verb.
"""


class Command(click.Command):
    """One verb: its own options, then the global ones, then examples that a test runs.

    `examples` are (arguments, what they do); the callback is given a `Reporter` and returns an exit code. An option of
    the verb's own takes the place of the global one of its name, behind the verb.
    """

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.examples = tuple(examples)
        self.own = len(self.params)
        taken = {name for param in self.params for name in param.opts}
        self.params += [each for each in global_options() if not taken.intersection(each.opts)]

    def invoke(self, ctx: click.Context) -> Any:
        """Call the verb with the one reporter of this command."""
        ctx.obj = Reporter(settings_of(ctx))
        return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and name the option that was meant where one is unknown."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            _unknown(ctx, "option", error.option_name, [name for param in self.params for name in param.opts])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options apart from the global ones."""
        _write_options(ctx, formatter, "Options", self.params[: self.own])
        _write_options(ctx, formatter, "Global options (before or after the verb)", self.get_params(ctx)[self.own :])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature is click's
        """Write the examples."""
        with formatter.section("Examples"):
            formatter.write_dl([(f"{PROGRAM} {arguments}", does) for arguments, does in self.examples], col_max=46)


@click.pass_context
def _show_help(ctx: click.Context) -> int | None:
    """Tell what there is, as a usage error, where no verb is named."""
    if ctx.invoked_subcommand is not None:
        return None
    click.echo(ctx.get_help(), err=True)
    return int(ExitCode.USAGE)


class CommandGroup(click.Group):
    """The program, or a noun with verbs of its own: a verb's module is imported when the verb is called.

    `verbs` maps each verb to its line of help, in the order in which people meet them; `package` is the one that holds
    their modules.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, str], package: str, **attributes: Any) -> None:
        shape: dict[str, Any] = {"params": [*global_options()], "callback": _show_help, "invoke_without_command": True}
        super().__init__(*args, **(shape | attributes))
        self.verbs = dict(verbs)
        self.package = package

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the verbs in the order in which people meet them."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the signature is click's
        """Return a verb, or None if there is none of that name."""
        if cmd_name not in self.verbs:
            return None
        verb = import_module(f"{self.package}.{cmd_name.replace('-', '_')}").command
        return verb if isinstance(verb, click.Command) else None

    def every_verb(self) -> Iterator[tuple[str, Command]]:
        """Yield each verb with the words that call it; those of a noun follow the noun's name."""
        for name in self.verbs:
            command = self.get_command(click.Context(self), name)
            if isinstance(command, CommandGroup):
                yield from ((f"{name} {words}", verb) for words, verb in command.every_verb())
            elif isinstance(command, Command):
                yield name, command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that is called, or name the one that was meant."""
        if args[0] not in self.verbs:
            _unknown(ctx, "verb", args[0], list(self.verbs))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and name the option that was meant where one is unknown."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            _unknown(ctx, "option", error.option_name, [name for param in self.params for name in param.opts])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature is click's
        """Write each verb with its line of help, without importing the verb."""
        limit = formatter.width - 6 - max(len(name) for name in self.verbs)
        rows = [(name, click.Command(name, help=line).get_short_help_str(limit)) for name, line in self.verbs.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs before the options."""
        self.format_commands(ctx, formatter)
        _write_options(ctx, formatter, "Global options (before or after the verb)", self.get_params(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the signature is click's
        """Write what the exit codes say."""
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


def _unknown(ctx: click.Context, kind: str, name: str, known: Sequence[str]) -> NoReturn:
    import difflib  # noqa: PLC0415 - for a mistyped word only

    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise click.UsageError(f"there is no {kind} {name}{meant}", ctx) from None


program = CommandGroup(
    name=PROGRAM,
    help="""A memory that can be trusted for repositories with many automated runs.

    Builds registries from run folders, seals them, validates them, and puts them in force by an explicit move of a
    pointer. What is active is what the pointer file names, never what is newest.
    """,
    verbs=VERBS,
    package="registry_pipeline.cli.commands",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(package_name=PROGRAM, prog_name=PROGRAM)(program)
