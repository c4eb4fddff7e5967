"""Where the writer writes, and where it refuses to: links, modes, dry runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline.errors import RefusedError
from registry_pipeline.registries.entries.service import add_entries, check_entries, remove_entries
from registry_pipeline_tests.entries.small import (
    ASKED,
    BEFORE,
    HOOK,
    INSTANCES,
    THREE,
    TYPES,
    add_three,
    contents_of,
    make_small,
)

LINKS = {
    "the file itself": TYPES,
    "a folder above it": "modules/overview",
    "the first folder": "modules",
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_content_behind_a_link_is_reported_and_never_written(tmp_path: Path, link: str) -> None:
    repository = make_small(tmp_path / "repository")
    outside = tmp_path / "outside"
    (repository.root / link).rename(outside)
    (repository.root / link).symlink_to(outside)
    before = contents_of(outside) if outside.is_dir() else {"": outside.read_bytes()}

    _, found, _ = check_entries(repository)
    written = add_three(repository)

    assert {each.code for each in found} == {"EN002"}
    assert not written.written
    assert written.change.refused
    assert (contents_of(outside) if outside.is_dir() else {"": outside.read_bytes()}) == before
    assert not (repository.root / HOOK).exists()


def test_a_new_file_is_not_written_behind_a_link(tmp_path: Path) -> None:
    repository = make_small(tmp_path / "repository")
    (tmp_path / "outside").mkdir()
    (repository.root / ".system").symlink_to(tmp_path / "outside")

    with pytest.raises(RefusedError, match=r"lies behind \.system"):
        add_three(repository)

    assert list((tmp_path / "outside").iterdir()) == []
    assert (repository.root / TYPES).read_bytes() == BEFORE[TYPES]


def test_modes_are_kept_and_new_files_are_readable(tmp_path: Path) -> None:
    repository = make_small(tmp_path / "repository")
    (repository.root / TYPES).chmod(0o640)

    add_three(repository)

    assert (repository.root / TYPES).stat().st_mode & 0o777 == 0o640
    assert (repository.root / HOOK).stat().st_mode & 0o777 == 0o644


def test_a_dry_run_and_a_refusal_change_nothing(tmp_path: Path) -> None:
    repository = make_small(tmp_path / "repository")

    dry = add_entries(repository, THREE, ASKED, dry_run=True)
    refused = remove_entries(repository, [("module_type", "gauge")], dry_run=True)

    assert set(dry.change.files) == {TYPES, INSTANCES, HOOK}
    assert not dry.written
    assert not refused.written
    assert contents_of(repository.root) == BEFORE
