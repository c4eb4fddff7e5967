"""Dagster's code location: everything that it shows and runs.

Loading it prints one line on stderr, unless `registry-pipeline ui` or a run loads it: which repository it belongs to,
and which Dagster home is used.
"""

from __future__ import annotations

import multiprocessing
import os
import sys

from registry_pipeline.config import AUTOMATION_VARIABLE
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.start_message import format_start_message

automated = os.environ.get(AUTOMATION_VARIABLE) == "on"
defs = build_defs(automated=automated)
# The daemon of `ui` loads the code location every minute, and `ui` has printed the line itself. A run has a process of
# its own, which loads the code location again.
if not automated and multiprocessing.parent_process() is None:
    sys.stderr.write(f"{format_start_message(os.environ)}\n")
