"""Completion of registries, run ids and codes in a shell. A value that cannot be found out is not completed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import click

from registry_pipeline.cli.settings import find_repo_option
from registry_pipeline.errors import RegistryPipelineError

COMPLETION_VARIABLE: Final = "_REGISTRY_PIPELINE_COMPLETE"
"""Set by the script of a shell when it asks for completions."""
SHELLS: Final = ("bash", "zsh", "fish")


def complete_registry(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of registries that start with `incomplete`."""
    from registry_pipeline.registries.catalog import SHIPPED  # noqa: PLC0415 - only for a completion

    return _select(SHIPPED.registries, incomplete)


def complete_code(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the codes of findings, in any case, and the other words that `explain` takes."""
    from registry_pipeline.findings.codes import CODES  # noqa: PLC0415 - only for a completion
    from registry_pipeline.findings.words import WORDS  # noqa: PLC0415 - likewise

    return _select(CODES, incomplete.upper()) + _select(WORDS, incomplete)


def complete_run(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return `latest`, `active` and the run ids of the repository; those of one registry if the command names it."""
    from registry_pipeline.config import find_repository  # noqa: PLC0415 - only for a completion
    from registry_pipeline.pointers.find_runs import list_all_runs  # noqa: PLC0415 - likewise
    from registry_pipeline.registries.catalog import catalog_of  # noqa: PLC0415 - likewise
    from registry_pipeline.runs.reference import RunId  # noqa: PLC0415 - likewise

    words = _select(("active", "latest"), incomplete)
    with suppress(RegistryPipelineError, OSError):
        repository = find_repository(find_repo_option(ctx))
        run_ids = [run.run_id for run in list_all_runs(repository)]
        spec = catalog_of(repository).registries.get(ctx.params.get("registry_id") or "")
        if spec is not None:
            parsed = map(RunId.parse, run_ids)
            run_ids = [str(run_id) for run_id in parsed if run_id is not None and run_id.tag == spec.tag]
        words += _select(dict.fromkeys(run_ids), incomplete)
    return words


def _select(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def print_completions(program: click.Command, name: str, instruction: str) -> int:
    """Print what a shell asks for with `instruction`, such as `bash_complete`; nothing for a line with an error."""
    from click.shell_completion import shell_complete  # noqa: PLC0415 - only for a completion

    # A message would be taken for a completion.
    with suppress(click.ClickException, RegistryPipelineError, OSError):
        return shell_complete(program, {}, name, COMPLETION_VARIABLE, instruction)
    return 0


def make_completion_script(program: click.Command, name: str, shell: str) -> str:
    """Return the script that makes a shell complete the command line; `shell` is one of `SHELLS`."""
    from click.shell_completion import ShellComplete, get_completion_class  # noqa: PLC0415 - only for a completion

    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"no completion for {shell}")
    # Not the method of the class: that of bash starts a bash to ask for its version.
    return ShellComplete.source(kind(program, {}, name, COMPLETION_VARIABLE))
