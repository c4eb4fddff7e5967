"""Sealed run folders for any Dagster project: an IO manager, two asset checks and a component.

Needs no registry-pipeline.toml. Imports Dagster, `runs`, `schema` and the packages below them; never the
configuration, the registries or the pipeline. Reference: docs/reference/dagster-package.md.
"""

from registry_pipeline.dagster.checks import schema_check, seal_check
from registry_pipeline.dagster.component import RegistryComponent
from registry_pipeline.dagster.io_manager import SealedFolderIOManager
from registry_pipeline.dagster.sealed_value import CsvTable

__all__ = ["CsvTable", "RegistryComponent", "SealedFolderIOManager", "schema_check", "seal_check"]
