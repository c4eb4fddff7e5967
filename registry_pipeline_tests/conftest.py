from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline_tests.captured_sources import write_captured_sources
from registry_pipeline_tests.known_answers.make_repo import main as make_known_repository
from registry_pipeline_tests.laws import register_profiles
from registry_pipeline_tests.memory_disk import use_memory_disk

register_profiles()

# Python's own number is 700, which is little beside the objects of Dagster.
GARBAGE_THRESHOLD: Final = 20_000


def pytest_configure() -> None:
    use_memory_disk()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage among the tests, which stay until the end: it took a fifth of the time of finding them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from registry_pipeline_tests.scheduling import GroupScheduling

    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)  # after pytest has put the tests of a parametrized fixture together
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # only a worker of pytest-xdist has it
        from registry_pipeline_tests.scheduling import sort_items

        sort_items(items)


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
