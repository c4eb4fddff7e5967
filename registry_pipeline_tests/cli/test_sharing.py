"""Two users who share a checkout: folders with the setgid bit, a group that may write, and any umask."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_pipeline_tests.cli import user_server
from registry_pipeline_tests.cli.conftest import CommandResult, environment
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.run_index.values import a_run

AS_ROOT = os.geteuid() == 0
TEAM = 61000 if AS_ROOT else os.getgid()
ADA, GRACE = (61001, 61002) if AS_ROOT else (os.geteuid(), os.geteuid())
RUN_INDEX = "60-REGISTRY/data/run-index.jsonl"


@dataclass(frozen=True)
class User:
    """A member of the team, at work in the shared checkout."""

    uid: int
    umask: str
    root: Path
    server: subprocess.Popen[str]

    def __call__(self, minute: int, *words: str) -> CommandResult:
        """Run a command as this user; `minute` is that of the clock."""
        trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        request = {
            "uid": self.uid,
            "group": TEAM,
            "umask": int(self.umask, 8),
            "cwd": str(self.root),
            "env": environment(self.root.parent, REGISTRY_PIPELINE_MACHINE="C1", **trusted),
            "words": [*words, "--now", f"2026-03-01T12:{minute:02d}:00Z"],
        }
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return CommandResult(**json.loads(self.server.stdout.readline()))


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, user_server.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A git checkout that the team may write to; not below `tmp_path`, which only its owner may enter."""
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    root = home / "checkout"
    root.mkdir()
    (root / "README.md").write_text("Gauges.\n", encoding="utf-8")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
        name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
        subprocess.run(["git", *name, *words], cwd=root, env=environment(home), check=True)
    for path in (root, *root.rglob("*")):
        if AS_ROOT:
            os.chown(path, ADA, TEAM)
        path.chmod(0o2775 if path.is_dir() else 0o664)
    yield root
    make_removable(home)
    shutil.rmtree(home)


def worked(result: CommandResult) -> bool:
    assert result.code == 0, result.err
    return True


def worked_or_said_why(result: CommandResult) -> bool:
    """A folder that an older version made for one user alone stops the others, in one clear line."""
    assert result.code == 0 or (result.code, result.err.count("\n"), "Permission denied" in result.err) == (1, 1, True)
    return True


def record(number: int) -> str:
    return json.dumps(a_run(number))


def entry(name: str) -> tuple[str, ...]:
    return "--type", "module_type", "--entry-json", json.dumps({"id": name, "description": "Reads one gauge."})


@pytest.mark.parametrize("umask", ["0002", "0027", "0077"])
def test_two_users_of_one_group_can_work_in_turns_with_any_umask(
    checkout: Path, server: subprocess.Popen[str], umask: str
) -> None:
    ada, grace = (User(uid, umask, checkout, server) for uid in (ADA, GRACE))

    assert worked(ada(0, "init", "--entries"))
    assert worked(ada(1, "build", "--no-activate"))
    assert worked(ada(2, "activate", "run_registry", "latest", "--reason", "reviewed"))
    assert worked(ada(3, "build"))
    assert worked(ada(4, "run-index", "append", "--record", record(1)))
    assert worked(ada(5, "entries", "add", *entry("gauge")))
    assert worked(grace(6, "build"))
    assert worked(grace(7, "rollback", "--reason", "the drift is wrong"))
    assert worked(grace(8, "run-index", "append", "--record", record(2)))
    assert worked_or_said_why(grace(9, "entries", "add", *entry("sluice")))
    assert worked(ada(10, "build"))
    assert worked(ada(11, "run-index", "append", "--record", record(3)))
    assert worked(ada(12, "entries", "add", *entry("lock")))
    assert worked(grace(13, "doctor", "--fix"))
    assert worked(grace(14, "verify", "--all", "--jobs", "1"))
    assert len((checkout / RUN_INDEX).read_bytes().splitlines()) == 3

    sealed = [path for folder in (checkout / ".codex/RUNS").iterdir() for path in (folder, *folder.rglob("*"))]
    assert {(p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in sealed} == {(True, 0o555), (False, 0o444)}
    assert {p.stat().st_gid for p in (checkout / ".codex").rglob("*")} == {TEAM}
