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

from registry_pipeline import config as repository_config
from registry_pipeline.cli.commands import ui
from registry_pipeline.cli.commands.ui import (
    WORKSPACE,
    find_dagster_commands,
    find_instance_file,
    make_environment,
    prepare_home,
    write_locations,
)
from registry_pipeline.config import load_repository
from registry_pipeline.errors import ConfigError
from registry_pipeline_tests.cli.conftest import PROGRAM, Repository, call, environment

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

    def programs(_home: Path, port: int, _files: object) -> tuple[list[str], list[str]]:
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
        code = ui.serve([load_repository(tmp_path)], tmp_path / "home", 0, stop_when_told, lambda _note: None)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert code == 0
    assert daemon_file.with_suffix(".done").read_text() == "second"
    assert not Path("/proc", child.read_text()).exists()


def open_named(folder: Path, name: str, location: str) -> repository_config.Repository:
    (folder / name).mkdir(exist_ok=True)
    toml = f'[dagster]\nlocation = "{location}"\n' if location else ""
    (folder / name / "registry-pipeline.toml").write_text(toml, encoding="utf-8")
    return load_repository(folder / name)


@pytest.mark.parametrize(
    ("second", "message"),
    [("", "has no location"), ("payments", "have the same location, 'payments'")],
)
def test_repositories_that_dagster_could_not_tell_apart_are_refused(
    tmp_path: Path, home: Path, second: str, message: str
) -> None:
    for name, location in (("one", "payments"), ("two", second)):
        open_named(tmp_path, name, location)

    result = call("-C", "one", "ui", "--also", "two", cwd=tmp_path, env=environment(home))

    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert str(tmp_path / "two") in result.err
    assert not list(tmp_path.rglob("dagster.yaml"))


def test_a_repository_is_not_served_beside_itself(tmp_path: Path, home: Path) -> None:
    open_named(tmp_path, "one", "payments")

    assert call("-C", "one", "ui", "--also", "one/../one", cwd=tmp_path, env=environment(home)).code == 2


def test_a_further_repository_that_does_not_exist_is_reported(tmp_path: Path, home: Path) -> None:
    open_named(tmp_path, "one", "payments")

    result = call("-C", "one", "ui", "--also", "missing", cwd=tmp_path, env=environment(home))

    assert (result.code, "missing is not a folder" in result.err) == (7, True)


def test_one_repository_without_a_location_is_served_as_ever(tmp_path: Path) -> None:
    prepare_home(tmp_path)

    assert write_locations(tmp_path, [open_named(tmp_path, "one", "")]) == ("workspace.yaml",)
    assert not (tmp_path / "locations.yaml").exists()


def test_each_start_writes_the_code_locations_of_the_repositories(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    first, second = open_named(tmp_path, 'one "quoted" \u00e9', "payments"), open_named(tmp_path, "two", "billing")

    for repositories in ([first], [first, second]):
        assert write_locations(tmp_path, repositories) == ("locations.yaml",)
        expected = [(r.config.dagster.location, "registry_pipeline.locations", str(r.root)) for r in repositories]
        assert load_workspace(tmp_path / "locations.yaml") == expected


def load_workspace(path: Path) -> list[tuple[str | None, str | None, str | None]]:
    """Return name, module and attribute of each code location of a file, as Dagster reads it."""
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    origins = location_origins_from_yaml_paths([str(path)])
    targets = [origin.loadable_target_origin for origin in origins]
    return [(o.location_name, t.module_name, t.attribute) for o, t in zip(origins, targets, strict=True)]


def test_code_locations_of_the_users_own_are_served_too(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text("load_from:\n  - python_module: my_project\n")
    prepare_home(tmp_path)

    files = write_locations(tmp_path, [open_named(tmp_path, "one", "payments")])

    assert files == ("locations.yaml", "workspace.yaml")
    web, _ = find_dagster_commands(tmp_path, 3000, files)
    assert web[-4:] == ["-w", str(tmp_path / "locations.yaml"), "-w", str(tmp_path / "workspace.yaml")]


def test_a_workspace_that_loads_the_repository_a_second_time_is_refused(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text(WORKSPACE + "  - python_module: my_project\n")

    with pytest.raises(ConfigError, match=r"loads registry_pipeline\.definitions") as caught:
        write_locations(tmp_path, [open_named(tmp_path, "one", "payments")])

    assert "remove that code location" in (caught.value.advice or "")
    assert not (tmp_path / "locations.yaml").exists()
