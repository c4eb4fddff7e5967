from __future__ import annotations

from registry_pipeline_tests.cli.conftest import built_repository, home

__all__ = ["built_repository", "home"]
