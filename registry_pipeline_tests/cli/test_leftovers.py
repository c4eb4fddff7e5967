"""Temporary files of killed writers: `doctor` finds every one, and removes those that no writer holds."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path

import pytest

from registry_pipeline.files.atomic_write import temporary_path
from registry_pipeline.pipeline.init import TEMPORARY_FILES
from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.cli.in_process import run_forked
from registry_pipeline_tests.role_packs import PACK
from registry_pipeline_tests.run_index.values import a_run

CODE = "DOCTOR_TEMPORARY_LEFTOVER"
POINTERS = "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"
FILES = {
    "the pointer file": POINTERS,
    "the role pack": PACK,
    "a content file of the entries": "modules/overview/type_registry.yaml",
    "a new content file": ".system/hooks/tidy.yaml",
    "the routes of a module": "modules/routes/gauge/new.yaml",
    "the run index": RUN_INDEX,
    "its batch": f"{RUN_INDEX}.batch",
    "the overrides log": OVERRIDES,
    "a run log": "runlogs/night.md",
    "git's rules": ".gitignore",
    "git's attributes": ".gitattributes",
    "the configuration": "registry-pipeline.toml",
    "an addendum": "docs/governance/REGISTRY_LAYER_OPERATIONS_ADDENDUM_v0_1.md",
    "what doctor keeps": ".codex/quarantine/POINTERS.0.json",
    "the workspace of Dagster": ".codex/dagster/workspace.yaml",
    "the document of the entries": "AGENTS.md",
}


@pytest.fixture
def repository(built: Repository) -> Repository:
    """A built repository whose run index names a run log."""
    record = a_run(7, run_log_filepath_abs=str(built.root / "runlogs/old.md"))
    assert run_forked(built, "run-index", "append", "--record", json.dumps(record)).code == 0
    (built.root / "modules/routes/gauge").mkdir(parents=True, exist_ok=True)
    (built.root / "modules/routes/gauge/old.yaml").touch()
    return built


def put(repository: Repository, path: str) -> Path:
    place = repository.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"half of it")
    return place


def leftovers(repository: Repository) -> list[str]:
    document = run_forked(repository, "doctor", "--json").document("doctor")
    return [found["path"] for found in document["findings"] if found["code"] == CODE]


def test_every_leftover_is_found_and_removed(repository: Repository) -> None:
    names = {str(temporary_path(Path(path))) for path in FILES.values()}
    for name in names:
        put(repository, name)

    assert set(leftovers(repository)) == names
    assert all((repository.root / name).exists() for name in names)
    fixed = run_forked(repository, "doctor", "--fix", "--json").document("doctor")

    assert {each["path"] for each in fixed["mended"] if each["code"] == CODE} == names
    assert not any((repository.root / name).exists() for name in names)
    assert leftovers(repository) == []


def test_a_file_of_a_live_writer_is_no_leftover(repository: Repository) -> None:
    new = put(repository, str(temporary_path(Path(PACK))))

    with new.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert leftovers(repository) == []
        assert run_forked(repository, "doctor", "--fix").code == 0
        assert new.exists()

    assert leftovers(repository) == [new.relative_to(repository.root).as_posix()]


def test_files_with_other_names_and_in_other_folders_are_no_leftovers(repository: Repository) -> None:
    mine = [
        "notes/.a.registry-pipeline.tmp",
        "docs/phase_2_2/.notes.1.tmp",
        "modules/overview/notes.tmp",
        ".registry-pipeline.tmp",
    ]
    for name in mine:
        put(repository, name)
    (repository.root / temporary_path(Path(RUN_INDEX))).symlink_to("/etc/hostname")

    assert leftovers(repository) == []
    assert run_forked(repository, "doctor", "--fix").code == 0
    assert all((repository.root / name).exists() for name in mine)


def test_git_ignores_temporary_files_everywhere(repository: Repository) -> None:
    name = temporary_path(repository.root / PACK).name
    assert name.endswith(TEMPORARY_FILES.removeprefix(".*"))
    put(repository, str(temporary_path(Path(PACK))))
    put(repository, str(temporary_path(Path("README.md"))))

    status = subprocess.run(["git", "status", "--porcelain"], cwd=repository.root, capture_output=True, check=True)

    assert b"registry-pipeline.tmp" not in status.stdout
