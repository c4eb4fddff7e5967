"""The run folders of a git commit, as `verify --baseline` reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_pipeline.errors import NotFoundError
from registry_pipeline.runs.scan import read_committed_runs
from registry_pipeline_tests.registries.repositories import commit, git, repository, write

RUN_ROOTS = ("runs", "more runs/*")
ROOT = "a" * 64
HASH_FILE = f"{'b' * 64}  run.json\nROOT_SHA256  {ROOT}\n"


def test_every_folder_directly_under_a_run_root_has_its_claimed_root_hash(tmp_path: Path) -> None:
    root = repository(tmp_path)
    first = commit(
        root,
        {
            "runs/sealed/MANIFEST.sha256": HASH_FILE,
            "runs/sealed/nested/MANIFEST.sha256": HASH_FILE.replace("a", "c"),
            "runs/unsealed/deep/er/run.json": "{}",
            "runs/no root/MANIFEST.sha256": "no root here\n",
            "runs/é\tx/MANIFEST.sha256": HASH_FILE,
            "runs/a file": "no folder",
            "runs2/other/MANIFEST.sha256": HASH_FILE,
            "more runs/*/starred/MANIFEST.sha256": HASH_FILE,
            "more runs/x/not under it/MANIFEST.sha256": HASH_FILE,
        },
    )
    commit(root, {"runs/later/MANIFEST.sha256": HASH_FILE})

    found = read_committed_runs(root, first[:10], RUN_ROOTS)

    assert found.commit == first
    assert found.roots == {
        ("runs", "sealed"): ROOT,
        ("runs", "unsealed"): None,
        ("runs", "no root"): None,
        ("runs", "é\tx"): ROOT,
        ("more runs/*", "starred"): ROOT,
    }


def test_the_governed_root_may_lie_inside_the_checkout(tmp_path: Path) -> None:
    outer = repository(tmp_path)
    commit(outer, {"inner/runs/a/MANIFEST.sha256": HASH_FILE, "runs/of the outer one/MANIFEST.sha256": HASH_FILE})

    assert read_committed_runs(outer / "inner", "main", ["runs"]).roots == {("runs", "a"): ROOT}


def test_the_working_tree_plays_no_part(tmp_path: Path) -> None:
    root = repository(tmp_path)
    commit(root, {"runs/a/MANIFEST.sha256": HASH_FILE})
    shutil.rmtree(root / "runs")
    write(root, {"runs/b/MANIFEST.sha256": HASH_FILE})
    git(root, "add", "-A")

    assert set(read_committed_runs(root, "HEAD", ["runs"]).roots) == {("runs", "a")}


@pytest.mark.parametrize("revision", ["nowhere", "--all", "", "HEAD:runs", "HEAD^{tree}", "main\nmain"])
def test_what_names_no_commit_is_not_found(tmp_path: Path, revision: str) -> None:
    root = repository(tmp_path)
    commit(root, {"runs/a/MANIFEST.sha256": HASH_FILE})

    with pytest.raises(NotFoundError):
        read_committed_runs(root, revision, ["runs"])


def test_an_object_that_the_clone_left_out_is_not_found_and_not_fetched(tmp_path: Path) -> None:
    root = repository(tmp_path / "source")
    commit(root, {"runs/a/MANIFEST.sha256": HASH_FILE})
    git(root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--bare", "--filter=blob:none", f"file://{root}", "partial.git")

    with pytest.raises(NotFoundError):
        read_committed_runs(tmp_path / "partial.git", "main", ["runs"])
