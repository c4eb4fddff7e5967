"""The daily rebuild.

Holds one schedule, off until somebody turns it on. Keeps out activation, which follows from the checks. May import the
jobs and Dagster.
"""

from __future__ import annotations

from dagster import DefaultScheduleStatus, ScheduleDefinition

from registry_pipeline.defs.jobs import rebuild_job

daily_rebuild_schedule = ScheduleDefinition(
    name="daily_rebuild_schedule",
    job=rebuild_job,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Builds, seals and checks every registry at 03:00 UTC. Off until somebody switches it on.",
)
