"""Verify every case with a time limit: python -m registry_pipeline_tests.runs.watchdog SCRATCH SECONDS.

A case that takes longer ends the process with status 1 and the stack of where it hung.
"""

from __future__ import annotations

import faulthandler
import sys
import tempfile
from pathlib import Path

from registry_pipeline_tests.cases.layout import find_cases
from registry_pipeline_tests.runs.case_specs import verify_case


def main(scratch: str, seconds: str) -> None:
    """Print one line a case: its name and its verdict."""
    for case in find_cases("seal"):
        faulthandler.dump_traceback_later(float(seconds), exit=True)
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            print(case.name, verify_case(case, Path(place)).verdict, flush=True)  # noqa: T201 -- its caller reads it
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
