"""`run-index`: what happened in a run, and what it made (SPEC 11).

Holds the verbs of the noun. Keeps out rules. May import `cli`, `runbook`, `run_index`, `config` and below.
"""

from registry_pipeline.cli.group import VerbGroup

command = VerbGroup(
    name="run-index",
    help=(
        "Append to the run index, ask it, check it, merge it.\n\n"
        "One record a run, appended and never edited; a later record of a run adds to it or names what it corrects."
    ),
    verbs=(
        "start",
        "finish",
        "append",
        "show",
        "list",
        "failed-uniqueness",
        "latest",
        "check",
        "merge",
        "rules",
    ),
    package="registry_pipeline.cli.verbs.run_index",
)
