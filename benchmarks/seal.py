"""Publishing sealed run folders against a plain script: python benchmarks/seal.py [N].

N folders (default 200) of three small files. The script writes the same bytes and nothing more: it syncs nothing,
verifies nothing, and a kill leaves half a folder under the final name. The other rows pay for durability, for a
verification from the disk before publishing, and for a rename that replaces nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from side_by_side import Results, Way, folders_wanted, make_writable, measure_in_turns

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.writer import seal_folder, seal_folders

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def files_of(run_id: RunId) -> dict[str, bytes]:
    """Return the files of a run: its envelope, a few hundred lines, a note."""
    envelope = {"run_id": str(run_id), "created_utc": utc_text(run_id.stamp)}
    lines = "".join(f'{{"n":{number}}}\n' for number in range(200))
    return {"run.json": json_document(envelope), "data.jsonl": lines.encode(), "notes.md": b"# A run\n"}


def plain_seal(root: Path, run_id: RunId) -> None:
    """Write and seal a folder as a careful colleague would in ten minutes."""
    folder = root / str(run_id)
    folder.mkdir()
    entries = []
    for name, data in sorted(files_of(run_id).items()):
        (folder / name).write_bytes(data)
        entries.append({"relpath": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    manifest = (json.dumps(entries, indent=2) + "\n").encode()
    (folder / "manifest.json").write_bytes(manifest)
    lines = [f"{e['sha256']}  {e['relpath']}" for e in entries]
    lines.append(f"{hashlib.sha256(manifest).hexdigest()}  manifest.json")
    root_hash = hashlib.sha256(("\n".join(sorted(lines)) + "\n").encode()).hexdigest()
    text = "\n".join(lines) + f"\nROOT_SHA256  {root_hash}\n"
    (folder / "MANIFEST.sha256").write_text(text, encoding="utf-8")


def plain_synced(root: Path, run_id: RunId) -> None:
    """Seal plainly, then fsync each file, the folder and its parent."""
    plain_seal(root, run_id)
    folder = root / str(run_id)
    for path in (*folder.iterdir(), folder, root):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def main() -> None:
    """Publish N folders each way and print the table."""
    count, results = folders_wanted(__doc__, 200), Results(__file__)
    run_ids = [RunId(FIRST + timedelta(seconds=number), "bench") for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="bench-seal-") as place:
        root, staging = Path(place) / "RUNS", Path(place) / ".staging"

        def empty(_: str) -> None:
            make_writable(Path(place))
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            os.sync()

        def each(seal: Callable[[Path, RunId], object]) -> Way:
            return lambda: [seal(root, run_id) for run_id in run_ids]

        ways: dict[str, Way] = {
            "straightforward script": each(plain_seal),
            "the same, every file synced": each(plain_synced),
            "`seal_folder`, one by one": each(lambda root, run_id: seal_folder(root, staging, run_id, files_of)),
            "`seal_folders`, all with one sync": lambda: seal_folders(
                root, staging, [(run_id, files_of) for run_id in run_ids]
            ),
        }
        costs = measure_in_turns(ways, before=empty)
        results.add("sealing", count, "run folders of three small files", costs)
    results.write()


if __name__ == "__main__":
    main()
