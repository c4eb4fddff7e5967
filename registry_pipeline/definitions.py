"""Dagster's code location: everything that it shows and runs."""

from __future__ import annotations

from registry_pipeline.defs.build import build_defs

defs = build_defs()
