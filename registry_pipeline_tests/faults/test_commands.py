"""Complete commands, killed or failing at any call that changes the disk: what must be true afterwards.

The points of a command start at an offset that depends on the product's source code. The offset is in the message of a
failure; REGISTRY_PIPELINE_FAULT_OFFSET sets another. `make soak` takes every point with every fault.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_pipeline.files.atomic_write import is_temporary
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.cli.conftest import Repository, environment
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.faults.commands import COMMANDS, LAST, WritingCommand
from registry_pipeline_tests.faults.injection import FAULTS, Outcome, run_with_fault
from registry_pipeline_tests.sampling import sample_points, source_offset

POINTS = 8
"""How many points of a command a run of the suite takes at least."""

_RECOVERED_EVERY = 5
_DOCUMENTED = frozenset((*range(9), 125))
_RUNS = ".codex/RUNS/"
_STATE = (".codex/.staging", ".codex/cache", ".codex/entries", ".codex/quarantine", ".codex/diagnostics")
_BESIDE = (".lock", ".intent", ".batch", ".index.sqlite3")


@dataclass(frozen=True)
class Prepared:
    """A repository in which a command is about to be run, and how often it changes the disk."""

    name: str
    command: WritingCommand
    source: Path
    home: Path
    before: Mapping[str, str]
    after: Mapping[str, str]
    points: int

    @contextmanager
    def copy(self, root: Path) -> Iterator[Repository]:
        with copied_repository(self.source, root) as copied:
            yield Repository(copied, self.home)
        shutil.rmtree(root)


def digests(root: Path) -> dict[str, str]:
    """Return the hash of every file of a repository but those of git."""
    found: dict[str, str] = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name != ".git"]
        for name in files:
            path = Path(folder, name)
            found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def run(repository: Repository, *words: str, point: int | None = None, fault: str = "kill") -> Outcome:
    return run_with_fault(words, repository.root, environment(repository.home), point=point, fault=fault)


@pytest.fixture(scope="module")
def source_repository(built_repository: Path) -> Path:
    return built_repository


@pytest.fixture(params=COMMANDS)
def prepared(request: pytest.FixtureRequest, source_repository: Path, home: Path, tmp_path: Path) -> Iterator[Prepared]:
    """Every command that writes, in a repository that is ready for it."""
    command = COMMANDS[request.param]
    with copied_repository(source_repository, tmp_path / "source") as root:
        repository = Repository(root, home)
        command.prepare(repository)
        assert command.count(repository) == 0
        with copied_repository(root, tmp_path / "clean") as clean:
            whole = run(Repository(clean, home), *command.words)
            assert whole.code == 0, whole
            assert command.count(Repository(clean, home)) == 1
            after = digests(clean)
        yield Prepared(request.param, command, root, home, digests(root), after, whole.points)


def test_a_fault_at_any_point_leaves_nothing_half_done(prepared: Prepared, tmp_path: Path) -> None:
    offset, points = source_offset(), sample_points(prepared.points, POINTS)
    assert len(points) >= min(POINTS, prepared.points)

    for number, point in enumerate(points):
        fault = FAULTS[(number + offset) % len(FAULTS)]
        check_point(prepared, tmp_path, point, fault, offset, recover=number % _RECOVERED_EVERY == 0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_at_every_point_leaves_nothing_half_done(prepared: Prepared, tmp_path: Path, fault: str) -> None:
    for point in range(1, prepared.points + 1):
        check_point(prepared, tmp_path, point, fault, 0, recover=True)


def check_point(prepared: Prepared, tmp_path: Path, point: int, fault: str, offset: int, *, recover: bool) -> None:
    """Run the command once with a fault at a point, and check every law."""
    where = f"{prepared.name}: {fault} at point {point} of {prepared.points}, offset {offset}"
    with prepared.copy(tmp_path / "faulty") as repository:
        outcome = run(repository, *prepared.command.words, point=point, fault=fault)
        context = f"{where}\n{outcome.out}\n{outcome.err}"
        after = digests(repository.root)
        check_runs(prepared, repository, after, context)
        check_owned_files(prepared, after, context)
        check_answer(prepared, repository, outcome, after, context)
        if recover:
            check_recovery(prepared, repository, context)


def check_runs(prepared: Prepared, repository: Repository, after: Mapping[str, str], context: str) -> None:
    """Law 1: run folders stay as they were, and a new one is complete and verifies."""
    before = {path: digest for path, digest in prepared.before.items() if path.startswith(_RUNS)}
    assert {path: after.get(path) for path in before} == before, context
    known = {path.name for path in (prepared.source / ".codex/RUNS").iterdir()}
    for folder in sorted(path for path in repository.runs.iterdir() if path.name not in known):
        assert verify_folder(folder).verdict == "pass", f"{folder.name} {context}"


def check_owned_files(prepared: Prepared, after: Mapping[str, str], context: str) -> None:
    """Law 2: every file of people has the bytes of before or of after."""
    expected = dict(prepared.before) | dict(prepared.after)
    for path, digest in after.items():
        if path.startswith((_RUNS, *_STATE)) or any(mark in path for mark in _BESIDE) or is_temporary(Path(path).name):
            continue
        if ".torn-" in path or (path in prepared.command.owned and path.endswith((".jsonl", ".toml"))):
            continue  # a log may end in a torn line, which the next append sets aside; a new toml has an id of its own
        changed = prepared.command.owned or ("ACTIVE_REGISTRY_POINTERS",)
        allowed = {prepared.before.get(path), prepared.after.get(path)}
        assert digest in allowed or (any(mark in path for mark in changed) and path in expected), f"{path} {context}"


def check_answer(
    prepared: Prepared, repository: Repository, outcome: Outcome, after: Mapping[str, str], context: str
) -> None:
    """Laws 3 and 4: an acknowledged effect is there, and an error is one line with a documented code that is true."""
    if outcome.killed:
        return
    assert outcome.code in _DOCUMENTED, context
    assert "Traceback" not in outcome.err, context
    assert "this is a bug" not in outcome.err, context
    if outcome.code in (0, 8):
        assert prepared.command.count(repository) == 1, context
    elif "nothing changed" in outcome.err or "no pointer moved" in outcome.err:
        pointers = repository.pointers.relative_to(repository.root).as_posix()
        assert after[pointers] == prepared.before[pointers], context
    elif outcome.code in (1, 125):
        # `seal` reports what the disk refused with the folder, beside the other folders.
        assert " -> " in outcome.err or "SEAL_NOT_WRITTEN" in outcome.out, f"no advice: {context}"


def check_recovery(prepared: Prepared, repository: Repository, context: str) -> None:
    """Law 5: doctor repairs what is left, a repetition brings the effect once, and nothing temporary stays."""
    status = run(repository, "status", "--json", "--now", LAST)
    assert status.code in (0, 3), f"{status} {context}"
    codes = {f["code"] for f in json.loads(status.out)["findings"]}
    fix = ("doctor", "--fix", *(("--finish",) if "CHAIN_PENDING" in codes else ()), "--now", LAST)
    assert run(repository, *fix).code in (0, 3), context
    if prepared.command.count(repository) == 0:
        again = run(
            repository,
            *(LAST if word.startswith("2026-03-0") and word.endswith("Z") else word for word in prepared.command.words),
        )
        assert again.code == 0, f"{again} {context}"
    if prepared.name != "build":  # a build that is repeated has runs of its own
        assert prepared.command.count(repository) == 1, context
    assert run(repository, "doctor", "--fix", "--now", LAST).code in (0, 3), context
    verified = run(repository, "verify", "--active", "--chain", "--now", LAST)
    assert verified.code == 0, f"{verified} {context}"
    left = [path for path in digests(repository.root) if is_temporary(Path(path).name) or path.endswith(".intent")]
    assert left == [], context
