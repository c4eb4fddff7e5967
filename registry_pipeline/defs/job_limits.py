"""The tags of each job: how long one of its runs may take, and to which repository it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.defs.location import Location

MAX_RUNTIME_TAG: Final = "dagster/max_runtime"
# Dagster's daemon ends a run that takes longer and counts it as failed: nothing else notices a run whose process died
# together with the daemon. Runs of other selections, such as "Materialize all", have the limit of dagster.yaml.
MAX_RUNTIME_SECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "rebuild_job": 7200,
        # The same set is not requested again, and the pool of the pointers is taken, while such a run is not finished.
        "activate_pointers_job": 900,
        # It must end before the next hour begins one more.
        "check_pointers_job": 1800,
        "check_job": 3600,
        # One run for all days of a backfill, about a second for each.
        "drift_signals_daily_job": 14400,
        # One run for all members of a backfill.
        "validation_range_results_job": 14400,
        "evidence_pack_registry_job": 14400,
        # One run for the folders of one run root and month.
        "run_registry_shards_job": 3600,
        # Likewise, and it reads every byte of them.
        "run_verification_job": 14400,
        # It must end before the next hour begins one more.
        "check_verification_job": 1800,
    }
)
"""The limit of each job, in seconds."""


def make_job_tags(job_name: str, location: Location) -> dict[str, str]:
    """Return the tags of a job and of each of its runs; raise KeyError if the table of limits does not have the job."""
    return {MAX_RUNTIME_TAG: str(MAX_RUNTIME_SECONDS[job_name]), **location.run_tags}
