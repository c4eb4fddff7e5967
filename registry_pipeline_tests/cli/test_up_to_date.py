"""A build that finds nothing to do, as a user sees it; and commands that leave out this tool's own runs."""

from __future__ import annotations

from datetime import UTC, datetime

from registry_pipeline.config import load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.index_shards import build_index_shard
from registry_pipeline.pipeline.run_verification import verify_shard
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.shard_names import Shard
from registry_pipeline_tests.cli.conftest import Repository

MINUTES = ("2026-03-01T12:01:00Z", "2026-03-01T12:02:00Z")
LATER = "2026-03-01T12:03:00Z"
RUN_REGISTRY = "2026-03-01__120000__run_registry_build"


def settle(repository: Repository) -> None:
    """Build until the later builds know what the first ones activated."""
    for now in MINUTES:
        assert repository("build", now=now).code == 0


def test_a_build_says_that_it_is_up_to_date_and_leaves_no_folder(tracked: Repository) -> None:
    settle(tracked)
    before = sorted(path.name for path in tracked.runs.iterdir())

    result = tracked("build", now=LATER)
    document = tracked("build", "--json", now=LATER).document("build")

    assert result.code == 0
    assert "up to date: nothing has changed, so nothing was sealed" in result.out.splitlines()
    assert all(row["reused"] and not row["activated"] for row in document["built"])
    assert (document["activation_run_id"], document["report_run_id"]) == (None, None)
    assert sorted(path.name for path in tracked.runs.iterdir()) == before


def test_without_new_runs_an_operation_becomes_stale_and_the_build_says_so_on_its_day(known: Repository) -> None:
    (known.runs / "today").mkdir()
    (known.runs / "today/run.json").write_text(
        '{"operation_id": "OP-A01", "created_utc": "2026-03-01T11:00:00Z"}\n', encoding="utf-8"
    )
    (known.root / "registry-pipeline.toml").write_text('options = ["A"]\nstale_days = 2\n', encoding="utf-8")
    assert known("build", now="2026-03-01T12:00:00Z").code == 0
    fresh = known("status", "--json", now="2026-03-01T12:00:00Z").document("status")

    # Three days later there is still no new run.
    assert known("build", now="2026-03-04T12:00:00Z").code == 0
    late = known("status", "--json", now="2026-03-04T12:00:00Z").document("status")

    assert late["operations"]["stale"] == fresh["operations"]["stale"] + 1
    assert known("status", "--fail-on", "stale", now="2026-03-04T12:00:00Z").code == 4


def test_runs_leaves_out_the_runs_of_this_tool_unless_asked(built: Repository) -> None:
    settle(built)

    some, all_runs = (built("runs", "-n", "0", "--json", *own).document("runs") for own in ((), ("--own",)))

    names = {record["run_id"] for record in all_runs["records"]} - {record["run_id"] for record in some["records"]}
    assert {RUN_REGISTRY, "2026-03-01__120000__pointer_activation"} <= names
    assert some["own"] == len(names) == all_runs["matched"] - some["matched"]
    assert f"; {len(names)} runs of this tool left out (--own)" in built("runs").out
    assert "--own" not in built("runs", "--own").out


def test_diff_leaves_out_the_runs_of_this_tool_unless_asked(built: Repository) -> None:
    settle(built)

    some, every = (
        built("diff", RUN_REGISTRY, "active", "--json", *own).document("diff")["artifacts"][0]
        for own in ((), ("--own",))
    )

    added = {record["run_id"] for record in every["added"]}
    assert RUN_REGISTRY in added
    assert (some["added"], some["counts"]["own"], every["counts"]["own"]) == ([], len(added), 0)
    assert f"{len(added)} runs of this tool left out (--own)" in built("diff", RUN_REGISTRY, "active").out


def test_the_run_of_a_shard_is_no_reason_to_seal_anything(tracked: Repository) -> None:
    settle(tracked)
    repository = load_repository(tracked.root)
    run = BuildRun(datetime(2026, 3, 1, 12, 2, 30, tzinfo=UTC), GitState(None, None))
    for shard in (Shard(".codex/RUNS", "2026-01"), Shard(".codex/RUNS", "2026-03")):
        build_index_shard(repository, run, shard)
        verify_shard(repository, run, shard)

    assert "up to date: nothing has changed, so nothing was sealed" in tracked("build", now=LATER).out.splitlines()
