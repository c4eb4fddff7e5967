"""drift_signals_daily: the status table and the drift of one past day, by the builders of the present (SPEC 4.3)."""

from __future__ import annotations

import json

from registry_pipeline.builders import drift_signals, op_status_table
from registry_pipeline.canon import json_line, sha256_hex
from registry_pipeline.model.envelope import BuildContext
from registry_pipeline.model.inputs import DailyInputs
from registry_pipeline.model.verdict import Artifacts
from registry_pipeline.values import replace


def build_drift_signals_daily(inputs: DailyInputs, context: BuildContext) -> Artifacts:
    """Return the drift signals of a day and the status table that they are told beside.

    `context` describes the day's last second and its commit, with a working tree that nobody knows any more. A table
    without a record shows no version. The figures are those of one point of a plot.
    """
    table = op_status_table.build_op_status_table(inputs.status, context)
    observed = op_status_table.VERSION if table.records else None
    drift = drift_signals.build_drift_signals(replace(inputs.drift, observed_op_status_table=observed), context)
    rows = table.files[op_status_table.ARTIFACT]
    return Artifacts(
        {drift_signals.ARTIFACT: drift.files[drift_signals.ARTIFACT], op_status_table.ARTIFACT: rows},
        drift.records,
        sha256_hex(json_line([drift.content_sha256, table.content_sha256])),
        {
            **drift.metrics,
            **table.metrics,
            "stale": _stale(rows, inputs.stale_days),
            "runs_known": len(inputs.status.runs),
        },
    )


def _stale(table: bytes, stale_days: int) -> int:
    ages = [row["staleness_days"] for row in json.loads(table) if row["run_evidence_state"] == "OBSERVED"]
    return sum(age is not None and age >= stale_days for age in ages)
