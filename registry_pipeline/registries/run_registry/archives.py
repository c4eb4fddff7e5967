"""The runs in the archives that the toml names, and a cache of their lines: a run without a folder stays registered.

An archive is read once. Its lines are used again while the file has the change time, the size and the inode that it had
then, as those of a run folder (see `line_cache`). The cache proves nothing: `verify --all` reads every archive.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime
from glob import has_magic
from types import MappingProxyType
from typing import Final

from registry_pipeline.config import MemoKind, Repository
from registry_pipeline.files.cache_file import find_safe_change, hash_maker, read_cache_file, write_cache_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.registries.base.sealed_input import RunKey
from registry_pipeline.registries.run_registry.build import RunLine, make_run_line
from registry_pipeline.runs.archive_index import read_archive_index
from registry_pipeline.runs.archive_reader import ArchiveError, explain_archive_error
from registry_pipeline.values import replace, value_type

NAME: Final = "archived_run_lines"
"""The file's name below `cache/`."""
_RESTORE: Final = (
    "restore the archive from a copy; if the folders still exist, remove it from `archives` and export again"
)


@value_type
class ArchivedRun:
    """A run in an archive of the toml: the root hash that its files give, the archive, and its line."""

    root_sha256: str
    archive: str
    line: RunLine


@value_type
class ArchivedRuns:
    """The runs of all archives by run root and run id, and the archives that cannot be read, each with a finding.

    Runs outside the run roots are left out, with a finding. Whether a folder of a run exists is not looked at.
    """

    runs: Mapping[RunKey, ArchivedRun]
    unreadable: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def explain_missing(self) -> str | None:
        """Return why runs may be missing that an archive contains, or None."""
        if not self.unreadable:
            return None
        return f"the archive {self.unreadable[0]} cannot be read, and may contain it"


_NO_RUNS: Final = ArchivedRuns(MappingProxyType({}))
# The change time, the size and the inode of an archive.
_Identity = tuple[int, int, int]
# The root hash and the line of each run.
_Lines = tuple[tuple[str, RunLine], ...]


def list_archives(repository: Repository) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Return the archives that the toml names, sorted; a path without an archive is a finding."""
    archives: set[str] = set()
    findings: list[Finding] = []
    for pattern in repository.config.archives:
        matches = repository.root.glob(pattern) if has_magic(pattern) else [repository.path(pattern)]
        files = [path.relative_to(repository.root).as_posix() for path in matches if path.is_file()]
        archives.update(files)
        if not files:
            # The first export may still be to come; a file that has a name must exist.
            severity = Severity.WARNING if has_magic(pattern) else None
            findings.append(finding("ARCHIVE_MISSING", pattern, severity=severity))
    return tuple(sorted(archives)), tuple(findings)


_ARCHIVED: Final = MemoKind[ArchivedRuns]()


def read_archived_runs(repository: Repository, *, started: datetime | None = None) -> ArchivedRuns:
    """Return the runs of the archives that the toml names; only what is not cached is read.

    With `started`, a time before the call, the cache is written.
    """
    if not repository.config.archives:
        return _NO_RUNS
    known = repository.recall(_ARCHIVED)
    if known is not None:
        return known
    archives, findings = list_archives(repository)
    cache = _Cache(repository)
    collected = _Collected(repository, list(findings))
    for archive in archives:
        path = os.fspath(repository.path(archive))
        try:
            identity = _read_identity(path)
            lines = cache.find(archive, identity)
            if lines is None:
                lines = tuple((run.claimed_root or "", make_run_line(run, archive)) for run in read_archive_index(path))
            cache.add(archive, identity, lines)
            collected.add(archive, lines)
        except (ArchiveError, OSError) as error:
            collected.refuse(archive, error)
    if started is not None:
        cache.save(started)
    result = collected.make_result()
    repository.keep(_ARCHIVED, result)
    return result


def _read_identity(path: str) -> _Identity:
    status = os.stat(path)  # noqa: PTH116 - as in `line_cache`
    if not stat.S_ISREG(status.st_mode):
        raise ArchiveError("UNREADABLE", "not a regular file")
    return status.st_ctime_ns, status.st_size, status.st_ino


class _Collected:
    """The runs of the archives so far, and the findings about them."""

    def __init__(self, repository: Repository, findings: list[Finding]) -> None:
        self._run_roots = repository.config.run_roots
        self._findings = findings
        self._runs: dict[RunKey, ArchivedRun] = {}
        self._unreadable: list[str] = []

    def add(self, archive: str, lines: _Lines) -> None:
        """Add the runs of an archive; one that an earlier archive contains is left out."""
        outside = []
        for root_sha256, line in lines:
            key = line.run_root, line.run_id
            if line.run_root not in self._run_roots:
                outside.append("/".join(filter(None, key)) or ".")
                continue
            earlier = self._runs.setdefault(key, ArchivedRun(root_sha256, archive, line))
            if earlier.root_sha256 != root_sha256:
                detail, expected = f"{'/'.join(key)} of {earlier.archive}", earlier.root_sha256
                self._findings.append(
                    finding("ARCHIVE_CONFLICT", archive, expected=expected, got=root_sha256, detail=detail)
                )
        if outside:
            more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
            self._findings.append(
                finding("ARCHIVE_OUTSIDE_ROOTS", archive, severity=Severity.WARNING, detail=f"{outside[0]}{more}")
            )

    def refuse(self, archive: str, error: ArchiveError | OSError) -> None:
        """Add a finding about an archive that cannot be read."""
        code = error.code if isinstance(error, ArchiveError) else "UNREADABLE"
        found = finding(code, archive, detail=explain_archive_error(error))
        # The hint of the table is to pack the folders again, and these may be gone.
        self._findings.append(replace(found, hint=_RESTORE) if code == "ARCHIVE_INVALID" else found)
        self._unreadable.append(archive)

    def make_result(self) -> ArchivedRuns:
        # A literal path without a file may have contained any run.
        missing = [f.path for f in self._findings if f.code == "ARCHIVE_MISSING" and f.severity is Severity.ERROR]
        return ArchivedRuns(self._runs, (*self._unreadable, *missing), sorted_findings(self._findings))


class _Cache:
    """The lines of archives that were read before, by path and identity; without a file there are none."""

    def __init__(self, repository: Repository) -> None:
        self._path = repository.state_root / "cache" / NAME
        self._can_write = repository.publish_root.is_dir()
        self._first_line = f"registry-pipeline archived runs 1 {hash_maker()}\n".encode()
        self._known = _read_cache(read_cache_file(self._path, self._first_line))
        self._kept: dict[str, tuple[_Identity, _Lines]] = {}

    def find(self, archive: str, identity: _Identity) -> _Lines | None:
        """Return the lines of an archive that has not changed, else None."""
        known = self._known.get(archive)
        return known[1] if known is not None and known[0] == identity else None

    def add(self, archive: str, identity: _Identity, lines: _Lines) -> None:
        """Add the lines of an archive for `save`."""
        self._kept[archive] = identity, lines

    def save(self, started: datetime) -> None:
        """Replace the file if an archive is new, changed or gone; one that changed since `started` is left out."""
        newest = find_safe_change(started)
        kept = {archive: entry for archive, entry in self._kept.items() if entry[0][0] < newest}
        if self._can_write and {a: e[0] for a, e in kept.items()} != {a: e[0] for a, e in self._known.items()}:
            write_cache_file(self._path, self._first_line, _write_cache(kept))


def _write_cache(kept: Mapping[str, tuple[_Identity, _Lines]]) -> Iterator[bytes | memoryview]:
    """Yield a line with everything but the lines of the runs, then these."""
    header = [
        [archive, identity, [[root, *line[:4], line.facts, len(line.text)] for root, line in lines]]
        for archive, (identity, lines) in kept.items()
    ]
    yield json.dumps(header).encode("ascii") + b"\n"
    yield from (line.text for _, lines in kept.values() for _, line in lines)


def _read_cache(body: memoryview | None) -> dict[str, tuple[_Identity, _Lines]]:
    """Return the archives of a cache file; nothing if there is none, or if it has another form."""
    try:
        return {} if body is None else dict(_parse_cache(body))
    except (ValueError, TypeError, IndexError):
        # The hash is valid, so another program wrote it like that: ignored like a damaged file.
        return {}


def _parse_cache(body: memoryview) -> Iterator[tuple[str, tuple[_Identity, _Lines]]]:
    header = bytes(body).partition(b"\n")[0]
    position = len(header) + 1
    for archive, identity, rows in json.loads(header):
        lines = []
        for root, run_root, has_no_time, created_utc, run_id, facts, size in rows:
            text = body[position : position + size]
            lines.append((root, RunLine(run_root, has_no_time, created_utc, run_id, text, facts)))
            position += size
        yield archive, (tuple(identity), tuple(lines))
