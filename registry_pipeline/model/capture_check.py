"""The result of checking a source before it is captured, shared by the packages that cannot import each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.model.finding import Finding
from registry_pipeline.values import field, value_type

COMPARISON: Final = "comparison"
"""The key of run.json under which a run records its check."""


@value_type
class CaptureCheck:
    """What a check found in a source.

    Attributes:
        unusable: why the source cannot be captured at all; empty where it can.
        findings: everything that the check found, with the severities that decide.
        record: what run.json keeps of the check under `comparison`.
    """

    unusable: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
