"""The RR codes: how the role registry (SPEC 9) can fail. `model.codes` joins them to the one table."""

from __future__ import annotations

from typing import Final

from registry_pipeline.model.finding import Severity

ROWS: Final[tuple[tuple[str, Severity, str, str, str], ...]] = ()
"""A row is a code, its severity, its clause, its message and its hint."""
