"""The one door to git, and the only process that this package starts to read (SPEC 1, 4.3).

The governed repository is a folder: the top of a checkout, a folder inside one, or no checkout at all, as is a folder
that the checkout around it ignores. Git is asked about that folder only. It never prompts, never takes an optional
lock (a read-only tree works), hears neither the GIT_ variables that a hook sets nor a file-system monitor, and gives
the objects that were committed, whatever `git replace` would put in their place.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from registry_pipeline.errors import NotFoundError

_KEPT_VARIABLES: Final = ("GIT_CONFIG", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
_PIPE_BUFFER: Final = 1 << 20
_ASKED_AT_ONCE: Final = 256
"""So many names fit into a pipe that nobody reads: git may be waiting for us to take an answer."""
_HEAD_WORDS: Final = 3


def ask_git(
    root: Path, *arguments: str, none_found: int = 0, given: bytes = b"", index_file: str | None = None
) -> bytes | None:
    """Return what git answers about `root`, or None where there is no repository.

    `none_found` is the exit code by which some commands tell that nothing is so; `given` is what git reads.
    `index_file` is another index than the checkout's own.

    Raises:
        NotFoundError: there is a repository, and git is not installed, refuses it, or cannot read it.
    """
    try:
        if _belongs_to_none(root):
            return None
        done = _run(root, *arguments, given=given, index_file=index_file)
    except OSError as error:
        if any((folder / ".git").exists() for folder in (root, *root.parents)):
            reason = error.strerror or "it could not be started"
            raise NotFoundError(f"{root} is a git repository and git cannot be run: {reason}", "install git") from None
        return None
    if done.returncode in (0, none_found):
        return done.stdout
    told = done.stderr.decode("utf-8", "replace").strip()
    # Only this sentence says that there is none; `not a git repository: <path>` is a checkout whose link is broken.
    if "not a git repository (or any" in told:
        return None
    raise NotFoundError(f"git cannot read {root}: {_first_line(told)}", _advice(root, told))


def _belongs_to_none(root: Path) -> bool:
    """Tell whether the checkout around a folder ignores it; git ignores no folder in which it tracks a file."""
    return not (root / ".git").exists() and _run(root, "check-ignore", "--quiet", ".").returncode == 0


def _run(
    root: Path, *arguments: str, given: bytes = b"", index_file: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", os.fspath(root), "-c", "core.fsmonitor=false", *arguments]
    environment = _environment() | ({} if index_file is None else {"GIT_INDEX_FILE": index_file})
    return subprocess.run(command, env=environment, input=given, capture_output=True, check=False)


def _first_line(told: str) -> str:
    return told.split("\n", 1)[0].removeprefix("fatal: ") or "it gave no reason"


def _advice(root: Path, told: str) -> str:
    if "dubious ownership" in told:
        return f"if you trust it: git config --global --add safe.directory {root}"
    return f"see what `git -C {root} status` says"


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith(_KEPT_VARIABLES)}
    switches = ("GIT_NO_LAZY_FETCH", "GIT_NO_REPLACE_OBJECTS")
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        **dict.fromkeys(switches, "1"),
    }


class ObjectPipe:
    """One `git cat-file --batch`, which gives the bytes of any number of objects; a context manager.

    It has a session of its own, so that a Ctrl-C at the terminal reaches only who may decide what to do about it, and
    ends when its input does, also when this process is killed. After an error it is to be closed, and not asked again.
    """

    def __init__(self, root: Path) -> None:
        command = ["git", "-C", os.fspath(root), "cat-file", "--batch"]
        self._root = root
        try:
            self._process = subprocess.Popen(
                command,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=_PIPE_BUFFER,
            )
        except OSError as error:
            raise NotFoundError(f"git cannot be run: {error.strerror or 'no reason given'}", "install git") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let git end; what it has not been asked for yet is lost."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def read(self, object_id: str, limit: int | None = None) -> bytes | None:
        """Return the bytes of an object; None for one that is larger than `limit`.

        Raises:
            NotFoundError: the object is not there, or git cannot read it.
        """
        size = self._ask([object_id], object_id)
        if limit is not None and size > limit:
            for _ in self._pieces(size, object_id):
                pass
            return None
        return b"".join(self._pieces(size, object_id))

    def read_each(self, object_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each object id with the object's bytes; asked together, they do not wait for each other.

        Raises:
            NotFoundError: an object is not there, or git cannot read it.
        """
        for object_id, size in self._answers(object_ids):
            yield object_id, b"".join(self._pieces(size, object_id))

    def digests(self, object_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each object id with the sha256 of the object's bytes, however large they are.

        Raises:
            NotFoundError: an object is not there, or git cannot read it.
        """
        for object_id, size in self._answers(object_ids):
            digest = hashlib.sha256()
            for piece in self._pieces(size, object_id):
                digest.update(piece)
            yield object_id, digest.hexdigest()

    def _answers(self, object_ids: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield each object id with the object's size; its pieces must be read before the next is asked for."""
        for begin in range(0, len(object_ids), _ASKED_AT_ONCE):
            asked = object_ids[begin : begin + _ASKED_AT_ONCE]
            for place, object_id in enumerate(asked):
                yield object_id, self._ask(asked if place == 0 else (), object_id)

    def _ask(self, asked: Sequence[str], object_id: str) -> int:
        """Write questions, if any, and return the size that the next answer, on `object_id`, has."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise self._unreadable(object_id)
        try:
            if asked:
                stdin.write("".join(f"{each}\n" for each in asked).encode("ascii"))
                stdin.flush()
            words = stdout.readline().split()
        except OSError:
            raise self._unreadable(object_id) from None
        if len(words) == _HEAD_WORDS:
            return int(words[2])
        raise self._unreadable(object_id)

    def _pieces(self, size: int, object_id: str) -> Iterator[bytes]:
        """Yield the bytes of the answer whose size was read, and take the newline behind them away."""
        stdout = self._process.stdout
        left = size + 1
        while left and stdout is not None:
            piece = stdout.read(min(left, _PIPE_BUFFER))
            if not piece:
                raise self._unreadable(object_id)
            left -= len(piece)
            yield piece if left else piece[:-1]

    def _unreadable(self, object_id: str) -> NotFoundError:
        """Return why an object is not given: git said `missing`, or ended, as where it may not fetch what it needs."""
        promised = ask_git(self._root, "config", "--get-regexp", r"^remote\..*\.promisor$", none_found=1)
        if promised:
            advice = "the clone leaves objects out: `git fetch --refetch --no-filter` fetches them"
            return NotFoundError(f"git has the name of object {object_id} and not its bytes", advice)
        return NotFoundError(f"git cannot read the object {object_id}", "see what `git fsck` says")
