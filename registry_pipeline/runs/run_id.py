"""Run ids: `YYYY-MM-DD__HHMMSS__<tag>[__asof_YYYY-MM-DD][__NN]` (SPEC 2.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from registry_pipeline.values import value_type

_RUN_ID: Final = re.compile(
    r"(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}__[0-9]{6})__(?P<tag>[A-Za-z0-9][A-Za-z0-9_.-]*?)"
    r"(?:__asof_(?P<partition>[0-9]{4}-[0-9]{2}-[0-9]{2}))?(?:__(?P<number>0[2-9]|[1-9][0-9]+))?"
)
_STAMP: Final = "%Y-%m-%d__%H%M%S"
_MAX_LENGTH: Final = 255


@value_type
class RunId:
    """A run id taken apart; `str()` puts it together again.

    `stamp` is UTC with whole seconds; `number` is 1 for a name without a suffix.
    """

    stamp: datetime
    tag: str
    partition: str | None = None
    number: int = 1

    def __str__(self) -> str:
        asof = f"__asof_{self.partition}" if self.partition else ""
        suffix = f"__{self.number:02d}" if self.number > 1 else ""
        return f"{self.stamp.astimezone(UTC).strftime(_STAMP)}__{self.tag}{asof}{suffix}"

    @classmethod
    def parse(cls, text: str) -> RunId | None:
        """Return the parts of `text`, or None if it is not in the form that we write."""
        match = _RUN_ID.fullmatch(text)
        # A longer text names no folder, and Python converts no number of thousands of digits.
        if match is None or len(text) > _MAX_LENGTH:
            return None
        try:
            stamp = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(stamp, match["tag"], match["partition"], int(match["number"] or 1))

    def next(self) -> RunId:
        """Return the id to try when this name is taken: `__02`, then `__03` and so on."""
        return RunId(self.stamp, self.tag, self.partition, self.number + 1)
