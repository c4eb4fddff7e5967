"""Runs of drift_signals_daily: how they are launched for days, and what they made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagster import AssetKey, AssetMaterialization, ExecuteInProcessResult

from registry_pipeline.pipeline.day_runs import DAILY
from registry_pipeline_tests.defs.conftest import DagsterRepo

FORCE = {"ops": {DAILY: {"config": {"force": True}}}}


def span(first: str, last: str) -> dict[str, Any]:
    """Return the tags of a run that backfills several days."""
    return {"tags": {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}}


def pages(result: ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the metadata of each partition's materialization; a partition has one in a run."""
    events = result.asset_materializations_for_node(DAILY)
    days = {str(event.partition): event for event in events}
    assert len(days) == len(events)
    return {day: {name: value.value for name, value in event.metadata.items()} for day, event in days.items()}


def read_events(repo: DagsterRepo) -> Sequence[AssetMaterialization]:
    """Return all materializations of the asset in the event log, the oldest first."""
    records = repo.instance.fetch_materializations(AssetKey(DAILY), limit=500, ascending=True).records
    return [record.asset_materialization for record in records if record.asset_materialization is not None]
