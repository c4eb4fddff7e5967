"""Sealed run folders of exactly so many files and bytes: what a model of costs is measured with.

Those of gen_runs.py vary at random, as real ones do. Here the files are `run.json` and FILES - 1 others of BYTES bytes,
then the two seal files, so that a cost can be divided among folders, files and bytes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from gen_runs import OPERATIONS
from scale_model import Shape

from registry_pipeline.runs.manifest import build_manifest, make_entry

_FIRST: Final = datetime(2025, 1, 1, tzinfo=UTC)
_SPAN: Final = timedelta(days=360)
_PART: Final = 500


def make_plain_folders(run_root: Path, shape: Shape, start: int = 0, count: int | None = None) -> None:
    """Make the folders of a shape, or `count` of them from number `start` on; numbers past the last are later runs."""
    run_root.mkdir(parents=True, exist_ok=True)
    end = start + (int(shape.runs) if count is None else count)
    parts = [(first, min(first + _PART, end)) for first in range(start, end, _PART)]
    with multiprocessing.Pool(min(os.cpu_count() or 1, len(parts))) as pool:
        for _ in pool.imap_unordered(partial(_make_part, run_root, shape), parts):
            pass


def _make_part(run_root: Path, shape: Shape, part: tuple[int, int]) -> None:
    for number in range(*part):
        created = _FIRST + timedelta(seconds=number * int(_SPAN.total_seconds() // shape.runs))
        operation = OPERATIONS[number % len(OPERATIONS)]
        name = f"{created:%Y-%m-%d__%H%M%S}__{operation.lower().replace('-', '_')}"
        folder = run_root / name
        folder.mkdir()
        for path, data in _make_files(shape, name, created, operation, number).items():
            descriptor = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(descriptor, data)
            os.close(descriptor)


def _make_files(shape: Shape, name: str, created: datetime, operation: str, number: int) -> dict[str, bytes]:
    # Numbers have as many digits in each folder, so that all folders of an operation have as many bytes.
    line = f'{{"run":{number:09},"value":"a line of data"}}\n'.encode()
    data = (line * (int(shape.bytes) // len(line) + 1))[: int(shape.bytes)]
    files = {f"data_{position:03}.txt": data for position in range(1, int(shape.files))}
    envelope = {
        "run_id": name,
        "created_utc": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "run_type": "op_run",
        "option": "QA" if operation.startswith("OP-QA") else operation[3],
        "operation_id": operation,
        "git_commit": f"{number:040x}",
        "working_tree_state": "clean",
    }
    files["run.json"] = (json.dumps(envelope, indent=2) + "\n").encode()
    manifest = build_manifest([make_entry(path, content) for path, content in files.items()])
    return files | {"manifest.json": manifest.manifest_json, "MANIFEST.sha256": manifest.hash_file}
