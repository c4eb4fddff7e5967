"""Dagster's code locations of several repositories: each is an attribute of this module, which is the path of its root.

`registry-pipeline ui --also DIR` writes such a workspace. A path in the workspace, and not in the environment, reaches
every process that loads a job: one Celery worker executes the steps of all repositories.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from registry_pipeline.config import AUTOMATION_VARIABLE, CONFIG_NAME, REPO_VARIABLE, find_location, find_repository
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.start_message import format_start_message
from registry_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from dagster import Definitions


def __getattr__(name: str) -> Definitions:
    """Return the definitions of the repository at an absolute path; raise AttributeError for any other name.

    Raises:
        ConfigError: the toml of the repository states no `location`, or cannot be parsed.
        NotFoundError: there is no such repository.
    """
    if not name.startswith("/"):
        raise AttributeError(f"module {__name__} has no attribute {name}: name a repository by its absolute path")
    return _build_defs(name)


# Dagster asks for an attribute twice, and a worker again for each step.
@cache
def _build_defs(path: str) -> Definitions:
    if not find_location(Path(path)):
        # It raises if the folder is missing, or its toml cannot be parsed.
        find_repository(Path(path))
        # Under names without a location it would be mixed with another repository.
        raise ConfigError(
            f"{path}: {CONFIG_NAME} states no valid `location` in the table [dagster]",
            'write `location = "NAME"` there, then reload the code location',
        )
    automated = os.environ.get(AUTOMATION_VARIABLE) == "on"
    if not automated and multiprocessing.parent_process() is None:
        sys.stderr.write(f"{format_start_message({**os.environ, REPO_VARIABLE: path})}\n")
    return build_defs(Path(path), automated=automated)
