"""Build drift_signals_daily: drift signals and operation status of one past day, by the builders of the present."""

from __future__ import annotations

import json

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.registries.base.values import count_operations
from registry_pipeline.registries.drift_signals import build as drift_signals_build
from registry_pipeline.registries.drift_signals.build import DriftInputs
from registry_pipeline.registries.op_status_table import build as op_status_table_build
from registry_pipeline.registries.op_status_table.build import OpStatusInputs
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline.values import replace, value_type


@value_type
class DailyInputs:
    """The inputs of both builders for one past day."""

    status: OpStatusInputs
    drift: DriftInputs
    stale_limits: StaleLimits


def build_drift_signals_daily(inputs: DailyInputs, context: BuildContext) -> Artifacts:
    """Return the drift signals and the status table of a day; one record.

    `context` has the last second of the day, its commit, and an unknown working tree. The metrics are those of both
    builders, the stale operations and the known runs.
    """
    table = op_status_table_build.build_op_status_table(inputs.status, context)
    # The observed version is that of the table built here; a table without a row shows none.
    table_version = op_status_table_build.VERSION if table.records else None
    drift_inputs = replace(inputs.drift, observed_op_status_table=table_version)
    drift = drift_signals_build.build_drift_signals(drift_inputs, context)
    rows = table.files[op_status_table_build.ARTIFACT]
    return Artifacts(
        {drift_signals_build.ARTIFACT: drift.files[drift_signals_build.ARTIFACT], op_status_table_build.ARTIFACT: rows},
        drift.records,
        sha256_hex(json_line([drift.content_sha256, table.content_sha256])),
        {
            **drift.metrics,
            **table.metrics,
            "stale": count_operations(json.loads(rows), inputs.stale_limits).stale,
            "runs_known": inputs.status.evidence.runs,
        },
    )
