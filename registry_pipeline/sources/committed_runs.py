"""The run folders that a git commit has, with the roots that they claim (SPEC 4.1, `verify --baseline`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from registry_pipeline.errors import NotFoundError
from registry_pipeline.sources.git import read_blobs, read_commit_id, read_committed_files
from registry_pipeline.sources.run_folders import claimed_root
from registry_pipeline.values import value_type

_HASH_FILE = b"MANIFEST.sha256"


@value_type
class CommittedRuns:
    """A commit, and the claimed root of every run folder in it by run root and run id (None: it claims none)."""

    commit: str
    roots: Mapping[tuple[str, str], str | None]


def read_committed_runs(root: Path, revision: str, run_roots: Sequence[str]) -> CommittedRuns:
    """Return the run folders that a commit has under the run roots; `root` may be a folder of the checkout.

    Raises:
        NotFoundError: there is no git repository, no such commit, or no run folder in it: nothing could be compared.
    """
    commit = read_commit_id(root, revision)
    if commit is None:
        raise NotFoundError(f"{root} is in no git repository, so that there is no baseline", "leave out --baseline")
    hash_files: dict[tuple[str, str], str | None] = {}
    for path, object_id in read_committed_files(root, commit, run_roots).items():
        for run_root in run_roots:
            under = os.fsencode(run_root) + b"/"
            run_id, _, relpath = path.removeprefix(under).partition(b"/")
            if path.startswith(under) and relpath:
                key = run_root, os.fsdecode(run_id)
                hash_files[key] = object_id if relpath == _HASH_FILE else hash_files.get(key)
    if not hash_files:
        raise NotFoundError(
            f"the commit {revision} has no run folder under {', '.join(run_roots)}: there is nothing to compare",
            "name a commit that has some; `registry-pipeline init --track-runs` leaves run folders to git",
        )
    wanted = [object_id for object_id in hash_files.values() if object_id is not None]
    texts = dict(zip(wanted, read_blobs(root, wanted), strict=True))
    roots = {key: None if oid is None else claimed_root(texts[oid]) for key, oid in hash_files.items()}
    return CommittedRuns(commit, roots)
