"""The `overrides` group. Contains its commands and their output, no rules. May import `cli`, `registries` and below."""

from __future__ import annotations

from registry_pipeline.cli.log_group import SHARED_COMMANDS, LogGroup

command = LogGroup(
    name="overrides",
    help=(
        "Append to the overrides log, list it, check it, merge it.\n\n"
        "An override allows one run to break one policy, until an update voids it."
    ),
    help_lines={
        "append": "Append overrides, or updates of them, to the overrides log.",
        "list": "List the overrides.",
        "check": "Check the overrides log.",
        "merge": "Merge the overrides logs of two machines.",
    },
    modules={
        **dict.fromkeys(("append", "check", "merge"), SHARED_COMMANDS),
        "list": f"{__name__}.list",
    },
)
