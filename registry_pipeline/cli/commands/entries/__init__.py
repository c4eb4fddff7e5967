"""The command group `entries`, with one module for each command; rules belong in `registries.entries`."""

from __future__ import annotations

from registry_pipeline.cli.group import CommandGroup

command = CommandGroup(
    name="entries",
    help="""Registry entries: modules, routes, abilities and hooks in YAML files.

    Change registries by these commands. They check an entry against its schema and against the other registries,
    write all files of a change or none, and keep the lines of other entries.
    """,
    help_lines={
        "add": "Add or update entries.",
        "remove": "Remove entries.",
        "check": "Check all registry entries.",
        "list": "List registry entries.",
        "rules": "Print the rules between the registries.",
    },
    package="registry_pipeline.cli.commands.entries",
)
