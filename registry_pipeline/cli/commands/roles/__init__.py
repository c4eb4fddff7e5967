"""`roles`: the role pack, which only ever grows.

Holds the verbs of this noun, one a module. Keeps out rules: the runbook composes them. May import `runbook` and below.
"""

from __future__ import annotations

from registry_pipeline.cli.group import CommandGroup

command = CommandGroup(
    name="roles",
    help="""Check and extend the role pack.

    A published role_id never goes away, and the surface of a published contract never changes: what a role answers
    with changes by a new version of its contract beside the old one.
    """,
    short_help="Check and extend the role pack.",
    verbs={
        "check": "Check the role pack against what was published of it.",
        "bump": "Add the next version of a role's contract to the role pack.",
        "diagnostics": "Tell what checks of the role pack have found.",
        "rules": "Tell every rule of the role pack.",
    },
    package="registry_pipeline.cli.commands.roles",
)
