"""The command line: one of the two interfaces over the pipeline.

Contains the click commands (one file per command in `commands`), the global options, the exit codes and the reporter
that prints every result. Contains no rules and no import of Dagster or pandas. May import the pipeline and below.
"""

from __future__ import annotations
