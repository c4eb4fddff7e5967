"""The group class of `run-index` and `overrides`, whose modules contain several commands each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from registry_pipeline.cli.group import CommandGroup

SHARED_COMMANDS = "registry_pipeline.cli.log_commands"
"""The module with the commands that both groups have."""


class LogGroup(CommandGroup):
    """A group that finds its commands in the `COMMANDS` of a module, by group and command, as in "overrides list".

    Attributes:
        modules: the module of each command.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(*args, package="", **attributes)
        self.modules = modules

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the signature is click's
        """Return a command, or None if the name is unknown."""
        module = self.modules.get(cmd_name)
        if module is None:
            return None
        command = import_module(module).COMMANDS[f"{self.name} {cmd_name}"]
        return command if isinstance(command, click.Command) else None
