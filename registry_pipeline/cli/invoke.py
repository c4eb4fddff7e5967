"""Where the program begins and ends: every failure becomes one line, advice, and an exit code (SPEC 6)."""

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
from registry_pipeline.cli.group import PROGRAM, program
from registry_pipeline.cli.reporter import report_failure
from registry_pipeline.cli.settings import requested_format
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.durable import cannot_write, is_refused_write
from registry_pipeline.findings.display import printable_lines

_BUG: Final = "this is a bug: run it again with --verbose and report what it prints"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; tracebacks are for --verbose.

    `arguments` are those of the process if not given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot show is told by its escapes, instead of ending the program.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminated)
    try:
        with program.make_context(PROGRAM, [*words]) as context:
            code = program.invoke(context)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        return _end_quietly()
    except (click.Abort, KeyboardInterrupt):
        return _failed(
            words, "interrupted", "see `registry-pipeline status` for what was done before", ExitCode.INTERRUPTED
        )
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else PROGRAM
        return _failed(words, error.format_message(), f"see `{where} --help`", ExitCode.USAGE)
    except click.ClickException as error:
        return _failed(words, error.format_message(), "", ExitCode.USAGE)
    except RegistryPipelineError as error:
        _trace(words)
        return _failed(words, error.message, error.advice, error.exit_code)
    except OSError as error:
        _trace(words)
        failure = _as_write_error(error)
        return _failed(words, failure.message, failure.advice, failure.exit_code)
    except Exception as error:  # noqa: BLE001 - the last door: a stranger sees one line and what to do
        _trace(words)
        return _failed(words, f"{type(error).__name__}: {error}", _BUG, ExitCode.UNEXPECTED)


def _failed(words: list[str], message: str, advice: str, code: int) -> int:
    try:
        report_failure(message, advice, code, form=requested_format(words))
        sys.stdout.flush()
    except BrokenPipeError:
        return _end_quietly()
    return int(code)


def _as_write_error(error: OSError) -> RegistryPipelineError:
    """Return the error of a disk in the words of every command; what cannot be read keeps the system's own words."""
    path = Path(error.filename) if isinstance(error.filename, str) else None
    if path is not None and is_refused_write(error):
        return cannot_write(path, error)
    advice = "fix what it names, then see `registry-pipeline status` for what was done before"
    return RegistryPipelineError(f"{type(error).__name__}: {error}", advice)


def _trace(words: list[str]) -> None:
    if any(word == "--verbose" or (word.startswith("-v") and not word.strip("-v")) for word in words):
        import traceback  # noqa: PLC0415 - asked for, or not imported

        sys.stderr.write(printable_lines(traceback.format_exc()))


def _end_quietly() -> int:
    """Let the interpreter flush into nowhere: the reader of the pipe has left, and that is its right."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    """End as on an exception, so that what is staged is cleaned up on the way out."""
    raise SystemExit(128 + number)
