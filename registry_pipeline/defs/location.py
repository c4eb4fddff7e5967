"""What keeps the repositories of one Dagster instance apart: names that begin with the code location, and a tag.

Dagster knows asset keys, pools and dynamic partitions by their names alone, in all code locations of an instance.
Sensors and schedules belong to their code location. So do jobs, but a query for runs finds those of all jobs with a
name: it needs the tag, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dagster import AssetKey, DagsterInstance, DagsterRun, RunsFilter

from registry_pipeline.config import Repository
from registry_pipeline.dagster.dagster_internals import IMPLICIT_ASSET_JOB_NAME, NOT_FINISHED_STATUSES
from registry_pipeline.values import value_type

ROOT_TAG: Final = "registry_pipeline/root"
"""Tag of each job and of a Dagster run: the root of its repository."""


@value_type
class Location:
    """A code location: its name in Dagster's instance, and the root of its repository.

    Attributes:
        name: `location` of the table `[dagster]`; empty if the repository has an instance of its own.
        root: None if there is no repository.
    """

    name: str = ""
    root: Path | None = None

    @property
    def run_tags(self) -> Mapping[str, str]:
        """The tags of each run of its jobs."""
        return {} if self.root is None else {ROOT_TAG: str(self.root)}

    def key(self, *path: str) -> AssetKey:
        """Return the key of an asset: the location, if it has a name, and the path."""
        return AssetKey([self.name, *path] if self.name else list(path))

    def name_in_instance(self, name: str) -> str:
        """Return the name of something that Dagster knows by its name alone, such as a pool."""
        return self.key(name).to_user_string()

    def op_name(self, name: str) -> str:
        """Return the name of the op of an asset, which is also the key of its step."""
        return self.key(name).to_python_identifier()

    def find_path(self, key: AssetKey) -> Sequence[str]:
        """Return the path of an asset of this location, from which `key` makes its key."""
        return key.path[1:] if self.name else key.path

    def find_name(self, op_name: str) -> str:
        """Return the name of an asset from that of its op; ops of checks have no location in their names."""
        return op_name.removeprefix(self.op_name("")) if self.name else op_name


def list_unfinished_runs(
    instance: DagsterInstance, location: Location, job_name: str, asset_name: str | None = None
) -> list[DagsterRun]:
    """Return the runs of a job of this location, and those of one that is not known, that are not finished.

    With the name of an asset, also the runs that were launched for it on its page or by a backfill.
    """
    runs = instance.get_runs(RunsFilter(job_name=job_name, statuses=NOT_FINISHED_STATUSES))
    if asset_name is not None:
        key = location.key(asset_name)
        others = instance.get_runs(RunsFilter(job_name=IMPLICIT_ASSET_JOB_NAME, statuses=NOT_FINISHED_STATUSES))
        runs = [*runs, *(run for run in others if not run.asset_selection or key in run.asset_selection)]
    return [run for run in runs if run.tags.get(ROOT_TAG, str(location.root)) == str(location.root)]


def location_of(repository: Repository) -> Location:
    """Return the code location of a repository."""
    return Location(repository.config.dagster.location or "", repository.root)


def find_registry_id(key: AssetKey) -> str:
    """Return the registry that an asset is; the key of a source has no registry."""
    return key.path[-1]
