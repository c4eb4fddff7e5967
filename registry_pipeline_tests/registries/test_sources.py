"""What the registries are built from, as Dagster observes it: a version that changes with the content alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.capture_table import WAIVERS_PATH
from registry_pipeline.config import CONFIG_NAME, Repository, load_repository
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.sources import find_source_paths, list_sources, read_source

REPORTS = "captured.derived_validation_reports"
FOLDER = "artifacts/derived_validation"


def write(root: Path, path: str, text: str = "{}\n") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository outside git with one file or folder for each source."""
    write(tmp_path, ".codex/RUNS/2026-01-01__000000__a_run/run.json")
    config = load_repository(tmp_path).config
    for name in list_sources(SHIPPED):
        for path in find_source_paths(config, name):
            is_folder = name.startswith("entries.") or path in ("configs/threshold_packs", FOLDER)
            if name != "run_roots":
                write(tmp_path, f"{path}/a.json" if is_folder else path)
    return load_repository(tmp_path)


def read_versions(repository: Repository) -> dict[str, str]:
    return {name: read_source(repository, name).version for name in list_sources(SHIPPED)}


def changed_by(repository: Repository, change: Callable[[], object]) -> set[str]:
    """Return the sources whose version is another one after a change."""
    before = read_versions(repository)
    change()
    after = read_versions(repository)
    return {name for name in list_sources(SHIPPED) if before[name] != after[name]}


def test_every_source_of_a_registry_that_is_built_is_one_but_the_pointers() -> None:
    stated = {name for spec in SHIPPED.registries.values() if spec.builder is not None for name in spec.sources}

    assert set(list_sources(SHIPPED)) == stated - {"pointers"}


@pytest.mark.parametrize("name", [name for name in list_sources(SHIPPED) if name not in ("git", "run_roots")])
def test_a_changed_byte_changes_the_version_of_its_source(repository: Repository, name: str) -> None:
    path = repository.path(find_source_paths(repository.config, name)[0])
    file = path / "a.json" if path.is_dir() else path

    assert name in changed_by(repository, lambda: file.write_text("[]\n"))


@pytest.mark.parametrize("name", [name for name in list_sources(SHIPPED) if name not in ("git", "run_roots")])
def test_a_source_that_disappears_is_missing_and_has_another_version(repository: Repository, name: str) -> None:
    before = read_source(repository, name)
    for relative in find_source_paths(repository.config, name):
        path = repository.path(relative)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    after = read_source(repository, name)

    assert (before.state, after.state) == ("present", "missing")
    assert before.version != after.version


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("2026-02-01__000000__nightly_batch", {"run_roots"}),
        ("free-form name", {"run_roots"}),
        ("2026-02-01__000000__seal_evidence_pack", {"run_roots"}),
        ("2026-02-01__000000__run_registry_build", set()),
        ("2026-02-01__000000__pointer_activation__02", set()),
        ("2026-02-01__000000__system_health_render", set()),
        ("2026-02-01__000000__drift_signals_daily_build__asof_2026-01-31", set()),
    ],
)
def test_a_new_run_folder_changes_the_run_roots_unless_the_pipeline_made_it(
    repository: Repository, run_id: str, expected: set[str]
) -> None:
    assert changed_by(repository, (repository.publish_root / run_id).mkdir) == expected


def test_only_the_newest_report_counts_where_latest_names_it(repository: Repository) -> None:
    write(repository.root, f"{FOLDER}/LATEST.txt", "second\n")
    for name in ("first", "second"):
        write(repository.root, f"{FOLDER}/{name}/derived_validation_report.json")

    assert changed_by(repository, lambda: write(repository.root, f"{FOLDER}/first/more.json")) == set()
    assert changed_by(repository, lambda: write(repository.root, f"{FOLDER}/second/more.json")) == {REPORTS}
    assert changed_by(repository, lambda: write(repository.root, f"{FOLDER}/LATEST.txt", "first\n")) == {REPORTS}


def test_a_file_with_that_name_hides_nothing_elsewhere(repository: Repository) -> None:
    folder = repository.config.entries.modules
    write(repository.root, f"{folder}/LATEST.txt", "nothing\n")

    assert changed_by(repository, lambda: write(repository.root, f"{folder}/a.json", "[]\n")) == {"entries.modules"}


def test_schemas_and_waivers_by_which_a_source_is_judged_belong_to_it(repository: Repository) -> None:
    write(repository.root, CONFIG_NAME, '[captured.migration_ledger]\nschema = "schemas/ledger.json"\n')
    configured = load_repository(repository.root)
    entries = {name for name in list_sources(SHIPPED) if name.startswith("entries.")}

    assert changed_by(configured, lambda: write(configured.root, WAIVERS_PATH)) == {"roles.pack"}
    ledger = {"captured.migration_ledger"}
    assert changed_by(configured, lambda: write(configured.root, "schemas/ledger.json")) == ledger
    assert changed_by(configured, lambda: write(configured.root, ".system/registry/schemas/x.schema.yaml")) == entries


def test_a_rule_without_its_source_is_no_source(repository: Repository) -> None:
    write(repository.root, WAIVERS_PATH)
    repository.path(repository.config.roles.pack).unlink()

    assert read_source(repository, "roles.pack").state == "missing"


def test_a_source_that_cannot_be_read_says_why(repository: Repository) -> None:
    path = repository.path(repository.config.expected_versions)
    path.unlink()
    os.mkfifo(path)

    source = read_source(repository, "expected_versions")

    assert (source.state, source.problem) == ("unreadable", "not a regular file")


def test_a_link_into_a_folder_above_is_not_followed(repository: Repository) -> None:
    folder = repository.path(repository.config.entries.modules)
    (folder / "loop").symlink_to(repository.root, target_is_directory=True)

    assert read_source(repository, "entries.modules").count == 1
