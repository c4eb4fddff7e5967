from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline_tests.known_answers.make_repo import main as make_known_repository


@pytest.fixture(scope="session")
def known_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of the known answers, as its generator wrote it; copy it before you change anything."""
    root = tmp_path_factory.mktemp("known") / "repository"
    make_known_repository(str(root))
    return root
