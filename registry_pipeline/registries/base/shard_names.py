"""The names of shards and of their runs. A shard is all run folders of one run root and month.

The run of a shard belongs to no registry and is never active. Its tag is followed by the month and by a hash of the run
root, so that the names of the folders show the newest run of each shard. Rules: docs/reference/specification.md,
"Shards".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.runs.reference import RunId
from registry_pipeline.values import value_type

INDEX_TAG: Final = "run_registry_shard"
"""The tag of runs with the lines of a shard."""
VERDICTS_TAG: Final = "run_verification_shard"
"""The tag of runs with the verdicts on the folders of a shard."""
UNDATED: Final = "undated"
"""In place of the month: the folders whose names do not begin with a date."""
_MONTH_LENGTH: Final = len("YYYY-MM")
_DATE_LENGTH: Final = len("YYYY-MM-DD")
_HASH_LENGTH: Final = 8


@value_type(order=True)
class Shard:
    """A run root and a month such as `2026-03`, or `undated`; `str()` returns the key of the partition."""

    run_root: str
    month: str

    def __str__(self) -> str:
        return f"{self.run_root}/{self.month}"

    @classmethod
    def parse(cls, key: str) -> Shard:
        """Return the shard of a key."""
        run_root, _, month = key.rpartition("/")
        return cls(run_root, month)

    def make_tag(self, tag: str) -> str:
        """Return the tag of the runs of this shard; `tag` says what they contain."""
        return f"{tag}.{self.month}.{hash_run_root(self.run_root)}"


def hash_run_root(run_root: str) -> str:
    """Return the hash that names a run root in the tags of runs of shards."""
    return sha256_hex(run_root.encode())[:_HASH_LENGTH]


def is_shard_tag(tag: str) -> bool:
    """Return whether a run id with this tag is that of a shard."""
    return tag.partition(".")[0] in (INDEX_TAG, VERDICTS_TAG)


def is_shard_run(run_id: str) -> bool:
    """Return whether a folder is named as the run of a shard."""
    parsed = RunId.parse(run_id) if INDEX_TAG in run_id or VERDICTS_TAG in run_id else None
    return parsed is not None and is_shard_tag(parsed.tag)


def find_month(run_id: str) -> str:
    """Return the month of the date with which the name of a run folder begins, or `undated`."""
    text = run_id[:_DATE_LENGTH]
    # `fromisoformat` also reads weeks and dates without hyphens.
    if text[4:5] != "-" or text[7:8] != "-" or not text.isascii():
        return UNDATED
    try:
        date.fromisoformat(text)
    except ValueError:
        return UNDATED
    return text[:_MONTH_LENGTH]


def split_by_month(run_root: str, run_ids: Iterable[str]) -> dict[Shard, list[str]]:
    """Return the names of run folders of a root by shard, in their order."""
    shards: dict[Shard, list[str]] = {}
    by_month: dict[str, list[str]] = {}
    for run_id in run_ids:
        month = find_month(run_id)
        names = by_month.get(month)
        if names is None:
            names = by_month[month] = shards[Shard(run_root, month)] = []
        names.append(run_id)
    return shards
