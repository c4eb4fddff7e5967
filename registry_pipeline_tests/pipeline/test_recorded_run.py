"""`open_run`: a part of a Python program as a sealed run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.errors import ConfigError, NotFoundError, PublishError
from registry_pipeline.files import durable
from registry_pipeline.recording import OpenRun, open_run
from registry_pipeline.runs import writer
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import find_leftovers
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.crash_points import killed_at

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
RUN_ID = "2026-03-01__120000__record"
_CALLS = (
    *(f"os.{name}" for name in ("open", "write", "fsync", "mkdir", "read", "scandir", "chmod", "close", "rmdir")),
    "registry_pipeline.runs.writer.rename_noreplace",
)


class OrderError(Exception):
    """An exception of a user's own."""


@pytest.fixture
def root(known_repository: Path, tmp_path: Path) -> Iterator[Path]:
    with copied_repository(known_repository, tmp_path / "repository") as copied:
        yield copied


def opened(root: Path, **options: Any) -> OpenRun:
    return open_run(repository=root, **{"now": START, **options})


def recorded(root: Path, run_id: str = RUN_ID) -> dict[str, Any]:
    folder = root / ".codex/RUNS" / run_id
    report = verify_folder(folder)
    assert report.verdict == "pass", report.findings
    return dict(json.loads((folder / "run.json").read_bytes()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_files_of_a_block_become_a_sealed_run(root: Path) -> None:
    with opened(root, operation="OP-A01", tag="orders") as run:
        (run.path / "result.csv").write_text("n\n1\n", encoding="utf-8")
        assert names(root / ".codex/RUNS").count("2026-03-01__120000__orders") == 0

    document = recorded(root, "2026-03-01__120000__orders")
    assert run.published.path == root / ".codex/RUNS/2026-03-01__120000__orders"
    assert run.published.root_sha256 == verify_folder(run.published.path).root_sha256
    assert (run.published.path / "result.csv").read_bytes() == b"n\n1\n"
    assert (document["operation_id"], document["option"], document["created_utc"]) == (
        "OP-A01",
        "A",
        "2026-03-01T12:00:00Z",
    )
    assert document["outputs"] == ["MANIFEST.sha256", "manifest.json", "result.csv", "run.json"]
    assert (document["execution"]["outcome"], document["execution"]["exception"]) == ("success", None)
    assert names(root / ".codex/.staging") == []


@pytest.mark.parametrize(
    ("error", "name", "outcome"),
    [
        (ValueError("a secret"), "ValueError", "failure"),
        (OrderError("a secret"), f"{__name__}.OrderError", "failure"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "failure"),
        (SystemExit(3), "SystemExit", "failure"),
        (SystemExit(0), "SystemExit", "success"),
        (SystemExit(), "SystemExit", "success"),
    ],
)
def test_a_block_that_raises_is_recorded_and_the_exception_is_raised_again(
    root: Path, error: BaseException, name: str, outcome: str
) -> None:
    with pytest.raises(type(error)) as raised, opened(root) as run:  # noqa: PT012
        (run.path / "half.txt").touch()
        raise error

    execution = recorded(root)["execution"]
    assert raised.value is error
    assert (execution["outcome"], execution["exception"]) == (outcome, name)
    assert (run.published.path / "half.txt").exists()
    assert all(b"a secret" not in path.read_bytes() for path in run.published.path.iterdir())


def test_before_the_end_of_the_block_nothing_is_published(root: Path) -> None:
    with opened(root) as run, pytest.raises(NotFoundError, match="not published yet"):
        _ = run.published


def test_the_clock_and_the_working_folder_are_the_defaults(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    monkeypatch.delenv("REGISTRY_PIPELINE_REPO", raising=False)
    before = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the default is the clock

    with open_run() as run:
        pass

    assert before <= run.published.run_id.stamp <= before + timedelta(days=1)
    assert run.published.path.parent == root / ".codex/RUNS"


def test_the_example_of_the_how_to_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/record-and-seal-runs.md"
    example = page.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(root)
    monkeypatch.delenv("REGISTRY_PIPELINE_REPO", raising=False)

    scope: dict[str, Any] = {}
    exec(example, scope)  # noqa: S102 - a page of this repository

    assert (scope["run"].published.path / "orders.txt").read_bytes() == b"17 orders\n"
    assert verify_folder(scope["run"].published.path).verdict == "pass"


def test_a_time_of_another_zone_is_recorded_in_utc(root: Path) -> None:
    with opened(root, now=datetime(2026, 3, 1, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))):
        pass

    assert recorded(root)["created_utc"] == "2026-03-01T12:00:00Z"


def test_a_time_without_a_zone_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="no time zone"):
        opened(root, now=datetime(2026, 3, 1))  # noqa: DTZ001 - refused


def test_an_unknown_operation_is_recorded_with_a_warning(root: Path) -> None:
    with opened(root, operation="OP-A09") as run:
        assert "no operations catalog defines OP-A09" in (run.warning or "")

    assert recorded(root, "2026-03-01__120000__op-a09")["option"] is None


def test_a_forked_child_that_leaves_the_block_does_not_publish_it(root: Path) -> None:
    with opened(root) as run:
        child = os.fork()
        if child == 0:
            run.__exit__(None, None, None)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert not (root / ".codex/RUNS" / RUN_ID).exists()

    assert recorded(root)["execution"]["outcome"] == "success"


def test_a_run_that_cannot_be_sealed_is_kept_and_both_errors_are_seen(root: Path) -> None:
    with pytest.raises(PublishError, match="NOT_REGULAR") as raised, opened(root) as run:  # noqa: PT012
        (run.path / "result.txt").write_text("precious", encoding="utf-8")
        (run.path / "link").symlink_to("result.txt")
        raise ValueError("the first")

    (kept,) = (root / ".codex/quarantine").iterdir()
    assert str(kept) in raised.value.message
    assert (kept / "result.txt").read_text(encoding="utf-8") == "precious"
    error: BaseException | None = raised.value
    contexts = []
    while error is not None:
        contexts.append(str(error))
        error = error.__context__
    assert "the first" in contexts
    assert not (root / ".codex/RUNS" / RUN_ID).exists()


def test_if_a_faster_writer_takes_the_name_the_run_gets_the_next_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = root / ".codex/RUNS" / RUN_ID
    real = durable.rename_noreplace

    def rename(source: str, target: str) -> None:
        if target == str(taken) and not taken.exists():
            taken.mkdir()
            (taken / "x").touch()
        real(source, target)

    monkeypatch.setattr(writer, "rename_noreplace", rename)
    with opened(root) as run:
        (run.path / "a.txt").touch()

    assert str(run.published.run_id) == f"{RUN_ID}__02"
    assert recorded(root, f"{RUN_ID}__02")["run_id"] == f"{RUN_ID}__02"
    assert names(taken) == ["x"]


def test_an_open_run_killed_at_any_call_leaves_a_staging_folder_or_a_complete_run(root: Path) -> None:
    number, outcomes, killed = 1, set(), True

    def work() -> None:
        with opened(root, tag=f"n{number}") as run:
            (run.path / "part").mkdir()
            (run.path / "part/a.txt").write_text("1\n", encoding="utf-8")

    while killed:
        killed = killed_at(number, work, _CALLS)
        published = root / ".codex/RUNS" / f"2026-03-01__120000__n{number}"
        outcomes.add((killed, published.exists()))
        if published.exists():
            assert verify_folder(published).verdict == "pass", f"killed at call {number}"
        staging = root / ".codex/.staging"
        assert sorted(find_leftovers(staging)) == sorted(staging.iterdir() if staging.exists() else ())
        shutil.rmtree(staging, ignore_errors=True)
        number += 1

    assert outcomes == {(True, False), (True, True), (False, True)}
