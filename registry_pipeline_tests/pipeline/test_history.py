"""Sealed days of history: their content, their repetition, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from registry_pipeline.canonical import parse_instant, sha256_hex
from registry_pipeline.config import load_repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.git.blob_digests import NAME
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import day_records
from registry_pipeline.pipeline.daily import build_days
from registry_pipeline.pipeline.rebuild import rebuild
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.rollback import mark_bad
from registry_pipeline.registries.base.seal_build import BuildRun, start_build_run
from registry_pipeline.registries.base.values import last_second
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs import writer
from registry_pipeline.runs.pointer_file import run_folder
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.histories import CATALOG, ENVELOPE, PACK, RUNS, TOML, HistoryRepository
from registry_pipeline_tests.pipeline.past_days import DAY, DRIFT, NOW, TABLE, Past, every_day, made, past
from registry_pipeline_tests.registries.repositories import commit, git, repository

__all__ = ["made", "past"]


def test_a_day_is_a_sealed_folder_that_describes_its_last_second(past: Past) -> None:
    (day,) = past.build(DAY)

    envelope = past.read(day, "run.json")
    drift = past.read(day, DRIFT)
    assert day.run.ref.run_id == "2026-03-01__120000__drift_signals_daily_build__asof_2026-02-12"
    assert envelope["created_utc"] == "2026-03-01T12:00:00Z"
    assert (envelope["partition"], envelope["as_of_utc"]) == ("2026-02-12", "2026-02-12T23:59:59Z")
    assert (envelope["registry_id"], envelope["operation_id"]) == ("drift_signals_daily", "OP-QA09")
    assert (envelope["git_commit"], envelope["working_tree_state"]) == (past.historic.commits["third"], None)
    assert envelope["inputs"]["registries"] == []
    assert drift["generated_utc"] == "2026-02-12T23:59:59Z"
    assert (drift["git_commit"], drift["working_tree_state"]) == (past.historic.commits["third"], None)
    assert drift["system_drift"] == {
        "canon_dirty": False,
        "schema_drift": False,
        "threshold_drift": False,
        "threshold_drift_computed": True,
    }
    assert drift["warnings"] == ["as_of_history", "as_of_runs_without_time: 2"]
    verdict = validate(past.repository, day.run)
    assert (verdict.verdict, verdict.registry_id, verdict.findings) == ("pass", "drift_signals_daily", ())


def test_documents_are_named_by_the_bytes_that_the_commit_has(past: Past) -> None:
    (day,) = past.build(date(2026, 1, 10))
    (past.root / PACK).write_text("today", encoding="utf-8")

    files = {each["path"]: each["sha256"] for each in past.read(day, "run.json")["inputs"]["files"]}
    assert set(files) == {CATALOG, "docs/matrix.md", "docs/expected.json", PACK}
    for path, digest in files.items():
        committed = subprocess.run(
            ["git", "show", f"{day.commit}:{path}"], cwd=past.root, capture_output=True, check=True
        ).stdout
        assert digest == sha256_hex(committed)


def test_runs_count_from_the_second_that_they_state(past: Past) -> None:
    days = past.build(date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 12))

    assert [day.built.artifacts.metrics["runs_known"] for day in days] == [0, 1, 1, 2, 3]
    rows = {day.day: {row["operation_id"]: row for row in past.read(day, TABLE)} for day in days}
    assert rows[date(2026, 1, 5)]["OP-A01"]["run_evidence_state"] == "UNOBSERVED"
    assert rows[date(2026, 1, 30)]["OP-A01"]["last_run_id"] == "one"
    assert rows[date(2026, 1, 30)]["OP-A01"]["staleness_days"] == 24
    assert rows[date(2026, 1, 31)]["OP-A01"]["last_run_id"] == "two"
    assert "OP-A02" not in rows[date(2026, 1, 31)]
    assert rows[date(2026, 2, 12)]["OP-A02"]["op_drift_reasons"] == ["op_drift_last_run_dirty"]
    assert [day.built.artifacts.metrics["stale"] for day in days] == [0, 0, 1, 0, 1]


def test_without_a_run_that_is_known_the_registries_version_was_not_observed(past: Past) -> None:
    (day,) = past.build(date(2026, 1, 5))

    drift = past.read(day, DRIFT)
    observed = drift["expected"]["schema_version"]["observed"]
    assert observed == {"run_registry": None, "op_status_table": "0.1", "run_envelope": "0.1"}
    assert drift["warnings"] == ["schema_drift_unknown", "as_of_history", "as_of_runs_without_time: 2"]
    assert "schema_drift" not in day.built.artifacts.metrics, "a plot has a gap where nothing is known"


@pytest.mark.parametrize("day", [date(2026, 1, 10), date(2026, 1, 31), date(2026, 2, 12), date(2026, 2, 28)])
def test_a_day_is_what_the_live_builders_would_have_said_in_its_last_second(
    past: Past, tmp_path: Path, day: date
) -> None:
    """The oracle: a clone at that commit, with the runs of that day, and the clock of its last second."""
    (sealed,) = past.build(day)
    there = tmp_path / "then"
    subprocess.run(["git", "clone", "-q", past.root, there], check=True)
    git(there, "checkout", "-q", sealed.commit)
    for name, fields in RUNS.items():
        created = parse_instant(str(fields.get("created_utc")))
        if created is not None and created <= last_second(day):
            shutil.copytree(past.root / ".codex/RUNS" / name, there / ".codex/RUNS" / name)
    (there / ".codex/RUNS").mkdir(parents=True, exist_ok=True)
    then = load_repository(there)

    outcome = rebuild(then, start_build_run(then, last_second(day)), actor="Ada", reason="now")

    folders = {row.registry_id: run_folder(then, row.run.ref) for row in outcome.built if row.run is not None}
    assert (folders["op_status_table"] / TABLE).read_bytes() == (past.folder(sealed) / TABLE).read_bytes()
    live = json.loads((folders["drift_signals"] / DRIFT).read_bytes())
    assert live["working_tree_state"] == "clean"
    history = {
        "working_tree_state": None,
        "warnings": [*live["warnings"], "as_of_history", "as_of_runs_without_time: 2"],
    }
    assert past.read(sealed, DRIFT) == live | history
    shutil.rmtree(there, ignore_errors=True)


def test_every_day_of_a_span_says_the_same_whenever_and_however_it_is_built(past: Past) -> None:
    days = every_day(date(2026, 1, 5), date(2026, 2, 28))
    first = past.build(*days)
    again = past.build(*reversed(days), minutes=60, force=True)

    assert len({day.run.ref.run_id for day in (*first, *again)}) == 2 * len(days)
    for one, other in zip(first, reversed(again), strict=True):
        assert one.built.artifacts == other.built.artifacts
        for name in (DRIFT, TABLE):
            assert (past.folder(one) / name).read_bytes() == (past.folder(other) / name).read_bytes()


def test_the_working_tree_the_index_and_the_branch_that_is_out_do_not_matter(past: Past) -> None:
    (before,) = past.build(DAY)
    git(past.root, "checkout", "-q", "side")
    (past.root / CATALOG).write_text("nothing", encoding="utf-8")
    git(past.root, "rm", "-q", "--cached", PACK)

    (after,) = past.build(DAY, minutes=60)

    assert after.run.reused
    assert after.built.artifacts == before.built.artifacts


def test_a_day_that_comes_out_as_it_was_makes_no_folder_unless_it_is_forced(past: Past) -> None:
    (first,) = past.build(DAY)
    names = past.names()
    (kept,) = past.build(DAY, minutes=60)

    assert (kept.run.ref, kept.run.reused, past.names()) == (first.run.ref, True, names)
    (forced,) = past.build(DAY, minutes=60, force=True)
    assert not forced.run.reused
    assert past.names() - names == {"2026-03-01__130000__drift_signals_daily_build__asof_2026-02-12"}


def test_a_run_that_arrives_late_makes_a_new_folder_of_its_day(past: Past) -> None:
    past.build(DAY)
    folder = past.root / ".codex/RUNS/arrived"
    folder.mkdir()
    fields = {"run_id": "arrived", "created_utc": "2026-02-12T10:00:00Z", "operation_id": "OP-A01"}
    (folder / "run.json").write_text(json.dumps(fields), encoding="utf-8")

    (after,) = past.build(DAY, minutes=60)

    assert not after.run.reused
    assert past.read(after, TABLE)[0]["last_run_id"] == "arrived"


@pytest.mark.parametrize("harm", ["a byte is flipped", "it is marked bad", "only its inputs differ", "it is foreign"])
def test_an_invalid_folder_is_not_reused(past: Past, harm: str) -> None:
    toml = past.root / "registry-pipeline.toml"
    toml.write_text('repository_id = "repository-a"\n' + TOML, encoding="utf-8")
    (before,) = past.build(DAY)
    if harm == "a byte is flipped":  # not in an artifact: they alone would be found equal
        flip_byte(past.folder(before) / "DRIFT_SIGNALS_v0_1.schema.json")
    elif harm == "it is marked bad":
        run = start_build_run(past.repository, NOW + timedelta(minutes=30))
        found = find_run(past.repository, before.run.ref.run_id)
        mark_bad(past.repository, run, found, actor="Ada", reason="wrong clock")
    elif harm == "it is foreign":
        toml.write_text('repository_id = "repository-b"\n' + TOML, encoding="utf-8")
    else:  # a source that is read first, and has no version
        text = TOML.replace('["configs/packs"]', f'["{ENVELOPE}", "configs/packs"]')
        toml.write_text(text, encoding="utf-8")

    (after,) = past.build(DAY, minutes=60)

    assert not after.run.reused
    assert after.run.ref.run_id != before.run.ref.run_id
    assert after.built.artifacts == before.built.artifacts


def test_a_document_that_the_commit_lacks_is_reported_and_the_day_is_built_without_it(past: Past) -> None:
    text = TOML.replace(f'["{CATALOG}"]', f'["{CATALOG}", "docs/addendum.md"]')
    (past.root / "registry-pipeline.toml").write_text(text, encoding="utf-8")

    (day,) = past.build(DAY)

    assert [(f.code, f.severity.value, f.path) for f in day.built.findings] == [
        ("CATALOG_MISSING", "warning", "docs/addendum.md")
    ]
    assert "as_of_operation_documents_missing: 1" in past.read(day, DRIFT)["warnings"]
    assert len(past.read(day, TABLE)) == 2
    assert validate(past.repository, day.run).passed


def test_a_commit_without_any_of_the_documents_is_described_as_that(tmp_path: Path) -> None:
    root = repository(tmp_path)
    commit(root, {"a": "1"}, at="2026-01-05T00:00:00Z")
    (root / "registry-pipeline.toml").write_text("history_start = 2026-01-05\n", encoding="utf-8")
    (root / ".codex/RUNS").mkdir(parents=True)
    past = Past(HistoryRepository(root, {}))

    (day,) = past.build(date(2026, 1, 6))

    assert past.read(day, TABLE) == []
    assert past.read(day, DRIFT)["expected"]["schema_version"]["observed"] == dict.fromkeys(
        ("run_registry", "op_status_table", "run_envelope")
    )
    assert validate(past.repository, day.run).passed


def test_a_damaged_cache_changes_nothing_and_is_replaced(past: Past) -> None:
    (before,) = past.build(DAY)
    cache = past.root / ".codex/cache" / f"{NAME}_20"
    whole = cache.read_bytes()
    cache.write_bytes(whole[:-33] + b"x" * 33)

    (after,) = past.build(DAY, minutes=60, force=True)
    assert after.built.artifacts == before.built.artifacts
    past.build(DAY, minutes=90)
    assert cache.read_bytes() == whole


def test_a_forced_build_reads_every_object_again_and_uses_no_cache(past: Past) -> None:
    (before,) = past.build(DAY)
    cache = past.root / ".codex/cache" / f"{NAME}_20"
    cache.write_bytes(lie(cache.read_bytes()))
    (past.root / ".codex/cache" / day_records.NAME).unlink()

    (deceived,) = past.build(DAY, minutes=60)
    (honest,) = past.build(DAY, minutes=90, force=True)

    assert deceived.built.artifacts != before.built.artifacts, "so that this test can fail"
    assert honest.built.artifacts == before.built.artifacts


def lie(kept: bytes) -> bytes:
    """Return a cache that is well-formed and false."""
    import hashlib

    body = kept[:-32]
    body = body[:-1] + bytes([body[-1] ^ 1])
    return body + hashlib.sha256(body).digest()


def test_a_backfill_reads_objects_with_one_process(past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes, real = tmp_path / "asked", shutil.which("git")
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "git"
    shim.write_text(f'#!/bin/sh\necho "$@" >> "{notes}"\nexec "{real}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    past.build(*every_day(date(2026, 1, 5), date(2026, 2, 28)))

    requests = notes.read_text(encoding="utf-8").splitlines()
    assert len(requests) < 8, requests
    assert sum("cat-file --batch" in line for line in requests) == 1
    assert sum("rev-list" in line for line in requests) == 1


def test_days_that_are_cancelled_are_sealed_as_far_as_they_were_built(past: Past) -> None:
    before = past.names()
    answers = iter([False, False, True])

    days = past.build(*every_day(DAY, date(2026, 2, 20)), is_cancelled=lambda: next(answers, True))

    assert [day.day for day in days] == [DAY, date(2026, 2, 13)]
    assert past.names() - before == {day.run.ref.run_id for day in days}


def test_a_caller_that_stops_between_two_days_leaves_complete_days(past: Past) -> None:
    before = past.names()
    days = build_days(past.repository, BuildRun(NOW, GitState(None, None)), every_day(date(2026, 1, 5), DAY))
    first = next(days)
    next(days)
    days.close()  # type: ignore[attr-defined]

    names = past.names() - before
    assert len(names) == 32, "one batch"
    assert {verify_folder(past.repository.publish_root / name).verdict for name in names} == {"pass"}
    assert validate(past.repository, first.run).passed
    assert not any((past.root / ".codex/.staging").iterdir())
    assert (past.root / ".codex/cache" / f"{NAME}_20").is_file(), "what was hashed is kept"


def test_a_batch_is_sealed_with_one_synchronisation(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(writer, "sync_filesystem", synced.append)

    days = past.build(*every_day(date(2026, 1, 5), date(2026, 2, 28)))

    assert (len(days), len(synced)) == (55, 2)


def test_a_step_that_is_tried_again_finds_the_folders_of_its_first_try(past: Past) -> None:
    first = past.build(DAY, date(2026, 2, 13), dagster="d1", force=True)
    again = past.build(DAY, date(2026, 2, 13), date(2026, 2, 14), dagster="d1", force=True)

    assert [day.run.ref for day in again[:2]] == [day.run.ref for day in first]


REFUSED = {
    "today": (date(2026, 3, 1), "2026-03-01 is not over", "2026-02-28"),
    "a day to come": (date(9999, 12, 31), "is not over", "2026-02-28"),
    "before history_start": (date(2026, 1, 4), "before history_start, 2026-01-05", "history_start"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_day_without_a_history_refuses_the_complete_span(past: Past, case: str) -> None:
    day, message, advice = REFUSED[case]
    before = past.names()

    with pytest.raises(RefusedError, match=message) as caught:
        past.build(DAY, day)

    assert advice in caught.value.advice
    assert past.names() == before


def test_the_last_day_is_over_at_midnight_and_not_before(past: Past) -> None:
    for moment, over in (
        (datetime(2026, 2, 12, 23, 59, 59, 999999, tzinfo=UTC), False),
        (datetime(2026, 2, 13, tzinfo=UTC), True),
    ):
        run = BuildRun(moment, GitState(None, None))
        if over:
            assert len(list(build_days(past.repository, run, [DAY]))) == 1
        else:
            with pytest.raises(RefusedError):
                list(build_days(past.repository, run, [DAY]))


def set_start(root: Path, text: str) -> None:
    (root / "registry-pipeline.toml").write_text(TOML.replace("history_start = 2026-01-05\n", text), encoding="utf-8")


def test_a_day_before_the_first_commit_is_refused(past: Past) -> None:
    set_start(past.root, "history_start = 2025-12-01\n")

    with pytest.raises(RefusedError, match="before the first commit of refs/heads/main, which is of 2026-01-05"):
        past.build(date(2026, 1, 4))


def test_without_history_start_there_are_no_days(past: Past) -> None:
    set_start(past.root, "")

    with pytest.raises(RefusedError, match="history_start is not set") as caught:
        past.build(DAY)
    assert "history_start = 2026-01-05" in caught.value.advice


def test_a_plain_folder_has_no_past(tmp_path: Path) -> None:
    (tmp_path / "registry-pipeline.toml").write_text("history_start = 2026-01-05\n", encoding="utf-8")

    with pytest.raises(RefusedError, match="read from git"):
        Past(HistoryRepository(tmp_path, {})).build(DAY)


def test_a_shallow_clone_has_the_days_after_the_cut_and_says_how_to_get_the_others(past: Past, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "2", f"file://{past.root}", clone], check=True)
    (clone / ".codex/RUNS").mkdir(parents=True)
    shallow = Past(HistoryRepository(clone, past.historic.commits))

    (after,) = shallow.build(DAY)
    assert after.commit == past.historic.commits["third"]
    with pytest.raises(RefusedError, match="this shallow clone is cut") as caught:
        shallow.build(date(2026, 2, 9))
    assert "git fetch --unshallow" in caught.value.advice


def test_a_partial_clone_is_reported_and_seals_nothing(past: Past, tmp_path: Path) -> None:
    git(past.root, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--filter=blob:none", f"file://{past.root}", clone], check=True)
    (clone / ".codex/RUNS").mkdir(parents=True)

    with pytest.raises(NotFoundError, match="not its bytes") as caught:
        Past(HistoryRepository(clone, past.historic.commits)).build(date(2026, 1, 10))
    assert "--refetch" in caught.value.advice
    assert list((clone / ".codex/RUNS").iterdir()) == []
