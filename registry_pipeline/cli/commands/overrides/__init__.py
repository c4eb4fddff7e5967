"""`overrides`: what a person allowed a run that a policy forbids (SPEC 11).

Holds the verbs of the noun. Keeps out rules. May import `cli`, `runbook`, `run_index`, `config` and below.
"""

from __future__ import annotations

from registry_pipeline.cli.group import CommandGroup

command = CommandGroup(
    name="overrides",
    help=(
        "Append to the overrides log, list it, check it, merge it.\n\n"
        "An override allows one run one failing of a policy, until an update voids it."
    ),
    verbs={
        "append": "Append overrides, or updates of them, to the overrides log.",
        "list": "List the overrides.",
        "check": "Check the overrides log.",
        "merge": "Merge the overrides logs of two machines.",
    },
    package="registry_pipeline.cli.commands.overrides",
)
