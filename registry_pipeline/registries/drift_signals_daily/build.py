"""drift_signals_daily: the status table and the drift of one past day, by the builders of the present (SPEC 4.3)."""

from __future__ import annotations

import json

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.registries.base.staleness import is_stale
from registry_pipeline.registries.drift_signals import build as drift_signals_build
from registry_pipeline.registries.drift_signals.build import DriftInputs
from registry_pipeline.registries.op_status_table import build as op_status_table_build
from registry_pipeline.registries.op_status_table.build import OpStatusInputs
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import replace, value_type


def build_drift_signals_daily(inputs: DailyInputs, context: BuildContext) -> Artifacts:
    """Return the drift signals of a day and the status table that they are told beside.

    `context` describes the day's last second and its commit, with a working tree that nobody knows any more. A table
    without a record shows no version. The figures are those of one point of a plot.
    """
    table = op_status_table_build.build_op_status_table(inputs.status, context)
    observed = op_status_table_build.VERSION if table.records else None
    drift = drift_signals_build.build_drift_signals(replace(inputs.drift, observed_op_status_table=observed), context)
    rows = table.files[op_status_table_build.ARTIFACT]
    return Artifacts(
        {drift_signals_build.ARTIFACT: drift.files[drift_signals_build.ARTIFACT], op_status_table_build.ARTIFACT: rows},
        drift.records,
        sha256_hex(json_line([drift.content_sha256, table.content_sha256])),
        {
            **drift.metrics,
            **table.metrics,
            "stale": sum(is_stale(row, inputs.stale_days) for row in json.loads(rows)),
            "runs_known": len(inputs.status.runs),
        },
    )


@value_type
class DailyInputs:
    """For `build_drift_signals_daily`: what the status table and the drift of one past day are made from.

    What the drift observes of the status table is told by the table itself, which is built first.
    """

    status: OpStatusInputs
    drift: DriftInputs
    stale_days: int
