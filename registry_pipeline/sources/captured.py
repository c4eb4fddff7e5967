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

from registry_pipeline.canon import StrictJsonError, read_strict_csv, read_strict_json, sha256_hex
from registry_pipeline.config import Captured, Governed
from registry_pipeline.model.captures import CAPTURES, is_own_name
from registry_pipeline.model.codes import finding
from registry_pipeline.model.display import printable
from registry_pipeline.model.envelope import InputFile
from registry_pipeline.model.finding import Finding, Severity
from registry_pipeline.model.inputs import CapturedInputs
from registry_pipeline.model.path_policy import collisions, path_codes
from registry_pipeline.schema import PROBLEM_LIMIT, Judge, check_bytes, read_judge, shipped_judge
from registry_pipeline.sources.context import Gathered, SourceContext
from registry_pipeline.sources.files import MAX_BYTES, read_regular_file

LATEST: Final = "LATEST.txt"
_REPORT: Final = "derived_validation_report.json"
_NAMES_OF_A_MIGRATION: Final = ("file", "filename", "migration", "id", "name", "version")
_LONGEST_NAME: Final = 255
_SHOWN: Final = 80


def read_expected_versions_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Capture the configured expected-versions document; one that changed states another version."""
    taking = Taking("expected_versions", governed, context)
    path = governed.config.expected_versions
    taking.take(path, taking.artifact)
    taking.tell_unbumped(path, taking.artifact)
    return taking.gathered()


def read_migration_ledger_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Capture the ledger of applied migrations; an entry that the active snapshot lists is to stay in it."""
    taking = Taking("migration_ledger", governed, context)
    taking.take(taking.source, taking.artifact)
    now, before = taking.files.get(taking.artifact), taking.before_main()
    if now is not None and before is not None and not taking.refused:
        kept = set(_migrations(now))
        gone = [name for name in _migrations(before) if name not in kept]
        if gone:
            more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
            detail = ", ".join(printable(repr(name[:_SHOWN])) for name in gone[:3]) + more
            taking.tell("CAPTURE_ENTRY_REMOVED", taking.source, detail=detail)
    return taking.gathered()


def read_fingerprint_index_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Capture the index of fingerprints, whose rows are judged one by one."""
    taking = Taking("fingerprint_index", governed, context)
    taking.take(taking.source, taking.artifact)
    data = taking.files.get(taking.artifact)
    return taking.gathered(None if data is None or taking.refused else sum(1 for _ in read_strict_csv(data)) - 1)


def read_threshold_packs_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Capture every pack, `*.json` directly in the folder, under its own name; all of them or none."""
    taking = Taking("threshold_packs_file", governed, context)
    names = taking.names_in(taking.source, lambda name: name.endswith(".json"))
    for name in names or ():
        taking.take(f"{taking.source}/{name}", name)
        taking.tell_unbumped(f"{taking.source}/{name}", name, only_stated=True)
    if names == []:
        taking.tell_missing(taking.source, "there is no pack (*.json) in it")
    return taking.gathered()


def read_derived_validation_inputs(governed: Governed, context: SourceContext) -> Gathered:
    """Capture the report in the folder that LATEST.txt names, and the files beside it.

    LATEST.txt is input, never authority: it tells which folder is captured, and nothing else.
    """
    taking = Taking("derived_validation_reports", governed, context)
    latest = f"{taking.source}/{LATEST}"
    data = taking.read(latest)
    if data is None:
        return taking.gathered()
    name, problem = _named_folder(governed, taking.source, data)
    if problem:
        taking.refuse("CAPTURE_LATEST_INVALID", latest, detail=problem)
        return taking.gathered()
    folder = f"{taking.source}/{name}"
    names = taking.names_in(folder, lambda _name: True)
    if names is not None and _REPORT not in names:
        taking.tell_missing(f"{folder}/{_REPORT}", "there is no such file")
    for each in names or ():
        taking.take(f"{folder}/{each}", each, judged=each == _REPORT)
    return taking.gathered()


class Taking:
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

    def __init__(self, registry_id: str, governed: Governed, context: SourceContext) -> None:
        self._registry_id = registry_id
        self._governed = governed
        self._stated = governed.config.captured.get(registry_id, Captured())
        previous = context.previous.get(registry_id)
        self.is_active = previous is not None
        self._before: Mapping[str, bytes] = {} if previous is None else previous.files
        self._read: dict[InputFile, None] = {}
        self._findings: list[Finding] = []
        self._judges: list[Judge] | None = None
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
        key = CAPTURES[registry_id].told_by
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
        default = CAPTURES[self._registry_id].source or CAPTURES[self._registry_id].usual
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
        old, new = _parsed(before), _parsed(now)
        if not isinstance(old, dict) or not isinstance(new, dict) or old.get("version") != new.get("version"):
            return
        if not only_stated or isinstance(new.get("version"), str):
            self.tell("CAPTURE_VERSION_NOT_BUMPED", path)

    def gathered(self, records: int | None = None) -> Gathered:
        """Return what the builder is given: nothing, where the source refused itself."""
        inputs = None if self.refused or not self.files else CapturedInputs(dict(self.files), records)
        return Gathered(inputs, tuple(self._read), tuple(self._findings))

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

    def _by(self) -> Iterable[Judge]:
        """Return the shipped judge and, where the toml names one, the repository's own."""
        if self._judges is None:
            self._judges = [shipped_judge(f"REGISTRY_{self._registry_id}_v0_1.schema.json")]
            own = self._stated.schema
            try:
                data = None if own is None else read_regular_file(self._governed.path(own))
                if own is not None and data is not None:
                    self._record(own, data)
                    self._judges.append(read_judge(data))
            except (OSError, ValueError) as error:
                told = error.strerror if isinstance(error, OSError) else str(error)
                self.refuse("CAPTURE_SCHEMA_UNUSABLE", own or "", detail=told or "no reason given")
        return self._judges


def _why_not(name: str, mode: int) -> str:
    """Return why a file of a folder is not captured, "" if it is."""
    if not S_ISREG(mode):
        return "a folder" if S_ISDIR(mode) else "a link" if S_ISLNK(mode) else "not a regular file"
    if is_own_name(name):
        return "a run folder needs that name for itself"
    codes = path_codes(name)
    return f"no run folder may hold that name ({', '.join(codes)})" if codes else ""


def _named_folder(governed: Governed, source: str, data: bytes) -> tuple[str, str]:
    """Return the folder that LATEST.txt names, and what is wrong with it ("": nothing)."""
    try:
        name = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return "", "it is not UTF-8"
    if not name:
        return "", "it is empty"
    shown = printable(repr(name[:_SHOWN]))
    if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable() or len(name) > _LONGEST_NAME:
        return "", f"{shown} is not the plain name of a folder"
    try:
        mode = os.lstat(governed.path(f"{source}/{name}")).st_mode
    except OSError as error:
        return "", f"{shown}: {error.strerror}"
    return name, "" if S_ISDIR(mode) else f"{shown} is a link" if S_ISLNK(mode) else f"{shown} is no folder"


def _migrations(data: bytes) -> list[str]:
    """Return what identifies each entry of a ledger: a text itself, an object by the first of its names."""
    document = _parsed(data)
    stated = document.get("migrations") if isinstance(document, dict) else document
    entries = stated if isinstance(stated, list) else []
    names = [entry if isinstance(entry, str) else _name_of(entry) for entry in entries]
    return [name for name in names if name]


def _name_of(entry: Any) -> str:
    if not isinstance(entry, dict):
        return ""
    return next((str(entry[key]) for key in _NAMES_OF_A_MIGRATION if isinstance(entry.get(key), str | int)), "")


def _parsed(data: bytes) -> Any:
    try:
        return read_strict_json(data)
    except StrictJsonError:
        return None
