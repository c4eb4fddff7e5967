"""Days of history under the drift rule `paths`: each by the commits up to its own, and no later ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.daily import build_days
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.histories import CATALOG, HistoryRepository, make_historic
from registry_pipeline_tests.registries.repositories import commit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def historic(tmp_path: Path) -> Iterator[HistoryRepository]:
    made = make_historic(tmp_path / "repository")
    toml = made.root / "registry-pipeline.toml"
    toml.write_text(f'op_drift = "paths"\n{toml.read_text()}')
    for name, at in (("one", "first"), ("two", "second"), ("three", "third")):
        place = made.root / ".codex/RUNS" / name / "run.json"
        place.write_text(json.dumps(json.loads(place.read_text()) | {"git_commit": made.commits[at]}))
    yield made
    make_removable(made.root)


def drift_by_day(root: Path, *days: date) -> list[dict[str, tuple[Any, list[str]]]]:
    repository = load_repository(root)
    made = build_days(repository, BuildRun(NOW, GitState(None, None)), days)
    tables = [json.loads(day.built.artifacts.files["OPERATION_STATUS_TABLE_v0_1.json"]) for day in made]
    return [{row["operation_id"]: (row["op_drift"], row["op_drift_reasons"]) for row in rows} for rows in tables]


def test_a_day_drifts_by_what_its_commits_touched(historic: HistoryRepository) -> None:
    before, after = date(2026, 2, 24), date(2026, 2, 25)
    commit(historic.root, {"jobs/one.py": "print(3)\n"}, at="2026-02-25T08:00:00Z")

    quiet, touched = drift_by_day(historic.root, before, after)

    assert quiet == {"OP-A01": (False, []), "OP-A02": (True, ["op_drift_last_run_dirty"])}
    assert touched == {"OP-A01": (True, ["op_drift_paths_touched"]), "OP-A02": (True, ["op_drift_paths_touched"])}


def test_a_later_commit_changes_no_earlier_day(historic: HistoryRepository) -> None:
    day = date(2026, 1, 30)
    first = drift_by_day(historic.root, day)
    commit(historic.root, {"jobs/one.py": "print(3)\n"}, at="2026-02-25T08:00:00Z")

    assert drift_by_day(historic.root, day) == first == [{"OP-A01": (False, [])}]


def test_what_git_has_only_later_is_not_known_before(historic: HistoryRepository) -> None:
    text = (historic.root / CATALOG).read_text().replace("jobs/one.py", "jobs/new.py")
    commit(historic.root, {CATALOG: text}, at="2026-02-24T08:00:00Z")
    commit(historic.root, {"jobs/new.py": "1\n"}, at="2026-02-25T08:00:00Z")

    before, after = drift_by_day(historic.root, date(2026, 2, 24), date(2026, 2, 25))

    assert before["OP-A01"] == (None, [])
    assert after["OP-A01"] == (True, ["op_drift_paths_touched"])
