"""Each documented way to start Dagster, in a fresh checkout and without settings, as a person does it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

from registry_pipeline.cli.commands.ui import HOST
from registry_pipeline.config import load_repository
from registry_pipeline.defs.start_message import format_start_message
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Served, until
from registry_pipeline_tests.registries.repositories import git

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/use-dagster-ui.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## Start")[2].partition("\n## ")[0], re.MULTILINE)
SERVING = [command for command in COMMANDS if command.endswith(" dev")]
ENDING = [command for command in COMMANDS if command not in ("registry-pipeline ui", *SERVING)]
(LAUNCH,) = re.findall(r"^DAGSTER_HOME=.* dagster job launch .*$", PAGE, re.MULTILINE)

SWITCHES = """
query Switches($location: RepositorySelector!) {
  sensorsOrError(repositorySelector: $location) {... on Sensors {results {name sensorState {status}}}}
  schedulesOrError(repositorySelector: $location) {... on Schedules {results {name scheduleState {status}}}}
}"""
AUTOMATION = {
    "activation_sensor",
    "command_line_sensor",
    "evidence_pack_registry_sensor",
    "hourly_pointers_schedule",
    "validation_range_results_sensor",
}


@dataclass(frozen=True)
class Start:
    """A server that somebody started in the checkout."""

    served: Served
    process: subprocess.Popen[bytes]
    output: Path
    """What it printed on stdout and stderr."""

    def lines(self) -> list[str]:
        """Return the lines that name the repository."""
        return [line for line in self.output.read_text(encoding="utf-8").splitlines() if "repository /" in line]

    def running(self) -> set[str]:
        """Return the sensors and schedules that are on."""
        answer = self.served.graphql(SWITCHES, location=self.served.location())
        sensors, schedules = answer["sensorsOrError"]["results"], answer["schedulesOrError"]["results"]
        on = {sensor["name"] for sensor in sensors if sensor["sensorState"]["status"] == "RUNNING"}
        return on | {each["name"] for each in schedules if each["scheduleState"]["status"] == "RUNNING"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with the files of this one as its only commit, and its `.venv`."""
    root = tmp_path_factory.mktemp("starts") / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("registry_pipeline_tests/", "benchmarks/")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "a clone")
    (root / ".venv").symlink_to(sys.prefix)
    yield root
    make_removable(root)


def environment(checkout: Path, **more: str) -> dict[str, str]:
    """Return what a new shell has, after `. .venv/bin/activate`."""
    names = ("LANG", "TMPDIR", "XDG_RUNTIME_DIR")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    programs = Path(sys.executable).parent
    return {
        **kept,
        "HOME": str(checkout.parent),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(checkout / ".venv"),
        "PYTHONPATH": str(checkout),  # as the editable installation of that checkout does
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def find_temporary_homes(checkout: Path) -> list[Path]:
    return list(checkout.glob(".tmp_dagster_home_*"))


def git_status(checkout: Path) -> str:
    done = subprocess.run(["git", "status", "--porcelain"], cwd=checkout, check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def started(checkout: Path, command: str) -> Iterator[Start]:
    """Start a server on a free port, wait until it answers, and kill all of its processes at the end."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    output = checkout.parent / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*shlex.split(command), "--port", str(port)],
            cwd=checkout,
            env=environment(checkout),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    served = Served(f"http://{HOST}:{port}", load_repository(checkout))

    def answers() -> bool | None:
        assert process.poll() is None, output.read_text(encoding="utf-8")
        with suppress(URLError, OSError):
            return bool(served.location())
        return None

    try:
        until(command, answers, START_SECONDS)
        yield Start(served, process, output)
    finally:
        # `dg dev` and `dagster dev` do not stop on TERM; everything they start is in their process group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        until(f"the end of what {command} started", lambda: not list_session(process.pid) or None, WORK_SECONDS)
        for home in find_temporary_homes(checkout):
            shutil.rmtree(home, ignore_errors=True)


def list_session(session: int) -> dict[int, bytes]:
    """Return the command lines of the living processes of a session; that of a zombie is empty."""
    lines: dict[int, bytes] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == session:
                lines[int(entry.name)] = (entry / "cmdline").read_bytes()
    return {process: line for process, line in lines.items() if line}


def read_webserver_environment(session: int) -> dict[str, str]:
    (webserver,) = [process for process, line in list_session(session).items() if b"dagster_webserver" in line]
    variables = Path("/proc", str(webserver), "environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(variable).partition("=")[::2] for variable in variables)


def test_the_page_documents_every_usual_start() -> None:
    programs = {" ".join(command.split()[:2]) for command in COMMANDS}

    assert programs == {"registry-pipeline ui", "dg dev", "dagster dev", "dg launch", "dagster asset", "dg check"}


@pytest.mark.parametrize("command", ENDING)
def test_a_command_that_ends_names_its_repository_and_its_temporary_home_once_on_stderr(
    checkout: Path, command: str
) -> None:
    done = subprocess.run(
        shlex.split(command), cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=False
    )

    lines = [line for line in done.stderr.splitlines() if "repository /" in line]
    assert done.returncode == 0, done.stderr
    assert lines == [format_start_message({"REGISTRY_PIPELINE_REPO": str(checkout)})]
    assert "repository /" not in done.stdout
    assert find_temporary_homes(checkout) == []
    assert git_status(checkout) == ""


@pytest.mark.parametrize("command", SERVING)
def test_a_developers_server_starts_nothing_by_itself_and_names_its_repository_once(
    checkout: Path, command: str
) -> None:
    with started(checkout, command) as start:
        switched_on, status, homes = start.running(), git_status(checkout), find_temporary_homes(checkout)
        variables = read_webserver_environment(start.process.pid)
        # The process of a run loads the code location again.
        run = start.served.wait_for_end("check_pointers_job", start.served.launch("check_pointers_job"))
        lines = start.lines()

    assert switched_on == set()
    assert lines == [format_start_message({"REGISTRY_PIPELINE_REPO": str(checkout)})]
    assert run == "SUCCESS"
    assert (len(homes), status) == (1, "")
    assert "DAGSTER_HOME" not in variables
    assert variables["DAGSTER_DISABLE_TELEMETRY"] == "yes"


def test_under_ui_automation_is_on_and_another_shell_can_launch_a_job(checkout: Path) -> None:
    home = checkout / ".codex/dagster"
    with started(checkout, "registry-pipeline ui") as start:
        switched_on, lines = start.running(), start.lines()
        launched = subprocess.run(
            ["bash", "-c", LAUNCH], cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=False
        )
        assert launched.returncode == 0, launched.stderr
        (run_id,) = start.served.runs("rebuild_job")
        status = start.served.wait_for_end("rebuild_job", run_id)
        os.kill(start.process.pid, signal.SIGINT)
        start.process.wait(WORK_SECONDS)

    assert switched_on == AUTOMATION
    assert lines == [f"repository {checkout}; Dagster home {home}; log {home / 'ui.log'}"]
    assert "registry-pipeline: " not in (home / "ui.log").read_text(encoding="utf-8")
    assert f"registry-pipeline: repository {checkout}; Dagster home {home}\n" in launched.stderr
    assert status == "SUCCESS"
    assert git_status(checkout) == ""


def test_the_line_names_repository_and_home_and_how_to_keep_a_temporary_one(tmp_path: Path) -> None:
    environ = {"REGISTRY_PIPELINE_REPO": str(tmp_path)}

    assert format_start_message(environ | {"DAGSTER_HOME": "/home"}) == (
        f"registry-pipeline: repository {tmp_path}; Dagster home /home"
    )
    assert format_start_message(environ) == (
        f"registry-pipeline: repository {tmp_path}; temporary Dagster home, whose history is lost when this command "
        f"ends -> to keep it: mkdir -p {tmp_path}/.codex/dagster && export DAGSTER_HOME={tmp_path}/.codex/dagster"
    )


def test_the_line_says_why_there_is_no_repository(tmp_path: Path) -> None:
    missing = format_start_message({"REGISTRY_PIPELINE_REPO": str(tmp_path / "nowhere"), "DAGSTER_HOME": "/home"})
    (tmp_path / "registry-pipeline.toml").write_text("unknown_key = 1\n", encoding="utf-8")
    invalid = format_start_message({"REGISTRY_PIPELINE_REPO": str(tmp_path), "DAGSTER_HOME": "/home"})

    assert missing == (
        f"registry-pipeline: {tmp_path}/nowhere is not a folder; Dagster home /home "
        "-> start in a repository, or name one with REGISTRY_PIPELINE_REPO"
    )
    assert "unknown_key" in invalid
    assert invalid.endswith("; Dagster home /home -> fix registry-pipeline.toml")


def test_a_hostile_folder_name_stays_one_line_that_a_shell_reads_back(tmp_path: Path) -> None:
    root = tmp_path / "a folder; $(touch x)"
    root.mkdir()
    line = format_start_message({"REGISTRY_PIPELINE_REPO": str(root)})
    (tmp_path / "two\nlines").mkdir()

    command = line.partition("to keep it: ")[2]
    printed = subprocess.run(
        ["bash", "-c", f"{command}; echo $DAGSTER_HOME"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == f"{root}/.codex/dagster\n"
    assert "\n" not in format_start_message({"REGISTRY_PIPELINE_REPO": str(tmp_path / "two\nlines")})


def test_json_on_stdout_stays_readable(checkout: Path) -> None:
    done = subprocess.run(
        ["dg", "list", "defs", "--json"], cwd=checkout, env=environment(checkout), capture_output=True, check=True
    )

    assert "run_registry" in {asset["asset_key"] for asset in json.loads(done.stdout)["assets"]}
