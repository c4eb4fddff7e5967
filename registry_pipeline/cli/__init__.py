"""The command line: options, output and exit codes. It contains no rules; those are in the pipeline and below."""

from __future__ import annotations
