"""A refused write is one cause: every command exits 1 with the same message and advice."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.files.atomic_write import temporary_path
from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.cli.in_process import run_forked
from registry_pipeline_tests.cli.test_entries import GAUGE
from registry_pipeline_tests.cli.test_run_index import VOIDED
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.run_index.values import a_run

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.rmdir", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
RUN_LOG = ("--artist", "ART-heron", "--genre", "GEN-ambient", "--machine", "C1")
COMMANDS: dict[str, tuple[str, ...]] = {
    "init": ("-C", "plain", "init"),
    "example": ("example", "new-example"),
    "build": ("build", "run_registry", "--only", "--force"),
    "activate": ("activate", "drift_signals", "latest", "--allow-mixed", "--reason", "x"),
    "rollback": ("rollback", "--reason", "x"),
    "mark-bad": ("mark-bad", "latest-drift", "--reason", "x"),
    "doctor --fix": ("doctor", "--fix"),
    "roles bump": ("roles", "bump", "chart_designer", "C"),
    "entries add": ("entries", "add", "--type", "module_type", "--entry-json", GAUGE),
    "entries remove": ("entries", "remove", "module_type", "unused"),
    "init --entries": ("init", "--entries"),
    "run-index append": ("run-index", "append", "--record", json.dumps(a_run(7))),
    "run-index merge into a new file": ("run-index", "merge", RUN_INDEX, RUN_INDEX, "-o", "new.jsonl"),
    "run-index merge into a log": ("run-index", "merge", RUN_INDEX, "other.jsonl", "-o", RUN_INDEX),
    "run-index start": ("run-index", "start", "new.md", *RUN_LOG),
    "run-index finish": ("run-index", "finish", "night.md"),
    "overrides append": ("overrides", "append", "--record", json.dumps(VOIDED)),
    "overrides merge": ("overrides", "merge", OVERRIDES, OVERRIDES, "-o", "new.jsonl"),
    "-o FILE": ("run-index", "list", "--format", "csv", "-o", "all.csv"),
    "-o FILE that exists": ("run-index", "list", "--format", "csv", "-o", "other.jsonl"),
}
ADVICE = re.compile(r" -> (make \S+ writable for you|free some space on the disk), then run the command again\n")


@pytest.fixture(scope="module")
def filled(built_repository: Path, tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Repository]:
    """A repository in which every command has something to write."""
    with copied_repository(built_repository, tmp_path_factory.mktemp("filled") / "repository") as root:
        repository = Repository(root, home)
        assert repository("build", now="2026-03-01T13:00:00Z").code == 0
        assert repository("build", "drift_signals", "--only", "--force", now="2026-03-01T14:00:00Z").code == 0
        unused = GAUGE.replace("gauge", "unused")
        assert repository("entries", "add", "--type", "module_type", "--entry-json", unused).code == 0
        assert repository("run-index", "start", "night.md", *RUN_LOG).code == 0
        log = root / "night.md"
        log.write_text(log.read_text().replace("qa_gate2:", "qa_gate2: FAIL", 1))
        (root / "other.jsonl").write_text(json.dumps(a_run(8)) + "\n")
        (root / "plain").mkdir()
        temporary_path(repository.pointers).write_bytes(b"half")
        yield repository


def refused(root: Path, number: int) -> Callable[[], None]:
    """Return what makes every write below `root` fail with this error, as a read-only or a full disk does."""

    def is_inside(path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and Path.cwd().joinpath(os.fsdecode(path)).is_relative_to(
            root
        )

    def fail(path: object) -> None:
        raise OSError(number, os.strerror(number), os.fsdecode(path) if isinstance(path, bytes) else path)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if number == errno.ENOSPC:
            if event == "os.mkdir" and is_inside(arguments[0]):
                fail(arguments[0])
        elif (event in CHANGES or (event == "open" and arguments[2] & WRITES)) and is_inside(arguments[0]):
            fail(arguments[0])

    def prepare() -> None:
        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            if is_inside(Path(f"/proc/self/fd/{descriptor}").readlink()):
                raise OSError(number, os.strerror(number))
            return real(descriptor, data)

        pytest.MonkeyPatch().setattr(os, "write", write)
        sys.addaudithook(hook)

    return prepare


NUMBERS = {"read-only": errno.EROFS, "not allowed": errno.EACCES, "full": errno.ENOSPC}
CASES = {
    f"{command}, {name}": (words, number)
    for command, words in COMMANDS.items()
    for name, number in NUMBERS.items()
    if (command, name) != ("doctor --fix", "full")  # it only removes files here, which a full disk allows
}


@pytest.mark.parametrize(("words", "number"), CASES.values(), ids=CASES)
def test_a_refused_write_exits_1_with_the_same_message_in_every_command(
    filled: Repository, words: tuple[str, ...], number: int
) -> None:
    before = evidence(filled)

    result = run_forked(filled, *_without_names(filled, words), prepare=refused(filled.root, number))

    assert result.code == 1, result
    line = result.err.splitlines(keepends=True)[-1]
    assert ADVICE.search(line), result.err
    sealing = words[0] == "build" and f"the run could not be published: {os.strerror(number)}" in line
    assert sealing or f" cannot be written: {os.strerror(number)}; it is as it was" in line
    assert "Traceback" not in result.err
    assert evidence(filled) == before


def evidence(repository: Repository) -> dict[str, bytes]:
    """Return all files but empty locks and the side index, which SQLite writes without our hook."""
    files = repository.files().items()
    return {path: data for path, data in files if not path.endswith(".lock") and ".index.sqlite3" not in path}


def _without_names(repository: Repository, words: tuple[str, ...]) -> list[str]:
    return [_latest_drift(repository) if word == "latest-drift" else word for word in words]


def _latest_drift(repository: Repository) -> str:
    return max(path.name for path in repository.runs.iterdir() if "drift_signals_build" in path.name)
