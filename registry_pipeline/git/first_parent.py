"""The newest commit of a past day on the default branch."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from registry_pipeline.git.process import ask_git
from registry_pipeline.git.repository import find_commit
from registry_pipeline.values import value_type

_REMOTE: Final = "refs/remotes/origin/"
_LOCAL: Final = "refs/heads/"


@value_type
class History:
    """The first-parent line of the default branch.

    Attributes:
        commits: (committer second, commit id), the oldest first; of equal seconds, the later commit comes later.
        is_cut: whether the clone is shallow and lacks commits before the first of them.
    """

    branch: str
    commits: tuple[tuple[int, str], ...]
    is_cut: bool

    def find_commit_at(self, instant: datetime) -> str | None:
        """Return the newest commit by committer date at an instant, None before the first."""
        offset = bisect_right(self.commits, int(instant.timestamp()), key=lambda commit: commit[0])
        return self.commits[offset - 1][1] if offset else None

    @property
    def first_day(self) -> date | None:
        """The UTC day of the oldest commit, None where its date is beyond the calendar."""
        try:
            return datetime.fromtimestamp(self.commits[0][0], UTC).date()
        except (OverflowError, ValueError, OSError):
            return None


def read_history(root: Path) -> History | None:
    """Return the first-parent history of the default branch; None outside git or without a commit."""
    branch = read_default_branch(root)
    if branch is None:
        return None
    answer = ask_git(root, "rev-list", "--first-parent", "--timestamp", branch, "--") or b""
    walked = [(int(stamp), commit.decode("ascii")) for stamp, commit in map(bytes.split, answer.splitlines())]
    if not walked:
        return None
    is_shallow = ask_git(root, "rev-parse", "--is-shallow-repository") == b"true\n"
    is_cut = is_shallow and _has_parents(root, walked[-1][1])
    # The walk gives the newest first; the sort is stable, so that of equal seconds the later commit comes last.
    walked.reverse()
    walked.sort(key=lambda commit: commit[0])
    return History(branch, tuple(walked), is_cut)


def read_default_branch(root: Path) -> str | None:
    """Return the full name of the default branch, or `HEAD`; None outside git or without a commit.

    It is the branch that `origin/HEAD` names, else `main`, else `master`, else HEAD; a local branch comes before the
    remote's of the same name.
    """
    # Settings of a user, such as `init.defaultBranch`, are ignored: every reader must see the same history.
    answer = ask_git(root, "for-each-ref", "--format=%(refname) %(symref)", _LOCAL, _REMOTE)
    if answer is None:
        return None
    refs = dict(line.split(" ", 1) for line in answer.decode("utf-8", "surrogateescape").splitlines())
    origin_head = refs.get(f"{_REMOTE}HEAD", "").removeprefix(_REMOTE)
    for name in filter(None, (origin_head, "main", "master")):
        for ref in (_LOCAL + name, _REMOTE + name):
            if ref in refs:
                return ref
    return None if find_commit(root, "HEAD") is None else "HEAD"


def read_first_commit_day(root: Path) -> date | None:
    """Return the UTC day of the oldest commit on the default branch; None outside git or without a commit."""
    history = read_history(root)
    return None if history is None else history.first_day


def _has_parents(root: Path, commit: str) -> bool:
    # A shallow clone hides the parent from every other command.
    head = (ask_git(root, "cat-file", "commit", commit) or b"").partition(b"\n\n")[0]
    return b"\nparent " in head
