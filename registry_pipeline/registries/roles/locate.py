"""Locations of problems in the files of packs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from registry_pipeline.registries.roles.json_positions import JsonPath, Lines, find_spans
from registry_pipeline.registries.roles.pack import ParsedPack
from registry_pipeline.registries.roles.parse_cache import RoleTexts
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.strict_json import StrictJson


class PackIndex:
    """Finds the JSON path, value, text and `line:column` of subjects in one pack."""

    def __init__(self, pack: ParsedPack) -> None:
        self._pack = pack
        self._roles: dict[str, list[JsonPath]] = {}
        self._contracts: dict[str, list[JsonPath]] = {}
        self._lines: Lines | None = None
        self._spans: dict[JsonPath, tuple[int, int]] = {}
        self._document: StrictJson | None = None
        # A pack that was read role by role is not parsed as a whole: only the roles with problems are parsed again.
        self._role_texts = RoleTexts(pack.data, pack.by_roles.spans) if pack.by_roles is not None else None
        if pack.snapshot is not None:
            for role, path in zip(pack.snapshot.roles, pack.role_paths, strict=True):
                self._roles.setdefault(role.role_id, []).append(path)
            for contract, path in zip(pack.snapshot.contracts, pack.contract_paths, strict=True):
                self._contracts.setdefault(contract.contract_id, []).append(path)

    def find_path(self, subject: Subject) -> JsonPath | None:
        """Return the path of a subject, or None if the pack does not contain it."""
        paths: list[JsonPath] = [()]
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
        if self._role_texts is not None and path[:1] == ("roles",) and len(path) > 1:
            value, path = self._role_texts.value(int(path[1])), path[2:]
        else:
            value = self._read_document().value
        for part in path:
            value = value[part]
        return value

    def read_text(self, subject: Subject) -> str | None:
        """Return the characters of a subject's value in the file."""
        path = self.find_path(subject)
        if path is None:
            return None
        self.locate([path])
        begin, end = self._spans[path]
        return self._read_text()[begin:end]

    def _read_text(self) -> str:
        return self._read_document().text if self._role_texts is None else self._pack.data.decode("utf-8")

    def _read_document(self) -> StrictJson:
        if self._document is None:
            self._document = self._pack.read_document()
        return self._document

    def locate(self, paths: Iterable[JsonPath | None]) -> None:
        """Find the spans of these paths in one pass over the text; `location` needs them."""
        missing = {path for path in paths if path is not None} - self._spans.keys()
        if self._role_texts is not None:
            inner = {path for path in missing if path[:1] == ("roles",) and len(path) > 1}
            missing -= inner
            by_role: dict[int, list[JsonPath]] = {}
            for path in inner:
                by_role.setdefault(int(path[1]), []).append(path[2:])
            for index, rests in by_role.items():
                role_begin = self._role_texts.begin(index)
                for rest, (begin, end) in find_spans(self._role_texts.text(index), rests).items():
                    self._spans["roles", index, *rest] = (role_begin + begin, role_begin + end)
        if missing and self._pack.readable:
            self._spans |= find_spans(self._read_text(), missing)

    def location(self, path: JsonPath | None, offset: int | None = None) -> str | None:
        """Return `line:column` of an offset or of a located path, or None if neither is known."""
        if offset is None:
            if path is None or path not in self._spans:
                return None
            offset = self._spans[path][0]
        if self._lines is None:
            self._lines = Lines(self._read_text())
        return self._lines.location(offset)
