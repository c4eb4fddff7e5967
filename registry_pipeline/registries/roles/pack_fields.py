"""The fields of a pack, a role and a contract, and what each may hold (seed 002, SKELETON; SPEC 9)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.registries.roles.json_positions import escape_hidden, shown

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_:.-]{1,160}")
SAFE_ID: Final = re.compile(r"[a-z0-9_]{1,64}")
CONTRACT_ID: Final = re.compile(r"ROLE:([a-z0-9_]{1,64}):([XC]):([1-9][0-9]{0,9})")
MAX_VERSION: Final = 2**32 - 1
MODES: Final = ("representational", "conceptual")
POLICIES: Final = ("disabled", "queue_only", "auto_accept_with_threshold")
MAX_ITEMS: Final = 1_000
"""Wrong items of one array that are told one by one."""
LIFECYCLES: Final = ("active", "deprecated")
Fault = tuple[tuple[str | int, ...], str]
"""Where in a field, and what is expected there."""
Judge = Callable[[Any], list[Fault]]


def contract_version(contract_id: str) -> int | None:
    """Return the version that a contract id names, None where it has not the form `ROLE:<role_id>:X|C:<ver>`."""
    match = CONTRACT_ID.fullmatch(contract_id)
    if match is None:
        return None
    version = int(match[3])
    return version if version <= MAX_VERSION else None


def _text(value: Any) -> list[Fault]:
    return [] if isinstance(value, str) else [((), "a string")]


def _first_items(items: list[Any], expected: str, right: Callable[[Any], bool]) -> list[Fault]:
    """Return the faults of an array's items; of very many the first, and one that says that there are more."""
    wrong = [index for index, item in enumerate(items) if not right(item)]
    faults: list[Fault] = [((index,), expected) for index in wrong[:MAX_ITEMS]]
    if len(wrong) > MAX_ITEMS:
        faults.append(((), f"right in {len(wrong) - MAX_ITEMS} more of its items"))
    return faults


def _texts(value: Any) -> list[Fault]:
    if not isinstance(value, list):
        return [((), "an array of strings")]
    if not value or set(map(type, value)) == {str}:
        return []
    return _first_items(value, "a string", lambda item: isinstance(item, str))


def _objects(value: Any) -> list[Fault]:
    if not isinstance(value, list):
        return [((), "an array of objects")]
    return _first_items(value, "an object", lambda item: isinstance(item, dict))


def _object(value: Any) -> list[Fault]:
    return [] if isinstance(value, dict) else [((), "an object")]


def _one_of(words: tuple[str, ...]) -> Judge:
    expected = " or ".join(words)
    return lambda value: [] if isinstance(value, str) and value in words else [((), expected)]


def _modes(value: Any) -> list[Fault]:
    if not isinstance(value, list) or not value:
        return [((), f"a non-empty array of {' or '.join(MODES)}")]
    return _first_items(value, " or ".join(MODES), lambda item: isinstance(item, str) and item in MODES)


PACK_FIELDS: Final[Mapping[str, Judge]] = MappingProxyType(
    {"pack_id": _text, "pack_version": _text, "spec_id": _text, "roles": _objects}
)
ROLE_FIELDS: Final[Mapping[str, Judge]] = MappingProxyType(
    {
        "role_id": _text,
        "department_id": _text,
        "display_name": _text,
        "modes_supported": _modes,
        "content_profiles_supported": _texts,
        "claim_features": _texts,
        "extract_contracts": _objects,
        "produce_contracts": _objects,
        "allowed_models": _texts,
        "allowed_tools": _texts,
        "vocab_namespace": _text,
        "proposal_policy": _one_of(POLICIES),
        "aliases": _texts,
        "lifecycle": _one_of(LIFECYCLES),
    }
)
CONTRACT_FIELDS: Final[Mapping[str, Judge]] = MappingProxyType({"contract_id": _text, "schema_json": _object})


def shown_value(value: Any) -> str:
    """Return a JSON value as text that can be printed, cut; an array or object by its beginning."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, (list, dict)):
        return _cut(escape_hidden(json.dumps(_shallow(value), ensure_ascii=False)))
    return _cut(json.dumps(value))


def _shallow(value: Any, depth: int = 3) -> Any:
    """Return the value without what would be cut away, so that a long one costs no more than a short one."""
    if depth == 0 and isinstance(value, (list, dict)):
        return "…"
    if isinstance(value, list):
        return [_shallow(item, depth - 1) for item in value[:20]]
    if isinstance(value, dict):
        return {key[:200]: _shallow(value[key], depth - 1) for key in list(value)[:20]}
    return value[:200] if isinstance(value, str) else value


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def shown_id(text: str) -> str:
    """Return an id as it is where it is plain, else as a JSON string."""
    return text if _PLAIN_ID.fullmatch(text) else shown(text)
