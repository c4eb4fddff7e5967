"""Where offences stand in a pack's file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from registry_pipeline.registries.roles.json_positions import Lines, Place, find_spans
from registry_pipeline.registries.roles.pack import ParsedPack
from registry_pipeline.registries.roles.parse_cache import RoleParseCache
from registry_pipeline.registries.roles.problem import Problem, Subject
from registry_pipeline.registries.roles.strict_json import StrictJson


class Index:
    """Looks up subjects in one pack: their places, their values, and `line:column` of places."""

    def __init__(self, pack: ParsedPack) -> None:
        self._pack = pack
        self._roles: dict[str, list[Place]] = {}
        self._contracts: dict[str, list[Place]] = {}
        self._lines: Lines | None = None
        self._spans: dict[Place, tuple[int, int]] = {}
        self._read: StrictJson | None = None
        self._by_role = RoleParseCache(pack.data) if pack.by_roles is not None else None
        if pack.snapshot is not None:
            for role, place in zip(pack.snapshot.roles, pack.role_places, strict=True):
                self._roles.setdefault(role.role_id, []).append(place)
            for contract, place in zip(pack.snapshot.contracts, pack.contract_places, strict=True):
                self._contracts.setdefault(contract.contract_id, []).append(place)

    def place_of(self, subject: Subject) -> Place | None:
        """Return the place of a subject, None where it does not stand in this pack."""
        if subject.contract_id is not None:
            place = _nth(self._contracts.get(subject.contract_id), subject.occurrence)
        elif subject.role_id is not None:
            place = _nth(self._roles.get(subject.role_id), subject.occurrence)
        else:
            place = ()
        if place is None:
            return None
        owner = self.value_at(place)
        if subject.member is None or not isinstance(owner, dict) or subject.member not in owner:
            return place
        place = (*place, subject.member)
        items = owner[subject.member]
        if subject.item is not None and isinstance(items, list) and subject.item in items:
            return (*place, items.index(subject.item))
        return place

    def place_of_ids(self, ids: tuple[str, ...]) -> Place | None:
        """Return the place of the contract or role that ids end with, else of the role that they begin with."""
        if not ids:
            return None
        contract = self.place_of(Subject(contract_id=ids[-1], member="contract_id"))
        role = self.place_of(Subject(role_id=ids[-1], member="role_id"))
        return contract or role or self.place_of(Subject(role_id=ids[0], member="role_id"))

    def nearest(self, subject: Subject) -> Place | None:
        """Return where a subject that is not there would stand."""
        if subject.kind is not None:
            contracts = self.place_of(Subject(role_id=subject.role_id, member=subject.kind.field))
            if contracts is not None:
                return contracts
        if subject.role_id is not None:
            return ("roles",)
        return ()

    def value_at(self, place: Place) -> Any:
        """Return the value at a place that is there."""
        if self._by_role is not None and place[:1] == ("roles",) and len(place) > 1:
            value, place = self._by_role.value(int(place[1])), place[2:]
        else:
            value = self._whole().value
        for part in place:
            value = value[part]
        return value

    def text_of(self, subject: Subject) -> str | None:
        """Return the characters of a subject's value as they stand in the file."""
        place = self.place_of(subject)
        if place is None:
            return None
        self.locate([place])
        begin, end = self._spans[place]
        return self._text()[begin:end]

    def _text(self) -> str:
        return self._whole().text if self._by_role is None else self._pack.data.decode("utf-8")

    def _whole(self) -> StrictJson:
        if self._read is None:
            self._read = self._pack.read_again()
        return self._read

    def locate(self, places: Iterable[Place | None]) -> None:
        """Find all these places in the text in one walk; `location` knows them from then on."""
        wanted = {place for place in places if place is not None} - self._spans.keys()
        if self._by_role is not None:
            inner = {place for place in wanted if place[:1] == ("roles",) and len(place) > 1}
            self._locate_in_roles(self._by_role, inner)
            wanted -= inner
        if wanted and self._pack.readable:
            self._spans |= find_spans(self._text(), wanted)

    def _locate_in_roles(self, texts: RoleParseCache, places: Iterable[Place]) -> None:
        by_role: dict[int, list[Place]] = {}
        for place in places:
            by_role.setdefault(int(place[1]), []).append(place[2:])
        for number, wanted in by_role.items():
            begun = texts.begin(number)
            for rest, (begin, end) in find_spans(texts.text(number), wanted).items():
                self._spans["roles", number, *rest] = (begun + begin, begun + end)

    def location(self, place: Place | None, at: int | None = None) -> str | None:
        """Return `line:column` of a located place, or of a character; None where neither is known."""
        if at is None:
            if place is None or place not in self._spans:
                return None
            at = self._spans[place][0]
        if self._lines is None:
            self._lines = Lines(self._text())
        return self._lines.location(at)


def _nth(places: list[Place] | None, index: int) -> Place | None:
    return places[index] if places is not None and index < len(places) else None


def place_in_current(index: Index, offence: Problem) -> Place | None:
    """Return where an offence shows in the current pack, or where what is gone would stand."""
    if offence.at is not None or offence.place is not None or offence.subject is None:
        return offence.place
    return index.place_of(offence.subject) or index.nearest(offence.subject)


def place_in_baseline(index: Index, offence: Problem) -> Place | None:
    """Return where the subject of an offence was published, None where it was not."""
    if offence.subject is not None and offence.subject.occurrence == 0:
        place = index.place_of(offence.subject)
        if place is not None:
            return place
    return index.place_of_ids(offence.ids)
