"""What captured registries are given: the bytes of governed documents, judged before anything is sealed (SPEC 3).

A source that is missing or malformed gives no inputs and a CAPTURE_ finding: its registry stays on its active snapshot.
What a folder holds and a capture does not is told too, and recorded by its hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json, sha256_hex
from registry_pipeline.capture_table import CAPTURES, is_reserved_name
from registry_pipeline.config import Captured, Repository
from registry_pipeline.files.path_policy import collisions, path_codes
from registry_pipeline.files.read import MAX_BYTES, read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.values import CapturedInputs
from registry_pipeline.runs.envelope import InputFile
from registry_pipeline.schema import PROBLEM_LIMIT, Validator, check_bytes, read_validator, shipped_validator

LATEST: Final = "LATEST.txt"


class CaptureReader:
    """One capture in the making: the files that it takes, what was read for it, and what is told of it."""

    __slots__ = (
        "_before",
        "_findings",
        "_governed",
        "_judges",
        "_read",
        "_registry_id",
        "_stated",
        "files",
        "is_active",
        "refused",
    )

    def __init__(self, registry_id: str, repository: Repository, context: SourceContext) -> None:
        self._registry_id = registry_id
        self._governed = repository
        self._stated = repository.config.captured.get(registry_id, Captured())
        previous = context.previous.get(registry_id)
        self.is_active = previous is not None
        self._before: Mapping[str, bytes] = {} if previous is None else previous.files
        self._read: dict[InputFile, None] = {}
        self._findings: list[Finding] = []
        self._judges: list[Validator] | None = None
        self.files: dict[str, bytes] = {}
        self.refused = False

    @property
    def source(self) -> str:
        """The file or folder that is captured."""
        return self._stated.source or CAPTURES[self._registry_id].source or ""

    @property
    def artifact(self) -> str:
        """The name of the main artifact."""
        return self._stated.artifact or CAPTURES[self._registry_id].artifact or ""

    def tell(self, code: str, path: str, *, severity: Severity | None = None, **words: str) -> None:
        """Tell a finding of this capture."""
        registry_id = self._registry_id
        key = CAPTURES[registry_id].config_key
        self._findings.append(finding(code, printable(path), severity=severity, registry=registry_id, key=key, **words))

    def refuse(self, code: str, path: str, *, severity: Severity | None = None, **words: str) -> None:
        """Tell what makes this capture impossible."""
        self.refused = True
        self.tell(code, path, severity=severity, **words)

    def tell_missing(self, path: str, error: OSError | str) -> None:
        """Refuse for what cannot be read. A source that nobody names and that never was there is only mentioned."""
        absent = isinstance(error, FileNotFoundError | NotADirectoryError) and self._is_at_its_default(path)
        detail = error if isinstance(error, str) else error.strerror or "no reason given"
        self.refuse("CAPTURE_MISSING", path, severity=Severity.INFO if absent else None, detail=detail)

    def _is_at_its_default(self, path: str) -> bool:
        default = CAPTURES[self._registry_id].source or CAPTURES[self._registry_id].default_path
        return not self.is_active and path in (default, f"{default}/{LATEST}")

    def read(self, path: str, most: int = MAX_BYTES) -> bytes | None:
        """Return a file's bytes and record them as an input; refuse and return None where it cannot be read."""
        try:
            data = read_regular_file(self._governed.path(path), most)
        except OSError as error:
            self.tell_missing(path, error)
            return None
        self._record(path, data)
        return data

    def take(self, path: str, name: str, *, judged: bool = True, most: int = MAX_BYTES) -> None:
        """Capture a file under a name; a file that the schemas refuse refuses the whole capture."""
        data = self.read(path, most)
        if data is None:
            return
        self.files[name] = data
        for judge in self._by() if judged else ():
            problems = list(islice(check_bytes(name, data, judge), PROBLEM_LIMIT))
            if problems:
                first, more = problems[0], len(problems) - 1
                place = f"{first.place}: " if first.place else ""
                detail = f"{place}{first.message}" + (f" (and {more} more)" if more else "")
                self.refuse("CAPTURE_MALFORMED", path, detail=detail)
                return

    def names_in(self, folder: str, wanted: Callable[[str], bool]) -> list[str] | None:
        """Return the names in a folder that are captured; what is wanted and cannot be is told. None: no folder."""
        place = self._governed.path(folder)
        try:
            names = sorted(entry.name for entry in place.iterdir() if wanted(entry.name))
            modes = {name: os.lstat(place / name).st_mode for name in names}
        except OSError as error:
            self.tell_missing(folder, error)
            return None
        reasons = {name: reason for name in names if (reason := _why_not(name, modes[name]))}
        left = [name for name in names if name not in reasons]
        reasons |= {name: f"its name differs from {other} in case alone" for name, other in collisions(left)}
        for name, reason in reasons.items():
            self._leave_out(f"{folder}/{name}", reason, regular=S_ISREG(modes[name]))
        return [name for name in names if name not in reasons]

    def before_main(self) -> bytes | None:
        """Return the main artifact of the active snapshot, whatever its name was."""
        return self._before.get(self.artifact, next(iter(self._before.values()), None))

    def tell_unbumped(self, path: str, name: str, *, only_stated: bool = False) -> None:
        """Tell that a file changed against the active snapshot and states the version that it had."""
        before = self.before_main() if name == self.artifact else self._before.get(name)
        now = self.files.get(name)
        if before is None or now is None or before == now or self.refused:
            return
        old, new = parse_or_none(before), parse_or_none(now)
        if not isinstance(old, dict) or not isinstance(new, dict) or old.get("version") != new.get("version"):
            return
        if not only_stated or isinstance(new.get("version"), str):
            self.tell("CAPTURE_VERSION_NOT_BUMPED", path)

    def gathered(self, records: int | None = None) -> BuildInputs:
        """Return what the builder is given: nothing, where the source refused itself."""
        inputs = None if self.refused or not self.files else CapturedInputs(dict(self.files), records)
        return BuildInputs(inputs, tuple(self._read), tuple(self._findings))

    def _record(self, path: str, data: bytes) -> None:
        file = InputFile(path, sha256_hex(data))
        if path.isprintable():
            self._read[file] = None

    def _leave_out(self, path: str, reason: str, *, regular: bool) -> None:
        self.tell("CAPTURE_LEFT_OUT", path, detail=reason)
        if regular:
            try:
                self._record(path, read_regular_file(self._governed.path(path)))
            except OSError:
                return  # told already; there is no hash of what cannot be read

    def _by(self) -> Iterable[Validator]:
        """Return the shipped judge and, where the toml names one, the repository's own."""
        if self._judges is None:
            self._judges = [shipped_validator(f"REGISTRY_{self._registry_id}_v0_1.schema.json")]
            own = self._stated.schema
            try:
                data = None if own is None else read_regular_file(self._governed.path(own))
                if own is not None and data is not None:
                    self._record(own, data)
                    self._judges.append(read_validator(data))
            except (OSError, ValueError) as error:
                told = error.strerror if isinstance(error, OSError) else str(error)
                self.refuse("CAPTURE_SCHEMA_UNUSABLE", own or "", detail=told or "no reason given")
        return self._judges


def _why_not(name: str, mode: int) -> str:
    """Return why a file of a folder is not captured, "" if it is."""
    if not S_ISREG(mode):
        return "a folder" if S_ISDIR(mode) else "a link" if S_ISLNK(mode) else "not a regular file"
    if is_reserved_name(name):
        return "a run folder needs that name for itself"
    codes = path_codes(name)
    return f"no run folder may hold that name ({', '.join(codes)})" if codes else ""


def parse_or_none(data: bytes) -> Any:
    try:
        return read_strict_json(data)
    except StrictJsonError:
        return None
