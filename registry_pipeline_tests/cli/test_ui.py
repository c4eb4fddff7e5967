"""Dagster's web UI, started and stopped as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from registry_pipeline.cli.commands import ui
from registry_pipeline.cli.commands.ui import (
    WORKSPACE,
    find_dagster_commands,
    find_instance_file,
    make_environment,
    prepare_home,
)
from registry_pipeline_tests.cli.conftest import PROGRAM, Repository, environment

# Shorter than the limit of pytest-timeout, so that a failure says what the test waited for.
PATIENCE = 550


def _ignore_signals() -> None:
    """Start as a program in a script does after `trap '' INT TERM`; `ui &` alone ignores INT."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)


def _session_leaders_of(home: Path) -> set[int]:
    """Return the processes whose environment names this Dagster home: the two that were started, and their children."""
    mark = f"DAGSTER_HOME={home}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            named = entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0")
            if named and (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.add(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ui_answers_on_loopback_and_leaves_no_process_behind(built: Repository, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "ui", "--port", "0", "--json"],
        cwd=built.root,
        env=environment(built.home, PATH=os.environ["PATH"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # The hardest case: only the kernel can end the children, by a signal that they would inherit as ignored.
        preexec_fn=_ignore_signals if number is signal.SIGKILL else None,  # noqa: PLW1509 - it only sets a handler
    )
    assert process.stdout is not None
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    home = built.root / ".codex/dagster"
    try:
        document = json.loads(b"".join(process.stdout.readline() for _ in range(4)))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{document['url']}/server_info", timeout=PATIENCE) as answer:
            assert "dagster_version" in json.load(answer)
        assert document["url"].startswith("http://127.0.0.1:")
        assert len(_session_leaders_of(home)) >= 2
    finally:
        process.send_signal(number)
        process.wait()
        watchdog.cancel()

    if number is signal.SIGKILL:  # killed, it cannot wait for its children: they end by themselves
        deadline = time.monotonic() + PATIENCE
        while _session_leaders_of(home) and time.monotonic() < deadline:
            time.sleep(0.1)
    codes = {signal.SIGINT: 0, signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGKILL: -signal.SIGKILL}
    assert process.returncode == codes[number]
    assert _session_leaders_of(home) == set()
    assert (home / "dagster.yaml").read_bytes() == find_instance_file().read_bytes()


def test_a_used_port_is_reported(built: Repository) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = built("ui", "--port", str(taken.getsockname()[1]))

    assert (result.code, "--port" in result.err) == (6, True)


@pytest.mark.parametrize("name", ["dagster.yaml", "workspace.yaml"])
def test_the_users_own_file_in_the_dagster_home_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("# mine\n")

    prepare_home(tmp_path)

    assert (tmp_path / name).read_text() == "# mine\n"
    other = {"dagster.yaml": WORKSPACE, "workspace.yaml": find_instance_file().read_text()}[name]
    assert [p.read_text() for p in tmp_path.iterdir() if p.name != name] == [other]


def test_ui_serves_the_workspace_of_the_dagster_home(tmp_path: Path) -> None:
    for command in find_dagster_commands(tmp_path, 3000):
        assert command[-2:] == ["-w", str(tmp_path / "workspace.yaml")]


def test_no_process_of_ui_uploads_telemetry_whatever_the_dagster_yaml_of_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._core.telemetry_upload import is_running_in_test, upload_logs

    # What other commands recorded, which Dagster's uploader moves to its queue before it sends it.
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/event.log").write_text("{}\n")
    for name in ("BUILDKITE", "TF_BUILD", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    assert not is_running_in_test()
    monkeypatch.setenv("DAGSTER_TELEMETRY_URL", "http://127.0.0.1:9/")
    for name, value in make_environment(tmp_path, tmp_path).items():
        monkeypatch.setenv(name, value)

    upload_logs(threading.Event(), raise_errors=True)

    assert [entry.name for entry in tmp_path.iterdir()] == ["logs"]


_WEB = """
import http.server, sys, time
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open(sys.argv[2], "w").close()
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""
_DAEMON = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # its child ignores the signal, as a busy code server may
code_server = subprocess.Popen([sys.executable, "-c", "import time; ballast = b'1' * 2**27; time.sleep(600)"])
signal.signal(signal.SIGTERM, signal.SIG_DFL)
pathlib.Path(sys.argv[3]).write_text(str(code_server.pid))
report = pathlib.Path(sys.argv[2])
report.write_text("second" if pathlib.Path(sys.argv[1]).exists() else "too early")
report.rename(report.with_suffix(".done"))
time.sleep(600)
"""


@pytest.mark.process
def test_the_daemon_starts_second_and_no_child_outlives_ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered, daemon_file, child = tmp_path / "answered", tmp_path / "daemon.part", tmp_path / "child"

    def programs(_home: Path, port: int) -> tuple[list[str], list[str]]:
        web = [sys.executable, "-c", _WEB, str(port), str(answered)]
        return web, [sys.executable, "-c", _DAEMON, str(answered), str(daemon_file), str(child)]

    def stop_when_told(_url: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not daemon_file.with_suffix(".done").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(ui, "find_dagster_commands", programs)
    try:
        code = ui.serve(tmp_path, tmp_path / "home", 0, stop_when_told, lambda _note: None)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert code == 0
    assert daemon_file.with_suffix(".done").read_text() == "second"
    assert not Path("/proc", child.read_text()).exists()
