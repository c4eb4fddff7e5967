"""Dagster's webserver and daemon as processes: started together, stopped together, with all their children.

One of the three places that start processes. Nothing here imports Dagster: its programs are found beside this Python.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from registry_pipeline.config import REPO_VARIABLE
from registry_pipeline.errors import BusyError, NotFoundError, RegistryPipelineError
from registry_pipeline.files.atomic_write import create_file
from registry_pipeline.values import value_type

HOST: Final = "127.0.0.1"
INSTANCE_FILE: Final = "dagster.yaml"
WORKSPACE_FILE: Final = "workspace.yaml"
WORKSPACE: Final = """\
# What `registry-pipeline ui` loads. The switches of sensors and schedules hang on the name of the location, which is
# the one that `dg` gives it. Further code locations may stand here.
load_from:
  - python_module:
      module_name: registry_pipeline.definitions
      location_name: registry_pipeline
"""
_POLL_SECONDS: Final = 0.2
_START_SECONDS: Final = 120
_STOP_SECONDS: Final = 20
_PR_SET_PDEATHSIG: Final = 1
_PACKAGE: Final = Path(__file__).resolve().parent.parent


@value_type
class UiPlan:
    """What is served, where Dagster's state is kept (absolute), and on which port; 0 is any that is free."""

    repository: Path
    dagster_home: Path
    port: int


def serve(plan: UiPlan, answers: Callable[[str], None], note: Callable[[str], None]) -> int:
    """Run both processes until they are told to stop; `answers` is called once with the address.

    Raises:
        BusyError: the port is taken. NotFoundError: Dagster's programs are not installed.
        RegistryPipelineError: one of the processes ended by itself.
    """
    port = _free_port(plan.port)
    prepare_home(plan.dagster_home)
    environment = {**os.environ, REPO_VARIABLE: str(plan.repository), "DAGSTER_HOME": str(plan.dagster_home)}
    log = plan.dagster_home / "ui.log"
    note(f"starting Dagster; its log is {log}")
    url = f"http://{HOST}:{port}"
    running: list[subprocess.Popen[bytes]] = []
    with log.open("ab") as sink:
        try:
            web, daemon = commands(plan.dagster_home, port)
            running.append(_start(web, environment, plan.repository, sink.fileno()))
            # The daemon comes second: two processes that make the tables of a new Dagster home fail each other.
            _wait_until_it_answers(url, running, log)
            running.append(_start(daemon, environment, plan.repository, sink.fileno()))
            answers(url)
            while True:
                _fail_if_ended(running, log)
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(running)


def commands(home: Path, port: int) -> tuple[list[str], list[str]]:
    """Return the command lines of the webserver and of the daemon, for a home that was prepared.

    Raises:
        NotFoundError: Dagster's programs are not installed.
    """
    workspace = ("-w", str(home / WORKSPACE_FILE))
    web = [_program("dagster-webserver"), "-h", HOST, "-p", str(port), *workspace]
    return web, [_program("dagster-daemon"), "run", *workspace]


def prepare_home(home: Path) -> None:
    """Make the Dagster home with its instance and workspace files; those that stand there are the user's and stay.

    Raises:
        WriteError: the folder cannot be written; `--dagster-home` names another.
    """
    for name, data in (
        (INSTANCE_FILE, shipped_instance_file().read_bytes()),
        (WORKSPACE_FILE, WORKSPACE.encode()),
    ):
        if not (home / name).exists():
            with suppress(BusyError):  # another `ui` was faster
                create_file(home / name, data)


def shipped_instance_file(package: Path = _PACKAGE) -> Path:
    """Return the `dagster.yaml` that ships: a checkout's own, else the copy inside the package."""
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / INSTANCE_FILE).is_file():
        return checkout / INSTANCE_FILE
    return package / INSTANCE_FILE


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            raise BusyError(f"port {wanted} is taken", "name another with --port; 0 is any that is free") from None
        port: int = probe.getsockname()[1]
        return port


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise NotFoundError(f"{name} is not installed", "install registry-pipeline with all its dependencies")
    return found


def _start(command: list[str], environment: Mapping[str, str], cwd: Path, log: int) -> subprocess.Popen[bytes]:
    """Start a process at the head of a session of its own, so that its children can be stopped with it."""
    return subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - `ui` has one thread
    )


def _end_with_parent() -> None:
    """Have the kernel end this process and its children when `ui` is killed and cannot do so (Linux)."""
    # Dagster handles SIGTERM as it handles SIGINT, and both may be inherited as ignored (`ui &` in a script).
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_it_answers(url: str, running: list[subprocess.Popen[bytes]], log: Path) -> None:
    opener = build_opener(ProxyHandler({}))  # loopback is asked directly, whatever proxy the environment names
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        _fail_if_ended(running, log)
        with suppress(URLError, OSError), opener.open(f"{url}/server_info", timeout=5):
            return
        time.sleep(_POLL_SECONDS)
    raise RegistryPipelineError(f"Dagster did not answer within {_START_SECONDS} seconds", f"see {log}")


def _fail_if_ended(running: list[subprocess.Popen[bytes]], log: Path) -> None:
    for process in running:
        if process.poll() is not None:
            name = Path(str(process.args[0] if isinstance(process.args, list) else process.args)).name
            raise RegistryPipelineError(f"{name} ended with code {process.returncode}", f"see {log}")


def _stop(running: list[subprocess.Popen[bytes]]) -> None:
    """Ask both to end, with their children, and insist when they take too long; a second Ctrl-C changes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        if all(process.poll() is not None for process in running) and number == signal.SIGTERM:
            _stop_orphans(running)
            return


def _stop_orphans(ended: list[subprocess.Popen[bytes]]) -> None:
    """End what is left of the two process groups: code servers that outlived their parents."""
    for process in ended:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
