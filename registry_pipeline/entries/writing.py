"""Writing several content files as one change: all of them, or none, whatever is killed (SPEC 10).

Under one lock: the new files and copies of the old ones are written beside publish_root and reach the disk; then an
intent that names them, which is the moment at which the change is decided; then each file takes its name; then the
intent goes. Whoever finds an intent finishes its change, or undoes it where somebody has edited one of its files since.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canon import StrictJsonError, json_document, read_strict_json, sha256_hex
from registry_pipeline.config import Governed
from registry_pipeline.entries.lock import held_lock
from registry_pipeline.entries.yaml_file import read_yaml_file
from registry_pipeline.errors import BusyError, NotFoundError, RefusedError, RegistryPipelineError

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INTENT: Final = "intent.json"
_VERSION: Final = "0.1"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a change that was interrupted: the files that it had named."""

    outcome: Literal["finished", "undone"]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Planned:
    """One file of a change: hashes before and after (None: no file), its mode, and its number in the stage."""

    path: str
    before: str | None
    after: str | None
    mode: int
    number: int

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "before": self.before,
            "after": self.after,
            "mode": self.mode,
            "number": self.number,
        }


def stage_folder(governed: Governed) -> Path:
    """Return where a change is staged, and its lock and intent lie: beside publish_root, and no evidence."""
    return governed.state_root / "entries"


@contextmanager
def entries_lock(governed: Governed) -> Iterator[Settled | None]:
    """Hold the lock of all content files; what an interrupted change left is settled first, and told.

    Raises:
        BusyError: another writer holds it; nothing waits and nothing changed (exit 6).
        RefusedError: the lock or the intent is not what a writer leaves (exit 5).
        RegistryPipelineError: the lock cannot be made, or the disk refused (exit 1).
    """
    with held_lock(stage_folder(governed) / "lock"):
        yield _settle(governed)


def settle(governed: Governed) -> Settled | None:
    """Settle what an interrupted change left, if anything; readers call it, so that nobody sees half of a change.

    Raises:
        BusyError: the change is still at work (exit 6).
        RefusedError, RegistryPipelineError: as `entries_lock`.
    """
    if not (stage_folder(governed) / _INTENT).exists():
        return None
    with entries_lock(governed) as settled:
        return settled


def write_files(governed: Governed, files: Mapping[str, tuple[bytes | None, bytes | None]]) -> None:
    """Make every file hold its bytes after, as one change; `entries_lock` is held. None stands for no file.

    Raises:
        BusyError: a file is not what the plan began with; nothing changed (exit 6).
        RefusedError: a file is or lies behind a link, or is no regular file; nothing changed (exit 5).
        RegistryPipelineError: the disk refused; nothing changed (exit 1).
    """
    folder = stage_folder(governed)
    planned = [_look(governed, number, path, *pair) for number, (path, pair) in enumerate(sorted(files.items()))]
    try:
        for each in planned:
            _stage(folder, each, *files[each.path])
        _sync_folder(folder)
        _write_intent(folder, planned)
    except OSError as error:
        _clean(folder)
        raise _refused(error) from None
    try:
        for each in planned:
            _apply(governed, each)
        _prove(governed, planned)
    except OSError as error:
        _undo(governed, planned)
        _end(folder)
        raise _refused(error) from None
    except BaseException:  # an interrupt: the change is decided, so that it is finished on the way out
        _settle(governed)
        raise
    _end(folder)


def _look(governed: Governed, number: int, path: str, before: bytes | None, after: bytes | None) -> _Planned:
    """Refuse a target that is not what was read, or that a link leads to."""
    _refuse_path(governed, path)
    digest = _digest(governed, path)
    if digest != (None if before is None else sha256_hex(before)):
        raise BusyError(f"{path} changed since it was read; nothing was written", "look at it and try again")
    mode = stat.S_IMODE(governed.path(path).stat().st_mode) if before is not None else 0o644
    nearest = next(each for each in governed.path(path).parents if each.exists())
    if nearest.stat().st_dev != stage_folder(governed).stat().st_dev:
        raise RefusedError(
            f"{path} lies on another file system than {stage_folder(governed)}", "keep both on one, or move one"
        )
    return _Planned(path, digest, None if after is None else sha256_hex(after), mode, number)


def _refuse_path(governed: Governed, path: str) -> None:
    """Refuse a path that does not stay inside the repository, by its words or by a link."""
    place = governed.root
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or not all(parts):
        raise RefusedError(f"{path!r} does not stay inside the repository", "name a path inside it")
    for part in parts[:-1]:
        place = place / part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise RefusedError(f"{path} lies behind {part}, which is a link or no folder", "put a folder there")


def _digest(governed: Governed, path: str) -> str | None:
    try:
        return sha256_hex(read_yaml_file(governed.path(path)))
    except NotFoundError:
        return None


def _stage(folder: Path, each: _Planned, before: bytes | None, after: bytes | None) -> None:
    for suffix, data in (("old", before), ("new", after)):
        place = folder / f"{each.number}.{suffix}"
        place.unlink(missing_ok=True)
        if data is not None:
            _create(place, data, each.mode)


def _write_intent(folder: Path, planned: list[_Planned]) -> None:
    draft = folder / f"{_INTENT}.tmp"
    draft.unlink(missing_ok=True)
    _create(draft, json_document({"version": _VERSION, "files": [each.to_json() for each in planned]}), 0o644)
    draft.replace(folder / _INTENT)
    _sync_folder(folder)


def _read_intent(folder: Path) -> list[_Planned]:
    """Return what an intent names.

    Raises:
        RefusedError: it is not one that a writer made; it is left alone (exit 5).
    """
    with suppress(OSError, StrictJsonError, KeyError, TypeError):
        document = read_strict_json((folder / _INTENT).read_bytes())
        if document["version"] == _VERSION and all(map(_is_sound, document["files"])):
            return [_Planned(**each) for each in document["files"]]
    raise RefusedError(
        f"the intent {folder / _INTENT} cannot be understood",
        "compare the content files with git, then remove the folder that holds it",
    )


def _is_sound(stated: dict[str, Any]) -> bool:
    """Tell whether what an intent states of one file is of the kinds that a writer writes."""
    hashes = all(each is None or isinstance(each, str) for each in (stated["before"], stated["after"]))
    return hashes and isinstance(stated["path"], str) and type(stated["mode"]) is type(stated["number"]) is int


def _settle(governed: Governed) -> Settled | None:
    """Finish or undo the change that an intent names; the lock is held."""
    folder = stage_folder(governed)
    if not (folder / _INTENT).exists():
        _clean(folder)
        return None
    planned = _read_intent(folder)
    for each in planned:
        _refuse_path(governed, each.path)
    now = {each.path: _digest(governed, each.path) for each in planned}
    whole = all(now[each.path] in (each.before, each.after) for each in planned)
    ready = all(now[each.path] == each.after or _is_staged(folder, each) for each in planned)
    try:
        if whole and ready:
            for each in planned:
                if now[each.path] != each.after:
                    _apply(governed, each)
        else:
            _undo(governed, planned)
    except OSError as error:
        raise _refused(error) from None
    _end(folder)
    return Settled("finished" if whole and ready else "undone", tuple(each.path for each in planned))


def _is_staged(folder: Path, each: _Planned) -> bool:
    if each.after is None:
        return True
    try:
        return sha256_hex((folder / f"{each.number}.new").read_bytes()) == each.after
    except OSError:
        return False


def _apply(governed: Governed, each: _Planned) -> None:
    target = governed.path(each.path)
    if each.after is None:
        target.unlink()
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        (stage_folder(governed) / f"{each.number}.new").replace(target)
    _sync_folder(target.parent)


def _prove(governed: Governed, planned: list[_Planned]) -> None:
    """Read again what was written."""
    for each in planned:
        if _digest(governed, each.path) != each.after:
            raise OSError(0, f"{each.path} does not hold what was written")


def _undo(governed: Governed, planned: list[_Planned]) -> None:
    """Put back the files that hold what the change wrote; one that somebody edited since stays as it is."""
    for each in planned:
        target = governed.path(each.path)
        if each.before == each.after or _digest(governed, each.path) != each.after:
            continue
        if each.before is None:
            target.unlink(missing_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            (stage_folder(governed) / f"{each.number}.old").replace(target)
        _sync_folder(target.parent)


def _end(folder: Path) -> None:
    with suppress(FileNotFoundError):
        (folder / _INTENT).unlink()
    _sync_folder(folder)
    _clean(folder)


def _clean(folder: Path) -> None:
    """Remove what is staged for no intent."""
    for name in os.listdir(folder):  # noqa: PTH208 - names are what is wanted
        if name.endswith((".new", ".old", ".tmp")):
            (folder / name).unlink(missing_ok=True)


def _create(place: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(place, _CREATE, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(error: OSError) -> RegistryPipelineError:
    return RegistryPipelineError(
        f"the change cannot be written: {error.strerror}; no content file changed",
        "writing needs space, and folders that it may write to",
    )
