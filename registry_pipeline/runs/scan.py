"""The scan of the run roots: every run folder, its direct files, and what run.json says (SPEC 4.1).

One directory listing and one stat or read a file, by plain descriptors: a scan of many thousand folders is nothing but
system calls, and pathlib doubles them (DESIGN 5). Nothing is judged here; the builder words the warnings.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Final

from registry_pipeline.config import Adapter
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.read import MAX_BYTES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.repository import read_blobs, read_commit_id, read_committed_files
from registry_pipeline.runs.envelope_file import parse_adapted, parse_run_json, text_of
from registry_pipeline.runs.records import ScannedFile, ScannedRun
from registry_pipeline.values import replace, value_type

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_ROOT_WORD: Final = "ROOT_SHA256"
_PROGRESS_EVERY: Final = 256
_GONE: Final = (FileNotFoundError, NotADirectoryError)


@value_type
class RunScan:
    """All run folders by run root (as configured) and name, and what could not be looked at."""

    runs: tuple[ScannedRun, ...]
    findings: tuple[Finding, ...]


def read_run_folders(
    root: Path,
    run_roots: Sequence[str],
    *,
    exclude_runs: Collection[tuple[str, str]] = (),
    exclude_dagster_run: str | None = None,
    adapters: Sequence[Adapter] = (),
    on_progress: Callable[[int], None] | None = None,
) -> RunScan:
    """Return every run folder directly under the run roots; a missing run root is skipped.

    `adapters` read the envelopes of folders without run.json; of several for one root the first whose file is there.

    `exclude_runs` are (run_root, run_id) of this build run, `exclude_dagster_run` is its Dagster run id: a retry must
    not see the folders of its first try. `on_progress` is told the number of folders read so far, now and then.
    """
    runs: list[ScannedRun] = []
    findings: list[Finding] = []
    skipped = frozenset(exclude_runs)
    seen = 0
    for run_root in dict.fromkeys(run_roots):
        place = os.fspath(root / run_root)
        asked = [adapter for adapter in adapters if adapter.root == run_root]
        for run_id in _run_ids(place, run_root, findings):
            if (run_root, run_id) in skipped:
                continue
            run = _read_run(place, run_root, run_id, findings, asked)
            seen += 1
            if on_progress is not None and seen % _PROGRESS_EVERY == 0:
                on_progress(seen)
            if run is None or _is_of(run, exclude_dagster_run):
                continue
            runs.append(run)
    if on_progress is not None:
        on_progress(seen)
    findings += _of_adapters(adapters, runs)
    return RunScan(tuple(runs), sorted_findings(findings))


def read_run_folder(root: Path, run_root: str, run_id: str) -> ScannedRun | None:
    """Return one run folder as the scan sees it, or None if it is not there or cannot be read."""
    return _read_run(os.fspath(root / run_root), run_root, run_id, [])


def explain_missing_run(root: Path, run_root: str, run_id: str) -> str | None:
    """Return why a scan does not list a run folder that is there, or None where it is not there."""
    folder = os.fspath(root / run_root / run_id)
    for place, shown in ((os.fspath(root / run_root), run_root), (folder, "it")):
        try:
            os.scandir(place).close()
        except FileNotFoundError:
            return None
        except OSError as error:
            if place == folder and isinstance(error, NotADirectoryError):
                return None
            return f"{shown} cannot be read: {_reason(error)}"
    # Otherwise it could not be read, or was not there, while the runs were listed.
    return "it is a link now" if os.path.islink(folder) else "it is there again"  # noqa: PTH114 - no pathlib here


def _is_of(run: ScannedRun, dagster_run_id: str | None) -> bool:
    return dagster_run_id is not None and run.envelope.get("dagster_run_id") == dagster_run_id


def _run_ids(place: str, run_root: str, findings: list[Finding]) -> list[str]:
    """Return the names of the directories in a run root, sorted; a link to a directory is a finding."""
    names: list[str] = []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    names.append(entry.name)
                elif entry.is_symlink() and os.path.isdir(f"{place}/{entry.name}"):  # noqa: PTH112 - no pathlib here
                    findings.append(finding("RUN_FOLDER_LINK", _shown(run_root, entry.name)))
    except FileNotFoundError:
        return []
    except OSError as error:
        findings.append(finding("RUN_ROOT_UNREADABLE", run_root, detail=_reason(error)))
        return []
    names.sort()
    return names


def _read_run(
    place: str, run_root: str, run_id: str, findings: list[Finding], adapters: Sequence[Adapter] = ()
) -> ScannedRun | None:
    """Return one run folder, or None if it is gone by now or cannot be read (a finding)."""
    folder = f"{place}/{run_id}"
    contents: dict[str, bytes | str] = {}
    files: list[ScannedFile] = []
    try:
        with os.scandir(folder) as entries:
            names = sorted([entry.name for entry in entries if entry.is_file(follow_symlinks=False)])
        for name in names:
            path = f"{folder}/{name}"
            try:
                if name in ("run.json", "MANIFEST.sha256"):
                    size, contents[name] = _read_file(path, name)
                else:
                    size = os.lstat(path).st_size
            except FileNotFoundError:
                continue
            files.append(ScannedFile(name, size))
    except _GONE:
        return None
    except OSError as error:
        findings.append(finding("RUN_FOLDER_UNREADABLE", _shown(run_root, run_id), detail=_reason(error)))
        return None
    envelope, problem = parse_run_json(contents.get("run.json"))
    run = ScannedRun(
        run_root=run_root,
        run_id=run_id,
        envelope=envelope,
        run_json_problem=problem,
        has_run_json="run.json" in contents,
        has_manifest_sha256="MANIFEST.sha256" in contents,
        has_manifest_json=any(file.relpath == "manifest.json" for file in files),
        claimed_root=claimed_root(contents.get("MANIFEST.sha256")),
        files=tuple(files),
    )
    return _adapted(run, folder, adapters, findings) if adapters and not run.has_run_json else run


def _adapted(run: ScannedRun, folder: str, adapters: Sequence[Adapter], findings: list[Finding]) -> ScannedRun:
    """Return a run without run.json with the envelope that the first adapter finds whose file is there."""
    held = {file.relpath for file in run.files}
    adapter = next((each for each in adapters if each.file in held), None)
    if adapter is None:
        return run
    try:
        _, data = _read_file(f"{folder}/{adapter.file}", adapter.file)
    except FileNotFoundError:
        return run
    envelope, adapted_by = parse_adapted(data, adapter)
    named = envelope.get("run_id", run.run_id)
    if named != run.run_id:
        place = f"{_shown(run.run_root, run.run_id)}/{adapter.file}"
        told = named.encode("utf-8", "backslashreplace").decode() if isinstance(named, str) else "no text"
        findings.append(finding("ADAPTER_RUN_ID_MISMATCH", place, expected=_printable(run.run_id), got=told[:200]))
    return replace(run, envelope=envelope, adapted_by=adapted_by)


def _of_adapters(adapters: Sequence[Adapter], runs: Sequence[ScannedRun]) -> list[Finding]:
    """Tell of adapters that read nothing, and of fields that none of the envelopes has: most likely misspelt."""
    findings: list[Finding] = []
    for adapter in adapters:
        beside = [run for run in runs if run.run_root == adapter.root]
        read = [run for run in beside if run.adapted_by is not None and run.adapted_by.file == adapter.file]
        if beside and not read:
            findings.append(finding("ADAPTER_UNUSED", adapter.root, detail=adapter.file))
        parsed = [run for run in read if run.adapted_by is not None and run.adapted_by.problem is None]
        if parsed:
            found = {name for run in parsed for name in run.envelope}
            findings += [
                finding("ADAPTER_FIELD_NOT_FOUND", adapter.root, expected=keys, detail=f"{adapter.file}: {name}")
                for name, keys in adapter.fields().items()
                if name not in found
            ]
    return findings


def _read_file(path: str, name: str) -> tuple[int, bytes | str]:
    """Return the size of a file and its bytes, or instead of the bytes the text of why they cannot be read."""
    try:
        return _read_descriptor(os.open(path, _OPEN))
    except FileNotFoundError:
        raise
    except OSError as error:
        # The name without its folder: an artifact must not tell where the repository lies.
        return os.lstat(path).st_size, str(OSError(error.errno, error.strerror, name))


def _read_descriptor(descriptor: int) -> tuple[int, bytes | str]:
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        size = status.st_size
        if size > MAX_BYTES:
            return size, f"larger than {MAX_BYTES >> 20} MiB"
        data = os.read(descriptor, size + 1)
        if len(data) != size:  # it is being written to, or one read gives less
            while len(data) <= MAX_BYTES and (more := os.read(descriptor, 1 << 16)):
                data += more
    finally:
        os.close(descriptor)
    return size, data


def claimed_root(data: bytes | str | None) -> str | None:
    """Return the root that a MANIFEST.sha256 claims: the last word of the first ROOT_SHA256 line with two."""
    if not isinstance(data, bytes):
        return None
    try:
        text = text_of(data)
    except UnicodeDecodeError:
        return None
    for line in text.split("\n"):
        if _ROOT_WORD in line:
            words = line.split()
            if len(words) > 1 and words[0] == _ROOT_WORD:
                return words[-1]
    return None


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _shown(run_root: str, name: str) -> str:
    """Return the path of a run folder as text that can be printed, whatever bytes its name has."""
    return f"{run_root}/{_printable(name)}"


def _printable(name: str) -> str:
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"))


_HASH_FILE = b"MANIFEST.sha256"


@value_type
class CommittedRuns:
    """A commit, and the claimed root of every run folder in it by run root and run id (None: it claims none)."""

    commit: str
    roots: Mapping[tuple[str, str], str | None]


def read_committed_runs(root: Path, revision: str, run_roots: Sequence[str]) -> CommittedRuns:
    """Return the run folders that a commit has under the run roots; `root` may be a folder of the checkout.

    Raises:
        NotFoundError: there is no git repository, no such commit, or no run folder in it: nothing could be compared.
    """
    commit = read_commit_id(root, revision)
    if commit is None:
        raise NotFoundError(f"{root} is in no git repository, so that there is no baseline", "leave out --baseline")
    hash_files: dict[tuple[str, str], str | None] = {}
    for path, object_id in read_committed_files(root, commit, run_roots).items():
        for run_root in run_roots:
            under = os.fsencode(run_root) + b"/"
            run_id, _, relpath = path.removeprefix(under).partition(b"/")
            if path.startswith(under) and relpath:
                key = run_root, os.fsdecode(run_id)
                hash_files[key] = object_id if relpath == _HASH_FILE else hash_files.get(key)
    if not hash_files:
        raise NotFoundError(
            f"the commit {revision} has no run folder under {', '.join(run_roots)}: there is nothing to compare",
            "name a commit that has some; `registry-pipeline init --track-runs` leaves run folders to git",
        )
    wanted = [object_id for object_id in hash_files.values() if object_id is not None]
    texts = dict(zip(wanted, read_blobs(root, wanted), strict=True))
    roots = {key: None if oid is None else claimed_root(texts[oid]) for key, oid in hash_files.items()}
    return CommittedRuns(commit, roots)
