"""The command line, one of two doors to the runbook (SPEC 6 and 8).

Holds the click commands, one file a verb in `verbs`; the global options; the exit codes; and the one reporter through
which every verb answers, as text, as JSON or as GitHub annotations. Keeps out rules (the runbook has them), the other
door (no verb imports Dagster or pandas), and imports at start that a verb may not need.
May import the runbook and everything below it; `ui` starts the processes of Dagster.
"""

from __future__ import annotations
