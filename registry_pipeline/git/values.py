"""Values that git returns: the state of a repository, and a graph of the commits that changed given paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Final, Literal

from registry_pipeline.values import value_type

_NEW: Final = 1
_OLD: Final = 2


@value_type
class TouchGraph:
    """The ancestors of a tip, and which of some paths each of them changed.

    Attributes:
        places: the number of each commit; each has a lower number than its parents.
        parents: the numbers of the parents, by number.
        touched: the changed paths, by number.
        is_cut: whether a commit without parents may be the end of a shallow clone; its changes are not known then.
    """

    places: Mapping[str, int]
    parents: Sequence[Sequence[int]]
    touched: Mapping[int, frozenset[str]]
    is_cut: bool = False

    def touched_since(self, commit: str, head: str) -> frozenset[str] | None:
        """Return the paths touched by the ancestors of `head` that are not ancestors of `commit`.

        None if that is not known: one of the two is not in this history, `commit` is no ancestor of `head`, or the
        history is cut off between them.
        """
        start, end = self.places.get(commit), self.places.get(head)
        if start is None or end is None:
            return None
        paths: set[str] = set()
        flags = {start: _OLD}
        flags[end] = flags.get(end, 0) | _NEW
        waiting = sorted(flags)
        left = sum(flag == _NEW for flag in flags.values())
        # Once only ancestors of `commit` are waiting, nothing new can follow.
        while left:
            offset = heappop(waiting)
            flag = flags[offset]
            if flag == _NEW:
                left -= 1
                if self.is_cut and not self.parents[offset]:
                    return None
                paths |= self.touched.get(offset, frozenset())
            for parent in self.parents[offset]:
                before, after = flags.get(parent, 0), flags.get(parent, 0) | flag
                left += (after == _NEW) - (before == _NEW)
                flags[parent] = after
                if not before:
                    heappush(waiting, parent)
        return frozenset(paths) if flags[start] & _NEW else None


@value_type
class BoundPaths:
    """The paths in git of an operation's executables, and whether each executable is one of them."""

    paths: frozenset[str] = frozenset()
    is_whole: bool = True


@value_type
class PathDrift:
    """What the rule `paths` needs beside the runs; `graph` is None if there is no commit."""

    bound: Mapping[str, BoundPaths]
    graph: TouchGraph | None


WorkingTreeState = Literal["clean", "dirty"]


@value_type
class GitState:
    """The commit at HEAD and whether the tree differs from it; both None outside git."""

    commit: str | None
    working_tree_state: WorkingTreeState | None
