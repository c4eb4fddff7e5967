"""The operations of commits that are read one after another are those of each commit read by itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import Config, load_repository
from registry_pipeline.git.blob_digests import BlobDigests
from registry_pipeline.git.tree import CommittedFiles, CommitTree
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.drift_signals_daily import read
from registry_pipeline.registries.drift_signals_daily.read import CatalogReader
from registry_pipeline_tests.histories import CATALOG, MATRIX, TOML, catalog, make_historic, matrix
from registry_pipeline_tests.registries.repositories import commit, git


def make_commits(root: Path) -> list[str]:
    """Return commits whose documents change, are missing, are links, are folders, and are the same again."""
    commits = list(make_historic(root).commits.values())
    at = (f"2026-03-{day:02}T00:00:00Z" for day in range(1, 28))
    (root / "registry-pipeline.toml").write_text(TOML.replace(f'"{MATRIX}"', f'"{MATRIX}", "docs/more.md"'))
    commits.append(commit(root, {"docs/more.md": matrix("OP-A02"), "unrelated": "1"}, at=next(at)))
    commits.append(commit(root, {"unrelated": "2"}, at=next(at)))
    (root / CATALOG).unlink()
    commits.append(commit(root, {}, at=next(at)))
    (root / CATALOG).symlink_to("linked.md")
    commits.append(commit(root, {"docs/linked.md": catalog("OP-A03")}, at=next(at)))
    commits.append(commit(root, {"docs/linked.md": catalog("OP-A01", "OP-A04")}, at=next(at)))
    (root / CATALOG).unlink()
    commits.append(commit(root, {f"{CATALOG}/deep": "1"}, at=next(at)))
    git(root, "rm", "-q", "-r", "docs")
    commits.append(commit(root, {}, at=next(at)))
    return commits


@pytest.mark.parametrize("seed", range(5))
def test_in_any_order_each_commit_has_its_own_operations(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    commits = make_commits(tmp_path / "repository")
    config = load_repository(tmp_path / "repository").config

    with CommittedFiles(tmp_path / "repository", BlobDigests(None, 20)) as files:
        reader = CatalogReader(config)
        for each in chance.choices(commits, k=40):
            tree = CommitTree(files, files.root_tree(each))
            assert reader.read(tree) == read_operation_catalog(tree, config)


def test_documents_that_are_the_same_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = make_historic(tmp_path / "repository").commits
    config = load_repository(tmp_path / "repository").config
    calls: list[CommitTree] = []

    def read_and_count(tree: CommitTree, config: Config) -> Any:
        calls.append(tree)
        return read_operation_catalog(tree, config)

    monkeypatch.setattr(read, "read_operation_catalog", read_and_count)

    with CommittedFiles(tmp_path / "repository", BlobDigests(None, 20)) as files:
        reader = CatalogReader(config)
        for name in ("first", "second", "third", "side", "merge"):
            reader.read(CommitTree(files, files.root_tree(commits[name])))

    assert len(calls) == 2, "only the third commit changed one"
