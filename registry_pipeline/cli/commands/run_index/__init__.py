"""`run-index`: what happened in a run, and what it made (SPEC 11).

Holds the verbs of the noun. Keeps out rules. May import `cli`, `runbook`, `run_index`, `config` and below.
"""

from __future__ import annotations

from registry_pipeline.cli.group import CommandGroup

command = CommandGroup(
    name="run-index",
    help=(
        "Append to the run index, ask it, check it, merge it.\n\n"
        "One record a run, appended and never edited; a later record of a run adds to it or names what it corrects."
    ),
    verbs={
        "start": "Begin a run: mint its id and write its run log.",
        "finish": "End a run: append its final record from its run log.",
        "append": "Append records to the run index.",
        "show": "Show what the index says of a run.",
        "list": "List runs of the index.",
        "failed-uniqueness": "List runs that failed a uniqueness check.",
        "latest": "Find the latest successful run.",
        "check": "Check the run index.",
        "merge": "Merge the run indexes of two machines.",
        "rules": "Print the rules of the run index and the overrides log.",
    },
    package="registry_pipeline.cli.commands.run_index",
)
