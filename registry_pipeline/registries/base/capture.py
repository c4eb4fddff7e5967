"""Read the files that a captured registry takes from the repository, checked before anything is sealed.

A missing or malformed source gives no inputs and a CAPTURE_ finding; the registry then keeps its active snapshot.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import islice
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

from registry_pipeline.canonical import sha256_hex, try_parse_strict_json
from registry_pipeline.capture_table import CAPTURES, Capture, explain_unusable_name
from registry_pipeline.config import Captured, Config, OwnRegistry, Repository, RunIndex, find_own_artifact
from registry_pipeline.files.path_policy import find_collisions
from registry_pipeline.files.read import MAX_BYTES, read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.values import CapturedInputs
from registry_pipeline.runs.envelope import InputFile
from registry_pipeline.schema import PROBLEM_LIMIT, Validator, check_bytes, make_validator, shipped_validator
from registry_pipeline.values import value_type

LATEST: Final = "LATEST.txt"
# Another key of the toml names these sources, and a repository need not have them.
_DEFAULT_SOURCES: Final = {
    "expected_versions": Config().expected_versions,
    "run_index": RunIndex().path,
    "overrides_log": RunIndex().overrides,
}


@value_type
class Matches:
    """The files that a path or glob names, sorted, and why others that it names cannot be captured."""

    paths: tuple[str, ...]
    left_out: Mapping[str, str]


def find_matches(repository: Repository, pattern: str) -> Matches:
    """Return the files that a path or a glob names; `*` matches no `/`, and `**` any number of folders.

    A path without a special character is returned as it is. A glob matches no hidden file, and no file of the run
    roots and of the state of this tool, which change with each build. It follows no link.

    Raises:
        OSError: a folder cannot be listed, so that files of it could be missing.
    """
    if not has_magic(pattern):
        return Matches((pattern,), {})
    config, state = repository.config, repository.state_root.relative_to(repository.root).as_posix()
    skipped = {*config.run_roots, state} - {"."}
    matches: set[str] = set()
    left_out: dict[str, str] = {}
    # A stack, because folders can be nested more deeply than calls. Each `**` can be reached in several ways.
    stack = [("", tuple(pattern.split("/")))]
    seen = set[tuple[str, tuple[str, ...]]]()
    while stack:
        step = folder, (part, *more) = stack.pop()
        if step in seen:
            continue
        seen.add(step)
        if part == "**" and more:
            stack.append((folder, tuple(more)))
        for entry in _list_entries(repository, folder, hidden=part.startswith(".")):
            path = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if path in skipped or not (part == "**" or fnmatchcase(entry.name, part)):
                continue
            if is_folder and (part == "**" or more):
                stack.append((path, (part, *more) if part == "**" else tuple(more)))
            elif not more and not is_folder:
                matches.add(path)
            elif entry.is_symlink() and part != "**":
                left_out[path] = "a link"
    for path in matches:
        reason = _find_obstacle(path.rpartition("/")[2], os.lstat(repository.path(path)).st_mode)
        if reason:
            left_out[path] = reason
    return Matches(tuple(sorted(matches - left_out.keys())), dict(sorted(left_out.items())))


def _list_entries(repository: Repository, folder: str, *, hidden: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(repository.path(folder)) as listing:
            return [entry for entry in listing if hidden or not entry.name.startswith(".")]
    except OSError as error:
        raise OSError(error.errno, error.strerror, folder or ".") from None


class CaptureReader:
    """Collects the files, inputs and findings of one capture; `make_build_inputs` returns them."""

    def __init__(
        self, registry_id: str, repository: Repository, context: SourceContext, own: OwnRegistry | None = None
    ) -> None:
        """Prepare the capture of a registry; `own` describes one of the repository's own."""
        self._registry_id = registry_id
        self._repository = repository
        if own is None:
            self._row = CAPTURES[registry_id]
            self._config = repository.config.captured.get(registry_id, Captured())
        else:
            key = f"`sources` of [registries.{registry_id}]"
            self._row = Capture(registry_id, None, find_own_artifact(own), key=key, table="registries")
            self._config = Captured(schema=own.schema)
        # The file or folder that is captured, and the name of the main artifact.
        self.source = self._config.source or self._row.source or ""
        self.artifact = self._config.artifact or self._row.artifact or ""
        # Whether the registry has an active snapshot.
        self.is_active = registry_id in context.previous
        self._previous_files = context.previous[registry_id].files if self.is_active else {}
        # Every file that was read, in order and once: these are the inputs of the run.
        self._inputs: dict[InputFile, None] = {}
        self._findings: list[Finding] = []
        self._validators: list[Validator] | None = None
        # The captured bytes by artifact name.
        self.files: dict[str, bytes] = {}
        # Whether the source cannot be captured.
        self.refused = False

    def add_finding(self, code: str, path: str, *, severity: Severity | None = None, **details: str) -> None:
        """Add a finding about this capture."""
        details |= {"registry": self._registry_id, "key": self._row.config_key, "table": self._row.table}
        self._findings.append(finding(code, printable(path), severity=severity, **details))

    def refuse(self, code: str, path: str, *, severity: Severity | None = None, **details: str) -> None:
        """Add a finding that makes this capture impossible."""
        self.refused = True
        self.add_finding(code, path, severity=severity, **details)

    def refuse_missing(self, path: str, error: OSError | str) -> None:
        """Refuse because a source cannot be read; for a default source that was never captured it is an info."""
        # A source that is not configured and was never captured may simply not exist: that is no warning.
        default = self._row.source or _DEFAULT_SOURCES.get(self._registry_id)
        is_default = not self.is_active and path in (default, f"{default}/{LATEST}")
        is_absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        severity = Severity.INFO if is_default and is_absent else None
        detail = error if isinstance(error, str) else error.strerror or "no reason given"
        self.refuse("CAPTURE_MISSING", path, severity=severity, detail=detail)

    def read(self, path: str, most: int = MAX_BYTES) -> bytes | None:
        """Return a file's bytes and record it as an input; if it cannot be read, refuse and return None."""
        try:
            data = read_regular_file(self._repository.path(path), most)
        except OSError as error:
            self.refuse_missing(path, error)
            return None
        self._record(path, data)
        return data

    def capture_file(self, path: str, name: str, *, check_schema: bool = True, most: int = MAX_BYTES) -> None:
        """Put a file's bytes into `files` under a name, and record it as an input.

        A file that cannot be read or, if `check_schema`, breaks a schema refuses the whole capture.
        """
        data = self.read(path, most)
        if data is None:
            return
        self.files[name] = data
        for validator in self._read_validators() if check_schema else ():
            problems = list(islice(check_bytes(name, data, validator), PROBLEM_LIMIT))
            if problems:
                first, more = problems[0], len(problems) - 1
                location = f"{first.location}: " if first.location else ""
                detail = f"{location}{first.message}" + (f" (and {more} more)" if more else "")
                self.refuse("CAPTURE_MALFORMED", path, detail=detail)
                return

    def list_capturable(self, folder: str, is_captured: Callable[[str], bool]) -> list[str] | None:
        """Return the sorted names in a folder that can be captured; refuse and return None if it cannot be listed.

        Each other name that `is_captured` accepts is a finding.
        """
        path = self._repository.path(folder)
        try:
            names = sorted(entry.name for entry in path.iterdir() if is_captured(entry.name))
            modes = {name: os.lstat(path / name).st_mode for name in names}
        except OSError as error:
            self.refuse_missing(folder, error)
            return None
        reasons = {name: reason for name in names if (reason := _find_obstacle(name, modes[name]))}
        possible_names = [name for name in names if name not in reasons]
        reasons |= {
            name: f"its name differs from {other} only in case" for name, other in find_collisions(possible_names)
        }
        for name, reason in reasons.items():
            self.add_finding("CAPTURE_LEFT_OUT", f"{folder}/{name}", detail=reason)
            if S_ISREG(modes[name]):
                # Its hash is recorded, so that a later change of the file is visible.
                with suppress(OSError):
                    self._record(f"{folder}/{name}", read_regular_file(path / name))
        return [name for name in names if name not in reasons]

    def capture_matches(self, patterns: Iterable[str]) -> None:
        """Capture the files that paths or globs name: one under the name of the artifact, several under their own.

        A path or glob without a file refuses the whole capture; so do several files if the artifact has a name, or two
        of one name.
        """
        paths: dict[str, None] = {}
        for pattern in patterns:
            try:
                matches = find_matches(self._repository, pattern)
            except OSError as error:
                self.refuse_missing(pattern, f"{error.filename}: {error.strerror}")
                continue
            for path, reason in matches.left_out.items():
                self.add_finding("CAPTURE_LEFT_OUT", path, detail=reason)
            if not matches.paths:
                self.refuse_missing(pattern, "no file matches it")
            paths |= dict.fromkeys(matches.paths)
        names = {path: self.artifact or path.rpartition("/")[2] for path in sorted(paths)}
        shown, collisions = list_some(list(names), ", "), find_collisions(names.values())
        if self.artifact and len(names) > 1:
            self.refuse("CAPTURE_MALFORMED", shown, detail=f"there are {len(names)} files, and `artifact` names one")
        elif collisions:
            detail = f"two files have the name {collisions[0][0]}, where the case of letters is ignored"
            self.refuse("CAPTURE_MALFORMED", shown, detail=detail)
        for path, name in () if self.refused else names.items():
            self.capture_file(path, name)

    def find_previous_main_artifact(self) -> bytes | None:
        """Return the bytes of the active snapshot's main artifact, else of its first file, or None if there is none."""
        return self._previous_files.get(self.artifact, next(iter(self._previous_files.values()), None))

    def check_version_bump(self, path: str, name: str, *, only_stated: bool = False) -> None:
        """Add a finding if a file differs from the active snapshot and has the same version.

        A file without a version has a finding too, except with `only_stated`. A file that is no JSON object has none.
        """
        before = self.find_previous_main_artifact() if name == self.artifact else self._previous_files.get(name)
        now = self.files.get(name)
        if before is None or now is None or before == now or self.refused:
            return
        old, new = try_parse_strict_json(before), try_parse_strict_json(now)
        if not isinstance(old, dict) or not isinstance(new, dict) or old.get("version") != new.get("version"):
            return
        if not only_stated or isinstance(new.get("version"), str):
            self.add_finding("CAPTURE_VERSION_NOT_BUMPED", path)

    def make_build_inputs(self, records: int | None = None) -> BuildInputs:
        """Return the inputs of the builder; without files if the source was refused."""
        inputs = None if self.refused or not self.files else CapturedInputs(dict(self.files), records)
        return BuildInputs(inputs, tuple(self._inputs), tuple(self._findings))

    def _record(self, path: str, data: bytes) -> None:
        # run.json cannot state a path that is not printable; the file is then a finding only.
        if path.isprintable():
            self._inputs[InputFile(path, sha256_hex(data))] = None

    def _read_validators(self) -> Iterable[Validator]:
        """Return the shipped validator, if there is one, and the repository's own; refuse if that is unusable."""
        if self._validators is None:
            self._validators = []
            if self._row.registry_id in CAPTURES:
                self._validators.append(shipped_validator(f"REGISTRY_{self._registry_id}_v0_1.schema.json"))
            schema_path = self._config.schema
            if schema_path is not None:
                try:
                    data = read_regular_file(self._repository.path(schema_path))
                    self._record(schema_path, data)
                    self._validators.append(make_validator(data))
                except (OSError, ValueError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    self.refuse("CAPTURE_SCHEMA_UNUSABLE", schema_path, detail=reason or "no reason given")
        return self._validators


def _find_obstacle(name: str, mode: int) -> str:
    """Return why a file of a folder cannot be captured, or "" if it can."""
    if not S_ISREG(mode):
        return "a folder" if S_ISDIR(mode) else "a link" if S_ISLNK(mode) else "not a regular file"
    return explain_unusable_name(name) or ""
