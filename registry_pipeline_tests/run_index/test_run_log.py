"""Run logs: an id is generated, people fill in fields, and the final record comes from these."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.registries.run_index.record import GRAMMARS
from registry_pipeline.registries.run_index.scan import read_log
from registry_pipeline.registries.run_index.service import finish_run, start_run
from registry_pipeline_tests.run_index.values import a_run, log_at, repository_at, write_log

NOW = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 1, 0, 0, tzinfo=UTC)
FIELDS = {
    "created_utc": "2026-02-28T23:59:59Z",
    "created_by": "gpt",
    "machine_id": "C2",
    "artist_id": "ART-heron",
    "genre_id": "GEN-hymn",
}


def _first(alphabet: str) -> str:
    return alphabet[0]


def _fill(place: Path, **values: str) -> None:
    lines = place.read_text("utf-8").splitlines(keepends=True)
    for name, value in values.items():
        at = next(n for n, line in enumerate(lines) if line.startswith(f"{name}:"))
        lines[at] = f"{name}: {value}\n"
    place.write_text("".join(lines), "utf-8")


def test_a_run_is_started_filled_in_and_finished(tmp_path: Path) -> None:
    repository, place = repository_at(tmp_path), tmp_path / "runlogs" / "night.md"
    run_id = start_run(repository, place, FIELDS, now=NOW, choose=_first)
    log = log_at(tmp_path)
    assert not log.path.exists()
    _fill(place, qa_gate2="FAIL  # for now", notes='"it: rained, ö"', version_ids="[]")

    first = finish_run(repository, place, corrects=(), machine_id="C2", now=LATER)
    again = finish_run(repository, place, corrects=(), machine_id="C2", now=LATER)

    expected = {"record_type": "RUN", "run_id": run_id, **FIELDS, "qa_gate2": "FAIL"}
    assert run_id == "RUN-20260228-2359-AAAA"
    assert first.added == ({**expected, "run_log_filepath_abs": str(place), "notes": "it: rained, ö"},)
    assert list(first.added[0]) == [
        *("record_type", "run_id", "created_utc", "created_by", "machine_id", "artist_id", "genre_id"),
        *("qa_gate2", "run_log_filepath_abs", "notes"),
    ]
    assert (again.added, again.refused, len(read_log(log).entries)) == ((), False, 1)


def test_the_changes_of_a_second_finish_must_be_named(tmp_path: Path) -> None:
    repository, place = repository_at(tmp_path), tmp_path / "night.md"
    start_run(repository, place, FIELDS, now=NOW, choose=_first)
    _fill(place, qa_gate2="FAIL", notes="a")
    finish_run(repository, place, corrects=(), machine_id=None, now=LATER)
    _fill(place, notes="b", qa_gate0="PASS")

    refused = finish_run(repository, place, corrects=(), machine_id=None, now=LATER)
    done = finish_run(repository, place, corrects=("notes", "qa_gate0"), machine_id=None, now=LATER)

    assert [each.code for each in refused.findings] == ["RI025"]
    assert done.added[0]["corrects"] == ["notes"]
    assert done.added[0]["last_updated_utc"] == "2026-03-01T01:00:00Z"


def test_an_existing_id_is_not_assigned_again(tmp_path: Path) -> None:
    repository, log = repository_at(tmp_path), log_at(tmp_path)
    write_log(log, [a_run(0, run_id="RUN-20260228-2359-AAAA")])
    turns = itertools.cycle(range(8))

    def choose(alphabet: str) -> str:
        return alphabet[next(turns) // 4]

    assert start_run(repository, tmp_path / "a.md", FIELDS, now=NOW, choose=choose) == "RUN-20260228-2359-BBBB"
    with pytest.raises(RefusedError, match="no run id"):
        start_run(repository, tmp_path / "b.md", FIELDS, now=NOW, choose=_first)
    assert not (tmp_path / "b.md").exists()


def test_a_generated_id_matches_its_grammar(tmp_path: Path) -> None:
    for grammar in GRAMMARS.values():
        for kind in ("run", "work", "version", "override"):
            assert grammar.find_problem(kind, grammar.make_id(kind, NOW, _first)) == ""
    # The instant 1469918176385 of the ULID specification's own example.
    instant = datetime(2016, 7, 30, 22, 36, 16, 385000, tzinfo=UTC)

    assert GRAMMARS["ulid"].make_id("run", instant, _first) == "RUN_01ARYZ6S41" + "0" * 16


def test_a_run_log_is_never_overwritten(tmp_path: Path) -> None:
    place = tmp_path / "night.md"
    place.write_text("mine")

    with pytest.raises(RefusedError, match="exists already"):
        start_run(repository_at(tmp_path), place, FIELDS, now=NOW, choose=_first)

    assert place.read_text() == "mine"


def test_an_unknown_field_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="RI014 /artist_id"):
        start_run(repository_at(tmp_path), tmp_path / "a.md", FIELDS | {"artist_id": "heron"}, now=NOW, choose=_first)

    assert list(tmp_path.iterdir()) == []


def test_a_missing_run_log_cannot_be_finished(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be read"):
        finish_run(repository_at(tmp_path), tmp_path / "gone.md", corrects=(), machine_id=None, now=NOW)
    with pytest.raises(NotFoundError, match="cannot be read"):
        finish_run(repository_at(tmp_path), tmp_path, corrects=(), machine_id=None, now=NOW)
