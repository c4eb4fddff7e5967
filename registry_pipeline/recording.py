"""Record a part of a Python program as a sealed run.

    from registry_pipeline.recording import open_run

    with open_run(operation="OP-A01") as run:
        (run.path / "result.txt").write_text("17 orders")
    print(run.published.run_id)

The code is in `registry_pipeline.pipeline.recorded_run`; this module is the public import path. The command
`registry-pipeline record` does the same for a command.
"""

from __future__ import annotations

from registry_pipeline.pipeline.recorded_run import OpenRun, open_run
from registry_pipeline.runs.writer import PublishedFolder

__all__ = ["OpenRun", "PublishedFolder", "open_run"]
