"""The mean height of each station, as a sealed DataFrame."""

from pathlib import Path

import dagster as dg
import pandas as pd

from registry_pipeline.dagster import CsvTable, SealedFolderIOManager, seal_check

_PROJECT = Path(__file__).resolve().parents[3]


@dg.asset(group_name="harbour", io_manager_key="sealed_io")
def mean_heights(stations: CsvTable) -> pd.DataFrame:
    """The mean height of each station, in metres."""
    readings = pd.DataFrame(stations.records()).astype({"height": "float64"})
    return readings.groupby("station")[["height"]].mean()


@dg.definitions
def defs() -> dg.Definitions:
    """Return the asset with its check and its IO manager."""
    return dg.Definitions(
        assets=[mean_heights],
        asset_checks=[seal_check(mean_heights)],
        resources={"sealed_io": SealedFolderIOManager(base_dir=str(_PROJECT / "sealed"))},
    )
