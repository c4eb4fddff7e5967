"""Dagster's code location: everything that it shows and runs."""

from registry_pipeline.defs.build import build_defs

defs = build_defs()
