"""`init` on repositories of every kind, and the example."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from registry_pipeline.canonical import is_repository_id
from registry_pipeline.config import load_repository
from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.example.make import make_example
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.rebuild import rebuild
from registry_pipeline.pipeline.verify import check_runs
from registry_pipeline.pointers.find_runs import list_all_runs
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline_tests.pipeline.conftest import NOON, World


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and ".git" not in p.parts}


def test_init_of_an_empty_folder_makes_all_that_a_build_needs(tmp_path: Path) -> None:
    outcome = initialize(tmp_path, track_runs=None, now=NOON)

    built = rebuild(outcome.repository, start_build_run(outcome.repository, NOON), actor="Ada", reason="first")

    assert {row.registry_id for row in built.built if row.activated} == {
        "run_registry",
        "op_status_table",
        "drift_signals",
        "governance_scorecard",
    }


def test_init_a_second_time_changes_nothing(world: World) -> None:
    initialize(world.root, track_runs=None, now=NOON)
    before = snapshot(world.root)

    again = initialize(world.root, track_runs=None, now=NOON)

    assert again.created == ()
    assert snapshot(world.root) == before


def test_init_gives_each_repository_an_id_of_its_own(tmp_path: Path) -> None:
    ids = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ids.add(initialize(tmp_path / name, track_runs=None, now=NOON).repository.config.repository_id)

    assert len(ids) == 2
    assert all(is_repository_id(each) for each in ids)


@pytest.mark.parametrize(
    "toml",
    [b"", b"# ours\nstale_days = 3\n", b'[roles]\nbaseline = "trunk"', b"# ours\r\nstale_days = 3\r\n"],
    ids=["empty", "a key", "only a table, no last line end", "crlf"],
)
def test_init_adds_the_id_to_an_existing_toml_as_its_first_line_and_keeps_every_other_byte(
    tmp_path: Path, toml: bytes
) -> None:
    path = tmp_path / "registry-pipeline.toml"
    path.write_bytes(toml)
    path.chmod(0o640)

    outcome = initialize(tmp_path, track_runs=None, now=NOON)

    first, line_end, rest = path.read_bytes().partition(b"\r\n" if b"\r" in toml else b"\n")
    assert (rest, line_end) == (toml, b"\r\n" if b"\r" in toml else b"\n")
    assert first == f'repository_id = "{outcome.repository.config.repository_id}"'.encode()
    assert is_repository_id(load_repository(tmp_path).config.repository_id)
    assert outcome.created[0] == "registry-pipeline.toml"
    assert path.stat().st_mode & 0o777 == 0o640
    before = snapshot(tmp_path)
    assert initialize(tmp_path, track_runs=None, now=NOON).created == ()
    assert snapshot(tmp_path) == before


def test_init_keeps_an_id_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "registry-pipeline.toml"
    path.write_text('stale_days = 3\nrepository_id = "a-fork-of-shop"\n', encoding="utf-8")
    before = path.read_bytes()

    outcome = initialize(tmp_path, track_runs=None, now=NOON)

    assert path.read_bytes() == before
    assert outcome.repository.config.repository_id == "a-fork-of-shop"


def test_init_changes_a_linked_toml_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    shared = tmp_path / "shared.toml"
    shared.write_text("stale_days = 3\n", encoding="utf-8")
    link = tmp_path / "shop" / "registry-pipeline.toml"
    link.symlink_to(shared)

    initialize(tmp_path / "shop", track_runs=None, now=NOON)

    assert link.is_symlink()
    assert shared.read_text(encoding="utf-8").endswith('"\nstale_days = 3\n')


def test_a_toml_that_cannot_be_parsed_is_not_changed_by_init(tmp_path: Path) -> None:
    path = tmp_path / "registry-pipeline.toml"
    path.write_text("run_roots = [", encoding="utf-8")

    with pytest.raises(ConfigError):
        initialize(tmp_path, track_runs=None, now=NOON)

    assert path.read_text(encoding="utf-8") == "run_roots = ["


def test_init_lists_only_documents_that_exist_and_the_day_of_the_first_commit(world: World) -> None:
    initialize(world.root, track_runs=None, now=NOON)

    config = load_repository(world.root).config

    assert all((world.root / path).is_file() for path in (*config.operations_catalog, *config.coverage_matrix))
    assert config.threshold_sources == (
        "configs/threshold_packs/state_plane_v0_2_default_v1.json",
        "configs/threshold_packs/c3_regime_trend_v1.json",
    )
    assert config.history_start == date(2026, 1, 1)
    assert config.pointers == "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"


def test_init_keeps_the_lines_that_gitignore_has(world: World) -> None:
    path = world.root / ".gitignore"
    path.write_text("*.log", encoding="utf-8")

    initialize(world.root, track_runs=None, now=NOON)

    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*.log"
    assert {"/.codex/cache", ".tmp_dagster_home_*"} <= set(lines)


def test_a_pointer_file_that_git_tracks_takes_the_runs_along(world: World) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--", "docs/phase_2_2"], cwd=world.root, check=True, capture_output=True
    )
    assert world.repository.config.pointers in tracked.stdout.decode()

    initialize(world.root, track_runs=None, now=NOON)

    lines = (world.root / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert not {"/.codex/RUNS/", f"/{world.repository.config.pointers}"} & set(lines)


def test_without_a_tracked_one_git_ignores_both_runs_and_pointers(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    initialize(tmp_path, track_runs=None, now=NOON)

    lines = (tmp_path / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/.codex/RUNS/", "/.codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"} <= set(lines)


def test_runs_that_are_tracked_are_not_ignored(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    initialize(tmp_path, track_runs=True, now=NOON)

    assert "/.codex/RUNS/" not in (tmp_path / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_git_sees_nothing_of_what_builds_write(built: World) -> None:
    initialize(built.root, track_runs=None, now=NOON)
    subprocess.run(["git", "add", "-A"], cwd=built.root, check=True)
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "-qm", "init"],
        cwd=built.root,
        check=True,
    )

    built.build(minutes=1)

    status = subprocess.run(["git", "status", "--porcelain"], cwd=built.root, capture_output=True, check=True)
    assert status.stdout == b" M docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json\n"  # tracked by the fixture itself
    assert built.run(2).git.working_tree_state == "clean"


def test_init_of_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        initialize(tmp_path / "nowhere", track_runs=None, now=NOON)


def test_the_example_has_the_id_of_its_seed(tmp_path: Path) -> None:
    ids = [
        make_example(tmp_path / name, NOON, seed=seed).repository.config.repository_id
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]

    assert ids[0] == ids[1] != ids[2]
    assert all(is_repository_id(each) for each in ids)
    assert (
        subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path / "a", capture_output=True, check=True).stdout
        == b""
    )


def test_verifying_the_example_finds_what_was_planted_and_nothing_else(tmp_path: Path) -> None:
    made = make_example(tmp_path / "example", NOON)

    verdicts = [checked.verdict for checked in check_runs(list_all_runs(made.repository), None)]

    found = {(v.path, v.verdict, tuple(sorted((f.code, f.path) for f in v.findings))) for v in verdicts if v.findings}
    assert found == {(p.path, p.verdict, p.findings) for p in made.planted}
    assert made.runs >= 300
