"""`report --watch`: unsealed pages that follow the repository. Each wait of the command is a step of the test."""

from __future__ import annotations

import re
import signal
import subprocess
import webbrowser
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from registry_pipeline.cli import report_watch
from registry_pipeline.cli.settings import read_system_clock
from registry_pipeline_tests.cli.conftest import NOON, PROGRAM, Repository, environment
from registry_pipeline_tests.copies import add_run_folder
from registry_pipeline_tests.page_reader import PageReader, find_broken_links

LATER: Final = "2026-03-01T18:00:00Z"
Step = Callable[[], object]
Watch = Callable[..., tuple[int, list[str]]]
TIMES: Final = "written     "


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Run `report --watch`: after each look take the next step, at the end press Ctrl-C."""

    def run(repository: Repository, steps: list[Step], *words: str, now: str = NOON) -> tuple[int, list[str]]:
        waiting = iter(steps)

        def wait(seconds: float) -> None:
            assert seconds == 2
            step = next(waiting, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr(report_watch, "wait", wait)
        result = repository("report", "--watch", *words, now=now)
        assert result.out == ""
        assert next(waiting, None) is None, result.err
        return result.code, [line for line in result.err.splitlines() if line.startswith(TIMES)]

    return run


def nothing() -> None:
    """Change nothing."""


def test_the_file_is_written_once_and_again_after_each_change(built: Repository, watch: Watch) -> None:
    file = built.root.parent / "health.html"
    written: list[bytes] = []
    add = built.root / "reports/runs/another"

    def look(step: Step = nothing) -> Step:
        def run() -> None:
            # The clock goes on from NOON, so that a page that is written again may have a later second.
            written.append(re.sub(rb"<time .*?</time>", b"", file.read_bytes()))
            step()

        return run

    steps = [
        look(),
        look(lambda: add_run_folder(add)),
        look(),
        look(lambda: built("build", now=LATER)),
        look(),
    ]
    sealed = sorted(built.runs.iterdir())
    code, lines = watch(built, steps, "-o", str(file))

    assert code == 0
    assert len(lines) == 3, "at the start, after the run folder, after the build"
    assert written[0] == written[1] == written[2]
    assert written[3] != written[4]
    assert b"Not sealed: this file can be altered without a trace." in written[0]
    new = [path.name for path in set(built.runs.iterdir()) - set(sealed) if "health_render" in path.name]
    assert len(new) == 1, "what the build itself sealed"


def test_a_folder_is_kept_up_to_date(built: Repository, watch: Watch) -> None:
    site = built.root.parent / "site"
    add_run_folder(built.root / "reports/runs/another")
    pointers, operations = built.pointers.read_bytes(), list[list[str]]()

    def look() -> None:
        operations.append(sorted(path.name for path in (site / "operations").iterdir()))
        assert ("No report can be rendered now" in (site / "index.html").read_text()) == (len(operations) == 2)

    steps: list[Step] = [
        look,
        lambda: built.pointers.write_bytes(b"{"),
        look,
        lambda: (built.pointers.write_bytes(pointers), built("build", now=LATER)),
        look,
    ]
    code, lines = watch(built, steps, "--pages", str(site))

    assert (code, len(lines)) == (0, 3)
    assert operations[0] == operations[1] == operations[2], "other pages stay while no report can be rendered"
    assert find_broken_links(site) == []
    assert built.active("run_registry") in (site / "index.html").read_text()


def test_a_moment_in_which_no_report_is_possible_is_on_the_page_and_passes(built: Repository, watch: Watch) -> None:
    file, toml = built.root.parent / "health.html", built.root / "registry-pipeline.toml"
    pages: list[str] = []
    pointers, config = built.pointers.read_bytes(), toml.read_bytes()
    keep: Step = lambda: pages.append(file.read_text())  # noqa: E731 - a step
    table = built.runs / built.active("op_status_table")
    steps: list[Step] = [
        lambda: built.pointers.write_bytes(b"{"),
        keep,
        keep,
        lambda: (built.pointers.write_bytes(pointers), toml.write_bytes(b'"<b>\\u202e" = 1\n')),
        keep,
        lambda: (toml.write_bytes(config), table.rename(built.root / "away")),
        keep,
        lambda: (built.root / "away").rename(table),
        keep,
    ]

    code, lines = watch(built, steps, "-o", str(file))

    assert (code, len(lines)) == (0, 5), "the same reason is written once"
    assert "No report can be rendered now" in pages[0]
    assert pages[0] == pages[1]
    assert "registry-pipeline.toml" in pages[2]
    assert "none is active" in pages[3]
    assert '<h2 id="operations">' in pages[4]
    assert "&lt;b&gt;\\u202e" in pages[2]
    assert all(PageReader(page).hidden == [] and "<b>" not in page for page in pages[:4])


def test_the_page_is_written_again_on_another_day(
    built: Repository, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [read_system_clock()]
    monkeypatch.setattr(report_watch, "read_system_clock", lambda: clock[-1])
    file = built.root.parent / "health.html"
    steps: list[Step] = [
        lambda: clock.append(clock[0] + timedelta(hours=1)),
        lambda: clock.append(clock[0] + timedelta(hours=13)),
    ]

    _, lines = watch(built, steps, "-o", str(file))

    assert [line.partition(" at ")[2][:18] for line in lines] == ["1 Mar 2026, 12:00 ", "2 Mar 2026, 01:00 "]
    assert "Written 2 Mar 2026, 01:00 UTC." in file.read_text()


def test_the_page_is_opened_once(built: Repository, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))  # type: ignore[func-returns-value]
    file = built.root.parent / "health.html"

    watch(built, [lambda: built("rollback", "--reason", "x")], "--open", "-o", str(file))

    assert opened == [file.as_uri()]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "--watch writes -o FILE.html or --pages DIR"),
        (("-o", "health.md"), 2, "--watch writes -o FILE.html"),
        (("-o", "health.html", "--json"), 2, "has no other format"),
        (("-o", "health.html", "--format", "html"), 2, "has no other format"),
        (("-o", "health.html", "--every", "0"), 2, "--every"),
        (("-o", "missing/health.html"), 7, "there is no folder missing"),
        (("-o", ".codex/RUNS/health.html"), 5, "is in the run root"),
        (("--pages", "docs"), 5, "docs is not empty"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(
    seen: Repository, words: tuple[str, ...], code: int, message: str
) -> None:
    before = seen.files()

    result = seen("report", "--watch", *words)

    assert result.code == code
    assert message in result.err
    assert seen.files() == before


def test_a_sealed_page_is_never_rewritten(built: Repository) -> None:
    document = built("report", "--json").document("report")
    sealed = (built.root / document["page"]).read_bytes()

    assert built("report", "--watch", "-o", document["page"]).code == 5
    assert (built.root / document["page"]).read_bytes() == sealed


@pytest.mark.process
def test_ctrl_c_ends_it_with_exit_code_0(built: Repository) -> None:
    file = built.root.parent / "health.html"
    process = subprocess.Popen(
        [*PROGRAM, "report", "--watch", "-o", str(file), "--every", "3600"],
        cwd=built.root,
        env=environment(built.home),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)

    assert first.startswith(f"{TIMES}{file} at ")
    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""
    assert file.read_text().startswith("<!doctype html>")
    assert not Path(f"{file}.tmp").exists()
