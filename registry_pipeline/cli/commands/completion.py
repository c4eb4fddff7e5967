"""`completion`: print the script that completes commands, options, registries, run ids and codes in a shell."""

from __future__ import annotations

import click

from registry_pipeline.cli.completion import SHELLS, make_completion_script
from registry_pipeline.cli.group import PROGRAM, command
from registry_pipeline.cli.reporter import Reporter


@command(
    "completion",
    ("completion bash", "the script for bash; see above how to install it"),
    ("completion fish", "the script for fish"),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(ctx: click.Context, reporter: Reporter, /, *, shell: str) -> int:
    """Print the completion script of a shell.

    It completes commands, options, registries, run ids and the codes that `explain` takes. For bash (4.4 or newer) add
    to ~/.bashrc, for zsh to ~/.zshrc after `compinit`: `eval "$(registry-pipeline completion bash)"`, with the name
    of the shell. For fish: `registry-pipeline completion fish > ~/.config/fish/completions/registry-pipeline.fish`.
    """
    script = f"{make_completion_script(ctx.find_root().command, PROGRAM, shell).strip()}\n"
    if reporter.settings.format == "text":
        reporter.print_bytes(script.encode())
    else:
        reporter.print_result({"shell": shell, "script": script}, (), lambda _page: None)
    return 0
