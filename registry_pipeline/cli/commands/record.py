"""`record`: run a command and record it as a sealed run."""

from __future__ import annotations

import sys

import click

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.pipeline.recorded_command import CommandRequest, record_command
from registry_pipeline.pipeline.recorded_run import find_operation, make_run_id
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.catalog import catalog_of


@command(
    "record",
    ("record -- sh -c 'date > $RUN_DIR/date.txt'", "a run with one file and its output"),
    ("record --operation OP-A01 --tag nightly -- make -v", "a run of an operation, which `status` counts"),
    # What follows the command is the command's, even if it looks like an option.
    context_settings={"allow_interspersed_args": False},
    lowest_failure_code=ExitCode.NOT_RECORDED,
)
@click.option("--operation", "operation_id", metavar="ID", help="The operation that the run belongs to.")
@click.option("--tag", metavar="T", help="The end of the run id; default: the operation in lower case, else `record`.")
@click.argument("words", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def record_run_command(reporter: Reporter, operation_id: str | None, tag: str | None, words: tuple[str, ...]) -> int:
    """Run a command and record it as a sealed run.

    The command writes its files to the folder that $RUN_DIR names. When it ends, whatever its exit code, the folder is
    published under the publish root: with the files, stdout.txt and stderr.txt, and a run.json with the arguments,
    exit code, times and git state, never the environment. The folder appears complete and sealed, or not at all. If it
    cannot be sealed, because of a link for example, its files are kept in quarantine.

    Output is passed through as it comes, but not to a terminal as a terminal; with --json all of it goes to stderr.
    Signals are passed on to the command. The exit code is that of the command, 128 + N if signal N ended it; 125 if
    `record` itself failed, 126 if the command cannot be executed, 127 if it is not found. In the last two cases nothing
    is recorded.
    """
    repository = find_repository(reporter.settings.repo)
    operation = find_operation(repository, operation_id)
    run_id = make_run_id(catalog_of(repository), reporter.settings.now, tag, operation_id)
    if operation.warning is not None:
        reporter.note(f"warning: {operation.warning}")
    sys.stdout.flush()
    is_json = reporter.settings.format == "json"
    request = CommandRequest(words, run_id, operation, (2, 2) if is_json else (1, 2))
    result = record_command(repository, start_build_run(repository, reporter.settings.now), request)
    folder = result.published
    path = f"{repository.config.publish_root}/{folder.run_id}"
    reporter.note(f"recorded {path} ({result.ending})")
    if is_json:
        document = {
            "path": path,
            "run_id": str(folder.run_id),
            "root_sha256": folder.root_sha256,
            "exit_code": result.exit_code,
            "signal": result.signal,
        }
        reporter.print_result(document, (), lambda _page: None)
    return result.exit_code
