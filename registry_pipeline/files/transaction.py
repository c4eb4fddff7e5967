"""Change several files as one: all of them or none, wherever the process is killed.

Under one lock: (1) the new files and copies of the old ones are written into a stage folder and reach the disk; (2) an
intent that names them is written, which decides the change; (3) each file takes its name; (4) the intent is removed.
Who finds an intent finishes its change, or undoes it where somebody has edited one of its files since.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canonical import json_document, parse_strict_json, sha256_hex
from registry_pipeline.errors import DurabilityError, RefusedError, RegistryPipelineError, WriteError
from registry_pipeline.files.atomic_write import (
    create_file,
    hash_own_file,
    read_own_file,
    refuse_changed_file,
    write_new_file,
)
from registry_pipeline.files.durable import make_folders, make_write_error, rename_noreplace, sync_path
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.values import asdict, value_type

_INTENT: Final = "intent.json"
_VERSION: Final = "0.1"


@value_type
class StageFolder:
    """The folder in which changes are staged, with their lock and their intent.

    Attributes:
        root: the folder that contains all files; paths are relative to it.
        path: inside `root` and on the file system of the files; it is made when it is needed.
        purpose: what a change is, for messages, as in "change of registry entries".
        max_bytes: a larger file is refused.
    """

    root: Path
    path: Path
    purpose: str
    max_bytes: int


@value_type
class Recovery:
    """How an interrupted change ended, and the files that it named."""

    outcome: Literal["finished", "undone"]
    paths: tuple[str, ...]


@value_type
class _PlannedFile:
    """One file of a change: hashes before and after (None: no file), its mode, and its number in the stage folder."""

    path: str
    before: str | None
    after: str | None
    mode: int
    number: int


@contextmanager
def hold_stage(stage: StageFolder, *, wait_seconds: float) -> Iterator[Recovery | None]:
    """Hold the lock of all changes; an interrupted change is finished or undone first, and returned.

    Raises:
        BusyError: another change held the lock for all of `wait_seconds`; nothing changed (exit 6).
        RefusedError: the lock or the intent is not what a change leaves, or lies outside `root` (exit 5).
        WriteError: the disk refused (exit 1).
    """
    lock = stage.path / "lock"
    with hold_lock(lock, stage.root, stage.purpose, wait_seconds=wait_seconds, make_folder=True):
        yield _finish_or_undo(stage)


def recover(stage: StageFolder, *, wait_seconds: float) -> Recovery | None:
    """Finish or undo an interrupted change, if there is one; raises as `hold_stage`.

    Readers call it, so that they never see half of a change.
    """
    if not (stage.path / _INTENT).exists():
        return None
    with hold_stage(stage, wait_seconds=wait_seconds) as recovery:
        return recovery


def write_files(stage: StageFolder, files: Mapping[str, tuple[bytes | None, bytes | None]]) -> None:
    """Give every file its bytes after, as one change; `hold_stage` is held.

    Each pair is the bytes before, which the caller has read, and after; None stands for no file.

    Raises:
        BusyError: a file is not what the caller read; nothing changed (exit 6).
        RefusedError: a file is or lies behind a link, or is no regular file; nothing changed (exit 5).
        WriteError: the disk refused; nothing changed, or the message says that the next command decides (exit 1).
        DurabilityError: everything is written, but the intent could not be removed (exit 1).
    """
    planned = [_plan_file(stage, number, path, *pair) for number, (path, pair) in enumerate(sorted(files.items()))]
    try:
        for each in planned:
            _stage_file(stage, each, *files[each.path])
        sync_path(stage.path)
        document = {"version": _VERSION, "files": [asdict(each) for each in planned]}
        create_file(stage.path / _INTENT, json_document(document))
    except BaseException as error:  # an interrupt too: the change is not decided before the intent is durable
        _roll_back(stage, ())
        if isinstance(error, OSError):
            raise make_write_error(stage.path, error) from None
        raise
    target = stage.root
    try:
        for each in planned:
            target = stage.root / each.path
            _apply_file(stage, each)
        _confirm_written(stage, planned)
    except (OSError, RegistryPipelineError) as error:
        _roll_back(stage, planned)
        if isinstance(error, OSError):
            raise make_write_error(target, error) from None
        raise
    except BaseException:  # an interrupt: the change is decided, so that it is finished on the way out
        _finish_or_undo(stage)
        raise
    try:
        _end_change(stage)
    except OSError as error:
        intent = stage.path / _INTENT
        raise DurabilityError(
            f"the files are written, but {intent} cannot be removed: {error.strerror}", "the next command removes it"
        ) from None


def _plan_file(stage: StageFolder, number: int, path: str, before: bytes | None, after: bytes | None) -> _PlannedFile:
    """Return the planned change; refuse a file that is not what was read, is linked, or is on another file system."""
    _refuse_path_outside(stage.root, path)
    target = stage.root / path
    expected = None if before is None else sha256_hex(before)
    refuse_changed_file(target, expected, stage.max_bytes)
    mode = 0o644 if before is None else stat.S_IMODE(target.stat().st_mode)
    nearest = next(folder for folder in target.parents if folder.exists())
    if nearest.stat().st_dev != stage.path.stat().st_dev:
        raise RefusedError(f"{path} is on another file system than {stage.path}", "keep both on one, or move one")
    return _PlannedFile(path, expected, None if after is None else sha256_hex(after), mode, number)


def _refuse_path_outside(root: Path, path: str) -> None:
    """Refuse a path that does not stay inside `root`, by its words or by a link."""
    folder = root
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or not all(parts):
        raise RefusedError(f"{path!r} does not stay inside the repository", "name a path inside it")
    for part in parts[:-1]:
        folder = folder / part
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise RefusedError(f"{path} lies behind {part}, which is a link or no folder", "put a folder there")


def _stage_file(stage: StageFolder, file: _PlannedFile, before: bytes | None, after: bytes | None) -> None:
    """Write the bytes before and after into the stage folder, with mode and group of the present file."""
    like = file.mode if before is None else (stage.root / file.path).stat()
    for suffix, data in (("old", before), ("new", after)):
        staged = stage.path / f"{file.number}.{suffix}"
        if data is not None:
            write_new_file(staged, data, like)


def _read_intent(stage: StageFolder) -> list[_PlannedFile]:
    """Return the files that the intent names; RefusedError if it cannot be parsed."""
    intent = stage.path / _INTENT
    with suppress(ValueError, KeyError, TypeError):  # StrictJsonError and UnicodeEncodeError are a ValueError
        document = parse_strict_json(read_own_file(intent) or b"")
        if document["version"] == _VERSION and all(map(_is_planned_file, document["files"])):
            return [_PlannedFile(**each) for each in document["files"]]
    advice = f"compare the content files with git, then remove {stage.path}"
    raise RefusedError(f"the intent {intent} cannot be parsed", advice)


def _is_planned_file(value: dict[str, Any]) -> bool:
    """Return whether one file of an intent is what a change writes; a key or path may raise instead."""
    hashes = all(each is None or isinstance(each, str) for each in (value["before"], value["after"]))
    is_path = isinstance(value["path"], str) and b"\0" not in os.fsencode(value["path"])
    return hashes and is_path and type(value["mode"]) is type(value["number"]) is int


def _finish_or_undo(stage: StageFolder) -> Recovery | None:
    """Finish the change of the intent, if there is one; undo it if a file was edited or a staged one is damaged."""
    try:
        if not (stage.path / _INTENT).exists():
            _remove_staged(stage)
            return None
        planned = _read_intent(stage)
        for each in planned:
            _refuse_path_outside(stage.root, each.path)
        now = {each.path: hash_own_file(stage.root / each.path, stage.max_bytes) for each in planned}
        unedited = all(now[each.path] in (each.before, each.after) for each in planned)
        staged = all(now[each.path] == each.after or _is_staged(stage, each) for each in planned)
        if unedited and staged:
            for each in planned:
                if now[each.path] != each.after:
                    _apply_file(stage, each)
        else:
            _restore_files(stage, planned)
        _end_change(stage)
    except OSError as error:
        raise make_write_error(Path(error.filename or stage.path), error) from None
    return Recovery("finished" if unedited and staged else "undone", tuple(each.path for each in planned))


def _is_staged(stage: StageFolder, file: _PlannedFile) -> bool:
    return file.after is None or hash_own_file(stage.path / f"{file.number}.new") == file.after


def _apply_file(stage: StageFolder, file: _PlannedFile) -> None:
    """Move a staged file to its path, or remove the file at that path; BusyError if it is not as planned."""
    target, staged = stage.root / file.path, stage.path / f"{file.number}.new"
    # An editor, which takes no lock, may have saved since the file was read.
    refuse_changed_file(target, file.before, stage.max_bytes)
    if file.after is None:
        target.unlink(missing_ok=True)
    elif file.before is None:
        make_folders(target.parent)
        rename_noreplace(str(staged), str(target))
    else:
        staged.replace(target)
    sync_path(target.parent)


def _confirm_written(stage: StageFolder, planned: Sequence[_PlannedFile]) -> None:
    """Raise OSError if a file does not contain what the change wrote."""
    for each in planned:
        if hash_own_file(stage.root / each.path, stage.max_bytes) != each.after:
            raise OSError(0, f"{each.path} does not contain what was written")


def _roll_back(stage: StageFolder, planned: Sequence[_PlannedFile]) -> None:
    """Restore the files, then remove the intent; WriteError if the disk refuses that."""
    try:
        _restore_files(stage, planned)
        _end_change(stage)
    except OSError as error:
        raise WriteError(
            f"the {stage.purpose} stopped half way and could not be undone: {error.strerror or error}",
            "fix the cause; the next command finishes or undoes it",
        ) from None


def _restore_files(stage: StageFolder, planned: Sequence[_PlannedFile]) -> None:
    """Put back the files that contain what the change wrote; one that somebody edited since stays as it is."""
    for each in planned:
        target = stage.root / each.path
        if each.before == each.after or hash_own_file(stage.root / each.path, stage.max_bytes) != each.after:
            continue
        if each.before is None:
            target.unlink(missing_ok=True)
        else:
            make_folders(target.parent)
            (stage.path / f"{each.number}.old").replace(target)
        sync_path(target.parent)


def _end_change(stage: StageFolder) -> None:
    """Remove the intent durably, then what is staged."""
    if (stage.path / _INTENT).exists():  # on a read-only disk, even removing what does not exist is an error
        (stage.path / _INTENT).unlink()
        sync_path(stage.path)
    _remove_staged(stage)


def _remove_staged(stage: StageFolder) -> None:
    """Remove the staged and temporary files, which no intent names any more."""
    for name in os.listdir(stage.path):  # noqa: PTH208 - names are what is wanted
        if name.endswith((".new", ".old", ".tmp")):
            (stage.path / name).unlink(missing_ok=True)
