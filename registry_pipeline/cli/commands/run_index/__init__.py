"""The `run-index` group. Contains its commands and their output, no rules. May import `cli`, `registries` and below."""

from __future__ import annotations

from registry_pipeline.cli.log_group import SHARED_COMMANDS, LogGroup

_QUERIES = f"{__name__}.queries"
_RUN_LOG = f"{__name__}.run_log"
command = LogGroup(
    name="run-index",
    help=(
        "Append to the run index, query it, check it, merge it.\n\n"
        "One record a run, appended and never edited; a later record of a run adds to it or names what it corrects."
    ),
    help_lines={
        "start": "Begin a run: create its id and write its run log.",
        "finish": "End a run: append its final record from its run log.",
        "append": "Append records to the run index.",
        "show": "Show the records of a run.",
        "list": "List runs of the index.",
        "failed-uniqueness": "List runs that failed a uniqueness check.",
        "latest": "Find the latest successful run.",
        "check": "Check the run index.",
        "merge": "Merge the run indexes of two machines.",
        "rules": "Print the rules of the run index and the overrides log.",
    },
    modules={
        **dict.fromkeys(("append", "check", "merge"), SHARED_COMMANDS),
        **dict.fromkeys(("show", "list", "failed-uniqueness", "latest"), _QUERIES),
        **dict.fromkeys(("start", "finish"), _RUN_LOG),
        "rules": f"{__name__}.rules",
    },
)
