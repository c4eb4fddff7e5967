"""Find runs by name, and verify them."""

from __future__ import annotations

import pytest

from registry_pipeline.errors import NotFoundError
from registry_pipeline.pipeline.verify import check_runs
from registry_pipeline.pointers.find_runs import find_run, list_all_runs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline_tests.pipeline.conftest import World


@pytest.mark.parametrize(
    ("word", "registry", "meant"),
    [
        ("2026-01-20__000000__seal_migration_ledger", None, "2026-01-20__000000__seal_migration_ledger"),
        ("2026-01-20", None, "2026-01-20__000000__seal_migration_ledger"),
        ("legacy", None, "legacy"),
        ("active", "drift_signals", "2026-03-01__120000__drift_signals_build"),
        ("latest", "run_registry", "2026-03-01__120000__run_registry_build"),
    ],
)
def test_a_run_is_found_by_what_people_call_it(built: World, word: str, registry: str | None, meant: str) -> None:
    assert find_run(built.repository, word, registry).run_id == meant


def test_a_run_is_found_by_the_beginning_of_its_root(built: World) -> None:
    ref = read_pointers(built.repository).active("drift_signals")
    assert ref is not None

    assert find_run(built.repository, ref.manifest_sha256[:10]).run_id == ref.run_id


@pytest.mark.parametrize("word", ["nothing", "2026-02", "active", "abcdef0123"])
def test_a_name_of_no_run_or_of_several_runs_is_reported(built: World, word: str) -> None:
    with pytest.raises(NotFoundError):
        find_run(built.repository, word)


def test_two_processes_give_the_same_verdicts_as_one(built: World) -> None:
    runs = list_all_runs(built.repository)

    assert list(check_runs(runs, None, jobs=2)) == list(check_runs(runs, None))
