"""Hooks: their files and their rules (EN040 to EN043)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.insert import put_entry
from registry_pipeline.registries.entries.library import Entry, Library, library_or_default
from registry_pipeline.registries.entries.references import GLOB_SIGNS, listed, texts, unknown_name
from registry_pipeline.registries.entries.schemas import suggestion
from registry_pipeline.registries.entries.types import ENTRY_TYPES, EVENTS, EntryType

# After these events a hook can no longer block anything.
_TOO_LATE: Final = frozenset({"PostAbilityCall", "SessionStop"})
_AI_FACING: Final = "ai_"


def put_hook(entry_type: EntryType, documents: list[Any], entry: dict[str, Any]) -> list[Any]:
    """Return the documents of a hook's file with the hook.

    Raises:
        RefusedError: the file contains another hook (exit 5).
    """
    kept = [document for document in documents if document is not None]
    keys = [entry_type.key_of(document) if isinstance(document, dict) else None for document in kept]
    # A hook file is named by its hook, so it contains one hook.
    if any(key != entry_type.key_of(entry) for key in keys):
        raise RefusedError(f"its file contains another hook, {keys[0]}", "rename that file by its own id first")
    put_entry(kept, entry, entry_type.key_of)
    return kept


def check_hook_addition_consistency(new_hook_entry: Mapping[str, Any], library: Library | None = None) -> list[Finding]:
    """Return the coordination findings of a hook (EN040 to EN043); it need not be in the library.

    Raises:
        NotFoundError: no library is given, and there is no repository (exit 7).
    """
    library = library_or_default(library)
    return list(check_hook(library.new_entry(ENTRY_TYPES["hook"], new_hook_entry), library))


def check_hook(entry: Entry, library: Library) -> Iterator[Finding]:
    """Yield the findings about the abilities, the event, the stage and the effects of a hook."""
    abilities = library.abilities()
    for reference in listed(entry, "ability", "match", "ability_scope"):
        name = reference.name
        # A pattern that matches nothing is a warning, because abilities may be added later.
        if GLOB_SIGNS.intersection(name):
            if not any(fnmatchcase(ability, name) for ability in abilities):
                yield entry.finding("EN040", *reference.steps, got=name, name=repr(name))
        elif name not in abilities:
            yield unknown_name("EN041", entry, reference, abilities)
    for field, allowed in (("event_type", EVENTS), ("stage", library.config.stages)):
        value = entry.value.get(field)
        if isinstance(value, str) and value not in allowed:
            details = {"field": field, "name": value, "meant": suggestion(value, allowed)}
            yield entry.finding("EN042", field, expected=", ".join(allowed), got=value, **details)
    yield from _check_effect(entry)


def _check_effect(entry: Entry) -> Iterator[Finding]:
    event = entry.value.get("event_type")
    if not isinstance(event, str) or event not in _TOO_LATE:
        return
    if entry.value.get("blocking") is True:
        yield entry.finding("EN043", "blocking", got="true", field="blocking", event=event)
    for at, effect in texts(entry.value.get("effects")):
        if effect.startswith(_AI_FACING):
            yield entry.finding("EN043", "effects", at, got=effect, field=f"the effect {effect}", event=event)
