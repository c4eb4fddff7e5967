"""The thirty operations of the example team, and how often each of them ran (one table, read by every document)."""

from __future__ import annotations

from typing import Final

from registry_pipeline.values import value_type

CODEX: Final = ".codex/RUNS"
REPORTS: Final = "reports/runs"


@value_type
class ExampleOption:
    """A group of operations, and how many days ago the team took it up."""

    title: str
    since_days: int


OPTIONS: Final = {
    "A": ExampleOption("gauge ingest", 120),
    "B": ExampleOption("derived series", 118),
    "C": ExampleOption("forecast", 101),
    "D": ExampleOption("publication", 93),
    "QA": ExampleOption("quality and governance", 109),
}


@value_type
class ExampleOperation:
    """One operation of the team.

    `level` is None where the coverage matrix has no row. `every_days` is the time between runs; `last_hours` is the
    age of the latest one, None where there is no run that names the operation. `earlier_root` is where it left its
    runs more than sixty days ago.
    """

    operation_id: str
    name: str
    job: str
    purpose: str
    level: str | None
    every_days: int
    last_hours: int | None
    last_dirty: bool = False
    earlier_root: str | None = None

    @property
    def option(self) -> str:
        """The option by which the catalog groups it."""
        return self.operation_id.removeprefix("OP-").rstrip("0123456789")

    @property
    def executable(self) -> str:
        """The bound executable."""
        return f"jobs/{self.job}.py"

    @property
    def run_root(self) -> str:
        """Where its runs are left today."""
        return REPORTS if self.option in ("D", "QA") else CODEX


_O = ExampleOperation
OPERATIONS: Final = (
    _O("OP-A01", "Gauge Readings Ingest", "gauge_ingest", "Read what the gauges sent.", "C4", 4, 4),
    _O("OP-A02", "Barometer Ingest", "barometer_ingest", "Read air pressure beside the gauges.", "C3", 6, 5),
    _O("OP-A03", "Wind Observations Ingest", "wind_ingest", "Read wind from the pier masts.", "C3", 6, 26),
    _O("OP-A04", "Station Directory Sync", "station_sync", "Compare stations with the directory.", "C2", 9, 33),
    _O("OP-A05", "Harbour Notices Ingest", "notice_ingest", "Read notices of the harbour master.", "C1", 12, 216),
    _O("OP-A06", "Late Readings Replay", "late_replay", "Take in readings that came late.", "C3", 11, 50),
    _O("OP-B01", "Spike Removal", "spike_removal", "Mark readings that no tide can make.", "C4", 7, 6),
    _O(
        "OP-B02", "Datum Correction", "datum_correction", "Bring heights to chart datum.", "C5", 12, 20, last_dirty=True
    ),
    _O("OP-B03", "Hourly Heights", "hourly_heights", "Reduce readings to hourly heights.", "C4", 7, 7),
    _O("OP-B04", "High And Low Waters", "high_low_waters", "Find the turns of the tide.", "C4", 8, 8),
    _O("OP-B05", "Surge Residuals", "surge_residuals", "Subtract the predicted tide.", "C3", 10, 34),
    _O("OP-B06", "Gap Filling", "gap_filling", "Fill short gaps from neighbours.", "C2", 14, 624),
    _O("OP-B07", "Threshold Pack Release", "pack_release", "Publish a pack of limits.", "C3", 30, 384),
    _O("OP-B08", "Series Validation", "series_validation", "Check derived series.", "C4", 9, 12, earlier_root=REPORTS),
    _O("OP-C01", "Harmonic Constants Fit", "harmonic_fit", "Fit the constants of each station.", "C3", 28, 960),
    _O("OP-C02", "Tide Prediction", "tide_prediction", "Predict tides for the coming weeks.", "C5", 8, 9),
    _O("OP-C03", "Surge Forecast", "surge_forecast", "Forecast surge from pressure and wind.", "C3", 9, 36),
    _O("OP-C04", "Forecast Backtest", "forecast_backtest", "Compare past forecasts with readings.", "C3", 14, 288),
    _O("OP-C05", "Ensemble Trial", "ensemble_trial", "Try many forecasts at once.", None, 0, None),
    _O("OP-D01", "Tide Table Pack", "table_pack", "Make the printed tide tables.", "C4", 10, 10),
    _O("OP-D02", "Warning Bulletin", "warning_bulletin", "Write surge warnings.", "C4", 9, 11, last_dirty=True),
    _O("OP-D03", "Public Feed", "public_feed", "Publish heights for everybody.", "C3", 11, 40),
    _O("OP-D04", "Range Check Of Tables", "table_range_check", "Check tables against limits.", "C3", 14, 15),
    _O("OP-D05", "Archive Export", "archive_export", "Hand a year to the archive.", "C1", 30, 1464),
    _O("OP-QA01", "Schema Check", "schema_check", "Check columns and types of every series.", "C3", 6, 3),
    _O("OP-QA02", "Row Count Reconcile", "row_reconcile", "Compare counts from end to end.", "C3", 8, 25),
    _O("OP-QA03", "Station Coverage Audit", "coverage_audit", "Find stations that fell silent.", "C2", 15, 456),
    _O("OP-QA04", "Replay Comparison", "replay_comparison", "Run a day again and compare bytes.", "C4", 20, 14),
    _O("OP-QA05", "Agent Change Review", "agent_review", "Review what agents changed.", "C3", 13, 44),
    _O("OP-QA06", "Restore Drill", "restore_drill", "Restore a series from the archive.", "C0", 0, None),
)
