"""`entries`: the registries of modules, routes, abilities and hooks, by the scripts that write them (SPEC 10).

One file a verb. Keeps out rules: `runbook.entries` has them.
"""

from __future__ import annotations

from registry_pipeline.cli.group import CommandGroup

command = CommandGroup(
    name="entries",
    help="""Registry entries: modules, routes, abilities and hooks in YAML files.

    Every change goes through these verbs: they check an entry against its schema and against the other registries,
    write all files of a change or none, and leave the lines of other entries as they are.
    """,
    verbs={
        "add": "Add or update entries.",
        "remove": "Remove entries.",
        "check": "Check all registry entries.",
        "list": "List registry entries.",
        "rules": "Print the rules between the registries.",
    },
    package="registry_pipeline.cli.commands.entries",
)
