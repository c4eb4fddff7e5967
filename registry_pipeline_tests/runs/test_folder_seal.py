"""The seal of an existing folder: what the writer would have written, and a kill at any call."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.errors import PublishError
from registry_pipeline.runs.folder_seal import compute_seal, write_seal
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import find_leftovers, seal_folder
from registry_pipeline_tests.crash_points import killed_at
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.runs.conftest import SealRoots
from registry_pipeline_tests.runs.small_run import WANTED, files_for

_CALLS = (
    *(f"os.{name}" for name in ("open", "write", "fsync", "mkdir", "read", "scandir", "close", "stat")),
    "registry_pipeline.runs.folder_seal.rename_noreplace",
)
_NAMES = st.text("abcdé中 .-_", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)


def make_unsealed(roots: SealRoots, extra: dict[str, bytes] | None = None) -> Path:
    folder = roots.publish / str(WANTED)
    for relpath, data in files_for(extra)(WANTED).items():
        (folder / relpath).parent.mkdir(parents=True, exist_ok=True)
        (folder / relpath).write_bytes(data)
    return folder


def seal(roots: SealRoots, folder: Path) -> None:
    assert write_seal(folder, folder.name, compute_seal(folder, folder.name, folder.name), roots.staging) == ()


def list_files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@given(st.dictionaries(_PATHS, st.binary(max_size=99), max_size=4))
@examples(100)
def test_a_folder_gets_the_seal_that_the_writer_gives_it_or_is_refused_like_there(
    tmp_path_factory: pytest.TempPathFactory, extra: dict[str, bytes]
) -> None:
    base = tmp_path_factory.mktemp("law")
    written, existing = (SealRoots(base / name / "RUNS", base / name / ".staging") for name in "ab")
    for roots in (written, existing):
        roots.publish.mkdir(parents=True)
    try:
        folder = make_unsealed(existing, extra)
    except OSError:
        return  # one path is a folder of another
    result = compute_seal(folder, folder.name, folder.name)
    try:
        sealed = seal_folder(written.publish, written.staging, WANTED, files_for(extra)).path
    except PublishError:
        assert result.manifest is None
        return

    assert write_seal(folder, folder.name, result, existing.staging) == ()
    assert list_files(folder) == list_files(sealed)
    assert verify_folder(folder).verdict == "pass"
    shutil.rmtree(base, ignore_errors=True)


def test_a_seal_killed_at_any_call_leaves_the_folder_unsealed_finishable_or_sealed(roots: SealRoots) -> None:
    number, outcomes, killed = 1, set(), True
    before = list_files(make_unsealed(roots))
    while killed:
        shutil.rmtree(roots.publish)
        folder = make_unsealed(roots)
        killed = killed_at(number, lambda: seal(roots, folder), _CALLS)  # noqa: B023 -- done before the next round
        after = list_files(folder)
        added = tuple(sorted(after.keys() - before.keys()))
        outcomes.add((killed, added))
        assert {name: after[name] for name in before} == before, f"killed at call {number}"
        if len(added) < 2:
            seal(roots, folder)
        assert verify_folder(folder).verdict == "pass", f"killed at call {number}"
        # What is left in staging is what `doctor` finds.
        assert set(find_leftovers(roots.staging)) == set(roots.staging.iterdir() if roots.staging.exists() else ())
        number += 1

    both = ("MANIFEST.sha256", "manifest.json")
    assert outcomes == {(True, ()), (True, ("manifest.json",)), (True, both), (False, both)}
