"""Run the command line; turn every failure into one line, a hint and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import PROGRAM, Command
from registry_pipeline.cli.program import program
from registry_pipeline.cli.reporter import report_failure
from registry_pipeline.cli.settings import find_requested_format
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.durable import is_refused_write, make_write_error
from registry_pipeline.findings.display import printable_lines

_BUG_HINT: Final = "this is a bug: run it again with --verbose and report the output"
_STATUS_HINT: Final = "see `registry-pipeline status` for what was done before"


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line with `argv`, by default those of the process; print any failure and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot show is printed as escapes instead of ending the program.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit_on_signal)
    context: click.Context | None = None
    try:
        with program.make_context(PROGRAM, [*arguments]) as context:
            code = program.invoke(context)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except BrokenPipeError:
        return _discard_output()
    except (click.Abort, KeyboardInterrupt):
        return _report_failure(arguments, context, "interrupted", _STATUS_HINT, ExitCode.INTERRUPTED)
    except click.UsageError as error:
        command_path = error.ctx.command_path if error.ctx is not None else PROGRAM
        advice = f"see `{command_path} --help`"
        return _report_failure(arguments, context, error.format_message(), advice, ExitCode.USAGE)
    except click.ClickException as error:
        return _report_failure(arguments, context, error.format_message(), "", ExitCode.USAGE)
    except (RegistryPipelineError, OSError) as error:
        _print_traceback_if_verbose(arguments)
        failure = error if isinstance(error, RegistryPipelineError) else _wrap_os_error(error)
        return _report_failure(arguments, context, failure.message, failure.advice, failure.exit_code)
    except Exception as error:  # noqa: BLE001 - a user never gets a traceback without --verbose
        _print_traceback_if_verbose(arguments)
        message = f"{type(error).__name__}: {error}"
        return _report_failure(arguments, context, message, _BUG_HINT, ExitCode.UNEXPECTED)


def _report_failure(arguments: list[str], context: click.Context | None, message: str, advice: str, code: int) -> int:
    """Print a failure and return its exit code; 141 if nobody reads stdout any more."""
    name = None if context is None else context.invoked_subcommand
    command = None if context is None or name is None else program.get_command(context, name)
    if isinstance(command, Command):
        code = max(code, command.lowest_failure_code)
    try:
        report_failure(message, advice, code, form=find_requested_format(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        return _discard_output()
    return int(code)


def _wrap_os_error(error: OSError) -> RegistryPipelineError:
    """Return an error that can be reported: a refused write has the common message, others the text of the system."""
    path = Path(error.filename) if isinstance(error.filename, str) else None
    if path is not None and is_refused_write(error):
        return make_write_error(path, error)
    return RegistryPipelineError(f"{type(error).__name__}: {error}", f"fix the cause, then {_STATUS_HINT}")


def _print_traceback_if_verbose(arguments: list[str]) -> None:
    # The raw arguments are searched, because parsing may be what failed.
    if any(word == "--verbose" or (word.startswith("-v") and not word.strip("-v")) for word in arguments):
        import traceback  # noqa: PLC0415 - only --verbose needs it

        sys.stderr.write(printable_lines(traceback.format_exc()))


def _discard_output() -> int:
    """Send all further output of stdout to nowhere and return exit code 141."""
    # The reader of the pipe is gone. The interpreter flushes stdout at exit, which must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE


def _exit_on_signal(number: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that staged files are removed on the way out.
    raise SystemExit(128 + number)
