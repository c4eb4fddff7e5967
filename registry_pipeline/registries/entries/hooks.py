"""The family of hooks (SPEC 10: EN040-EN043, EN050)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from registry_pipeline.config import find_repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.insert import put_entry
from registry_pipeline.registries.entries.library import Entry, Library, folder_of, read_library
from registry_pipeline.registries.entries.references import GLOB_SIGNS, listed, texts, unknown_name
from registry_pipeline.registries.entries.schemas import did_you_mean
from registry_pipeline.registries.entries.types import ENTRY_TYPES, EVENTS, EntryType

_TOO_LATE: Final = frozenset({"PostAbilityCall", "SessionStop"})
_AI_FACING: Final = "ai_"


def place_hook(contents: Library, entry_type: EntryType, entry: Mapping[str, Any]) -> str:
    """Return the file of a hook: where it stands already, else the one of its name."""
    key = entry_type.key_of(entry) or ""
    found = contents.of("hook").get(key, ())
    return found[0].path if found else f"{folder_of(contents.config, entry_type)}/{key}.yaml"


def put_hook(entry_type: EntryType, documents: list[Any], entry: dict[str, Any]) -> list[Any]:
    """Return the documents of a hook's file, which is the hook alone."""
    kept = [document for document in documents if document is not None]
    others = [entry_type.key_of(each) if isinstance(each, dict) else None for each in kept]
    if any(each != entry_type.key_of(entry) for each in others):
        raise RefusedError(f"its file holds another hook, {others[0]}", "rename that file by its own id first")
    put_entry(kept, entry, entry_type.key_of)
    return kept


def check_hook_addition_consistency(
    new_hook_entry: Mapping[str, Any], contents: Library | None = None
) -> list[Finding]:
    """Return how a hook disagrees with the registries and the configuration (EN040-EN043); empty if it does not.

    `contents` are those of the repository at or above the working directory where none are given.

    Raises:
        NotFoundError: there is no governed repository (exit 7).
    """
    known = read_library(find_repository()) if contents is None else contents
    entry_type = ENTRY_TYPES["hook"]
    path = place_hook(known, entry_type, new_hook_entry)
    return list(check_hook(Entry(entry_type, entry_type.key_of(new_hook_entry) or "", new_hook_entry, path), known))


def check_hook(entry: Entry, contents: Library) -> Iterator[Finding]:
    """Yield abilities that are not there, an event or a stage that is not legal, and what has no effect."""
    yield from _check_scope(entry, contents)
    yield from _check_words(entry, "event_type", EVENTS)
    yield from _check_words(entry, "stage", contents.config.stages)
    yield from _check_effect(entry)


def _check_scope(entry: Entry, contents: Library) -> Iterator[Finding]:
    known = contents.abilities()
    for reference in listed(entry, "ability", "match", "ability_scope"):
        place, name = entry.location(*reference.steps), reference.name
        if GLOB_SIGNS.intersection(name):
            if not any(fnmatchcase(ability, name) for ability in known):
                yield finding("EN040", entry.path, location=place, got=name, name=repr(name))
        elif name not in known:
            yield unknown_name("EN041", entry, reference, known)


def _check_words(entry: Entry, field: str, legal: tuple[str, ...]) -> Iterator[Finding]:
    name = entry.value.get(field)
    if isinstance(name, str) and name not in legal:
        yield finding(
            "EN042",
            entry.path,
            location=entry.location(field),
            expected=", ".join(legal),
            got=name,
            field=field,
            name=name,
            meant=did_you_mean(name, legal),
        )


def _check_effect(entry: Entry) -> Iterator[Finding]:
    """Yield what can no longer change anything when the ability was called, or the session is over."""
    event = entry.value.get("event_type")
    if not isinstance(event, str) or event not in _TOO_LATE:
        return
    if entry.value.get("blocking") is True:
        place = entry.location("blocking")
        yield finding("EN043", entry.path, location=place, got="true", field="blocking", event=event)
    for at, effect in texts(entry.value.get("effects")):
        if effect.startswith(_AI_FACING):
            place = entry.location("effects", at)
            yield finding("EN043", entry.path, location=place, got=effect, field=f"the effect {effect}", event=event)
