"""A repository with some weeks of history, and days built in it with a fixed clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.daily import SealedDay, build_days
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.histories import HistoryRepository, make_historic

DRIFT, TABLE = "DRIFT_SIGNALS_v0_1.json", "OPERATION_STATUS_TABLE_v0_1.json"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = date(2026, 2, 12)


@dataclass(frozen=True)
class Past:
    """The repository of `histories`, and days built in it with a fixed clock."""

    historic: HistoryRepository

    @property
    def root(self) -> Path:
        return self.historic.root

    @property
    def repository(self) -> Repository:
        return load_repository(self.root)

    def build(
        self,
        *days: date,
        minutes: int = 0,
        force: bool = False,
        dagster: str | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> list[SealedDay]:
        run = BuildRun(NOW + timedelta(minutes=minutes), GitState(None, None), dagster)
        return list(build_days(self.repository, run, days, force=force, is_cancelled=is_cancelled))

    def folder(self, day: SealedDay) -> Path:
        return self.root / day.run.ref.run_root / day.run.ref.run_id

    def read(self, day: SealedDay, name: str) -> Any:
        return json.loads((self.folder(day) / name).read_bytes())

    def names(self) -> set[str]:
        return {entry.name for entry in self.repository.publish_root.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> HistoryRepository:
    return make_historic(tmp_path_factory.mktemp("history") / "repository")


@pytest.fixture
def past(made: HistoryRepository, tmp_path: Path) -> Iterator[Past]:
    with copied_repository(made.root, tmp_path / "repository") as root:
        yield Past(HistoryRepository(root, made.commits))


def every_day(first: date, last: date) -> list[date]:
    return [first + timedelta(days=count) for count in range((last - first).days + 1)]
