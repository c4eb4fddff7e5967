from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from registry_pipeline_tests.captured_sources import write_captured_sources
from registry_pipeline_tests.known_answers.make_repo import main as make_known_repository
from registry_pipeline_tests.laws import register_profiles

register_profiles()


SERVERS = (
    "cli/test_ui.py",
    "defs/test_history_served.py",
    "defs/test_served.py",
    "defs/test_strain_daemon.py",
)


class ServersOnOneWorker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give each test to the next free worker, and all tests that start Dagster's servers to one worker, as the first.

    They mostly wait, so that `make test` has one worker more than processors. xdist's own `xdist_group` marks have no
    effect under this pytest: it no longer reads the node ids that they rewrite.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].removeprefix("registry_pipeline_tests/")
        return "servers" if file in SERVERS else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ServersOnOneWorker:
    return ServersOnOneWorker(config, log)


@pytest.fixture(scope="session", autouse=True)
def _hear_interrupts() -> Iterator[None]:
    """Restore Ctrl-C, which a shell switches off for `make test &` and which every process started here inherits."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def known_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of the known answers with a source for every capture; copy it before you change anything."""
    root = tmp_path_factory.mktemp("known") / "repository"
    make_known_repository(str(root))
    write_captured_sources(root)
    return root
