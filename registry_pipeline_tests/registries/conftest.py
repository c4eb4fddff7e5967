"""The repository of the known answers, made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline.config import Repository, load_repository
from registry_pipeline_tests.known_answers.make_repo import main as make_repo


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    root: Path = tmp_path_factory.mktemp("known_answers") / "repository"
    make_repo(str(root))
    return load_repository(root)
