"""system_health_report: the health state, its conditions, and a report for people and for programs."""

from __future__ import annotations

from typing import Final

from registry_pipeline.registries.base.reader import RegistrySpec

SPEC: Final = RegistrySpec(
    registry_id="system_health_report",
    kind="rendered",
    title="The state of the system as a Markdown report and a JSON summary, rendered from the active registries.",
    artifacts=("SYSTEM_HEALTH_SUMMARY_v0_1.json", "SYSTEM_HEALTH_REPORT_v0_1.md"),
    schemas=(("SYSTEM_HEALTH_SUMMARY_v0_1.json", "REGISTRY_system_health_report_v0_1.schema.json"),),
    operation_id="OP-QA10",
    tag="system_health_render",
    depends_on=("op_status_table", "drift_signals", "run_registry"),
    pointer=False,
    delta=False,
    excluded_because="presentation: rendered from the active registries, it is never active itself",
)
