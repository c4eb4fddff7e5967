"""What starts rebuilds: the schedule, or the conditions of the assets, as the automation sensor evaluates them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import AssetSelection, AutomationConditionSensorDefinition, evaluate_automation_conditions

from registry_pipeline.config import CONFIG_NAME
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.sources import make_source_key
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.sources import list_sources
from registry_pipeline_tests.defs.conftest import REGISTRIES, DagsterRepo, troubles

OBSERVED = {make_source_key(name, Location()).to_user_string() for name in list_sources(SHIPPED)}
EXPECTED_VERSIONS = "docs/governance/EXPECTED_VERSIONS_v0_1.json"


def configure(repo: DagsterRepo, rebuild: str) -> DagsterRepo:
    """Return a repository whose toml says what starts its rebuilds."""
    toml = repo.repository.root / CONFIG_NAME
    toml.write_text(f'{toml.read_text() if toml.exists() else ""}\n[dagster]\nrebuild = "{rebuild}"\n')
    return dataclasses.replace(repo, definitions=build_defs(repo.repository.root))


def _round_up(now: datetime) -> datetime:
    rounded = now.replace(minute=now.minute // 5 * 5, second=5) + timedelta(minutes=5)
    # At 03:00 the night begins, which only `next_night` may pass.
    return rounded + timedelta(minutes=5) if (rounded.hour, rounded.minute) == (2, 55) else rounded


@dataclass
class Ticks:
    """The automation sensor of a repository, with a clock of its own."""

    repo: DagsterRepo
    # Dagster's events have the present time. No tick but that after five minutes may pass a multiple of five minutes.
    now: datetime = field(default_factory=lambda: _round_up(datetime.now(UTC)))  # noqa: TID251 - see above
    cursor: Any = None

    def next(self, after: timedelta = timedelta(seconds=30)) -> set[str]:
        """Evaluate all conditions after some time, and return the assets that are requested."""
        self.now += after
        result = evaluate_automation_conditions(
            defs=self.repo.definitions,
            instance=self.repo.instance,
            cursor=self.cursor,
            evaluation_time=self.now,
            asset_selection=AssetSelection.all() | AssetSelection.assets(*OBSERVED),
        )
        self.cursor = result.cursor
        return {each.key.to_user_string() for each in result.results if each.true_subset.size}

    def next_night(self) -> set[str]:
        night = self.now.replace(hour=3, minute=0, second=5) + timedelta(days=1)
        return self.next(night - self.now)


def test_by_default_a_schedule_starts_rebuilds_and_no_asset_has_a_condition(fresh: DagsterRepo) -> None:
    graph = fresh.definitions.resolve_asset_graph()
    names = [schedule.name for schedule in fresh.definitions.schedules or ()]

    assert "daily_rebuild_schedule" in names
    assert [key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition is not None] == []


@pytest.mark.parametrize("rebuild", ["on_cron", "eager"])
def test_conditions_replace_the_schedule(fresh: DagsterRepo, rebuild: str) -> None:
    definitions = configure(fresh, rebuild).definitions

    assert "daily_rebuild_schedule" not in [schedule.name for schedule in definitions.schedules or ()]
    (sensor,) = [s for s in definitions.sensors or () if isinstance(s, AutomationConditionSensorDefinition)]
    assert sensor.name == "automation_sensor"


@pytest.mark.parametrize("rebuild", ["on_cron", "eager"])
def test_two_ticks_after_a_rebuild_request_nothing(activated: DagsterRepo, rebuild: str) -> None:
    ticks = Ticks(configure(activated, rebuild))
    ticks.next()
    result = ticks.repo.rebuild()

    assert result.success, troubles(result)
    assert (ticks.next(), ticks.next()) == (set(), set())


def test_every_night_all_sources_are_observed_and_all_registries_built_once(rebuilt: DagsterRepo) -> None:
    ticks = Ticks(configure(rebuilt, "on_cron"))
    ticks.next()

    assert ticks.next_night() == {*REGISTRIES, *OBSERVED}
    assert ticks.next() == set()
    assert ticks.next_night() == {*REGISTRIES, *OBSERVED}


def test_a_changed_source_is_observed_and_what_is_built_from_it_is_built_again(activated: DagsterRepo) -> None:
    ticks = Ticks(configure(activated, "eager"))
    ticks.next()
    assert ticks.repo.rebuild().success
    assert ticks.repo.execute_request(ticks.repo.requested()).success
    ticks.next()
    document = ticks.repo.repository.root / EXPECTED_VERSIONS
    document.write_text(document.read_text() + "\n")

    observed = ticks.next(timedelta(minutes=5))
    ticks.repo.materialize(*observed)
    requested = ticks.next()

    assert observed == OBSERVED
    assert {"expected_versions", "drift_signals"} <= requested
    assert "role_registry" not in requested
    assert ticks.repo.materialize(*requested).success
    assert set(ticks.repo.asked_for()) == requested
    assert (ticks.next(), ticks.next()) == (set(), set())


def test_what_is_built_from_a_capture_does_not_wait_for_a_source_that_never_existed(fresh: DagsterRepo) -> None:
    (fresh.repository.root / EXPECTED_VERSIONS).unlink()
    ticks = Ticks(configure(fresh, "eager"))
    ticks.next()
    assert ticks.repo.rebuild().success
    ticks.next()
    (ticks.repo.repository.root / ".codex/RUNS/2026-03-02__080000__a_new_run").mkdir()

    ticks.repo.materialize(*ticks.next(timedelta(minutes=5)))

    assert {"run_registry", "op_status_table", "drift_signals"} <= ticks.next()
