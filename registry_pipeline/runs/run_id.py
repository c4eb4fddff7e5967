"""Run ids: `YYYY-MM-DD__HHMMSS__<tag>[__asof_YYYY-MM-DD][__NN]`."""

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
    """The parts of a run id; `str()` returns the id.

    Attributes:
        stamp: UTC, whole seconds.
        tag: the kind of run.
        partition: the day that a daily snapshot describes, as YYYY-MM-DD.
        number: 1 for a name without a suffix.
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
        """Return the parts of a run id, or None if the text is not in the form that we write."""
        match = _RUN_ID.fullmatch(text)
        # A longer text names no folder, and Python refuses to convert thousands of digits.
        if match is None or len(text) > _MAX_LENGTH:
            return None
        try:
            stamp = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(stamp, match["tag"], match["partition"], int(match["number"] or 1))

    def next(self) -> RunId:
        """Return the id to try if this name is taken: `__02`, then `__03` and so on."""
        return RunId(self.stamp, self.tag, self.partition, self.number + 1)
