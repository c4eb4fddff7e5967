"""`ui`: run Dagster's webserver and daemon, found beside this Python, as child processes; both are stopped together."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import click

from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import (
    AUTOMATION_VARIABLE,
    CONFIG_NAME,
    REPO_VARIABLE,
    UI_URL_VARIABLE,
    Repository,
    find_repository,
    refuse_missing_celery,
)
from registry_pipeline.errors import BusyError, ConfigError, NotFoundError, RegistryPipelineError
from registry_pipeline.files.atomic_write import create_file, overwrite_file

HOST: Final = "127.0.0.1"
INSTANCE_FILE: Final = "dagster.yaml"
WORKSPACE_FILE: Final = "workspace.yaml"
LOCATIONS_FILE: Final = "locations.yaml"
WORKSPACE: Final = """\
# The code locations that `registry-pipeline ui` loads; you may add others. Dagster keeps the switches of sensors and
# schedules by location name, so this one has the name that `dg` uses.
load_from:
  - python_module:
      module_name: registry_pipeline.definitions
      location_name: registry_pipeline
"""
_LOCATIONS_HEADING: Final = "# Written by `registry-pipeline ui` at each start. Your own locations: workspace.yaml."
_POLL_SECONDS: Final = 0.2
_START_SECONDS: Final = 120
_STOP_SECONDS: Final = 20
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PACKAGE: Final = Path(__file__).resolve().parents[2]


def serve(
    repositories: Sequence[Repository],
    home: Path,
    port: int,
    on_ready: Callable[[str], None],
    note: Callable[[str], None],
) -> int:
    """Start both processes, call `on_ready` once with the address, and stop them on Ctrl-C; return 0.

    Several repositories have passed `refuse_unnamed`. `note` prints a text. BusyError: the port is in use.
    NotFoundError: Dagster is not installed. Another error is raised if a process ends or does not answer in time; then
    both are stopped, too.
    """
    port, root = _find_free_port(port), repositories[0].root
    prepare_home(home)
    files = write_locations(home, repositories)
    log = home / "ui.log"
    roots = ", ".join(str(repository.root) for repository in repositories)
    note(f"{'repositories' if repositories[1:] else 'repository'} {roots}; Dagster home {home}; log {log}")
    url = f"http://{HOST}:{port}"
    # A user who reaches this machine through another address names that one.
    environment = {UI_URL_VARIABLE: url, **make_environment(root, home)}
    running: list[subprocess.Popen[bytes]] = []
    with log.open("ab") as sink:
        try:
            web, daemon = find_dagster_commands(home, port, files)
            running.append(_start_process(web, environment, root, sink.fileno()))
            # The daemon starts second: two processes that create the tables of a new Dagster home fail each other.
            _wait_until_ready(url, running, log)
            running.append(_start_process(daemon, environment, root, sink.fileno()))
            on_ready(url)
            while True:
                _raise_if_ended(running, log)
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            return 0
        finally:
            # Not before: `ui` would have to wait for the orphans of hours.
            _adopt_orphans(True)
            _stop_processes(running)
            _adopt_orphans(False)


def make_environment(root: Path, home: Path) -> dict[str, str]:
    """Return the environment of webserver and daemon: the current one with repository, home and switches."""
    return {
        **os.environ,
        REPO_VARIABLE: str(root),
        "DAGSTER_HOME": str(home),
        AUTOMATION_VARIABLE: "on",
        # The webserver uploads what any Dagster command recorded, whatever its dagster.yaml says.
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }


def find_dagster_commands(
    home: Path, port: int, files: Sequence[str] = (WORKSPACE_FILE,)
) -> tuple[list[str], list[str]]:
    """Return the command lines of webserver and daemon, which load these workspace files of the Dagster home.

    Raises NotFoundError if one is not installed.
    """
    workspace = [word for name in files for word in ("-w", str(home / name))]
    web = [_find_program("dagster-webserver"), "-h", HOST, "-p", str(port), *workspace]
    return web, [_find_program("dagster-daemon"), "run", *workspace]


def prepare_home(home: Path) -> None:
    """Create the Dagster home with its instance and workspace files; existing files are kept."""
    for name, data in ((INSTANCE_FILE, find_instance_file().read_bytes()), (WORKSPACE_FILE, WORKSPACE.encode())):
        if not (home / name).exists():
            with suppress(BusyError):  # another `ui` was faster
                create_file(home / name, data)


def refuse_unnamed(repositories: Sequence[Repository]) -> None:
    """Raise ConfigError unless each of several repositories has a location of its own."""
    names: dict[str, Path] = {}
    for repository in repositories if repositories[1:] else ():
        name = repository.config.dagster.location
        if not name:
            raise ConfigError(
                f"{repository.root} has no location, which it needs beside other repositories",
                f'write `location = "NAME"` into the table [dagster] of its {CONFIG_NAME}',
            )
        if name in names:
            raise ConfigError(
                f"{names[name]} and {repository.root} have the same location, {name!r}",
                f"give one of them another `location` in the table [dagster] of its {CONFIG_NAME}",
            )
        names[name] = repository.root


def write_locations(home: Path, repositories: Sequence[Repository]) -> tuple[str, ...]:
    """Return the names of the workspace files to load; writes that of repositories with a location.

    Raises:
        ConfigError: the file for the user's own code locations loads a repository, too.
    """
    if not repositories[0].config.dagster.location:
        return (WORKSPACE_FILE,)
    text = (home / WORKSPACE_FILE).read_text(encoding="utf-8", errors="replace")
    if text != WORKSPACE and "registry_pipeline.definitions" in text:
        # Two code locations of one repository would build and activate everything twice.
        raise ConfigError(
            f"{home / WORKSPACE_FILE} loads registry_pipeline.definitions, the repository that has a location",
            "remove that code location from the file, and keep your own",
        )
    lines = [_LOCATIONS_HEADING, "load_from:"]
    for repository in repositories:
        lines += [
            "  - python_module:",
            "      module_name: registry_pipeline.locations",
            f"      attribute: {json.dumps(str(repository.root))}",  # a string of JSON is one of YAML
            f"      location_name: {repository.config.dagster.location}",
        ]
    overwrite_file(home / LOCATIONS_FILE, "\n".join([*lines, ""]).encode())
    return (LOCATIONS_FILE,) if text == WORKSPACE else (LOCATIONS_FILE, WORKSPACE_FILE)


def find_instance_file(package: Path = _PACKAGE) -> Path:
    """Return the path of the shipped `dagster.yaml`: that of the checkout, else the copy inside the package."""
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / INSTANCE_FILE).is_file():
        return checkout / INSTANCE_FILE
    return package / INSTANCE_FILE


def _find_free_port(requested: int) -> int:
    """Return the requested port, or any free port for 0; raise BusyError if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, requested))
        except OSError:
            raise BusyError(f"port {requested} is in use", "choose another with --port; 0 is any free port") from None
        port: int = probe.getsockname()[1]
        return port


def _find_program(name: str) -> str:
    """Return the path of a program beside this Python or else on PATH; raise NotFoundError if there is none."""
    own = Path(sys.executable).parent / name
    path = str(own) if own.is_file() else shutil.which(name)
    if path is None:
        raise NotFoundError(f"{name} is not installed", "install registry-pipeline with all its dependencies")
    return path


def _start_process(command: list[str], environment: Mapping[str, str], cwd: Path, log: int) -> subprocess.Popen[bytes]:
    # In a session of its own, so that its children can be stopped with it.
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
    # Runs in the child. SIGINT and SIGTERM may be inherited as ignored (`ui &` in a script); Dagster stops on both.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    # If `ui` is killed, it cannot stop its children: the kernel does (Linux only).
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(url: str, running: list[subprocess.Popen[bytes]], log: Path) -> None:
    """Wait until the webserver answers; raise RegistryPipelineError if a process ends or after `_START_SECONDS`."""
    opener = build_opener(ProxyHandler({}))  # ignore the environment's proxy for loopback
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        _raise_if_ended(running, log)
        with suppress(URLError, OSError), opener.open(f"{url}/server_info", timeout=5):
            return
        time.sleep(_POLL_SECONDS)
    raise RegistryPipelineError(f"Dagster did not start within {_START_SECONDS} seconds", f"see {log}")


def _raise_if_ended(running: list[subprocess.Popen[bytes]], log: Path) -> None:
    for process in running:
        if process.poll() is not None:
            name = Path(str(process.args[0] if isinstance(process.args, list) else process.args)).name
            raise RegistryPipelineError(f"{name} ended with code {process.returncode}", f"see {log}")


def _stop_processes(running: list[subprocess.Popen[bytes]]) -> None:
    """Send SIGTERM to both process groups, wait, and send SIGKILL to whatever is left of them."""
    # A second Ctrl-C must not interrupt the shutdown.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in running:
            # Code servers may outlive their parents, so SIGKILL goes to the groups even if both processes ended.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    for process in running:
        _reap_group(process.pid, deadline)


def _adopt_orphans(on: bool) -> None:
    # A code server whose parent ended becomes a child of this process (Linux only), which can then wait for its end.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on))


def _reap_group(group: int, deadline: float) -> None:
    """Wait until no child of this process is left in a process group, or until the deadline (of `monotonic`)."""
    with suppress(ChildProcessError):  # none is left
        while os.waitpid(-group, os.WNOHANG)[0] or time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 10)


@command(
    "ui",
    ("ui", "the asset graph of the nearest repository"),
    ("-C tides ui --port 3001", "another repository's, on another port"),
    ("-C tides ui --also ../billing", "two repositories; each has a `location` in its toml"),
)
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="On 127.0.0.1; 0 is any.")
@click.option("--dagster-home", metavar="DIR", type=click.Path(path_type=Path), help="The folder of Dagster's state.")
@click.option(
    "--also",
    metavar="DIR",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A further repository; may be repeated.",
)
def ui_command(reporter: Reporter, port: int, dagster_home: Path | None, also: tuple[Path, ...]) -> int:
    """Start Dagster's web UI for this repository.

    Starts the webserver and the daemon, prints the address once it can be opened, and stops both on Ctrl-C. They
    listen on 127.0.0.1 only. The daemon runs the activation sensor: a complete set of builds that passed their checks
    is activated automatically. State is kept in `dagster` beside the publish root; none of it is evidence.

    Several repositories share the state of the first one. Each needs a name of its own: `location` in the table
    [dagster] of its toml. Without it, or with the same one twice, nothing is started (exit 2).
    """
    repositories = [find_repository(reporter.settings.repo), *map(find_repository, also)]
    refuse_unnamed(repositories)
    for repository in repositories:
        refuse_missing_celery(repository.config.dagster)
    home = (dagster_home or repositories[0].dagster_home).resolve()

    def print_address(url: str) -> None:
        reporter.print_result({"url": url}, (), lambda page: page.line(f"{url}  (Ctrl-C stops it)", style="bold"))

    return serve(repositories, home, port, print_address, reporter.note)
