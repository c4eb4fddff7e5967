"""The program: every group and command, with the module that contains it and its line of help."""

from __future__ import annotations

from typing import Final

import click

from registry_pipeline.cli.group import PROGRAM, CommandGroup

COMMANDS: Final = {
    "init": ("commands.setup:init_command", "Set up a repository, or a plain folder."),
    "example": ("commands.example:example_command", "Make the example repository in DIR."),
    "build": ("commands.build:build_command", "Build, seal, validate and activate registries."),
    "verify": ("commands.verify:verify_command", "Verify sealed runs, byte for byte."),
    "seal": ("commands.seal:seal_command", "Seal run folders that other programs wrote."),
    "export": ("commands.archives:export_command", "Pack run folders into a verified archive."),
    "import": ("commands.archives:import_command", "Bring the run folders of an archive back."),
    "attest": ("commands.attest:attest_command", "Export a signed statement of where a run comes from."),
    "record": ("commands.record:record_run_command", "Run a command and record it as a sealed run."),
    "activate": ("commands.pointers:activate_command", "Activate a run of a registry."),
    "rollback": ("commands.pointers:rollback_command", "Undo an activation."),
    "mark-bad": ("commands.pointers:mark_bad_command", "Mark a run bad, permanently."),
    "status": ("commands.status:status_command", "Show active runs, whether they verify, and what to do next."),
    "overview": ("commands.overview:overview_command", "Show the health of several repositories on one page."),
    "report": ("commands.report:report_command", "Render the health report from the active runs."),
    "log": ("commands.inspect:log_command", "List activations and builds, the newest first."),
    "show": ("commands.inspect:show_command", "Show one run and who activated it."),
    "runs": ("commands.inspect:runs_command", "List runs from the active run registry."),
    "diff": ("commands.diff:diff_command", "Show the differences between two runs."),
    "doctor": ("commands.setup:doctor_command", "Show what is wrong, and repair it with --fix."),
    "anchor": ("commands.verify:anchor_command", "Print the hash of the last activation record."),
    "registries": ("commands.registries:registries_command", "List the registries."),
    "members": ("commands.members:members_command", "List the members of the collections."),
    "roles": ("program:roles_group", "Check and extend the role pack."),
    "entries": ("program:entries_group", "Registry entries: modules, routes, abilities and hooks in YAML files."),
    "run-index": ("program:run_index_group", "Append to the run index, query it, check it, merge it."),
    "overrides": ("program:overrides_group", "Append to the overrides log, list it, check it, merge it."),
    "explain": (
        "commands.explain:explain_command",
        "Explain a code or a printed word, or list every code.",
    ),
    "config": ("program:config_group", "Show and check the options of registry-pipeline.toml."),
    "completion": ("commands.completion:completion_command", "Print the completion script of a shell."),
    "ui": ("commands.ui:ui_command", "Start Dagster's web UI for this repository."),
}
"""Each command and group: "module:name" in `cli`, and its line of help, in the order in which users need them.

A test compares the lines with the help texts of the commands.
"""
program = CommandGroup(
    name=PROGRAM,
    help="""Keep verifiable registries of a repository with many automated runs.

    Builds registries from run folders, seals and validates them, and activates them by moving a pointer. The active
    run is always the one that the pointer file names, never just the newest.
    """,
    members=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(package_name=PROGRAM, prog_name=PROGRAM)(program)
config_group = CommandGroup(
    name="config",
    help="""Show and check the options of registry-pipeline.toml.

    Every option has a default; docs/reference/configuration.md describes all of them.
    """,
    members={
        "show": ("commands.config:show_command", "Show every option with its value and origin."),
        "check": ("commands.config:check_command", "Check registry-pipeline.toml."),
    },
)
roles_group = CommandGroup(
    name="roles",
    help="""Check and extend the role pack.

    A published role_id is permanent, and the surface of a published contract never changes. To change the output of a
    role, add a new version of its contract beside the old one.
    """,
    members={
        "check": ("commands.roles:check_command", "Check the role pack against its published versions."),
        "bump": ("commands.roles:bump_command", "Add the next version of a role's contract to the role pack."),
        "diagnostics": (
            "commands.roles:diagnostics_command",
            "List the violations that checks of the role pack found.",
        ),
        "rules": ("commands.explain:roles_rules_command", "List the rules of the role pack."),
    },
)
entries_group = CommandGroup(
    name="entries",
    help="""Registry entries: modules, routes, abilities and hooks in YAML files.

    Change registries by these commands. They check an entry against its schema and against the other registries,
    write all files of a change or none, and keep the lines of other entries.
    """,
    members={
        "add": ("commands.entries:add_command", "Add or update entries."),
        "remove": ("commands.entries:remove_command", "Remove entries."),
        "check": ("commands.entries:check_command", "Check all registry entries."),
        "list": ("commands.entries:list_command", "List registry entries."),
        "rules": ("commands.entries:rules_command", "Print the rules between the registries."),
    },
)
run_index_group = CommandGroup(
    name="run-index",
    help=(
        "Append to the run index, query it, check it, merge it.\n\n"
        "One record a run, appended and never edited; a later record of a run adds to it or names what it corrects."
    ),
    members={
        "start": ("commands.run_index:start_command", "Begin a run: create its id and write its run log."),
        "finish": ("commands.run_index:finish_command", "End a run: append its final record from its run log."),
        "append": ("commands.logs:run_index_append", "Append records to the run index."),
        "show": ("commands.run_index_queries:show_command", "Show the records of a run."),
        "list": ("commands.run_index_queries:list_command", "List runs of the index."),
        "failed-uniqueness": (
            "commands.run_index_queries:failed_uniqueness_command",
            "List runs that failed a uniqueness check.",
        ),
        "latest": ("commands.run_index_queries:latest_command", "Find the latest successful run."),
        "check": ("commands.logs:run_index_check", "Check the run index."),
        "merge": ("commands.logs:run_index_merge", "Merge the run indexes of two machines."),
        "rules": ("commands.run_index:rules_command", "Print the rules of the run index and the overrides log."),
    },
)
overrides_group = CommandGroup(
    name="overrides",
    help=(
        "Append to the overrides log, list it, check it, merge it.\n\n"
        "An override allows one run to break one policy, until an update voids it."
    ),
    members={
        "append": ("commands.logs:overrides_append", "Append overrides, or updates of them, to the overrides log."),
        "list": ("commands.run_index_queries:list_overrides_command", "List the overrides."),
        "check": ("commands.logs:overrides_check", "Check the overrides log."),
        "merge": ("commands.logs:overrides_merge", "Merge the overrides logs of two machines."),
    },
)
