"""The entry points of the command line, importable without loading the program."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Final

_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments`, by default those of the process, and return its exit code."""
    if arguments is None:
        # The process is short and makes few cycles. Python would search for them after every 700 new objects.
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        # Modules leave no garbage, and to search for it while they load takes 10 ms. `Command.invoke` enables it.
        gc.disable()
    try:
        # Import inside the try, so that Ctrl-C during start-up exits cleanly.
        from registry_pipeline.cli.invoke import run  # noqa: PLC0415
    except KeyboardInterrupt:
        return 130
    code = run(arguments)
    if arguments is None and "_duckdb" not in sys.modules:  # duckdb reports objects that are not collected as leaks
        # The process ends here. Without this the interpreter searches every loaded module for cycles first (15 ms).
        gc.freeze()
    return code


def add_entry(arguments: Sequence[str] | None = None) -> int:
    """Run `registry_add_entry`, which is `registry-pipeline entries add` under its former name."""
    return main(["entries", "add", *(sys.argv[1:] if arguments is None else arguments)])
