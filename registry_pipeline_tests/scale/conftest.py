"""PostgreSQL and Redis once in a session; each test has a repository, a database and a queue of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline_tests.scale.deployment import Deployment, deploy
from registry_pipeline_tests.scale.servers import Postgres, Redis, run_postgres, run_redis


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def queue() -> Iterator[Redis]:
    with run_redis() as server:
        yield server


@pytest.fixture
def deployment(known_repository: Path, tmp_path: Path, postgres: Postgres, queue: Redis) -> Iterator[Deployment]:
    with deploy(known_repository, tmp_path / "repository", postgres, queue) as deployed:
        yield deployed
