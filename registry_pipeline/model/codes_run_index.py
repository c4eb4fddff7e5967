"""The RI codes: how the run index and the overrides log can fail (SPEC 11). `model.codes` joins them to its table."""

from __future__ import annotations

from typing import Final

from registry_pipeline.model.finding import Severity

ROWS: Final[tuple[tuple[str, Severity, str, str, str], ...]] = ()
"""A row is a code, its severity, its clause, its message and its hint."""
