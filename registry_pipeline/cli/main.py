"""The command line, one of two doors to the runbook (SPEC 6 and 8).

Holds the click commands, one file a verb in `verbs`; the global options; the exit codes; and the one reporter through
which every verb answers, as text, as JSON or as GitHub annotations. Keeps out rules (the runbook has them), the other
door (no verb imports Dagster or pandas), and imports at start that a verb may not need.
May import the runbook and everything below it; `ui` starts the processes of Dagster.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` are those of the process if not given."""
    try:
        from registry_pipeline.cli.invoke import run  # noqa: PLC0415 - Ctrl-C is heard while the program loads, too
    except KeyboardInterrupt:
        return 130
    code = run(arguments)
    if arguments is None:
        # The process ends here. Without this the interpreter searches every loaded module for cycles first (15 ms).
        gc.freeze()
    return code


def add_entry(arguments: Sequence[str] | None = None) -> int:
    """Run `registry_add_entry`, the seed's script (003, 4.3): `registry-pipeline entries add` by another name."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return main(["entries", "add", *words])
