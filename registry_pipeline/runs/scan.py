"""List run folders by name, and scan run roots, or those of a commit, with run.json; nothing here verifies them."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final, Literal

from registry_pipeline.config import Adapter
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.process import ObjectPipe
from registry_pipeline.git.repository import read_commit_id, read_committed_files
from registry_pipeline.runs.envelope import ScannedFile, ScannedRun
from registry_pipeline.runs.envelope_file import decode_text, parse_adapted_file, parse_run_json
from registry_pipeline.runs.reference import RunId
from registry_pipeline.values import replace, value_type

_HASH_FILE: Final = "MANIFEST.sha256"
_ROOT_KEYWORD: Final = "ROOT_SHA256"
_PROGRESS_EVERY: Final = 256


@value_type
class RunScan:
    """All run folders by run root and name, and a finding for each that cannot be read."""

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
    """Return every run folder directly under the run roots; what cannot be read is a finding.

    Folders in `exclude_runs`, as (run_root, run_id), and those of the caller's Dagster run are left out: a retry must
    not see what its first attempt sealed. Of the `adapters` of a root, the first whose file exists reads the envelope
    of a folder without run.json. `on_progress` is called with the number of folders read.
    """
    runs: list[ScannedRun] = []
    findings: list[Finding] = []
    excluded = frozenset(exclude_runs)
    count = 0
    for run_root, run_ids in _list_run_ids(root, run_roots, findings):
        root_path = os.fspath(root / run_root)
        root_adapters = [adapter for adapter in adapters if adapter.root == run_root]
        for run_id in run_ids:
            if (run_root, run_id) in excluded:
                continue
            run = _read_run(root_path, run_root, run_id, findings, root_adapters)
            count += 1
            if on_progress is not None and count % _PROGRESS_EVERY == 0:
                on_progress(count)
            if run is None:
                continue
            if exclude_dagster_run is None or run.envelope.get("dagster_run_id") != exclude_dagster_run:
                runs.append(run)
    if on_progress is not None:
        on_progress(count)
    findings += _check_adapters(adapters, runs)
    return RunScan(tuple(runs), sorted_findings(findings))


def read_run_folder(root: Path, run_root: str, run_id: str) -> ScannedRun | None:
    """Return one run folder as the scan sees it, or None if it is missing or cannot be read."""
    return _read_run(os.fspath(root / run_root), run_root, run_id, [])


def explain_missing_run(root: Path, run_root: str, run_id: str) -> str | None:
    """Return why the scan did not list an existing run folder, or None if the folder does not exist."""
    root_path = os.fspath(root / run_root)
    folder = f"{root_path}/{run_id}"
    subject = run_root
    try:
        os.scandir(root_path).close()
        subject = "it"
        os.scandir(folder).close()
    except FileNotFoundError:
        return None
    except OSError as error:
        is_file = subject == "it" and isinstance(error, NotADirectoryError)
        return None if is_file else f"{subject} cannot be read: {_format_reason(error)}"
    # It can be listed now, so it was missing or unreadable only while the run roots were scanned.
    return "it is now a link" if os.path.islink(folder) else "it exists again"  # noqa: PTH114 - no pathlib here


def _list_run_ids(root: Path, run_roots: Sequence[str], findings: list[Finding]) -> list[tuple[str, list[str]]]:
    """Return the run folders of each root by name; report links to directories and unreadable roots."""

    def is_run_folder(run_root: str, entry: os.DirEntry[str]) -> bool:
        if entry.is_dir(follow_symlinks=False):
            return True
        if entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112 - no pathlib here
            findings.append(finding("RUN_FOLDER_LINK", f"{run_root}/{_display_name(entry.name)}"))
        return False

    def report(run_root: str, error: OSError) -> None:
        findings.append(finding("RUN_ROOT_UNREADABLE", run_root, detail=_format_reason(error)))

    return list(list_run_folder_names(root, run_roots, report, is_run_folder))


def _read_run(
    root_path: str, run_root: str, run_id: str, findings: list[Finding], adapters: Sequence[Adapter] = ()
) -> ScannedRun | None:
    """Return one run folder, or None if it no longer exists or cannot be read (a finding)."""
    # Plain system calls, one listing and one stat or read a file: pathlib would double the time of a large scan.
    folder = f"{root_path}/{run_id}"
    contents: dict[str, bytes | str] = {}
    files: list[ScannedFile] = []
    try:
        with os.scandir(folder) as entries:
            names = sorted([entry.name for entry in entries if entry.is_file(follow_symlinks=False)])
        for name in names:
            path = f"{folder}/{name}"
            try:
                if name in ("run.json", _HASH_FILE):
                    size, contents[name] = _read_size_and_bytes(path, name)
                else:
                    size = os.lstat(path).st_size
            except FileNotFoundError:
                continue
            files.append(ScannedFile(name, size))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        path = f"{run_root}/{_display_name(run_id)}"
        findings.append(finding("RUN_FOLDER_UNREADABLE", path, detail=_format_reason(error)))
        return None
    envelope, problem = parse_run_json(contents.get("run.json"))
    run = ScannedRun(
        run_root=run_root,
        run_id=run_id,
        envelope=envelope,
        run_json_problem=problem,
        has_run_json="run.json" in contents,
        has_manifest_sha256=_HASH_FILE in contents,
        has_manifest_json=any(file.relpath == "manifest.json" for file in files),
        claimed_root=parse_claimed_root(contents.get(_HASH_FILE)),
        files=tuple(files),
    )
    return _read_adapted_envelope(run, folder, adapters, findings) if adapters and not run.has_run_json else run


def _read_adapted_envelope(
    run: ScannedRun, folder: str, adapters: Sequence[Adapter], findings: list[Finding]
) -> ScannedRun:
    """Return a run with the envelope of the first adapter whose file exists, if any; report another run_id in it."""
    names = {file.relpath for file in run.files}
    adapter = next((adapter for adapter in adapters if adapter.file in names), None)
    if adapter is None:
        return run
    try:
        _, data = _read_size_and_bytes(f"{folder}/{adapter.file}", adapter.file)
    except FileNotFoundError:
        return run
    envelope, adapted_by = parse_adapted_file(data, adapter)
    stated_id = envelope.get("run_id", run.run_id)
    if stated_id != run.run_id:
        name = _display_name(run.run_id)
        path = f"{run.run_root}/{name}/{adapter.file}"
        is_text = isinstance(stated_id, str)
        got = stated_id.encode("utf-8", "backslashreplace").decode()[:200] if is_text else "no text"
        findings.append(finding("ADAPTER_RUN_ID_MISMATCH", path, expected=name, got=got))
    return replace(run, envelope=envelope, adapted_by=adapted_by)


def _check_adapters(adapters: Sequence[Adapter], runs: Sequence[ScannedRun]) -> list[Finding]:
    """Report adapters that read nothing, and fields that no envelope has: most likely they are misspelt."""
    findings: list[Finding] = []
    for adapter in adapters:
        in_root = [run for run in runs if run.run_root == adapter.root]
        adapted = [(run, run.adapted_by) for run in in_root if run.adapted_by and run.adapted_by.file == adapter.file]
        if in_root and not adapted:
            findings.append(finding("ADAPTER_UNUSED", adapter.root, detail=adapter.file))
        parsed = [run for run, adapted_by in adapted if adapted_by.problem is None]
        if parsed:
            found_fields = {name for run in parsed for name in run.envelope}
            findings += [
                finding("ADAPTER_FIELD_NOT_FOUND", adapter.root, expected=keys, detail=f"{adapter.file}: {name}")
                for name, keys in adapter.fields().items()
                if name not in found_fields
            ]
    return findings


def _read_size_and_bytes(path: str, name: str) -> tuple[int, bytes | str]:
    """Return the size of a file, and its bytes or why it cannot be read; FileNotFoundError if it is missing."""
    try:
        data = read_regular_file(path, follow_links=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        # An artifact contains this text: with the name without its folder, worded as the system words its errors.
        reason = error.strerror or ""
        if error.errno != errno.EFBIG:
            reason = str(OSError(error.errno, reason[:1].upper() + reason[1:], name))
        return os.lstat(path).st_size, reason
    return len(data), data


def parse_claimed_root(data: bytes | str | None) -> str | None:
    """Return the root that a MANIFEST.sha256 claims: the last word of the first ROOT_SHA256 line with a value."""
    try:
        text = decode_text(data) if isinstance(data, bytes) else ""
    except UnicodeDecodeError:
        return None
    # Most lines are of files, and a substring search costs less than splitting them.
    lines = (line.split() for line in text.split("\n") if _ROOT_KEYWORD in line)
    return next((words[-1] for words in lines if len(words) > 1 and words[0] == _ROOT_KEYWORD), None)


def _format_reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _display_name(name: str) -> str:
    # A folder name may be any bytes; findings contain printable UTF-8 only.
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"))


@value_type
class CommittedRuns:
    """A commit, and the claimed root of each of its run folders by (run_root, run_id); None if it claims none."""

    commit: str
    roots: Mapping[tuple[str, str], str | None]


def read_committed_runs(root: Path, revision: str, run_roots: Sequence[str]) -> CommittedRuns:
    """Return the run folders that a commit contains under the run roots; `root` may be a folder of the checkout.

    Raises:
        NotFoundError: there is no git repository, no such commit, or no run folder in it.
    """
    commit = read_commit_id(root, revision)
    if commit is None:
        raise NotFoundError(f"{root} is not in a git repository, so there is no baseline", "leave out --baseline")
    # (1) the run folders of the commit, each with the object id of its hash file
    hash_files: dict[tuple[str, str], str | None] = {}
    for path, object_id in read_committed_files(root, commit, run_roots).items():
        for run_root in run_roots:
            prefix = os.fsencode(run_root) + b"/"
            run_id, _, relpath = path.removeprefix(prefix).partition(b"/")
            if path.startswith(prefix) and relpath:
                key = run_root, os.fsdecode(run_id)
                hash_files[key] = object_id if relpath == _HASH_FILE.encode() else hash_files.get(key)
    if not hash_files:
        raise NotFoundError(
            f"the commit {revision} has no run folder under {', '.join(run_roots)}, so there is nothing to compare",
            "name a commit that has some; `registry-pipeline init --track-runs` leaves run folders to git",
        )
    # (2) their contents, read with one git process
    object_ids = [object_id for object_id in hash_files.values() if object_id is not None]
    with ObjectPipe(root) as pipe:
        texts = dict(pipe.read_each(object_ids))
    roots = {key: None if oid is None else parse_claimed_root(texts[oid]) for key, oid in hash_files.items()}
    return CommittedRuns(commit, roots)


SealState = Literal["sealed", "partial", "unsealed"]
SEAL_STATES: Final[tuple[SealState, ...]] = ("sealed", "partial", "unsealed")


@value_type
class RunFolder:
    """One run folder; `seal` says which seal files exist, not whether they verify."""

    run_root: str
    run_id: str
    seal: SealState

    @property
    def path(self) -> str:
        """The folder's path relative to the repository."""
        return f"{self.run_root}/{self.run_id}"


@value_type
class RunListing:
    """Every run folder by run root and name, and a finding for each run root that cannot be listed."""

    by_root: Mapping[str, tuple[RunFolder, ...]]
    findings: tuple[Finding, ...] = ()

    @property
    def total(self) -> int:
        """The number of run folders."""
        return sum(len(folders) for folders in self.by_root.values())

    def folders(self) -> Iterable[RunFolder]:
        """Yield every folder."""
        for folders in self.by_root.values():
            yield from folders

    def count_by_seal(self) -> dict[str, int]:
        """Return the number of folders in each seal state."""
        counts = Counter(folder.seal for folder in self.folders())
        return {state: counts[state] for state in SEAL_STATES}


def _is_real_directory(_run_root: str, entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def list_run_folder_names(
    root: Path,
    run_roots: Iterable[str],
    on_error: Callable[[str, OSError], Any],
    is_run_folder: Callable[[str, os.DirEntry[str]], bool] = _is_real_directory,
) -> Iterator[tuple[str, list[str]]]:
    """Yield each run root with the sorted names of its run folders; a missing run root is skipped.

    `on_error` is called for a run root that exists and cannot be listed. `is_run_folder` selects the entries of a run
    root (default: directories that are not links).
    """
    # This is the only listing of run roots: one system call for each, and no folder is opened.
    for run_root in dict.fromkeys(run_roots):
        try:
            with os.scandir(os.fspath(root / run_root)) as entries:
                names = sorted(entry.name for entry in entries if is_run_folder(run_root, entry))
        except FileNotFoundError:
            continue
        except OSError as error:
            on_error(run_root, error)
        else:
            yield run_root, names


def list_run_folders(root: Path, run_roots: Sequence[str]) -> RunListing:
    """Return the run folders of every run root with their seal states; an unreadable run root is a finding."""
    findings: list[Finding] = []

    def report(run_root: str, error: OSError) -> None:
        findings.append(finding("RUN_ROOT_UNREADABLE", run_root, detail=error.strerror or "unknown"))

    by_root = {
        run_root: tuple(RunFolder(run_root, name, _find_seal_state(f"{root}/{run_root}/{name}")) for name in names)
        for run_root, names in list_run_folder_names(root, run_roots, report)
    }
    return RunListing(by_root, tuple(findings))


def _find_seal_state(folder: str) -> SealState:
    """Return `sealed` if both seal files exist as regular files, `partial` if one does, else `unsealed`."""
    # Two system calls a folder: `status` lists many thousand folders this way.
    present = sum(_is_regular(f"{folder}/{name}") for name in SEAL_FILES)
    return SEAL_STATES[len(SEAL_FILES) - present]


def _is_regular(path: str) -> bool:
    try:
        return S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def find_dated_runs(listing: RunListing, tags: Collection[str]) -> tuple[tuple[RunId, RunFolder], ...]:
    """Return the folders whose names have one of these tags, with their run ids, oldest first."""
    dated: list[tuple[RunId, RunFolder]] = []
    for folder in listing.folders():
        # Splitting is cheap and rules out the folders of other tools before the name is parsed.
        parts = folder.run_id.split("__", 3)
        if len(parts) > 2 and parts[2] in tags:
            run_id = RunId.parse(folder.run_id)
            if run_id is not None and run_id.tag in tags:
                dated.append((run_id, folder))
    return tuple(sorted(dated, key=lambda pair: (pair[0].stamp, pair[0].number, pair[1].run_id)))
