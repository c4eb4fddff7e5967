from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from registry_pipeline_tests.captured_sources import write_captured_sources
from registry_pipeline_tests.known_answers.make_repo import main as make_known_repository

# How long an example takes says how busy the machine is, and nothing of the law.
settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


class DagsterOnOneWorker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give each test to whichever worker is free, and all tests of Dagster to one, so that no two servers stand.

    xdist's own `xdist_group` marks have no effect under this pytest: it no longer reads the node ids that they rewrite.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "dagster" if nodeid.startswith("registry_pipeline_tests/defs/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> DagsterOnOneWorker:
    return DagsterOnOneWorker(config, log)


@pytest.fixture(scope="session")
def known_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of the known answers with a source for every capture; copy it before you change anything."""
    root = tmp_path_factory.mktemp("known") / "repository"
    make_known_repository(str(root))
    write_captured_sources(root)
    return root
