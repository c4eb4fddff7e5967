"""The verdicts of shards: what they contain, how long they count, and what their summary says."""

from __future__ import annotations

import itertools
import json
import shutil
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Config, DagsterTable, OwnRegistry, Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline import run_verification
from registry_pipeline.pipeline.run_verification import (
    ARCHIVES,
    ARTIFACT,
    list_shard_verifications,
    summarize_verification,
    verify_shard,
)
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.shard_names import Shard
from registry_pipeline.registries.base.shard_runs import seal_shard_run
from registry_pipeline.values import replace
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.sealed_folders import RUNS, seal_plainly

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
JANUARY, MARCH = Shard(RUNS, "2026-01"), Shard(RUNS, "2026-03")
_SECONDS = itertools.count()


def make_repository(root: Path) -> Repository:
    for day in (1, 2):
        run_id = f"2026-01-0{day}__000000__op"
        seal_plainly(root, run_id, {"data.csv": b"a\n"}, {})
    (root / RUNS / "2026-01-03__000000__bare").mkdir()
    return Repository(root, Config(run_roots=(RUNS,), dagster=DagsterTable(shards=True, verified_hours=48)))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path)


def verify(repository: Repository, shard: Shard, at: datetime = NOW) -> Path:
    run = BuildRun(at + timedelta(seconds=next(_SECONDS)), GitState(None, None))
    return repository.path(verify_shard(repository, run, shard)[0].path)


def codes(repository: Repository, at: datetime = NOW) -> list[str]:
    return [f.code for f in summarize_verification(repository, at).findings if f.severity.value != "info"]


def pending(repository: Repository, at: datetime) -> dict[str, str]:
    limit = timedelta(hours=repository.config.dagster.verified_hours)
    states = list_shard_verifications(repository, at)
    return {str(s.shard): reason for s in states if (reason := s.explain_pending(at, limit))}


def test_the_sealed_verdicts_name_each_folder_the_findings_by_code_the_rules_and_the_time(
    repository: Repository,
) -> None:
    broken = repository.path(f"{RUNS}/2026-01-02__000000__op/data.csv")
    broken.write_bytes(b"b\n")

    document = json.loads((verify(repository, JANUARY) / ARTIFACT).read_bytes())

    assert document["shard"] == ".codex/RUNS/2026-01"
    assert document["verdicts"] == {
        "2026-01-01__000000__op": "pass",
        "2026-01-02__000000__op": "fail",
        "2026-01-03__000000__bare": "unsealed",
    }
    assert (document["verdict"], document["codes"]) == ("fail", {"HASH_MISMATCH": 1, "UNSEALED": 1})
    assert document["verified_utc"].startswith("2026-03-10T12:00")
    assert document["rules_version"]


def test_the_summary_counts_every_folder_once_and_passes(repository: Repository) -> None:
    verify(repository, JANUARY)

    summary = summarize_verification(repository, NOW)

    assert summary.passed
    # The verdicts themselves are a run of March, which the summary verifies.
    assert (summary.folders, summary.by_verdict) == (4, {"pass": 3, "unsealed": 1})
    assert pending(repository, NOW) == {}


def test_an_error_in_any_verdict_fails_although_all_are_complete(repository: Repository) -> None:
    repository.path(f"{RUNS}/2026-01-02__000000__op/data.csv").write_bytes(b"b\n")
    verify(repository, JANUARY)

    summary = summarize_verification(repository, NOW)

    assert (summary.is_complete, summary.passed) == (True, False)


def test_nothing_sealed_is_no_pass(tmp_path: Path) -> None:
    repository = Repository(tmp_path, Config(run_roots=(RUNS,), dagster=DagsterTable(shards=True)))
    (tmp_path / RUNS / "2026-01-03__000000__bare").mkdir(parents=True)

    assert not summarize_verification(repository, NOW).passed


def test_a_month_without_verdicts_and_a_new_folder_are_missing(repository: Repository) -> None:
    assert codes(repository) == ["VERDICT_MISSING"]
    verify(repository, JANUARY)
    seal_plainly(repository.root, "2026-01-09__000000__op", {}, {})
    seal_plainly(repository.root, "2026-02-09__000000__op", {}, {})

    summary = summarize_verification(repository, NOW)

    missing = [(f.path, f.severity.value) for f in summary.findings if f.code == "VERDICT_MISSING"]
    assert missing == [(str(JANUARY), "warning"), (f"{RUNS}/2026-02", "error")]
    assert not summary.passed


@pytest.mark.parametrize(
    ("hours", "count", "is_pending"), [(0, True, False), (23, True, False), (24, True, True), (48, True, True)]
)
def test_verdicts_count_until_the_limit_and_are_renewed_after_half_of_it(
    repository: Repository, hours: int, count: bool, is_pending: bool
) -> None:
    verify(repository, JANUARY, NOW)
    later = NOW + hours * HOUR + timedelta(seconds=next(_SECONDS))

    verify(repository, MARCH, later)  # the runs of shards are in March

    assert summarize_verification(repository, NOW + hours * HOUR).is_complete is count
    assert (str(JANUARY) in pending(repository, later)) is is_pending


def test_verdicts_older_than_the_limit_do_not_count(repository: Repository) -> None:
    verify(repository, JANUARY, NOW)

    assert "VERDICT_OLD" in codes(repository, NOW + 50 * HOUR)
    assert "VERDICT_MISSING" in codes(repository, NOW - 50 * HOUR), "the clock was wrong"


def test_verdicts_of_another_version_of_the_rules_do_not_count(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(repository, JANUARY)
    monkeypatch.setattr(run_verification, "read_version", lambda: "99.0")

    assert codes(repository) == ["VERDICT_OLD"]
    assert "version 99.0+" in pending(repository, NOW)[str(JANUARY)]


def test_new_folders_are_verified_after_a_day(repository: Repository) -> None:
    week = replace(repository, config=replace(repository.config, dagster=DagsterTable(shards=True, verified_hours=168)))
    verify(week, JANUARY)
    seal_plainly(week.root, "2026-01-09__000000__op", {}, {})

    assert pending(week, NOW + HOUR) == {}
    assert pending(week, NOW + 25 * HOUR) == {str(JANUARY): "1 folder new"}


def _alter(folder: Path) -> None:
    path = folder / ARTIFACT
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"fail"', b'"pass"').replace(b'"unsealed"', b'"pass"'))


def _remove_seal(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [_alter, _remove_seal])
def test_altered_verdicts_are_an_error(repository: Repository, damage: Callable[[Path], None]) -> None:
    damage(verify(repository, JANUARY))

    found = codes(repository)

    assert "SHARD_INVALID" in found
    assert len(found) > 1, "and the altered run itself does not verify"
    assert str(JANUARY) in pending(repository, NOW)


ODD_VERDICTS = (
    b'{"schema_version": "0.1", "verified_utc": "2026-03-10T12:00:00Z", "rules_version": "1", "findings": [],'
    b' "verdicts": {"2026-01-01__000000__op": ["pass"], "2026-01-02__000000__op": "shards"}}'
)


@pytest.mark.parametrize("document", [b"[]", b"{", b'{"schema_version": "0.1"}', b'{"verdicts": 1}', ODD_VERDICTS])
def test_sealed_verdicts_of_another_form_are_an_error(repository: Repository, document: bytes) -> None:
    run = BuildRun(NOW, GitState(None, None))
    seal_shard_run(repository, run, "run_verification_shard", JANUARY, {ARTIFACT: document})

    assert codes(repository) == ["SHARD_INVALID"]


def test_only_the_newest_verdicts_count(repository: Repository) -> None:
    data = repository.path(f"{RUNS}/2026-01-02__000000__op/data.csv")
    data.write_bytes(b"b\n")
    verify(repository, JANUARY)
    data.write_bytes(b"a\n")
    verify(repository, JANUARY, NOW + HOUR)

    assert summarize_verification(repository, NOW + HOUR).passed


def test_a_forged_run_of_a_shard_does_not_pass(repository: Repository) -> None:
    verify(repository, JANUARY)
    forged = repository.path(f"{RUNS}/2026-03-01__000000__run_registry_shard.2026-01.00000000")
    forged.mkdir()

    assert not summarize_verification(repository, NOW).passed


def test_a_shard_without_folders_is_refused(repository: Repository) -> None:
    with pytest.raises(RefusedError, match=r"2019-01 has no run folder to verify"):
        verify(repository, Shard(RUNS, "2019-01"))


@examples(25)
@given(st.lists(st.sampled_from(["new", "verify", "break", "other month", "remove", "unmount"]), max_size=6))
def test_the_summary_passes_only_if_each_folder_is_in_the_newest_verdicts_of_its_month(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    repository = make_repository(tmp_path_factory.mktemp("law"))
    repository = replace(repository, config=replace(repository.config, run_roots=(RUNS, "other")))
    mounted = repository.path("other")
    mounted.mkdir()
    verdicts: dict[str, bool] = {}
    broken = False
    for number, action in enumerate(actions):
        if action == "verify":
            for state in list_shard_verifications(repository, NOW):
                verify(repository, state.shard, NOW + timedelta(minutes=number))
            verdicts = {path.name: broken for path in repository.publish_root.iterdir()}
        elif action == "break":
            repository.path(f"{RUNS}/2026-01-02__000000__op/data.csv").write_bytes(b"b\n")
            broken = repository.path(f"{RUNS}/2026-01-02__000000__op").exists()
        elif action == "remove":
            make_removable(repository.path(f"{RUNS}/2026-01-01__000000__op"))
            shutil.rmtree(repository.path(f"{RUNS}/2026-01-01__000000__op"), ignore_errors=True)
        elif action == "unmount":
            shutil.rmtree(mounted, ignore_errors=True)
        else:
            month = "01" if action == "new" else "02"
            seal_plainly(repository.root, f"2026-{month}-1{number}__000000__op", {}, {})

    folders = [path.name for path in repository.publish_root.iterdir() if "_shard." not in path.name]
    is_verified = bool(verdicts) and all(name in verdicts for name in folders)
    summary = summarize_verification(repository, NOW)
    assert summary.passed is (is_verified and not any(verdicts.values()) and mounted.exists())
    removed = set(verdicts).difference(path.name for path in repository.publish_root.iterdir())
    assert ("VERDICT_WITHOUT_RUN" in {f.code for f in summary.findings}) is bool(removed)


def test_each_archive_of_the_toml_is_verified_in_a_shard_of_its_own(repository: Repository) -> None:
    path = f"{RUNS}/2026-01-01__000000__op"
    with tarfile.open(repository.path("old.tar"), "w") as archive:
        archive.add(repository.path(path), path)
    archived = replace(repository, config=replace(repository.config, archives=("old.tar", "none.tar")))
    verify(archived, JANUARY)

    assert "VERDICT_MISSING" in codes(archived)
    document = json.loads((verify(archived, ARCHIVES) / ARTIFACT).read_bytes())
    assert (document["verdicts"], document["codes"]) == ({"old.tar": "pass"}, {"ARCHIVE_MISSING": 1})
    assert codes(archived) == ["ARCHIVE_MISSING"]


def test_an_archive_and_a_run_root_that_are_missing_are_no_pass(repository: Repository) -> None:
    verify(repository, JANUARY)
    without = replace(repository, config=replace(repository.config, archives=("a.tar",)))
    unmounted = replace(repository, config=replace(repository.config, run_roots=(RUNS, "gone")))

    assert [codes(without), codes(unmounted)] == [["ARCHIVE_MISSING"], ["RUN_ROOT_MISSING"]]
    assert not summarize_verification(without, NOW).passed
    assert not summarize_verification(unmounted, NOW).passed


def test_an_altered_folder_that_is_removed_with_its_month_is_a_warning(repository: Repository) -> None:
    seal_plainly(repository.root, "2026-02-01__000000__op", {"data.csv": b"a"}, {})
    repository.path(f"{RUNS}/2026-02-01__000000__op/data.csv").write_bytes(b"b")
    for shard in (JANUARY, Shard(RUNS, "2026-02")):
        verify(repository, shard)
    make_removable(repository.path(f"{RUNS}/2026-02-01__000000__op"))
    shutil.rmtree(repository.path(f"{RUNS}/2026-02-01__000000__op"))

    found = [f for f in summarize_verification(repository, NOW).findings if f.code == "VERDICT_WITHOUT_RUN"]

    assert [(f.path, f.severity.value) for f in found] == [(f"{RUNS}/2026-02", "warning")]


def test_an_archive_of_a_valid_run_and_an_unsealed_folder_is_unsealed_and_one_that_fails_fails_the_summary(
    repository: Repository,
) -> None:
    with tarfile.open(repository.path("old.tar"), "w") as archive:
        for name in ("2026-01-01__000000__op", "2026-01-03__000000__bare"):
            archive.add(repository.path(f"{RUNS}/{name}"), f"{RUNS}/{name}")
    archived = replace(repository, config=replace(repository.config, archives=("old.tar",)))
    verify(archived, JANUARY)
    document = json.loads((verify(archived, ARCHIVES) / ARTIFACT).read_bytes())

    assert document["verdicts"] == {"old.tar": "unsealed"}
    summary = summarize_verification(archived, NOW)
    assert summary.passed
    assert not replace(summary, by_verdict={"pass": 1, "fail": 1}).passed


def test_verdicts_of_other_program_files_or_another_schema_of_an_own_registry_do_not_count(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = repository.path("prices.schema.json")
    schema.write_text("{}", encoding="utf-8")
    own = {"prices": OwnRegistry(sources=("prices.json",), schema="prices.schema.json")}
    repository = replace(repository, config=replace(repository.config, registries=own), catalogs={})
    verify(repository, JANUARY)
    assert codes(repository) == []

    schema.write_text('{"type": "object"}', encoding="utf-8")
    assert codes(replace(repository, catalogs={})) == ["VERDICT_OLD"]
    schema.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(run_verification, "hash_program", lambda: "0" * 64)
    assert codes(replace(repository, catalogs={})) == ["VERDICT_OLD"]


def test_a_shard_with_an_error_is_verified_again_after_a_day(repository: Repository) -> None:
    week = replace(repository, config=replace(repository.config, dagster=DagsterTable(shards=True, verified_hours=168)))
    week.path(f"{RUNS}/2026-01-02__000000__op/data.csv").write_bytes(b"b\n")
    verify(week, JANUARY)

    assert pending(week, NOW + HOUR) == {}
    assert pending(week, NOW + 25 * HOUR)[str(JANUARY)] == "an error may have been repaired"


def test_verdicts_that_a_wrong_clock_named_are_ignored(repository: Repository) -> None:
    verify(repository, JANUARY, NOW + 400 * 24 * HOUR)
    verify(repository, JANUARY)

    assert codes(repository) == []
