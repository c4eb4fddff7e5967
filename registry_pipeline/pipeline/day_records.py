"""A cache that says from which inputs the run of each past day was built.

run.json names the commit and the documents of a day, but neither the run folders nor the configuration. The cache has a
hash of all inputs, and the root hash of the run that they gave. It proves nothing about the run, which is verified on
every use: see "drift_signals_daily" in docs/reference/specification.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from registry_pipeline.files.cache_file import read_cache_file, write_cache_file
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

NAME: Final = "drift_signals_daily_inputs"
"""The file's name below `cache/`."""
_MAGIC: Final = b"registry-pipeline day records 1\n"
_PACKAGE: Final = Path(__file__).resolve().parents[1]


@value_type
class DayRecord:
    """The inputs and the root hash of the run of a day, and of its artifacts what is not in their bytes."""

    inputs_sha256: str
    root_sha256: str
    records: int
    content_sha256: str
    metrics: Mapping[str, int]

    def make_artifacts(self, files: Mapping[str, bytes]) -> Artifacts:
        """Return the artifacts that the builder returned, from the verified bytes of the run."""
        return Artifacts(dict(files), self.records, self.content_sha256, dict(self.metrics))


class DayRecords:
    """The record of each day; without a path there is no file, and nothing is recorded."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known = _read_records(path)
        self._is_changed = False

    def find_record(self, day: str, inputs_sha256: str) -> DayRecord | None:
        """Return the record of a day, or None if there is none or its inputs differ."""
        record = self._known.get(day)
        return record if record is not None and record.inputs_sha256 == inputs_sha256 else None

    def add(self, day: str, record: DayRecord) -> None:
        """Replace the record of a day in memory; `save` writes it to the file."""
        if self._known.get(day) != record:
            self._known[day] = record
            self._is_changed = True

    def save(self) -> None:
        """Write the records to the file; a day whose record is lost is built again and compared with its run."""
        if self._path is not None and self._is_changed:
            days = {
                day: (record.inputs_sha256, record.root_sha256, record.records, record.content_sha256, record.metrics)
                for day, record in sorted(self._known.items())
            }
            write_cache_file(self._path, _MAGIC, [json.dumps(days).encode("ascii")])


def _read_records(path: Path | None) -> dict[str, DayRecord]:
    content = None if path is None else read_cache_file(path, _MAGIC)
    try:
        days = json.loads(b"{}" if content is None else bytes(content))
        return {day: DayRecord(*values) for day, values in days.items()}
    except (AttributeError, TypeError, ValueError):
        # The hash is valid, so this program or another one wrote it like that: ignored like a damaged file.
        return {}


def hash_each_prefix(values: Iterable[object]) -> tuple[str, ...]:
    """Return the hash of the first 0, 1, 2 … values, by the text that Python writes of them."""
    digest = hashlib.sha256()
    hashes = [digest.hexdigest()]
    for value in values:
        # A newline inside a value is escaped there, so no two lists have the same text.
        digest.update(f"{value!r}\n".encode())
        hashes.append(digest.hexdigest())
    return tuple(hashes)
