"""Start git: the only process that this package starts to read a repository.

The repository is not trusted: git never prompts, takes no optional lock, ignores `git replace` and the GIT_ variables
that a hook sets, and starts no program that the repository names ("What git may do here" in
docs/explanation/untrusted-checkouts.md).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self, cast

from registry_pipeline.errors import NotFoundError

if TYPE_CHECKING:
    import subprocess

_CEILINGS: Final = "GIT_CEILING_DIRECTORIES"
_KEPT_VARIABLES: Final = ("GIT_CONFIG_", "GIT_EXEC_PATH", _CEILINGS, "GIT_DISCOVERY_ACROSS_FILESYSTEM")
# Only commands that compare files with the index would run a filter driver.
_READ_FILES: Final = frozenset({"status", "diff-index"})
OWN_SCOPES: Final = frozenset({"local", "worktree"})
"""The scopes of the settings that come with a checkout."""
_PIPE_BUFFER: Final = 1 << 20
# So many ids fit into a pipe that nobody reads: git may be waiting for us to read an answer.
_BATCH_SIZE: Final = 256


def ask_git(
    root: Path,
    *arguments: str,
    none_found: int = 0,
    given: bytes = b"",
    index_file: str | None = None,
    filters: Sequence[str] | None = None,
) -> bytes | None:
    """Return what a git command prints about `root`, or None outside a repository.

    A folder that the checkout around it ignores counts as outside.

    Args:
        root: the top of a checkout, a folder inside one, or a folder outside.
        arguments: the command and its arguments.
        none_found: the exit code by which some commands say "none".
        given: what git reads on stdin.
        index_file: another index than the checkout's own.
        filters: the result of `read_own_filters`, for a caller with several questions; None reads it if needed.

    Raises:
        NotFoundError: there is a repository, and git is not installed, refuses it, or cannot read it.
    """
    top = find_git_repository(root)
    if top is None:
        return None
    try:
        # Git ignores no folder in which it tracks a file. A caller that has the filters has passed this check.
        if filters is None and top != _resolve(root) and _run_git(root, top, "check-ignore", "-q", ".").returncode == 0:
            return None
        if filters is None and arguments[0] in _READ_FILES:
            filters = read_own_filters(root)
        done = _run_git(root, top, *arguments, given=given, index_file=index_file, filters=filters or ())
    except OSError as error:
        reason = error.strerror or "it could not be started"
        raise NotFoundError(f"{root} is a git repository and git cannot be run: {reason}", "install git") from None
    message = done.stderr.decode("utf-8", "replace").strip()
    # A broken ref is only a warning for git, which then answers as if the ref did not exist.
    if done.returncode in (0, none_found) and "ignoring broken ref" not in message:
        return done.stdout
    raise _make_git_error(root, top, message)


def _make_git_error(root: Path, top: Path, message: str) -> NotFoundError:
    """Return the error for what git printed on stderr, with advice."""
    if "not a git repository (or any" in message:
        return NotFoundError(
            f"git cannot read {root}: {top / '.git'} exists and is damaged or unreadable",
            "restore it from another clone; remove it only if the folder shall be outside git",
        )
    reason = message.partition("\n")[0].removeprefix("fatal: ") or "it gave no reason"
    advice = f"see what `git -C {root} status` says"
    if "dubious ownership" in message:
        advice = f"if you trust it: git config --global --add safe.directory {root}"
    return NotFoundError(f"git cannot read {root}: {reason}", advice)


def find_git_repository(root: Path) -> Path | None:
    """Return the nearest folder at or above `root` that has a `.git`, or is a bare repository; None without one.

    Raises:
        NotFoundError: a folder on the way cannot be read.
    """
    # Git cannot be asked: it skips a damaged `.git` and answers for the checkout around it, or finds no repository.
    # Like git, this stops at GIT_CEILING_DIRECTORIES and where another file system begins.
    here = _resolve(root)
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
    """Return the names of the filter drivers that the repository's own configuration defines; None outside git."""
    arguments = ("config", "--show-scope", "--name-only", "--null", "--get-regexp", r"^filter\..")
    answer = ask_git(root, *arguments, none_found=1)
    if answer is None:
        return None
    fields = os.fsdecode(answer).split("\0")
    keys = {key for scope, key in zip(fields[::2], fields[1::2], strict=False) if scope in OWN_SCOPES}
    # The name is all between the first and the last dot, and may itself have dots.
    return tuple(sorted({key.partition(".")[2].rpartition(".")[0] for key in keys}))


def _resolve(root: Path) -> Path:
    return Path(os.path.realpath(root))


def _exists(path: Path) -> bool:
    """Return whether something has this name; unlike pathlib, an error that hides the answer is raised."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _run_git(
    root: Path,
    top: Path,
    *arguments: str,
    given: bytes = b"",
    index_file: str | None = None,
    filters: Sequence[str] = (),
) -> subprocess.CompletedProcess[bytes]:
    import subprocess  # noqa: PLC0415 - `verify` asks git only after it has started its processes

    command, environment = _make_command(root, *arguments), _make_environment(root, top, filters)
    environment |= {} if index_file is None else {"GIT_INDEX_FILE": index_file}
    return subprocess.run(command, env=environment, input=given, capture_output=True, check=False)


def _make_command(root: Path, *arguments: str) -> list[str]:
    settings = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    return ["git", "-C", os.fspath(root), *settings, *arguments]


def _make_environment(root: Path, top: Path | None, filters: Sequence[str] = ()) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith(_KEPT_VARIABLES)}
    return {
        **kept,
        **_make_filter_variables(kept, filters),
        **({} if top is None else _make_ceilings(root, top)),
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        # A repository may name any program as its transport, and git before 2.44 ignores GIT_NO_LAZY_FETCH.
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


def _make_ceilings(root: Path, top: Path) -> dict[str, str]:
    """Return what keeps git from skipping a damaged `.git` at `top` and answering for a checkout above it."""
    ceiling = os.fspath(top.parent)
    if os.pathsep in ceiling:
        # The list cannot quote its separator. Git resolves links in it, and this one leads to the folder after -C.
        ceiling = "/proc/self/cwd" + "/.." * (len(_resolve(root).relative_to(top).parts) + 1)
    return {_CEILINGS: os.pathsep.join(filter(None, (ceiling, os.environ.get(_CEILINGS))))} if top.parent != top else {}


def _make_filter_variables(kept: dict[str, str], filters: Sequence[str]) -> dict[str, str]:
    """Return variables that switch filter drivers off; their numbers continue those of the environment."""
    if not filters:
        return {}
    # `clean` and `process` are commands of the author of the configuration. Without them a file whose date changed
    # since `git add` is compared as it is: if the driver would have changed its bytes, it counts as modified.
    values = {"clean": "", "smudge": "", "process": "", "required": "false"}
    settings = [(f"filter.{name}.{key}", value) for name in filters for key, value in values.items()]
    # Not `-c`: there, the first `=` in the name of a driver would end the key.
    taken = int(kept.get("GIT_CONFIG_COUNT") or 0)
    numbered = list(enumerate(settings, taken))
    return (
        {"GIT_CONFIG_COUNT": str(taken + len(settings))}
        | {f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in numbered}
        | {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in numbered}
    )


class ObjectPipe:
    """One `git cat-file --batch`, which returns the bytes of any number of objects; a context manager.

    After an error it can only be closed.
    """

    def __init__(self, root: Path) -> None:
        import subprocess  # noqa: PLC0415 - as above

        self._root = root
        environment = _make_environment(root, find_git_repository(root))
        try:
            self._process = subprocess.Popen(
                _make_command(root, "cat-file", "--batch"),
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # In a session of its own, a Ctrl-C at the terminal does not reach git: this process decides what to do.
                start_new_session=True,
                bufsize=_PIPE_BUFFER,
            )
        except OSError as error:
            raise NotFoundError(f"git cannot be run: {error.strerror or 'no reason given'}", "install git") from None
        self._questions = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let git end, which it does when its input ends."""
        for pipe in (self._questions, self._answers):
            with suppress(OSError):
                pipe.close()
        self._process.wait()

    def read(self, object_id: str, limit: int | None = None) -> bytes | None:
        """Return the bytes of an object; None for one that is larger than `limit`.

        Raises:
            NotFoundError: the object is missing, or git cannot read it.
        """
        ((_, size),) = self._request_sizes([object_id])
        if limit is None or size <= limit:
            return self._read_whole(size, object_id)
        for _ in self._read_pieces(size, object_id):  # the next answer comes after them
            pass
        return None

    def read_each(self, object_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each object id with the object's bytes; faster than one call of `read` for each."""
        for object_id, size in self._request_sizes(object_ids):
            yield object_id, self._read_whole(size, object_id)

    def read_digests(self, object_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each object id with the sha256 of the object's bytes, however large they are."""
        for object_id, size in self._request_sizes(object_ids):
            digest = hashlib.sha256()
            for piece in self._read_pieces(size, object_id):
                digest.update(piece)
            yield object_id, digest.hexdigest()

    def _request_sizes(self, object_ids: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield each object id with the object's size; its pieces must be read before the next size."""
        for begin in range(0, len(object_ids), _BATCH_SIZE):
            batch = object_ids[begin : begin + _BATCH_SIZE]
            try:
                self._questions.write("".join(f"{item}\n" for item in batch).encode("ascii"))
                self._questions.flush()
            except OSError:
                raise self._make_unreadable_error(batch[0]) from None
            for object_id in batch:
                yield object_id, self._read_size(object_id)

    def _read_size(self, object_id: str) -> int:
        try:
            _, _, size = self._answers.readline().split()
            return int(size)
        except (OSError, ValueError):  # git ended, or printed `missing`
            raise self._make_unreadable_error(object_id) from None

    def _read_whole(self, size: int, object_id: str) -> bytes:
        # One read of this size takes no more memory than the object.
        data = self._answers.read(size)
        if len(data) < size or not self._answers.read(1):
            raise self._make_unreadable_error(object_id)
        return data

    def _read_pieces(self, size: int, object_id: str) -> Iterator[bytes]:
        """Yield the bytes of the answer whose size was read, without the newline after them."""
        left = size + 1
        while left:
            piece = self._answers.read(min(left, _PIPE_BUFFER))
            if not piece:
                raise self._make_unreadable_error(object_id)
            left -= len(piece)
            yield piece if left else piece[:-1]

    def _make_unreadable_error(self, object_id: str) -> NotFoundError:
        # A clone that leaves objects out names where to fetch them; git may not fetch here.
        promised = ask_git(self._root, "config", "--get-regexp", r"^remote\..*\.promisor$", none_found=1)
        if promised:
            advice = "the clone leaves objects out: `git fetch --refetch --no-filter` fetches them"
            return NotFoundError(f"git has the name of object {object_id} and not its bytes", advice)
        return NotFoundError(f"git cannot read the object {object_id}", "see what `git fsck` says")
