"""The limits of `[stale_days]`: after how many days without a run an operation is stale."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Final

from registry_pipeline.config_types import OptionProblem, Place, between, by_name, option_row, parse_table
from registry_pipeline.values import value_type

_days: Final = between(0, 1_000_000)
# With fewer days of runs, chance decides what the usual gap is.
_FEWEST_GAPS: Final = 4


@value_type
class StaleLimits:
    """The limits in days: the default, those of operations, and those of options."""

    default: int = option_row(
        2, _days, "an operation is stale at this age in days; at most 1000000. `stale_days = 2` is short for it"
    )
    operations: Mapping[str, int] = option_row(
        dict,
        by_name(_days),
        "limits by operation id, or by a glob such as `OP-QA*`. An id wins over globs, an earlier glob over later ones",
    )
    options: Mapping[str, int] = option_row(
        dict, by_name(_days), "limits of the operations of an option that have none above, such as `D = 30`"
    )

    def limit_of(self, operation_id: str, option: str) -> int:
        """Return the limit of an operation."""
        if operation_id in self.operations:
            return self.operations[operation_id]
        by_glob = (days for glob, days in self.operations.items() if fnmatchcase(operation_id, glob))
        return next(by_glob, self.options.get(option, self.default))


def parse_stale_limits(content: Any, place: Place, problems: list[OptionProblem]) -> Any:
    """Return the table `[stale_days]`; a number alone is its default."""
    if isinstance(content, dict):
        return parse_table(StaleLimits, content, place, problems)
    return StaleLimits(default=_days(content, place, problems))


@value_type
class ProposedLimit:
    """A limit for an operation that runs so seldom that it is stale between two of its usual runs."""

    operation_id: str
    limit_days: int
    usual_gap_days: int
    current_limit_days: int


def propose_limit(
    operation_id: str, option: str, run_days: Collection[date], limits: StaleLimits
) -> ProposedLimit | None:
    """Return a limit of one and a half usual gaps between the days of runs, or None if none is needed or known.

    Nine of ten gaps are at most as long as the usual one.
    """
    gaps = sorted((later - day).days for day, later in pairwise(sorted(set(run_days))))
    current = limits.limit_of(operation_id, option)
    if len(gaps) < _FEWEST_GAPS:
        return None
    usual = gaps[(len(gaps) * 9 + 9) // 10 - 1]
    return None if usual < current else ProposedLimit(operation_id, (usual * 3 + 1) // 2, usual, current)
