"""The line that a code location prints when it is loaded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from registry_pipeline.config import REPO_VARIABLE, find_repository
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.findings.display import printable

_TEMPORARY_HOME: Final = "temporary Dagster home, whose history is lost when this command ends"


def format_start_message(environ: Mapping[str, str]) -> str:
    """Return one line that names the repository and the Dagster home of an environment.

    Without DAGSTER_HOME it has the command that sets it. Without a repository it says why, and what to do.
    """
    home = environ.get("DAGSTER_HOME")
    named_home = f"Dagster home {home}" if home else _TEMPORARY_HOME
    try:
        repository = find_repository(environ=environ)
    except NotFoundError as error:
        advice = f"start in a repository, or name one with {REPO_VARIABLE}"
        return printable(f"registry-pipeline: {error.message}; {named_home} -> {advice}")
    except RegistryPipelineError as error:
        return printable(f"registry-pipeline: {error.message}; {named_home} -> {error.advice}")
    line = f"registry-pipeline: repository {repository.root}; {named_home}"
    if not home:
        folder = shlex.quote(str(repository.dagster_home))
        line += f" -> to keep it: mkdir -p {folder} && export DAGSTER_HOME={folder}"
    return printable(line)
