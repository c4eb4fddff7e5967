"""Violations: problems located in the pack and in its baseline, formatted as findings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import SEVERITY_RANK, Finding, Severity
from registry_pipeline.registries.roles.json_text import (
    Difference,
    JsonPath,
    Lines,
    find_differences,
    find_spans,
    format_differences,
)
from registry_pipeline.registries.roles.pack import ParsedPack
from registry_pipeline.registries.roles.snapshot import Problem, Subject
from registry_pipeline.values import field, replace, value_type


@value_type(eq=False)
class _Piece:
    """A part of a pack's text that is parsed by itself: a role (at the path `("roles", index)`), or all of it."""

    path: JsonPath
    text: str
    value: Any


class PackIndex:
    """Finds the JSON path, value, text and `line:column` of subjects in one pack."""

    def __init__(self, pack: ParsedPack) -> None:
        self._pack = pack
        snapshot = pack.snapshot
        role_ids = [] if snapshot is None else [role.role_id for role in snapshot.roles]
        contract_ids = [] if snapshot is None else [contract.contract_id for contract in snapshot.contracts]
        self._roles = _group_paths(role_ids, pack.role_paths)
        self._contracts = _group_paths(contract_ids, pack.contract_paths)
        self._pieces: dict[JsonPath, _Piece] = {}
        # the begin and end of each located path in the text of its piece
        self._spans: dict[JsonPath, tuple[int, int]] = {}
        self._lines: Lines | None = None
        self._role_positions: list[tuple[int, int]] = []

    def find_path(self, subject: Subject) -> JsonPath | None:
        """Return the path of a subject, else of its role or contract if only the member is missing, else None."""
        paths: Sequence[JsonPath] = [()]
        if subject.contract_id is not None:
            paths = self._contracts.get(subject.contract_id, [])
        elif subject.role_id is not None:
            paths = self._roles.get(subject.role_id, [])
        if subject.occurrence >= len(paths):
            return None
        path = paths[subject.occurrence]
        owner = self.read_value(path)
        if subject.member is None or not isinstance(owner, dict) or subject.member not in owner:
            return path
        items = owner[subject.member]
        path = (*path, subject.member)
        if subject.item is not None and isinstance(items, list) and subject.item in items:
            return (*path, items.index(subject.item))
        return path

    def find_current_path(self, problem: Problem) -> JsonPath | None:
        """Return the path of a problem in the current pack, or of the list that a missing subject belongs in."""
        subject = problem.subject
        if problem.offset is not None or problem.path is not None or subject is None:
            return problem.path
        path = self.find_path(subject)
        if not path and subject.kind is not None:
            path = self.find_path(Subject(role_id=subject.role_id, member=subject.kind.field))
        return path or (("roles",) if subject.role_id is not None else ())

    def find_published_path(self, problem: Problem) -> JsonPath | None:
        """Return the path of a problem's subject, of its contract or of its role in a baseline, or None."""
        subjects = []
        if problem.subject is not None and problem.subject.occurrence == 0:
            subjects.append(problem.subject)
        if problem.ids:
            subjects.append(Subject(contract_id=problem.ids[-1], member="contract_id"))
            subjects += [Subject(role_id=role_id, member="role_id") for role_id in problem.ids[::-1]]
        paths = (self.find_path(subject) for subject in subjects)
        return next((path for path in paths if path is not None), None)

    def read_value(self, path: JsonPath) -> Any:
        """Return the value at a path that exists."""
        piece = self._read_piece(path)
        value = piece.value
        for part in path[len(piece.path) :]:
            value = value[part]
        return value

    def read_text(self, subject: Subject) -> str | None:
        """Return the characters of a subject's value in the file, or None if the pack does not contain the subject."""
        path = self.find_path(subject)
        if path is None:
            return None
        self.locate([path])
        piece = self._read_piece(path)
        begin, end = self._spans[path]
        return piece.text[begin:end]

    def _read_piece(self, path: JsonPath) -> _Piece:
        # A pack that was read role by role is not parsed as a whole: only the roles with problems are parsed again.
        in_role = self._pack.role_spans and path[:1] == ("roles",) and len(path) > 1
        piece_path = path[:2] if in_role else ()
        if piece_path not in self._pieces:
            if in_role:
                begin, end = self._pack.role_spans[int(path[1])]
                text = self._pack.data[begin:end].decode("utf-8")
                piece = _Piece(piece_path, text, json.loads(text))
            else:
                document = self._pack.read_document()
                piece = _Piece((), document.text, document.value)
            self._pieces[piece_path] = piece
        return self._pieces[piece_path]

    def locate(self, paths: Iterable[JsonPath | None]) -> None:
        """Find the spans of these paths in one pass over the text; `location` returns None for other paths."""
        by_piece: dict[JsonPath, list[JsonPath]] = {}
        for path in {path for path in paths if path is not None} - self._spans.keys():
            by_piece.setdefault(self._read_piece(path).path, []).append(path)
        for piece_path, group in by_piece.items():
            piece = self._pieces[piece_path]
            inner_spans = find_spans(piece.text, (path[len(piece_path) :] for path in group))
            for path, (begin, end) in inner_spans.items():
                self._spans[*piece_path, *path] = (begin, end)

    def location(self, path: JsonPath | None, offset: int | None = None) -> str | None:
        """Return `line:column` of an offset or of a located path, or None if neither is known."""
        piece_path: JsonPath = ()
        if offset is None:
            if path is None or path not in self._spans:
                return None
            offset, piece_path = self._spans[path][0], self._read_piece(path).path
        if piece_path:
            line, column = self._find_role_positions()[int(piece_path[1])]
            return "{}:{}".format(*_advance(line, column, self._pieces[piece_path].text[:offset]))
        if self._lines is None:
            self._lines = Lines(self._pack.text)
        return self._lines.location(offset)

    def _find_role_positions(self) -> list[tuple[int, int]]:
        """Return the line and column of each role of a pack that was read role by role."""
        line, column, previous = 1, 1, 0
        for begin, _ in () if self._role_positions else self._pack.role_spans:
            line, column = _advance(line, column, self._pack.data[previous:begin].decode("utf-8"))
            self._role_positions.append((line, column))
            previous = begin
        return self._role_positions


def _group_paths(ids: Sequence[str], paths: Sequence[JsonPath]) -> dict[str, Sequence[JsonPath]]:
    """Return the paths of each id, in order; a duplicated id has several."""
    single: dict[str, Sequence[JsonPath]] = {subject_id: (path,) for subject_id, path in zip(ids, paths, strict=True)}
    if len(single) == len(ids):
        return single
    groups: dict[str, list[JsonPath]] = {}
    for subject_id, path in zip(ids, paths, strict=True):
        groups.setdefault(subject_id, []).append(path)
    return dict(groups)


def _advance(line: int, column: int, text: str) -> tuple[int, int]:
    """Return the line and column after a text that begins at a line and column."""
    newline = text.rfind("\n")
    return line + text.count("\n"), column + len(text) if newline < 0 else len(text) - newline


_CODES_WITH_DIFFERENCES = frozenset({"RR003", "RR012", "RR021", "RR026"})


@value_type(eq=False)
class PublishedPack:
    """A published pack: a baseline; `source` is its name in messages, such as `main:assets/pack.json`."""

    pack: ParsedPack
    source: str
    # the commit that first published a role_id or contract_id, as far as it is known
    published_by: Mapping[str, str] = field(default_factory=dict)
    # the commit that contains the pack, and git's id of its bytes; None for a file
    commit: str | None = None
    blob_id: str | None = None


@value_type
class RoleRegistryViolation:
    """One violation of the role rules; the location of its finding is `line:column` in the current file."""

    finding: Finding
    ids: tuple[str, ...]
    # 64 hexadecimal digits made of the code, the ids and the member, independent of the location
    fingerprint: str
    # `source:line:column`
    baseline_location: str | None = None
    published_by: str | None = None
    differences: tuple[Difference, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the keys of the finding, and ids, fingerprint, baseline_location, published_by and differences."""
        return self.finding.to_json() | {
            "ids": list(self.ids),
            "fingerprint": self.fingerprint,
            "baseline_location": self.baseline_location,
            "published_by": self.published_by,
            "differences": [difference.to_json() for difference in self.differences],
        }

    @classmethod
    def from_json(cls, value: Any) -> RoleRegistryViolation:
        """Return the violation that `to_json` wrote, without its differences; raise ValueError for another shape."""
        # The message contains the first of the differences.
        base = Finding.from_json(value)
        ids, fingerprint = value.get("ids"), value.get("fingerprint")
        optional = (value.get("baseline_location"), value.get("published_by"))
        texts = isinstance(ids, list) and all(isinstance(text, str) for text in (*ids, fingerprint))
        if not texts or not all(isinstance(text, str | None) for text in optional):
            raise ValueError("not a violation")
        return cls(base, tuple(ids), fingerprint, *optional)

    @property
    def sort_key(self) -> tuple[str, tuple[str, ...], tuple[int, ...], str]:
        """Sorts by code, ids (the contract before its role), location and message."""
        line, _, column = (self.finding.location or "0:0").partition(":")
        location = (int(line), int(column)) if line.isdigit() and column.isdigit() else (0, 0)
        # Reversed ids: the contract is the last one.
        return (self.finding.code, self.ids[::-1], location, self.finding.message)


def make_violation(
    code: str, path: str, location: str | None = None, *, key: str = "", detail: str = ""
) -> RoleRegistryViolation:
    """Return a violation about no id; `key` distinguishes several of one code."""
    return RoleRegistryViolation(
        finding(code, path, location=location, detail=detail), (), make_fingerprint(code, (), key)
    )


def make_unlocated_violation(problem: Problem) -> RoleRegistryViolation:
    """Return a problem of a snapshot whose text is not known as a violation without path and location."""
    fingerprint = make_fingerprint(problem.code, problem.ids, problem.key)
    return RoleRegistryViolation(problem.to_finding(""), problem.ids, fingerprint, published_by=problem.commit)


def make_fingerprint(code: str, ids: Sequence[str], key: str = "") -> str:
    """Return the fingerprint of a violation; `key` distinguishes several of one code about the same ids."""
    text = json.dumps([code, list(ids), key], separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def as_warning(violation: RoleRegistryViolation) -> RoleRegistryViolation:
    """Return a violation whose error is lowered to a warning; another severity stays."""
    if violation.finding.severity is not Severity.ERROR:
        return violation
    return replace(violation, finding=replace(violation.finding, severity=Severity.WARNING))


def sort_violations(*groups: Iterable[RoleRegistryViolation]) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations sorted; of those with the same fingerprint only the first with the highest severity."""
    kept: dict[str, RoleRegistryViolation] = {}
    for group in groups:
        for violation in group:
            previous = kept.get(violation.fingerprint)
            if previous is None or SEVERITY_RANK[violation.finding.severity] < SEVERITY_RANK[previous.finding.severity]:
                kept[violation.fingerprint] = violation
    return tuple(sorted(kept.values(), key=lambda violation: violation.sort_key))


def make_violations(
    problems: Sequence[Problem], current: ParsedPack, baseline: PublishedPack | None, index: PackIndex | None = None
) -> list[RoleRegistryViolation]:
    """Return problems as violations, in order, located in the current pack (`index` is of it) and in the baseline."""
    if not problems:
        return []
    index = PackIndex(current) if index is None else index
    published_index = PackIndex(baseline.pack) if baseline is not None else None
    # (1) find all locations of a file in one pass over its text
    paths = [index.find_current_path(problem) for problem in problems]
    index.locate(paths)
    published_paths: list[JsonPath | None] = [None] * len(problems)
    if published_index is not None:
        published_paths = [published_index.find_published_path(problem) for problem in problems]
        published_index.locate(published_paths)
    # (2) format
    published_by = {} if baseline is None else baseline.published_by
    violations = []
    for problem, path, published_path in zip(problems, paths, published_paths, strict=True):
        published = published_index.location(published_path) if published_index is not None else None
        source = f"{baseline.source}:{published}" if baseline is not None and published is not None else None
        publishers = (published_by[name] for name in reversed(problem.ids) if name in published_by)
        commit = problem.commit or next(publishers, None)
        differences = _find_differences(problem, index, published_index)
        located = problem.to_finding(
            current.path,
            index.location(path, problem.offset),
            published=_format_published(source, commit),
            detail=format_differences(differences),
        )
        fingerprint = make_fingerprint(problem.code, problem.ids, problem.key)
        violations.append(RoleRegistryViolation(located, problem.ids, fingerprint, source, commit, differences))
    return violations


def _format_published(source: str | None, commit: str | None) -> str:
    parts = [*([source] if source else []), *([f"published by commit {commit[:12]}"] if commit else [])]
    return f" ({', '.join(parts)})" if parts else ""


def _find_differences(problem: Problem, index: PackIndex, published: PackIndex | None) -> tuple[Difference, ...]:
    if published is None or problem.subject is None or problem.code not in _CODES_WITH_DIFFERENCES:
        return ()
    is_definition = problem.code == "RR026"
    subject = replace(problem.subject, member=None) if is_definition else problem.subject
    old_path, new_path = published.find_path(subject), index.find_path(subject)
    if old_path is None or new_path is None:
        return ()
    old, new = published.read_value(old_path), index.read_value(new_path)
    if is_definition:
        # The key of RR026 lists the changed fields.
        fields = problem.key.split(",")
        old, new = {name: old[name] for name in fields}, {name: new[name] for name in fields}
    return find_differences(old, new)
