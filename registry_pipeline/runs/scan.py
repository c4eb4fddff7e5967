"""List run folders by name, and scan run roots, or those of a commit, with run.json; nothing here verifies them."""

from __future__ import annotations

import errno
import os
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from sys import intern
from typing import Any, Final, Literal

from registry_pipeline.config import Adapter, Config, MemoKind, Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.read import read_file_with_status
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.process import ObjectPipe
from registry_pipeline.git.repository import read_commit_id, read_committed_files
from registry_pipeline.runs.envelope import AdaptedBy, ScannedRun
from registry_pipeline.runs.envelope_file import decode_text, parse_adapted_file, parse_run_json
from registry_pipeline.runs.reference import TAG_START, RunId
from registry_pipeline.values import replace, value_type

_HASH_FILE: Final = "MANIFEST.sha256"
DOCUMENTS: Final = ("run.json", _HASH_FILE)
"""The files whose content a scan reads."""
_ROOT_KEYWORD: Final = "ROOT_SHA256"
_PROGRESS_EVERY: Final = 256


@value_type
class RunScan:
    """All run folders by run root and name, and a finding for each that cannot be read."""

    runs: tuple[ScannedRun, ...]
    findings: tuple[Finding, ...]


@value_type
class FolderIdentity:
    """What changes if a file of a run folder, or the set of its files, changes.

    `names` are the regular files. `numbers` are the change time and the inode of the folder, then the change time, the
    size and the inode of each file.
    """

    names: tuple[str, ...]
    numbers: array[int]


# Returns the names of a run root, given with its path, that need not be read.
SkipFolders = Callable[[str, str, Sequence[str]], Collection[str]]
# The bytes of run.json and MANIFEST.sha256, or why they cannot be read.
Documents = Mapping[str, bytes | str]
# Returns the glob that excludes a run folder (run root, run id), or None.
FindExclusion = Callable[[str, str], str | None]
# Is called with each run that was read; the identity is None if it must be read again next time.
VisitRun = Callable[[ScannedRun, FolderIdentity | None, Documents], None]


def read_run_folders(repository: Repository, run_roots: Sequence[str], *, adapters: Sequence[Adapter] = ()) -> RunScan:
    """Return every run folder directly under the run roots, as `visit_run_folders` sees it."""
    runs: list[ScannedRun] = []
    findings = visit_run_folders(
        repository, run_roots, lambda run, _identity, _documents: runs.append(run), adapters=adapters
    )
    return RunScan(tuple(runs), findings)


def visit_run_folders(
    repository: Repository,
    run_roots: Sequence[str],
    visit: VisitRun,
    *,
    skip: SkipFolders = lambda _root_path, _run_root, _run_ids: (),
    exclude_dagster_run: str | None = None,
    adapters: Sequence[Adapter] = (),
    find_exclusion: FindExclusion = lambda _run_root, _run_id: None,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Finding, ...]:
    """Call `visit` with every run folder directly under the run roots; return a finding for each that cannot be read.

    Left out are folders that `skip` names or `find_exclusion` excludes, and those of the caller's Dagster run: a retry
    must not see what its first attempt sealed. Of the `adapters` of a root, the first whose file exists reads the
    envelope of a folder without run.json. `on_progress` is called with the number of folders.
    """
    findings: list[Finding] = []
    check = _AdapterCheck(adapters)
    count = 0
    for run_root, names in _list_run_ids(repository, run_roots, findings):
        root_path = os.fspath(repository.path(run_root))
        run_ids = [name for name in names if not find_exclusion(run_root, name)]
        root_adapters = [adapter for adapter in adapters if adapter.root == run_root]
        skipped = skip(root_path, run_root, run_ids)
        for run_id in run_ids:
            count += 1
            if on_progress is not None and count % _PROGRESS_EVERY == 0:
                on_progress(count)
            read = None if run_id in skipped else _read_run(root_path, run_root, run_id, findings, root_adapters)
            if read is None:
                continue
            run, identity, documents = read
            if exclude_dagster_run is None or run.envelope.get("dagster_run_id") != exclude_dagster_run:
                check.add(run)
                visit(run, identity, documents)
    if on_progress is not None:
        on_progress(count)
    return sorted_findings([*findings, *check.findings()])


def read_run_folder(root: Path, run_root: str, run_id: str) -> ScannedRun | None:
    """Return one run folder as the scan sees it, or None if it is missing or cannot be read."""
    read = _read_run(os.fspath(root / run_root), run_root, run_id, [])
    return None if read is None else read[0]


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


def _list_run_ids(
    repository: Repository, run_roots: Sequence[str], findings: list[Finding]
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the run folders of each root by name; report links to directories and unreadable roots."""

    def report(run_root: str, error: OSError) -> None:
        findings.append(finding("RUN_ROOT_UNREADABLE", run_root, detail=_format_reason(error)))

    for run_root, entries in list_run_roots(repository, run_roots, report):
        # A path that is no directory and can be followed to one is a link.
        linked = [name for name in entries.others if repository.path(f"{run_root}/{name}").is_dir()]
        findings += [finding("RUN_FOLDER_LINK", f"{run_root}/{_display_name(name)}") for name in linked]
        yield run_root, entries.sorted_folders()


def _read_run(
    root_path: str, run_root: str, run_id: str, findings: list[Finding], adapters: Sequence[Adapter] = ()
) -> tuple[ScannedRun, FolderIdentity | None, Documents] | None:
    """Return one run folder, its identity and its documents; None if it is gone, or cannot be read (a finding)."""
    # Plain system calls, one listing and one stat or read a file: pathlib would double the time of a large scan.
    folder = f"{root_path}/{run_id}"
    contents: dict[str, bytes | str] = {}
    files: list[tuple[str, int]] = []
    try:
        # The folder's times are taken before its files are listed, so that a later change is not overlooked.
        status = os.lstat(folder)
        numbers = [status.st_ctime_ns, status.st_ino]
        with os.scandir(folder) as entries:
            # Many folders have files of the same names; their identities are in memory together.
            names = sorted([intern(entry.name) for entry in entries if entry.is_file(follow_symlinks=False)])
        for name in names:
            path = f"{folder}/{name}"
            try:
                if name in DOCUMENTS:
                    status, size, contents[name] = _read_document(path, name)
                else:
                    status = os.lstat(path)
                    size = status.st_size
            except FileNotFoundError:
                continue
            numbers += (status.st_ctime_ns, size, status.st_ino)
            files.append((name, size))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        path = f"{run_root}/{_display_name(run_id)}"
        findings.append(finding("RUN_FOLDER_UNREADABLE", path, detail=_format_reason(error)))
        return None
    run = make_scanned_run(run_root, run_id, contents, files, has_manifest_json="manifest.json" in names)
    if adapters and not run.has_run_json:
        return _read_adapted_envelope(run, folder, adapters, findings), None, contents
    # A file that was missing or unreadable for this user may be neither next time, at the same times.
    is_certain = len(files) == len(names) and not any(isinstance(content, str) for content in contents.values())
    # A file system may report a time before 1970.
    is_certain = is_certain and min(numbers) >= 0
    return run, FolderIdentity(tuple(names), array("Q", numbers)) if is_certain else None, contents


def make_scanned_run(
    run_root: str, run_id: str, documents: Documents, files: Iterable[tuple[str, int]], *, has_manifest_json: bool
) -> ScannedRun:
    """Return a run with these documents and regular files (name and size)."""
    envelope, problem = parse_run_json(documents.get("run.json"))
    return ScannedRun(
        run_root=run_root,
        run_id=run_id,
        envelope=envelope,
        run_json_problem=problem,
        has_run_json="run.json" in documents,
        has_manifest_sha256=_HASH_FILE in documents,
        has_manifest_json=has_manifest_json,
        claimed_root=parse_claimed_root(documents.get(_HASH_FILE)),
        files=tuple(files),
    )


def _read_adapted_envelope(
    run: ScannedRun, folder: str, adapters: Sequence[Adapter], findings: list[Finding]
) -> ScannedRun:
    """Return a run with the envelope of the first adapter whose file exists and whose pattern matches, if any.

    A field of the file counts before one of the path, and that before a constant. Another run_id is reported.
    """
    names = {name for name, _ in run.files}
    candidates = ((adapter, adapter.read_path(run.run_id)) for adapter in adapters if adapter.file in names)
    adapter, stated = next(((adapter, stated) for adapter, stated in candidates if stated is not None), (None, {}))
    if adapter is None:
        return run
    if not adapter.fields():
        # The file only marks the folders, so it may be of any format.
        adapted_by = AdaptedBy(adapter.file, {}, None, path_pattern=adapter.path_pattern)
        return replace(run, envelope=stated, adapted_by=adapted_by)
    try:
        _, _, data = _read_document(f"{folder}/{adapter.file}", adapter.file)
    except FileNotFoundError:
        return run
    envelope, adapted_by = parse_adapted_file(data, adapter)
    if adapted_by.problem is None:
        # An empty text states nothing. A value of another type stays: its warning is in the line of the run.
        envelope = {**stated, **{name: value for name, value in envelope.items() if value != "" or name not in stated}}
    stated_id = envelope.get("run_id", run.run_id)
    if stated_id != run.run_id:
        name = _display_name(run.run_id)
        path = f"{run.run_root}/{name}/{adapter.file}"
        is_text = isinstance(stated_id, str)
        got = stated_id.encode("utf-8", "backslashreplace").decode()[:200] if is_text else "no text"
        findings.append(finding("ADAPTER_RUN_ID_MISMATCH", path, expected=name, got=got))
    return replace(run, envelope=envelope, adapted_by=adapted_by)


class _AdapterCheck:
    """Finds adapters that read nothing, and fields that no envelope has: most likely they are misspelt."""

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self._adapters = adapters
        self._roots: set[str] = set()
        # The fields in all files that an adapter parsed, by root, file and pattern; None if it only failed to parse.
        self._fields: dict[tuple[str, str, str | None], set[str] | None] = {}

    def add(self, run: ScannedRun) -> None:
        """Take note of a run."""
        if not self._adapters:
            return
        self._roots.add(run.run_root)
        if run.adapted_by is not None:
            key = run.run_root, run.adapted_by.file, run.adapted_by.path_pattern
            known = self._fields.setdefault(key, None)
            if run.adapted_by.problem is None:
                self._fields[key] = (known or set()) | run.adapted_by.found

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each adapter and each field that was not found."""
        for adapter in self._adapters:
            key = adapter.root, adapter.file, adapter.path_pattern
            if adapter.root in self._roots and key not in self._fields:
                pattern = f", a path like {adapter.path_pattern}" if adapter.path_pattern is not None else ""
                yield finding("ADAPTER_UNUSED", adapter.root, detail=f"{adapter.file}{pattern}")
            found_fields = self._fields.get(key)
            if found_fields is None:
                continue
            for name, keys in adapter.fields().items():
                if name not in found_fields:
                    detail = f"{adapter.file}: {name}"
                    yield finding("ADAPTER_FIELD_NOT_FOUND", adapter.root, expected=keys, detail=detail)


def _read_document(path: str, name: str) -> tuple[os.stat_result, int, bytes | str]:
    """Return status and size of a file, and its bytes or why it cannot be read; FileNotFoundError if it is missing."""
    try:
        status, data = read_file_with_status(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        # An artifact contains this text: with the name without its folder, worded as the system words its errors.
        reason = error.strerror or ""
        if error.errno != errno.EFBIG:
            reason = str(OSError(error.errno, reason[:1].upper() + reason[1:], name))
        status = os.lstat(path)
        return status, status.st_size, reason
    return status, len(data), data


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
    """Run folders by run root and name, and a finding for each run root that cannot be listed.

    `counts` has the number of folders in each seal state by run root, and `names` their sorted names: of `folders`, or
    of all run folders.
    """

    folders: tuple[RunFolder, ...]
    counts: Mapping[str, Mapping[SealState, int]]
    names: Mapping[str, Sequence[str]]
    findings: tuple[Finding, ...] = ()

    @property
    def total(self) -> int:
        """The number of folders."""
        return sum(map(len, self.names.values()))

    def count_by_root(self) -> dict[str, int]:
        """Return the number of folders in each run root."""
        return {run_root: len(names) for run_root, names in self.names.items()}

    def count_by_seal(self) -> dict[str, int]:
        """Return the number of folders in each seal state."""
        return {state: sum(counts[state] for counts in self.counts.values()) for state in SEAL_STATES}


@value_type
class RunRootEntries:
    """The names in a run root, in no order: run folders (directories that are not links), and links and files."""

    folders: list[str]
    others: tuple[str, ...]

    def sorted_folders(self) -> Sequence[str]:
        """Return the names of the run folders, sorted."""
        # In place: a second call for the same listing then sorts what is already sorted, which is cheap.
        self.folders.sort()
        return self.folders

    def select_tagged(self, tags: Iterable[str]) -> RunRootEntries:
        """Return the entries whose names may have one of the tags."""
        beginnings = tuple(tags)
        folders, others = (
            [name for name in names if name.startswith(beginnings, TAG_START)] for names in (self.folders, self.others)
        )
        return RunRootEntries(folders, tuple(others))


def list_run_folder_names(
    repository: Repository, run_roots: Iterable[str], on_error: Callable[[str, OSError], Any]
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each run root with the sorted names of its run folders; otherwise like `list_run_roots`."""
    for run_root, entries in list_run_roots(repository, run_roots, on_error):
        yield run_root, entries.sorted_folders()


def list_run_roots(
    repository: Repository, run_roots: Iterable[str], on_error: Callable[[str, OSError], Any]
) -> Iterator[tuple[str, RunRootEntries]]:
    """Yield each run root with the names in it.

    A missing run root is skipped. `on_error` is called for a run root that exists and cannot be listed.
    """
    # This is the only listing of run roots.
    for run_root in dict.fromkeys(run_roots):
        try:
            entries = _list_entries(repository, os.fspath(repository.path(run_root)))
        except FileNotFoundError:
            continue
        except OSError as error:
            on_error(run_root, error)
        else:
            yield run_root, entries


# By path: what shows that a folder has not changed, and the names in it.
_LISTINGS: Final = MemoKind[tuple[tuple[int, int, int], RunRootEntries]]()


def _list_entries(repository: Repository, path: str) -> RunRootEntries:
    """Return the names in a folder; one build lists it once if it has not changed since."""
    # An entry that is added, removed or replaced changes the time of the folder.
    status = os.stat(path)  # noqa: PTH116 - no pathlib here
    identity = (status.st_dev, status.st_ino, status.st_ctime_ns)
    known = repository.recall(_LISTINGS, path)
    if known is not None and known[0] == identity:
        return known[1]
    folders: list[str] = []
    others: list[str] = []
    with os.scandir(path) as listing:
        for entry in listing:
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    entries = RunRootEntries(folders, tuple(others))
    if repository.memo is not None and status.st_ctime_ns < repository.memo.safe_change:
        repository.keep(_LISTINGS, (identity, entries), path)
    return entries


def list_run_folders(
    repository: Repository,
    run_roots: Sequence[str],
    tags: Collection[str],
    *,
    count_all: bool = False,
    find_exclusion: FindExclusion = lambda _run_root, _run_id: None,
) -> RunListing:
    """Return the run folders whose names may have one of the tags; an unreadable run root is a finding.

    `find_dated_runs` decides which of them have one. With `count_all`, `counts` are those of all run folders. Excluded
    folders are left out unless they have a seal file.
    """
    folders: list[RunFolder] = []
    counts: dict[str, Mapping[SealState, int]] = {}
    names_by_root: dict[str, Sequence[str]] = {}
    findings: list[Finding] = []

    def report(run_root: str, error: OSError) -> None:
        findings.append(finding("RUN_ROOT_UNREADABLE", run_root, detail=error.strerror or "unknown"))

    beginnings = tuple(tags)
    for run_root, entries in list_run_roots(repository, run_roots, report):
        # Few of many thousand names are sorted.
        names = entries.sorted_folders() if count_all else sorted(entries.select_tagged(beginnings).folders)
        states = list(_read_seal_states(os.fspath(repository.path(run_root)), names))
        listed = [
            (name, state)
            for name, state in zip(names, states, strict=True)
            if state != "unsealed" or not find_exclusion(run_root, name)
        ]
        names_by_root[run_root] = [name for name, _ in listed]
        counts[run_root] = Counter([state for _, state in listed])
        folders += [
            RunFolder(run_root, name, state) for name, state in listed if name.startswith(beginnings, TAG_START)
        ]
    return RunListing(tuple(folders), counts, names_by_root, tuple(findings))


def find_missing_run_roots(repository: Repository) -> tuple[Finding, ...]:
    """Return a finding for each run root that the toml names and that does not exist, apart from publish_root."""
    config = repository.config
    # A repository that names none need not have all of the defaults. `init` creates publish_root.
    named = () if config.run_roots == Config().run_roots else config.run_roots
    missing = (root for root in named if root != config.publish_root and not os.path.lexists(repository.path(root)))
    return tuple(finding("RUN_ROOT_MISSING", run_root) for run_root in missing)


def find_seal_state(root_path: str, name: str) -> SealState:
    """Return `sealed` if both seal files of a folder exist as regular files, `partial` if one does, else `unsealed`."""
    return next(_read_seal_states(root_path, [name]))


def _read_seal_states(root_path: str, names: Iterable[str]) -> Iterator[SealState]:
    """Yield the seal state of each folder of a run root."""
    # Two system calls a folder, with short paths: `status` looks at many thousand folders.
    lstat = os.lstat
    try:
        root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it was removed since it was listed
        for _ in names:
            yield "unsealed"
        return
    try:
        for name in names:
            missing = 0
            for path in (f"{name}/manifest.json", f"{name}/{_HASH_FILE}"):
                try:
                    missing += not S_ISREG(lstat(path, dir_fd=root).st_mode)
                except OSError:
                    missing += 1
            yield SEAL_STATES[missing]
    finally:
        os.close(root)


def find_dated_runs(listing: RunListing, tags: Collection[str]) -> tuple[tuple[RunId, RunFolder], ...]:
    """Return the folders whose names have one of these tags, with their run ids, oldest first."""
    parsed = ((RunId.parse(folder.run_id), folder) for folder in listing.folders)
    dated = [(run_id, folder) for run_id, folder in parsed if run_id is not None and run_id.tag in tags]
    return tuple(sorted(dated, key=lambda pair: (pair[0].stamp, pair[0].number, pair[1].run_id)))
