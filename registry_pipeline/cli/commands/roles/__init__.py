"""`roles`: the commands of the role pack, one module each.

They parse options and print results; `registries.roles.service` does the work.
"""

from __future__ import annotations

from registry_pipeline.cli.group import CommandGroup

command = CommandGroup(
    name="roles",
    help="""Check and extend the role pack.

    A published role_id is permanent, and the surface of a published contract never changes. To change the output of a
    role, add a new version of its contract beside the old one.
    """,
    help_lines={
        "check": "Check the role pack against its published versions.",
        "bump": "Add the next version of a role's contract to the role pack.",
        "diagnostics": "List the violations that checks of the role pack found.",
        "rules": "List the rules of the role pack.",
    },
    package="registry_pipeline.cli.commands.roles",
)
