"""Seal cases: a folder sealed by the known-answer sealer (never by our writer), then damaged step by step.

Git keeps no FIFO, empty directory, hard link or hole, and a run folder's name is part of its seal. So the arguments of
a case are the steps that damage the folder, beside `sealed` (what is sealed, if not `FILES`) and `folder` (its name). A
case that has files is a literal run folder instead.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from registry_pipeline.runs.archive import verify_runs
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline_tests.cases.layout import Case
from registry_pipeline_tests.known_answers.make_repo import run_json, seal, sha

RUN_ID = "2026-02-01__010203__op-a01"
FILES = {"data.jsonl": '{"n":1}\n{"n":2}\n', "notes/readme.md": "# A run\n"}
SHOWN = "RUN"


def verify_case(case: Case, scratch: Path, *more_steps: dict[str, Any]) -> SealReport:
    """Make the folder of a case under `scratch`, apply more steps than those of the case, and verify it."""
    spec = case.arguments
    folder = scratch / spec.get("folder", RUN_ID)
    if case.files():
        case.write_to(folder)
    else:
        _write_base(folder, **spec.get("sealed", {}))
    with ExitStack() as faults:
        for step in (*spec.get("steps", []), *more_steps):
            arguments = {key: value for key, value in step.items() if key != "op"}
            if step["op"] in FAULTS:
                faults.enter_context(FAULTS[step["op"]](folder, **arguments))
            else:
                folder = STEPS[step["op"]](folder, **arguments) or folder
        return verify_runs(folder, display_path=SHOWN)[0]


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder that need not exist."""
    for relpath, data in files.items():
        path = folder / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def sealed_files(
    extra: dict[str, bytes] | None = None, order: str = "manifest_last", run_id: str = RUN_ID
) -> dict[str, bytes]:
    """Return a run folder's files as the known-answer sealer seals them."""
    files = {path: text.encode() for path, text in FILES.items()} if extra is None else extra
    return seal({"run.json": run_json(run_id), **files}, order)


def _write_base(folder: Path, files: dict[str, str] | None = None, order: str = "manifest_last", **run: Any) -> None:
    body = {path: text.encode() for path, text in (FILES if files is None else files).items()}
    text = run.get("run_json_text")
    if run.get("run_json", True):
        body["run.json"] = run_json(**({"run_id": RUN_ID} | run.get("fields", {}))) if text is None else text.encode()
    write_tree(folder, seal(body, order))


def _write(folder: Path, path: str, text: str = "", hex: str | None = None) -> None:  # noqa: A002 -- a word of the steps
    write_tree(folder, {path: text.encode() if hex is None else bytes.fromhex(hex)})


def _append(folder: Path, path: str, text: str, times: int = 1) -> None:
    with (folder / path).open("ab") as file:
        file.write(text.encode() * times)


def _flip(folder: Path, path: str, at: int) -> None:
    data = bytearray((folder / path).read_bytes())
    data[at] ^= 1
    (folder / path).write_bytes(data)


def _delete(folder: Path, path: str) -> None:
    target = folder / path
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()


def _nest(folder: Path, depth: int) -> None:
    path = folder.joinpath(*["d"] * depth)
    path.mkdir(parents=True)
    (path / "deep.txt").write_text("deep\n", encoding="utf-8")


def _convert(folder: Path, path: str, old: str, new: str, times: int = -1) -> None:
    target = folder / path
    target.write_bytes(target.read_bytes().replace(old.encode(), new.encode(), times))


def _hardlink(folder: Path, path: str) -> None:
    (folder.parent / "elsewhere").hardlink_to(folder / path)


def _truncate(folder: Path, path: str, size: int) -> None:
    """Cut or stretch a file; a negative size counts from its end."""
    os.truncate(folder / path, size if size >= 0 else (folder / path).stat().st_size + size)


def _edit_manifest(
    folder: Path,
    at: int | None = None,
    values: dict[str, Any] | None = None,
    document: Any = None,
    *,
    sort_keys: bool = False,
    ascii_only: bool = True,
) -> None:
    """Write manifest.json again: an entry changed (or added at the end, where `at` is None), or another document."""
    target = folder / "manifest.json"
    entries = json.loads(target.read_text(encoding="utf-8")) if document is None else document
    if at is not None:
        entries[at] = entries[at] | (values or {}) if isinstance(values, dict) else values
    elif values is not None:
        entries.append({"relpath": "x", "bytes": 0, "sha256": sha(b"")} | values)
        entries.sort(key=lambda entry: str(entry["relpath"]))
    text = json.dumps(entries, indent=2, sort_keys=sort_keys, ensure_ascii=ascii_only) + "\n"
    target.write_bytes(text.encode("utf-8", "surrogatepass"))


def _reseal(folder: Path) -> None:
    """Write MANIFEST.sha256 again, in agreement with manifest.json."""
    data = (folder / "manifest.json").read_bytes()
    document = json.loads(data)
    entries = [e for e in document if isinstance(e, dict)] if isinstance(document, list) else []
    lines = [f"{e.get('sha256')}  {e.get('relpath')}" for e in entries] + [f"{sha(data)}  manifest.json"]
    root = sha(("\n".join(sorted(lines)) + "\n").encode("utf-8", "surrogatepass"))
    text = "\n".join([*lines, f"ROOT_SHA256  {root}"]) + "\n"
    (folder / "MANIFEST.sha256").write_bytes(text.encode("utf-8", "surrogatepass"))


def _list_hashes(folder: Path, mark: str = " ", prefix: str = "") -> None:
    """Take the seal away, and leave a list of hashes as `sha256sum` would write it."""
    for name in ("manifest.json", "MANIFEST.sha256"):
        (folder / name).unlink(missing_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    lines = [f"{sha(path.read_bytes())} {mark}{prefix}{path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / "MANIFEST.sha256").write_bytes("".join(lines).encode("utf-8", "surrogateescape"))


def _reorder(folder: Path, lines: list[int]) -> None:
    target = folder / "MANIFEST.sha256"
    old = target.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(old[number] for number in lines), encoding="utf-8")


def _rename_folder(folder: Path, to: str) -> Path:
    return folder.rename(folder.parent / to)


def _link_folder(folder: Path) -> Path:
    real = folder.rename(folder.parent / "real")
    folder.symlink_to(real)
    return folder


def _replace_folder(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.write_text("no folder\n", encoding="utf-8")
    return folder


def _pack(folder: Path, extra: list[dict[str, str]] | None = None, cut: int = 0) -> Path:
    """Pack the folder, with further entries behind its files, and cut bytes off the end of the archive."""
    archive = folder.with_name(f"{folder.name}.tar.gz")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
        for entry in extra or []:
            data = entry.get("text", "").encode()
            info = tarfile.TarInfo(entry["path"])
            info.type, info.linkname, info.size = entry.get("type", "0").encode(), entry.get("to", ""), len(data)
            tar.addfile(info, BytesIO(data))
    os.truncate(archive, archive.stat().st_size - cut)
    return archive


STEPS: dict[str, Callable[..., Path | None]] = {
    "write": _write,
    "append": _append,
    "flip": _flip,
    "delete": _delete,
    "mkdir": lambda folder, path: (folder / path).mkdir(),
    "fifo": lambda folder, path: os.mkfifo(folder / path),
    "socket": lambda folder, path: os.mknod(folder / path, stat.S_IFSOCK | 0o600),
    "link": lambda folder, path, to: (folder / path).symlink_to(to),
    "nest": _nest,
    "convert": _convert,
    "hardlink": _hardlink,
    "truncate": _truncate,
    "edit_manifest": _edit_manifest,
    "reseal": _reseal,
    "list_hashes": _list_hashes,
    "reorder": _reorder,
    "rename_folder": _rename_folder,
    "link_folder": _link_folder,
    "replace_folder": _replace_folder,
    "pack": _pack,
}
"""What a step can do to a folder; a step that moves the folder returns where it is."""


@contextmanager
def _deny(_: Path, path: str) -> Iterator[None]:
    """Let the operating system refuse a file (as root, no mode would)."""
    real = os.open

    def refusing(name: Any, *args: Any, **words: Any) -> int:
        if name == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return real(name, *args, **words)

    with patch.object(os, "open", refusing):
        yield


@contextmanager
def _grow(folder: Path, path: str) -> Iterator[None]:
    """Let another process append to a file after it was read and before it is closed."""
    real = os.read
    inode = (folder / path).stat().st_ino

    def growing(file: int, size: int) -> bytes:
        data = real(file, size)
        if os.fstat(file).st_ino == inode:
            with (folder / path).open("ab") as other:
                other.write(b"more\n")
        return data

    with patch.object(os, "read", growing):
        yield


@contextmanager
def _fill_disk(_: Path) -> Iterator[None]:
    """Let the disk of temporary files have no free space."""
    with patch.object(shutil, "disk_usage", return_value=SimpleNamespace(free=0)):
        yield


FAULTS: dict[str, Callable[..., AbstractContextManager[None]]] = {"deny": _deny, "grow": _grow, "fill_disk": _fill_disk}
"""Steps that last while the folder is verified."""
