"""The content of a role pack as values, the shape of its fields, and the result of a rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.json_text import JsonPath
from registry_pipeline.values import field, value_type

DEFINITION_FIELDS: Final = (
    "department_id",
    "modes_supported",
    "content_profiles_supported",
    "claim_features",
    "allowed_models",
    "allowed_tools",
    "vocab_namespace",
    "proposal_policy",
)
"""The fields whose change in a published role is reported (RR026); lists are compared as sets."""


class RoleContractKind(StrEnum):
    """The direction of a contract: what a role extracts (X) or produces (C)."""

    EXTRACT = "X"
    PRODUCE = "C"

    @property
    def field(self) -> str:
        """The field of a role that lists contracts of this kind."""
        return "extract_contracts" if self is RoleContractKind.EXTRACT else "produce_contracts"


@value_type
class RoleContractSurface:
    """One contract of a role.

    Attributes:
        role_id, kind: the role and the list that contain it; the id may disagree (RR008, RR009).
        version: None if the id does not have the form `ROLE:<role_id>:X|C:<ver>`.
        schema_hash: sha256 of the RFC 8785 bytes of schema_json as 64 hexadecimal digits; None if it has none.
    """

    contract_id: str
    role_id: str
    kind: RoleContractKind
    version: int | None
    schema_hash: str | None

    @property
    def line(self) -> str:
        """The id without its version, shared by all versions of a contract; the id itself if it has no version."""
        return self.contract_id if self.version is None else self.contract_id.rpartition(":")[0]


@value_type
class RoleSpecEntry:
    """One role without its contracts. A field that is missing or has the wrong type is empty or None."""

    role_id: str
    department_id: str | None = None
    display_name: str | None = None
    aliases: tuple[str, ...] = ()
    lifecycle: str | None = None
    modes_supported: tuple[str, ...] | None = None
    content_profiles_supported: tuple[str, ...] | None = None
    claim_features: tuple[str, ...] | None = None
    allowed_models: tuple[str, ...] | None = None
    allowed_tools: tuple[str, ...] | None = None
    vocab_namespace: str | None = None
    proposal_policy: str | None = None

    @property
    def definition(self) -> tuple[object, ...]:
        """The values of DEFINITION_FIELDS in their order, lists sorted."""
        values = (getattr(self, name) for name in DEFINITION_FIELDS)
        return tuple(tuple(sorted(value)) if isinstance(value, tuple) else value for value in values)


@value_type
class RoleRegistrySnapshot:
    """The roles and contracts of a pack in its order; duplicated ids appear twice."""

    roles: tuple[RoleSpecEntry, ...]
    contracts: tuple[RoleContractSurface, ...]
    pack_id: str | None = None
    pack_version: str | None = None
    spec_id: str | None = None


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


@value_type
class Subject:
    """What a problem is about: the contract if `contract_id` is given, else the role, else the pack itself.

    Attributes:
        member: a field of it.
        item: a text in that field.
        kind: the list that contained a contract which is now missing.
        occurrence: counts from 0 where an id is duplicated.
    """

    role_id: str | None = None
    contract_id: str | None = None
    member: str | None = None
    item: str | None = None
    kind: RoleContractKind | None = None
    occurrence: int = 0


@value_type(eq=False)
class Problem:
    """One broken rule.

    Attributes:
        ids: what it is about; problems are sorted by them.
        fillers: the values for the message template of the code.
        key: distinguishes problems of one code and the same ids; code, ids and key make the fingerprint.
        path, offset: where it is in the pack; if neither is known, `subject` is looked up.
        commit: the commit that published what is broken.
        severity: None for the severity of the code.
    """

    code: str
    ids: tuple[str, ...]
    fillers: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    expected: str | None = None
    got: str | None = None
    path: JsonPath | None = None
    offset: int | None = None
    subject: Subject | None = None
    commit: str | None = None
    severity: Severity | None = None

    @property
    def identity(self) -> tuple[str, tuple[str, ...], str, str | None]:
        """The key by which the same problem is recognised in two packs."""
        return (self.code, self.ids, self.key, self.got)
