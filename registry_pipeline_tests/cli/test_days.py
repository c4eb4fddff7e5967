"""`build drift_signals_daily --as-of …` on the command line."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import PROGRAM, Repository, environment
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.histories import make_historic

DAILY = ("build", "drift_signals_daily", "--as-of")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_historic(tmp_path_factory.mktemp("history") / "repository").root


@pytest.fixture
def past(made: Path, tmp_path: Path, home: Path) -> Iterator[Repository]:
    with copied_repository(made, tmp_path / "repository") as root:
        yield Repository(root, home)


def test_each_day_of_a_span_is_listed_with_its_folder_and_figures(past: Repository) -> None:
    result = past(*DAILY, "2026-02-08..2026-02-11", "--json")

    document = result.document("build")
    assert result.code == 0
    assert [row["partition"] for row in document["built"]] == ["2026-02-08", "2026-02-09", "2026-02-10", "2026-02-11"]
    assert [row["metrics"]["threshold_drift"] for row in document["built"]] == [1, 1, 0, 0]
    assert {(row["registry_id"], row["verdict"], row["activated"], row["reused"]) for row in document["built"]} == {
        ("drift_signals_daily", "pass", False, False)
    }
    assert all((past.runs / row["run_id"] / "MANIFEST.sha256").is_file() for row in document["built"])
    assert (document["interrupted"], document["activation_run_id"], document["report_run_id"]) == (False, None, None)


def test_one_day_is_a_span_of_one_and_moves_no_pointer(past: Repository) -> None:
    result = past(*DAILY, "2026-02-12")

    assert result.code == 0
    assert "2026-02-12  pass     -" in result.out
    assert "1 day of 1: 1 sealed, 0 unchanged" in result.out
    assert not (past.root / ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json").exists()
    assert "1 day of 1: 0 sealed, 1 unchanged" in past(*DAILY, "2026-02-12").out
    assert "1 day of 1: 1 sealed, 0 unchanged" in past(*DAILY, "2026-02-12", "--force").out


def test_an_unknown_drift_is_a_question_mark(past: Repository) -> None:
    assert "2026-01-05  pass     schema?" in past(*DAILY, "2026-01-05").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*DAILY, "tomorrow"), "'tomorrow' is not a day in the form 2026-03-01"),
        ((*DAILY, "20260201"), "'20260201' is not a day"),
        ((*DAILY, "2026-02-30"), "'2026-02-30' is not a day"),
        ((*DAILY, "2026-02-01.."), "'' is not a day"),
        ((*DAILY, "2026-02-01...2026-02-02"), "'.2026-02-02' is not a day"),
        ((*DAILY, "2026-02-02..2026-02-01"), "goes backwards; write 2026-02-01..2026-02-02"),
        ((*DAILY, "\u0662026-02-01"), "is not a day"),
        (("build", "drift_signals_daily"), "add --as-of DATE, or --as-of FIRST..LAST"),
        (("build", "drift_signals_daily", "run_registry"), "add --as-of DATE"),
        (("build", "--as-of", "2026-02-01"), "build drift_signals_daily --as-of DATE"),
        (("build", "run_registry", "--as-of", "2026-02-01"), "build drift_signals_daily --as-of DATE"),
        (("build", "drift_signals_daily", "run_registry", "--as-of", "2026-02-01"), "--as-of is for past days only"),
    ],
)
def test_invalid_days_are_usage_errors_that_say_what_to_write(
    past: Repository, words: tuple[str, ...], message: str
) -> None:
    result = past(*words)

    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ("2026-03-01", "2026-03-01 is not over -> the last complete day in UTC is 2026-02-28"),
        ("2026-02-01..2026-03-02", "2026-03-01 is not over"),
        ("2025-12-31..2026-01-06", "2025-12-31 is before history_start, 2026-01-05"),
        ("0001-01-01..9999-12-31", "0001-01-01 is before history_start"),
    ],
)
def test_days_without_a_history_are_refused_and_nothing_is_sealed(past: Repository, days: str, message: str) -> None:
    before = past.files()

    result = past(*DAILY, days)

    assert result.code == 5
    assert message in result.err
    sealed = [name for name in past.files().keys() - before.keys() if "/RUNS/" in name]
    assert sealed == []


def test_a_plain_folder_is_refused(tmp_path: Path, home: Path) -> None:
    (tmp_path / "registry-pipeline.toml").write_text("history_start = 2026-01-05\n", encoding="utf-8")

    result = Repository(tmp_path, home)(*DAILY, "2026-02-01", "--json")

    assert result.code == 5
    assert "read from git" in json.loads(result.out)["error"]["message"]


@pytest.mark.parametrize(
    ("reason", "days", "code"),
    [
        ("drift", "2026-01-19..2026-01-20", 4),
        ("stale", "2026-01-30", 4),
        ("stale", "2026-01-07", 0),
        ("coverage", "2026-02-12", 0),
        ("warning", "2026-02-12", 0),
    ],
)
def test_days_fail_on_request(past: Repository, reason: str, days: str, code: int) -> None:
    result = past(*DAILY, days, "--fail-on", reason)

    assert result.code == code
    assert (f"--fail-on {reason} failed: " in result.out) == (code == 4)
    assert " unknown: " not in result.out


def test_a_day_of_which_the_versions_are_not_known_does_not_pass(past: Repository) -> None:
    result = past(*DAILY, "2026-01-05..2026-01-07", "--fail-on", "drift", "--json")

    (drift,) = result.document("build")["fail_on"]
    assert drift == {"condition": "drift", "result": "unknown", "reason": "on 2026-01-05"}


def test_days_before_a_missing_git_object_are_sealed_and_listed(past: Repository) -> None:
    done = subprocess.run(
        ["git", "rev-parse", "side:docs/expected.json"], cwd=past.root, capture_output=True, text=True, check=True
    )
    blob = done.stdout.strip()
    (past.root / ".git/objects" / blob[:2] / blob[2:]).unlink()

    result = past(*DAILY, "2026-02-18..2026-02-21")

    assert result.code == 7
    assert "sealed before the failure: 2 days, 2026-02-18..2026-02-19" in result.err
    assert f"git cannot read the object {blob}" in result.err
    assert len([path for path in past.runs.iterdir() if "asof" in path.name]) == 2


def test_ctrl_c_stops_between_two_days_and_lists_the_sealed_ones(past: Repository, home: Path) -> None:
    """Sixty thousand days would take minutes."""
    words = [*PROGRAM, *DAILY, "2026-01-05..2199-12-31", "--json", "--now", "2200-01-01T00:00:00Z", "--allow-future"]
    with subprocess.Popen(words, cwd=past.root, env=environment(home), stdout=subprocess.PIPE) as process:
        while sum("asof" in path.name for path in past.runs.iterdir()) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()

    document = json.loads(out)
    sealed = {path.name for path in past.runs.iterdir() if "asof" in path.name}
    assert process.returncode == 130
    assert document["interrupted"]
    assert {row["run_id"] for row in document["built"]} == sealed
    assert {row["verdict"] for row in document["built"]} == {"pass"}
    assert past("verify", "--all").out.count("FAIL") == 0
    assert not any((past.root / ".codex/.staging").iterdir())


def test_on_a_terminal_the_days_are_counted_while_they_are_built(past: Repository, home: Path) -> None:
    # These days are built within a second, after which progress is drawn.
    program = "from registry_pipeline.cli import main, reporter; reporter._PROGRESS_DELAY = 0; main.main()"
    words = [sys.executable, "-c", program, *DAILY, "2026-01-05..2026-02-28", "--now", "2026-03-01T12:00:00Z"]
    main, side = pty.openpty()
    with subprocess.Popen(
        words, cwd=past.root, env=environment(home, TERM="xterm"), stdout=subprocess.DEVNULL, stderr=side
    ) as process:
        os.close(side)
        drawn = b""
        while True:
            try:
                piece = os.read(main, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            drawn += piece
    os.close(main)

    assert process.returncode == 0
    assert b"/55" in drawn
