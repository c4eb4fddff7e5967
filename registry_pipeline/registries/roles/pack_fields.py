"""The fields of a pack, a role and a contract, and the check of each field's shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.registries.roles.json_positions import JsonPath

SAFE_ID: Final = re.compile(r"[a-z0-9_]{1,64}")
CONTRACT_ID: Final = re.compile(r"ROLE:([a-z0-9_]{1,64}):([XC]):([1-9][0-9]{0,9})")
# Versions are 32-bit unsigned integers for every user of the pack.
MAX_VERSION: Final = 2**32 - 1
MAX_ITEMS: Final = 1_000
"""How many wrong items of one array are listed."""
_MODES: Final = ("representational", "conceptual")
_POLICIES: Final = ("disabled", "queue_only", "auto_accept_with_threshold")
_LIFECYCLES: Final = ("active", "deprecated")

ShapeError = tuple[JsonPath, str]
"""A path inside a field, and what is expected there."""
ShapeCheck = Callable[[Any], list[ShapeError]]


def contract_version(contract_id: str) -> int | None:
    """Return the version in a contract id, or None if it does not have the form `ROLE:<role_id>:X|C:<ver>`."""
    match = CONTRACT_ID.fullmatch(contract_id)
    version = None if match is None else int(match[3])
    return version if version is not None and version <= MAX_VERSION else None


def _check_string(value: Any) -> list[ShapeError]:
    return [] if isinstance(value, str) else [((), "a string")]


def _check_object(value: Any) -> list[ShapeError]:
    return [] if isinstance(value, dict) else [((), "an object")]


def _check_items(items: list[Any], expected: str, is_valid: Callable[[Any], bool]) -> list[ShapeError]:
    wrong = [index for index, item in enumerate(items) if not is_valid(item)]
    errors: list[ShapeError] = [((index,), expected) for index in wrong[:MAX_ITEMS]]
    if len(wrong) > MAX_ITEMS:
        errors.append(((), f"right in {len(wrong) - MAX_ITEMS} more of its items"))
    return errors


def _check_strings(value: Any) -> list[ShapeError]:
    if not isinstance(value, list):
        return [((), "an array of strings")]
    # The usual arrays are valid: this test is several times faster than the loop.
    if not value or set(map(type, value)) == {str}:
        return []
    return _check_items(value, "a string", lambda item: isinstance(item, str))


def _check_objects(value: Any) -> list[ShapeError]:
    if not isinstance(value, list):
        return [((), "an array of objects")]
    return _check_items(value, "an object", lambda item: isinstance(item, dict))


def _check_choice(choices: tuple[str, ...]) -> ShapeCheck:
    expected = " or ".join(choices)
    return lambda value: [] if isinstance(value, str) and value in choices else [((), expected)]


def _check_modes(value: Any) -> list[ShapeError]:
    expected = " or ".join(_MODES)
    if not isinstance(value, list) or not value:
        return [((), f"a non-empty array of {expected}")]
    return _check_items(value, expected, lambda item: isinstance(item, str) and item in _MODES)


PACK_FIELDS: Final[Mapping[str, ShapeCheck]] = MappingProxyType(
    {"pack_id": _check_string, "pack_version": _check_string, "spec_id": _check_string, "roles": _check_objects}
)
ROLE_FIELDS: Final[Mapping[str, ShapeCheck]] = MappingProxyType(
    {
        "role_id": _check_string,
        "department_id": _check_string,
        "display_name": _check_string,
        "modes_supported": _check_modes,
        "content_profiles_supported": _check_strings,
        "claim_features": _check_strings,
        "extract_contracts": _check_objects,
        "produce_contracts": _check_objects,
        "allowed_models": _check_strings,
        "allowed_tools": _check_strings,
        "vocab_namespace": _check_string,
        "proposal_policy": _check_choice(_POLICIES),
        "aliases": _check_strings,
        "lifecycle": _check_choice(_LIFECYCLES),
    }
)
CONTRACT_FIELDS: Final[Mapping[str, ShapeCheck]] = MappingProxyType(
    {"contract_id": _check_string, "schema_json": _check_object}
)
