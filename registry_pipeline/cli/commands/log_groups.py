"""The groups `run-index` and `overrides`, in a module of their own, so that their help imports no command."""

from __future__ import annotations

from registry_pipeline.cli.group import CommandGroup

run_index_group = CommandGroup(
    name="run-index",
    help=(
        "Append to the run index, query it, check it, merge it.\n\n"
        "One record a run, appended and never edited; a later record of a run adds to it or names what it corrects."
    ),
    members={
        "start": ("run_index:start_command", "Begin a run: create its id and write its run log."),
        "finish": ("run_index:finish_command", "End a run: append its final record from its run log."),
        "append": ("logs:run_index_append", "Append records to the run index."),
        "show": ("run_index_queries:show_command", "Show the records of a run."),
        "list": ("run_index_queries:list_command", "List runs of the index."),
        "failed-uniqueness": (
            "run_index_queries:failed_uniqueness_command",
            "List runs that failed a uniqueness check.",
        ),
        "latest": ("run_index_queries:latest_command", "Find the latest successful run."),
        "check": ("logs:run_index_check", "Check the run index."),
        "merge": ("logs:run_index_merge", "Merge the run indexes of two machines."),
        "rules": ("run_index:rules_command", "Print the rules of the run index and the overrides log."),
    },
)
overrides_group = CommandGroup(
    name="overrides",
    help=(
        "Append to the overrides log, list it, check it, merge it.\n\n"
        "An override allows one run to break one policy, until an update voids it."
    ),
    members={
        "append": ("logs:overrides_append", "Append overrides, or updates of them, to the overrides log."),
        "list": ("run_index_queries:list_overrides_command", "List the overrides."),
        "check": ("logs:overrides_check", "Check the overrides log."),
        "merge": ("logs:overrides_merge", "Merge the overrides logs of two machines."),
    },
)
