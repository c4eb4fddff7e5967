"""A day whose inputs are unchanged is verified and not built; the result is the same as that of building it."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.pipeline import daily, day_records
from registry_pipeline.pipeline.daily import SealedDay
from registry_pipeline.pipeline.day_records import hash_each_prefix
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.rollback import mark_bad
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.drift_signals_daily.build import build_drift_signals_daily
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.histories import CATALOG, EXPECTED, TOML
from registry_pipeline_tests.pipeline.past_days import NOW, TABLE, Past, every_day, made, past
from registry_pipeline_tests.registries.repositories import commit

__all__ = ["made", "past"]

DAYS = every_day(date(2026, 2, 8), date(2026, 2, 14))


class BuiltDays:
    """Records which days the builder was called for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.days: list[str] = []
        self._build = build_drift_signals_daily
        monkeypatch.setattr(daily, "build_drift_signals_daily", self)

    def __call__(self, inputs: Any, context: Any) -> Any:
        self.days.append(context.generated_utc[:10])
        return self._build(inputs, context)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> BuiltDays:
    return BuiltDays(monkeypatch)


def cache_file(past: Past) -> Path:
    return past.root / ".codex/cache" / day_records.NAME


def facts_of(days: list[SealedDay]) -> list[Any]:
    return [(day.day, day.commit, day.built, day.run) for day in days]


def remove_writable(folder: Path) -> None:
    folder.chmod(0o755)
    shutil.rmtree(folder)


def build_by_both_ways(past: Past) -> tuple[list[SealedDay], list[SealedDay]]:
    """Build the days with the cache, then, from the same state, without it."""
    before = past.names()
    fast = past.build(*DAYS, minutes=60)
    for name in past.names() - before:
        remove_writable(past.repository.publish_root / name)
    cache_file(past).unlink(missing_ok=True)
    return fast, past.build(*DAYS, minutes=60)


def test_unchanged_days_are_not_built_and_have_the_same_result(past: Past, built: BuiltDays) -> None:
    sealed = past.build(*DAYS)
    built.days.clear()

    fast, slow = build_by_both_ways(past)

    assert built.days == [str(day) for day in DAYS], "built only without the cache"
    assert facts_of(fast) == facts_of(slow)
    assert all(day.run.reused for day in fast)
    assert [day.built for day in fast] == [day.built for day in sealed]


def test_a_day_that_was_compared_once_is_not_built_again(past: Past, built: BuiltDays) -> None:
    past.build(*DAYS)
    cache_file(past).unlink()
    past.build(*DAYS, minutes=30)
    built.days.clear()

    assert all(day.run.reused for day in past.build(*DAYS, minutes=60))
    assert built.days == []


def set_toml(past: Past, old: str, new: str) -> None:
    assert old in TOML
    (past.root / "registry-pipeline.toml").write_text(TOML.replace(old, new), encoding="utf-8")


def add_run(past: Past, created: str) -> None:
    folder = past.root / ".codex/RUNS/arrived"
    folder.mkdir()
    fields = {"run_id": "arrived", "created_utc": created, "operation_id": "OP-A01"}
    (folder / "run.json").write_text(json.dumps(fields), encoding="utf-8")


def edit_run(past: Past) -> None:
    path = past.root / ".codex/RUNS/three/run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("dirty", "clean"), encoding="utf-8")


def run_of(past: Past, day: str) -> str:
    return next(name for name in sorted(past.names()) if name.endswith(f"asof_{day}"))


def flip(past: Past, day: str, name: str) -> None:
    flip_byte(past.repository.publish_root / run_of(past, day) / name)


def mark_one_bad(past: Past) -> None:
    found = find_run(past.repository, run_of(past, "2026-02-10"))
    mark_bad(past.repository, start_build_run(past.repository, NOW), found, actor="Ada", reason="wrong clock")


def replace_by_other_valid_run(past: Past) -> None:
    """As someone who seals a folder of the same name with other bytes."""
    runs, name = past.repository.publish_root, run_of(past, "2026-02-10")
    remove_writable(runs / name)
    toml = past.root / "registry-pipeline.toml"
    kept_cache = cache_file(past).read_bytes()
    toml.write_text(TOML.replace('options = ["A"]', 'options = ["B"]'), encoding="utf-8")
    past.build(date(2026, 2, 10))
    toml.write_text(TOML, encoding="utf-8")
    cache_file(past).write_bytes(kept_cache)
    assert run_of(past, "2026-02-10") == name


def lie_about_the_root(past: Past) -> None:
    rewrite_records(past, lambda values: [values[0], "0" * 64, *values[2:]])


def swap_days(past: Past) -> None:
    data = json.loads(read_records(past))
    data["2026-02-09"], data["2026-02-10"] = data["2026-02-10"], data["2026-02-09"]
    write_records(past, data)


def read_records(past: Past) -> bytes:
    return cache_file(past).read_bytes()[:-32].partition(b"\n")[2]


def rewrite_records(past: Past, change: Callable[[list[Any]], Any]) -> None:
    write_records(past, {day: change(values) for day, values in json.loads(read_records(past)).items()})


def write_records(past: Past, data: Any) -> None:
    body = cache_file(past).read_bytes().partition(b"\n")[0] + b"\n" + json.dumps(data).encode()
    cache_file(past).write_bytes(body + hashlib.sha256(body).digest())


ALL = [str(day) for day in DAYS]
CHANGES: dict[str, tuple[Callable[[Past], Any], list[str]]] = {
    "nothing": (lambda _past: None, []),
    "another option": (lambda past: set_toml(past, 'options = ["A"]', 'options = ["B"]'), ALL),
    "an option more": (lambda past: set_toml(past, 'options = ["A"]', 'options = ["A", "B"]'), ALL),
    "stale after another number of days": (lambda past: set_toml(past, "history", "stale_days = 1\nhistory"), ALL),
    "a document less": (lambda past: set_toml(past, f'["{CATALOG}"]', "[]"), ALL),
    "a document that no commit has": (lambda past: set_toml(past, CATALOG, "docs/none.md"), ALL),
    "another file of expected versions": (lambda past: set_toml(past, EXPECTED, "docs/none.json"), ALL),
    "no standard of envelopes": (lambda past: set_toml(past, "docs/envelope.md", "docs/none.md"), ALL),
    "drift by paths": (lambda past: set_toml(past, "history", 'op_drift = "paths"\nhistory'), ALL),
    "a repository_id": (lambda past: set_toml(past, "run_roots", 'repository_id = "repository-b"\nrun_roots'), ALL),
    "a run that arrives late": (lambda past: add_run(past, "2026-02-12T10:00:00Z"), ALL[4:]),
    "a run of a later time": (lambda past: add_run(past, "2026-02-20T10:00:00Z"), []),
    "a run without a time": (lambda past: add_run(past, "never"), ALL),
    "a run that was edited": (edit_run, ALL[4:]),
    "a run that is removed": (lambda past: shutil.rmtree(past.root / ".codex/RUNS/one"), ALL),
    "a commit of an earlier day": (
        lambda past: commit(past.root, {CATALOG: "nothing"}, at="2026-02-12T12:00:00Z"),
        ALL[4:],
    ),
    "a damaged table": (lambda past: flip(past, "2026-02-10", TABLE), ALL[2:3]),
    "a damaged run.json": (lambda past: flip(past, "2026-02-10", "run.json"), ALL[2:3]),
    "a damaged schema": (lambda past: flip(past, "2026-02-10", "DRIFT_SIGNALS_v0_1.schema.json"), ALL[2:3]),
    "a run marked bad": (mark_one_bad, ALL[2:3]),
    "a run replaced by another": (replace_by_other_valid_run, ALL[2:3]),
    "a run that is lost": (
        lambda past: remove_writable(past.repository.publish_root / run_of(past, "2026-02-10")),
        ALL[2:3],
    ),
    "records of other runs": (lie_about_the_root, ALL),
    "records of other days": (swap_days, ALL[1:3]),
    "records that lack a value": (lambda past: rewrite_records(past, lambda values: values[:-1]), ALL),
    "records that are no object": (lambda past: write_records(past, [1]), ALL),
    "a cache of another program": (lambda past: cache_file(past).write_bytes(b"x" * 100), ALL),
    "no cache": (lambda past: cache_file(past).unlink(), ALL),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_any_change_the_days_that_it_concerns_are_built(past: Past, built: BuiltDays, change: str) -> None:
    act, expected = CHANGES[change]
    past.build(*DAYS)
    act(past)
    built.days.clear()

    fast, slow = build_by_both_ways(past)

    assert built.days[: -len(DAYS)] == expected
    assert facts_of(fast) == facts_of(slow)


def test_a_new_version_of_the_program_builds_every_day(
    past: Past, built: BuiltDays, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.build(*DAYS)
    monkeypatch.setattr(daily, "hash_program", lambda: sha256_hex(b"another"))
    built.days.clear()

    assert all(day.run.reused for day in past.build(*DAYS, minutes=60))
    assert built.days == ALL


def test_a_day_whose_commit_has_findings_is_always_built(past: Past, built: BuiltDays) -> None:
    set_toml(past, f'["{CATALOG}"]', f'["{CATALOG}", "docs/addendum.md"]')
    past.build(*DAYS)
    built.days.clear()

    fast, slow = build_by_both_ways(past)

    assert built.days == ALL + ALL
    assert facts_of(fast) == facts_of(slow)
    assert {finding.code for day in fast for finding in day.built.findings} == {"CATALOG_MISSING"}


def test_under_the_rule_paths_every_day_is_built(past: Past, built: BuiltDays) -> None:
    set_toml(past, "history", 'op_drift = "paths"\nhistory')
    past.build(*DAYS)
    built.days.clear()

    assert all(day.run.reused for day in past.build(*DAYS, minutes=60))
    assert built.days == ALL


def test_a_forced_build_uses_no_record_and_makes_none(past: Past, built: BuiltDays) -> None:
    past.build(*DAYS)
    kept = cache_file(past).read_bytes()
    built.days.clear()

    forced = past.build(*DAYS, minutes=30, force=True)

    assert built.days == ALL
    assert cache_file(past).read_bytes() == kept
    assert [day.run.ref for day in past.build(*DAYS, minutes=60)] == [day.run.ref for day in forced]
    assert built.days == ALL + ALL, "the records name older runs"


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_of_the_cache_changes_a_result(past: Past, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    sealed = past.build(*DAYS)
    data = bytearray(cache_file(past).read_bytes())
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    cache_file(past).write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])

    again = past.build(*DAYS, minutes=60)

    assert [(day.built, day.run.ref) for day in again] == [(day.built, day.run.ref) for day in sealed]


def test_lists_of_different_values_have_different_hashes() -> None:
    lists: list[list[object]] = [
        [],
        ["a", "b"],
        ["a\n", "b"],
        ["a\nb"],
        ["a'\n'b"],
        ["b", "a"],
        [("a", "b")],
        ["\udcff"],
    ]

    hashes = {prefix for values in lists for prefix in hash_each_prefix(values)}

    prefixes = {repr(values[:number]) for values in lists for number in range(len(values) + 1)}
    assert len(hashes) == len(prefixes)
