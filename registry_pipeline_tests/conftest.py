from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline_tests.captured_sources import write_captured_sources
from registry_pipeline_tests.known_answers.make_repo import main as make_known_repository


@pytest.fixture(scope="session")
def known_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of the known answers with a source for every capture; copy it before you change anything."""
    root = tmp_path_factory.mktemp("known") / "repository"
    make_known_repository(str(root))
    write_captured_sources(root)
    return root
