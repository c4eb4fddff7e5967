"""Progress is drawn on a terminal only, after a second, with the rate and the remaining time."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from registry_pipeline.cli.reporter import Reporter, draw_progress
from registry_pipeline.cli.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Timer:
    """A timer that ends at once, or never."""

    delays: ClassVar[list[float]] = []
    ends = True

    def __init__(self, delay: float, function: Callable[[], Any]) -> None:
        self.delays.append(delay)
        self.function = function
        self.daemon = False

    def start(self) -> None:
        if self.ends:
            self.function()

    def cancel(self) -> None:
        pass

    def join(self) -> None:
        pass


def draw(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *, ends: bool, verbosity: int = 0) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(Timer, "ends", ends)
    monkeypatch.setattr("threading.Timer", Timer)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    settings = Settings(
        repo=None, format="text", verbosity=verbosity, now=datetime(2026, 3, 1, tzinfo=UTC), color=False
    )
    with draw_progress(Reporter(settings), "run folders", 400) as bar:
        bar.set_done(100)
        bar.set_done(200)
        bar.set_done(300)
    return stream.getvalue()


def test_a_terminal_shows_count_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw(monkeypatch, Terminal(), ends=True)

    assert "run folders" in drawn
    assert "300/400" in drawn
    assert "/s" in drawn
    assert "0:00:0" in drawn
    assert Timer.delays[-1] == 1.0


def test_nothing_is_drawn_for_what_ends_within_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw(monkeypatch, Terminal(), ends=False) == ""


@pytest.mark.parametrize(("stream", "verbosity"), [(io.StringIO, 0), (Terminal, -1)])
def test_nothing_is_drawn_in_a_pipe_or_if_quiet(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], verbosity: int
) -> None:
    assert draw(monkeypatch, stream(), ends=True, verbosity=verbosity) == ""
