from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry_pipeline.canonical import utc_text
from registry_pipeline_tests.cli.conftest import PROGRAM, Repository, call, environment


@pytest.mark.parametrize("words", [("--json", "status"), ("status", "--json"), ("--format", "json", "status")])
def test_options_are_accepted_before_and_after_the_command(seen: Repository, words: tuple[str, ...]) -> None:
    assert seen(*words).document("status")["health_state"] == "DEGRADED_NON_BLOCKING"


def test_the_repository_is_named_by_option_variable_or_working_directory(
    seen: Repository, tmp_path: Path, home: Path
) -> None:
    env = environment(home)
    by_option = call("-C", str(seen.root), "status", "--json", cwd=tmp_path, env=env)
    after = call("status", "--repo", str(seen.root), "--json", cwd=tmp_path, env=env)
    with_variable = {**env, "REGISTRY_PIPELINE_REPO": str(seen.root)}
    by_variable = call("status", "--json", cwd=tmp_path, env=with_variable)
    below = call("status", "--json", cwd=seen.runs, env=env)

    for result in (by_option, after, by_variable, below):
        assert result.document("status")["repository"]["root"] == str(seen.root)


@pytest.mark.parametrize(
    ("words", "form"),
    [(("--format", "json", "--format=text"), "text"), (("--format=text", "--format", "json"), "json")],
)
def test_a_failure_is_printed_in_the_last_format_that_is_given(
    words: tuple[str, ...], form: str, tmp_path: Path, home: Path
) -> None:
    ended = call("status", *words, cwd=tmp_path, env=environment(home))

    assert (ended.code, bool(ended.out)) == (7, form == "json")


def test_outside_a_repository_one_line_says_what_to_do(tmp_path: Path, home: Path) -> None:
    result = call("status", cwd=tmp_path, env=environment(home))

    assert (result.code, result.out) == (7, "")
    assert result.err.count("\n") == 1
    assert "registry-pipeline init" in result.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("stat",), "did you mean status?"),
        (("status", "--jsn"), "did you mean --json?"),
        (("build", "--no-activat"), "did you mean --no-activate?"),
        (("--formt", "json", "status"), "did you mean --format?"),
        (("build", "--fail-on", "drift,stael"), "'stael' is none of drift, stale, coverage, warning"),
        (("status", "--now", "yesterday"), "'yesterday' is not UTC in the form 2026-03-01T12:00:00Z"),
        (("status", "--now", "2026-03-01T12:00:00+00:00"), "is not UTC in the form"),
        (("status", "--now", "0001-01-01T00:00:00Z"), "0001-01-01T00:00:00Z is before 1970"),
        (("status", "--now", "1969-12-31T23:59:59Z"), "1969-12-31T23:59:59Z is before 1970"),
        (("status", "--now", "10000-01-01T00:00:00Z"), "is not UTC in the form"),
        (("status", "--now", "9999-12-31T23:59:59Z"), "Add --allow-future"),
        (("status", "--json", "--format", "github"), "--json contradicts --format github"),
        (("verify",), "name a run, or add --all, --active, --pointers, --chain or --baseline REF"),
        (("build", "--only"), "--only needs the registries to build"),
        (("activate", "run_registry", "latest"), "Missing option '--reason'"),
    ],
)
def test_a_usage_error_is_one_line_with_a_suggestion(
    tmp_path: Path, home: Path, words: tuple[str, ...], meant: str
) -> None:
    result = call(*words, cwd=tmp_path, env=environment(home))

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert meant in result.err


def in_hours(hours: int) -> str:
    return utc_text(datetime.now(UTC) + timedelta(hours=hours))  # noqa: TID251 - compared with the clock of the program


@pytest.mark.parametrize("verb", [("build",), ("run-index", "check"), ("status",)])
def test_a_clock_more_than_a_day_ahead_needs_an_option(built: Repository, verb: tuple[str, ...]) -> None:
    before = built.files()

    result = built(*verb, now=in_hours(25))

    assert (result.code, result.err.count("\n"), result.out) == (2, 1, "")
    assert "is more than a day ahead of the system clock" in result.err
    assert "Add --allow-future" in result.err
    assert built.files() == before


@pytest.mark.parametrize(
    ("hours", "words"),
    [(23, ("status",)), (25, ("status", "--allow-future")), (25, ("--allow-future", "status"))],
)
def test_a_clock_less_than_a_day_ahead_or_with_the_option_is_accepted(
    seen: Repository, hours: int, words: tuple[str, ...]
) -> None:
    assert seen(*words, now=in_hours(hours)).err == ""


@pytest.mark.parametrize("now", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_first_and_the_last_clock_are_accepted(seen: Repository, now: str) -> None:
    result = seen("status", "--allow-future", now=now)

    assert result.code in (0, 3), result.err  # 3: seen from 1970, an active run is of the future
    assert result.err == ""


def test_a_failure_in_json_is_one_document_too(tmp_path: Path, home: Path) -> None:
    result = call("stat", "--json", cwd=tmp_path, env=environment(home))

    document = json.loads(result.out)
    assert document["error"]["exit_code"] == result.code == 2
    assert document["error"]["message"] == "unknown command stat; did you mean status?"


def test_a_failure_for_github_is_an_annotation(tmp_path: Path, home: Path) -> None:
    result = call("--format=github", "stat", cwd=tmp_path, env=environment(home))

    assert result.out == (
        "::error title=registry-pipeline::unknown command stat; did you mean status? -> "
        "see `registry-pipeline --help`\n"
    )


def test_without_a_command_the_help_is_shown_as_a_usage_error(tmp_path: Path, home: Path) -> None:
    result = call(cwd=tmp_path, env=environment(home))

    assert (result.code, result.out) == (2, "")
    assert "Exit codes:" in result.err


def test_quiet_prints_errors_only(seen: Repository) -> None:
    result = seen("verify", "--all", "-q")

    assert result.code == 3
    assert result.out
    assert all("INVALID: " in line for line in result.out.splitlines())
    assert seen("status", "-q").out == ""


def test_a_pipe_gets_neither_colours_nor_progress_nor_cut_cells(seen: Repository) -> None:
    result = seen("status", "--all")

    assert "\x1b" not in result.out + result.err
    assert "2026-03-01__120000__seal_expected_versions" in result.out
    assert result.err == ""


def _on_a_terminal(seen: Repository, *words: str, columns: int = 100, **more: str) -> str:
    inner = " ".join((*PROGRAM, *words))
    done = subprocess.run(
        ["script", "-qec", f"stty cols {columns}; {inner}", "/dev/null"],
        cwd=seen.root,
        env=environment(seen.home, TERM="xterm", **more),
        capture_output=True,
        check=False,
    )
    return done.stdout.decode()


@pytest.mark.process
def test_a_terminal_gets_colours_unless_they_are_declined(seen: Repository) -> None:
    assert "\x1b[" in _on_a_terminal(seen, "status", "--now", "2026-03-01T12:00:00Z")
    assert "\x1b[" not in _on_a_terminal(seen, "status", "--no-color")
    assert "\x1b[" not in _on_a_terminal(seen, "status", NO_COLOR="1")


@pytest.mark.process
def test_a_terminal_is_never_wider_than_it_is_for_tables(seen: Repository) -> None:
    lines = _on_a_terminal(seen, "registries", "--no-color").splitlines()

    assert max(map(len, lines)) <= 100


@pytest.mark.process
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_run_id_is_never_folded_so_that_it_can_be_copied(seen: Repository, columns: int) -> None:
    shown = _on_a_terminal(seen, "status", "--all", "--no-color", columns=columns)

    assert "2026-03-01__120000__op_status_table_build" in shown
    assert ("    2026-03-01__120000__op_status_table_build" in shown.splitlines()) == (columns < 120)


def test_a_reader_that_leaves_early_ends_the_program_quietly(seen: Repository) -> None:
    command = " ".join((*PROGRAM, "explain"))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1 > /dev/null"],
        cwd=seen.root,
        env=environment(seen.home, PYTHONUNBUFFERED="1"),
        capture_output=True,
        check=False,
    )

    assert done.stderr == b""
    assert done.returncode in (0, 141)
