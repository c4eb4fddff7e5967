"""Start git: the only process that this package starts to read a repository.

The root is the top of a checkout, a folder inside one, or in no checkout at all. A folder that the checkout around it
ignores counts as outside. Git is a guest in a repository that may be anybody's: it never prompts, takes no optional
lock, ignores the GIT_ variables that a hook sets, reads the objects that were committed whatever `git replace` says,
and starts no program that the repository names (see "What git may do here" in docs/explanation.md).
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

_KEPT_VARIABLES: Final = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
_CEILINGS: Final = "GIT_CEILING_DIRECTORIES"
_READ_FILES: Final = frozenset({"status", "diff-index"})
"""Commands that compare files with the index: only these would run a filter driver."""
_OWN_SCOPES: Final = frozenset({"local", "worktree"})
_PIPE_BUFFER: Final = 1 << 20
_ASKED_AT_ONCE: Final = 256
"""So many names fit into a pipe that nobody reads: git may be waiting for us to take an answer."""
_HEAD_WORDS: Final = 3


def ask_git(
    root: Path,
    *arguments: str,
    none_found: int = 0,
    given: bytes = b"",
    index_file: str | None = None,
    filters: Sequence[str] | None = None,
) -> bytes | None:
    """Return what a git command prints about `root`, or None where there is no repository.

    Args:
        root: The folder to ask about.
        arguments: The command and its arguments.
        none_found: The exit code by which some commands say "none".
        given: What git reads on stdin.
        index_file: Another index than the checkout's own.
        filters: What `read_own_filters` returned, for a caller with several questions; None asks where it matters.

    Raises:
        NotFoundError: there is a repository, and git is not installed, refuses it, or cannot read it.
    """
    top = find_git_repository(root)
    if top is None:
        return None
    try:
        # Git ignores no folder in which it tracks a file. Whoever has the filters has been through this.
        if filters is None and top != _real(root) and _run(root, top, "check-ignore", "-q", ".").returncode == 0:
            return None
        if filters is None and arguments[0] in _READ_FILES:
            filters = read_own_filters(root)
        done = _run(root, top, *arguments, given=given, index_file=index_file, filters=filters or ())
    except OSError as error:
        reason = error.strerror or "it could not be started"
        raise NotFoundError(f"{root} is a git repository and git cannot be run: {reason}", "install git") from None
    message = done.stderr.decode("utf-8", "replace").strip()
    # A broken ref is a warning for git, which then answers as if nobody had ever made the ref.
    if done.returncode in (0, none_found) and "ignoring broken ref" not in message:
        return done.stdout
    if "not a git repository (or any" in message:
        raise NotFoundError(
            f"git cannot read {root}: {top / '.git'} exists and is damaged or unreadable",
            "restore it from another clone; remove it only if the folder shall be outside git",
        )
    raise NotFoundError(f"git cannot read {root}: {_first_line(message)}", _advice(root, message))


def find_git_repository(root: Path) -> Path | None:
    """Return the nearest folder at or above `root` that has a `.git`, or is a bare repository; None without one.

    Git cannot be asked: it says "not a git repository" of a damaged `.git`, too, or skips it and answers for the
    checkout around it. Like git, this stops at GIT_CEILING_DIRECTORIES and where another file system begins.

    Raises:
        NotFoundError: a folder on the way cannot be looked at.
    """
    here = _real(root)
    ceilings = {os.path.realpath(path) for path in os.environ.get(_CEILINGS, "").split(os.pathsep) if path}
    across = os.environ.get("GIT_DISCOVERY_ACROSS_FILESYSTEM", "").lower() not in ("", "0", "false", "no", "off")
    try:
        device = here.stat().st_dev
        for folder in (here, *here.parents):
            if folder != here and (str(folder) in ceilings or not (across or folder.stat().st_dev == device)):
                return None
            if _exists(folder / ".git") or all(_exists(folder / name) for name in ("HEAD", "objects", "refs")):
                return folder
    except OSError as error:
        message = f"whether {root} is in a git repository cannot be found out: {error.strerror or 'no reason given'}"
        raise NotFoundError(message, f"check the permissions of {error.filename}") from None
    return None


def read_own_filters(root: Path) -> tuple[str, ...] | None:
    """Return the names of the filter drivers that the repository's own configuration defines; None outside git.

    Raises:
        NotFoundError: there is a repository, and git cannot read it.
    """
    arguments = ("config", "--show-scope", "--name-only", "--null", "--get-regexp", r"^filter\..")
    answer = ask_git(root, *arguments, none_found=1)
    if answer is None:
        return None
    fields = os.fsdecode(answer).split("\0")
    keys = {key for scope, key in zip(fields[::2], fields[1::2], strict=False) if scope in _OWN_SCOPES}
    # The name is all between the first and the last dot, and may itself have dots.
    return tuple(sorted({key.partition(".")[2].rpartition(".")[0] for key in keys}))


def _real(root: Path) -> Path:
    return Path(os.path.realpath(root))


def _exists(path: Path) -> bool:
    """Return whether something has this name; unlike pathlib, an error that hides the answer is raised."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _run(
    root: Path,
    top: Path,
    *arguments: str,
    given: bytes = b"",
    index_file: str | None = None,
    filters: Sequence[str] = (),
) -> subprocess.CompletedProcess[bytes]:
    environment = _environment(root, top, filters) | ({} if index_file is None else {"GIT_INDEX_FILE": index_file})
    return subprocess.run(_command(root, *arguments), env=environment, input=given, capture_output=True, check=False)


def _command(root: Path, *arguments: str) -> list[str]:
    settings = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    return ["git", "-C", os.fspath(root), *settings, *arguments]


def _first_line(message: str) -> str:
    return message.split("\n", 1)[0].removeprefix("fatal: ") or "it gave no reason"


def _advice(root: Path, message: str) -> str:
    if "dubious ownership" in message:
        return f"if you trust it: git config --global --add safe.directory {root}"
    return f"see what `git -C {root} status` says"


def _environment(root: Path, top: Path | None, filters: Sequence[str] = ()) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith(_KEPT_VARIABLES)}
    switches = ("GIT_NO_LAZY_FETCH", "GIT_NO_REPLACE_OBJECTS")
    return {
        **kept,
        **_without_filters(kept, filters),
        **({} if top is None else _ceilings(root, top)),
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        # A repository may name any program as its transport, and git before 2.44 ignores GIT_NO_LAZY_FETCH.
        "GIT_ALLOW_PROTOCOL": "",
        **dict.fromkeys(switches, "1"),
    }


def _ceilings(root: Path, top: Path) -> dict[str, str]:
    """Return what keeps git from skipping a damaged `.git` at `top` and answering for a checkout above it."""
    ceiling = os.fspath(top.parent)
    if os.pathsep in ceiling:
        # The list cannot quote its separator. Git resolves links in it, and this one leads to the folder after -C.
        ceiling = "/proc/self/cwd" + "/.." * (len(_real(root).relative_to(top).parts) + 1)
    return {_CEILINGS: os.pathsep.join(filter(None, (ceiling, os.environ.get(_CEILINGS))))} if top.parent != top else {}


def _without_filters(kept: dict[str, str], filters: Sequence[str]) -> dict[str, str]:
    """Return settings, after those that the environment has already, that switch filter drivers off.

    `clean` and `process` are commands of whoever wrote the configuration. Without them a file whose date changed since
    `git add` is compared as it is: if the driver would have changed its bytes, the file counts as modified and the
    working tree as dirty. Drivers of the user's own and of the system's configuration are left as they are.
    """
    if not filters:
        return {}
    values = {"clean": "", "smudge": "", "process": "", "required": "false"}
    settings = [(f"filter.{name}.{key}", value) for name in filters for key, value in values.items()]
    # `-c` could not name them: it takes the first `=` of a name for the end of the key.
    taken = int(kept.get("GIT_CONFIG_COUNT") or 0)
    numbered = list(enumerate(settings, taken))
    return (
        {"GIT_CONFIG_COUNT": str(taken + len(settings))}
        | {f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in numbered}
        | {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in numbered}
    )


class ObjectPipe:
    """One `git cat-file --batch`, which gives the bytes of any number of objects; a context manager.

    It has a session of its own, so that a Ctrl-C at the terminal reaches only who may decide what to do about it, and
    ends when its input does, also when this process is killed. After an error it is to be closed, and not asked again.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        environment = _environment(root, find_git_repository(root))
        try:
            self._process = subprocess.Popen(
                _command(root, "cat-file", "--batch"),
                env=environment,
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
            arguments = object_ids[begin : begin + _ASKED_AT_ONCE]
            for offset, object_id in enumerate(arguments):
                yield object_id, self._ask(arguments if offset == 0 else (), object_id)

    def _ask(self, arguments: Sequence[str], object_id: str) -> int:
        """Write questions, if any, and return the size that the next answer, on `object_id`, has."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise self._unreadable(object_id)
        try:
            if arguments:
                stdin.write("".join(f"{item}\n" for item in arguments).encode("ascii"))
                stdin.flush()
            fields = stdout.readline().split()
        except OSError:
            raise self._unreadable(object_id) from None
        if len(fields) == _HEAD_WORDS:
            return int(fields[2])
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
