"""Two commands write the same file at once: nothing that one of them acknowledged is lost.

Each test pauses one command at a call that it names, and lets the other one act at that moment.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.files import atomic_write
from registry_pipeline.files.atomic_write import temporary_path
from registry_pipeline.registries.roles import service
from registry_pipeline.registries.roles.snapshot import RoleContractKind
from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.cli.in_process import run_forked
from registry_pipeline_tests.cli.test_run_index import VOIDED
from registry_pipeline_tests.registries.repositories import commit, repository
from registry_pipeline_tests.role_packs import PACK, SMALL
from registry_pipeline_tests.run_index.values import a_run

# So long a wait is a hang on any machine, however busy.
HANG_SECONDS = 120

MERGES = {"run-index": (RUN_INDEX, a_run(7)), "overrides": (OVERRIDES, VOIDED)}


def at(module: str, name: str, act: Callable[[], object]) -> Callable[[], None]:
    """Return what replaces a function by one that lets another writer act first."""

    def prepare() -> None:
        target, real = f"{module}.{name}", getattr(__import__(module, fromlist=[name]), name)

        def pausing(*arguments: Any, **options: Any) -> Any:
            act()
            return real(*arguments, **options)

        pytest.MonkeyPatch().setattr(target, pausing)

    return prepare


@pytest.mark.parametrize("pause", ["merge_logs", "replace_file"])
@pytest.mark.parametrize("noun", MERGES)
def test_a_log_that_appears_while_two_are_merged_into_it_is_not_replaced(
    known: Repository, tmp_path: Path, noun: str, pause: str
) -> None:
    path, record = MERGES[noun]
    log, saved = known.root / path, tmp_path / "saved.jsonl"
    log.rename(saved)

    def append() -> None:
        assert known(noun, "append", "--record", json.dumps(record)).code == 0

    if noun == "overrides":  # an update needs the override that it is about
        record = json.loads(saved.read_text().splitlines()[0])
    result = run_forked(
        known,
        noun,
        "merge",
        str(saved),
        str(saved),
        "-o",
        str(log),
        prepare=at("registry_pipeline.registries.run_index.merge", pause, append),
    )

    assert result.code == 6
    assert [json.loads(line) for line in log.read_text().splitlines()] == [record]
    assert known(noun, "merge", str(saved), str(log), "-o", str(log)).code == 0
    assert record in [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("noun", MERGES)
def test_an_append_waits_while_two_logs_are_merged_into_the_one_that_it_writes(
    known: Repository, tmp_path: Path, noun: str
) -> None:
    path, record = MERGES[noun]
    log, other = known.root / path, tmp_path / "other.jsonl"
    other.write_text("")
    codes = tmp_path / "codes"

    def append() -> None:
        patch = pytest.MonkeyPatch()
        patch.setattr("registry_pipeline.registries.run_index.append.WAIT", 0.05)
        codes.write_text(str(run_forked(known, noun, "append", "--record", json.dumps(record)).code))
        patch.undo()

    before = log.read_bytes()
    other.write_text(
        json.dumps(a_run(8) if noun == "run-index" else {**VOIDED, "update_utc": "2026-01-08T07:00Z"}) + "\n"
    )
    pause = at("registry_pipeline.registries.run_index.merge", "replace_file", append)
    result = run_forked(known, noun, "merge", str(log), str(other), "-o", str(log), prepare=pause)

    assert (result.code, codes.read_text()) == (0, "6")
    assert len(log.read_bytes().splitlines()) == len(before.splitlines()) + 1
    assert known(noun, "append", "--record", json.dumps(record)).code == 0
    assert record in [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def studio(tmp_path: Path, home: Path) -> Repository:
    """A repository with a role pack."""
    root = repository(tmp_path / "studio")
    commit(root, {"registry-pipeline.toml": "", ".gitignore": "/.codex/\n", PACK: SMALL})
    return Repository(root, home)


def _bump(studio: Repository) -> str:
    done = service.bump_contract(load_repository(studio.root), "chart_designer", RoleContractKind("C"))
    return done.added.contract_id


def contract_ids(studio: Repository) -> set[str]:
    document = json.loads((studio.root / PACK).read_bytes())
    return {part for part in json.dumps(document).split('"') if part.startswith("ROLE:chart_designer:C:")}


def test_two_bumps_at_once_both_last_and_the_second_follows_the_first(
    studio: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, made = threading.Event(), []
    second = threading.Thread(target=lambda: made.append(_bump(studio)))
    real_replace, real_sleep = atomic_write.replace_file, time.sleep

    def replace(*arguments: Any) -> None:
        if not made and not second.ident:
            second.start()
            assert waits.wait(HANG_SECONDS), "the second bump did not wait for the first one"
        real_replace(*arguments)

    def sleep(seconds: float) -> None:  # between two attempts to take the lock
        waits.set()
        real_sleep(seconds)

    monkeypatch.setattr(service, "replace_file", replace)
    monkeypatch.setattr("registry_pipeline.files.lock.time.sleep", sleep)
    made.append(_bump(studio))
    second.join()

    assert sorted(made) == ["ROLE:chart_designer:C:3", "ROLE:chart_designer:C:4"]
    assert set(made) <= contract_ids(studio)


def test_a_bump_that_waited_too_long_for_another_one_exits_6(
    studio: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "WAIT_SECONDS", 0.05)
    words, codes = ("roles", "bump", "chart_designer", "C"), tmp_path / "codes"

    def bump() -> None:
        codes.write_text(str(run_forked(studio, *words).code))

    result = run_forked(studio, *words, prepare=at("registry_pipeline.registries.roles.service", "replace_file", bump))

    assert (result.code, codes.read_text()) == (0, "6")
    assert "ROLE:chart_designer:C:4" not in contract_ids(studio)


def test_a_pack_that_an_editor_saves_at_the_same_time_is_not_overwritten(studio: Repository) -> None:
    def save() -> None:
        (studio.root / PACK).write_text(SMALL + "\n")

    words = ("roles", "bump", "chart_designer", "C")
    result = run_forked(studio, *words, prepare=at("registry_pipeline.registries.roles.service", "replace_file", save))

    assert result.code == 6
    assert (studio.root / PACK).read_text() == SMALL + "\n"


def test_a_bump_removes_the_temporary_file_of_a_killed_one(
    studio: Repository,
) -> None:
    pack = studio.root / PACK

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def prepare() -> None:
        pytest.MonkeyPatch().setattr("registry_pipeline.files.atomic_write._fill_file", die)

    assert run_forked(studio, "roles", "bump", "chart_designer", "C", prepare=prepare).code == -signal.SIGKILL
    assert {path.name for path in pack.parent.iterdir()} == {temporary_path(pack).name, pack.name}
    assert pack.read_text() == SMALL

    assert studio("roles", "bump", "chart_designer", "C").code == 0
    assert [path.name for path in pack.parent.iterdir()] == [pack.name]


STARTED = ("run-index", "start", "night.md", "--artist", "ART-heron", "--genre", "GEN-ambient", "--machine", "C1")
LISTED = ("run-index", "list", "--format", "csv", "-o", "all.csv")
NAMED_FILES: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "a run log": ("night.md", STARTED, "registry_pipeline.registries.run_index.service", "create_file"),
    "-o FILE": ("all.csv", LISTED, "registry_pipeline.files.atomic_write", "_fill_file"),
}


@pytest.mark.parametrize(("name", "words", "module", "call"), NAMED_FILES.values(), ids=NAMED_FILES)
def test_a_file_that_appears_while_a_command_creates_it_is_kept(
    known: Repository, name: str, words: tuple[str, ...], module: str, call: str
) -> None:
    target = known.root / name

    def save() -> None:
        target.write_text("mine")

    result = run_forked(known, *words, prepare=at(module, call, save))

    assert result.code == 6
    assert target.read_text() == "mine"
    assert not temporary_path(target).exists()
