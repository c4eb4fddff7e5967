"""The content of a role pack as values, the shape of its fields, and the result of a rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.roles.json_text import JsonPath, truncate
from registry_pipeline.values import field, value_type

# The fields whose change in a published role is reported (RR026); lists are compared as sets.
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


SAFE_ID: Final = re.compile(r"[a-z0-9_]{1,64}")
_SURFACE_HASH: Final = re.compile("[0-9a-f]{64}")


class _CheckedText(str):
    """A text of one form; making one of another form raises ValueError."""

    __slots__ = ()
    form: ClassVar[str]
    noun: ClassVar[str]

    def __new__(cls, text: str) -> Self:
        if not cls._is_valid(text):
            raise ValueError(f"{truncate(repr(text), 80)} is not {cls.noun}: it does not match {cls.form}")
        return super().__new__(cls, text)

    @staticmethod
    def _is_valid(text: str) -> bool:
        return SAFE_ID.fullmatch(text) is not None


class RoleId(_CheckedText):
    """The id of a role, which is stable and never used again: 1 to 64 of `a-z`, `0-9` and `_`."""

    __slots__ = ()
    form = SAFE_ID.pattern
    noun = "a role_id"


class DepartmentId(_CheckedText):
    """The id of the department of a role: 1 to 64 of `a-z`, `0-9` and `_`."""

    __slots__ = ()
    form = SAFE_ID.pattern
    noun = "a department_id"


class ContractSurfaceHash(_CheckedText):
    """The sha256 of the RFC 8785 bytes of a contract's schema_json, as 64 hexadecimal digits."""

    __slots__ = ()
    form = _SURFACE_HASH.pattern
    noun = "a sha256"

    @staticmethod
    def _is_valid(text: str) -> bool:
        return _SURFACE_HASH.fullmatch(text) is not None

    @property
    def digest(self) -> bytes:
        """The 32 bytes."""
        return bytes.fromhex(self)


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

    `schema_hash` is the sha256 of the RFC 8785 bytes of schema_json as 64 hexadecimal digits; None if it has none.
    """

    contract_id: str
    # The role and the list that contain it; the id may disagree (RR008, RR009).
    role_id: str
    kind: RoleContractKind
    # None if the id does not have the form `ROLE:<role_id>:X|C:<ver>`
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


CONTRACT_ID: Final = re.compile(r"ROLE:([a-z0-9_]{1,64}):([XC]):([1-9][0-9]{0,9})")
# Versions are 32-bit unsigned integers for every user of the pack.
MAX_VERSION: Final = 2**32 - 1
# How many wrong items of one array are listed.
MAX_ITEMS: Final = 1_000
# A path inside a field, and what is expected there.
ShapeError = tuple[JsonPath, str]
ShapeCheck = Callable[[Any], list[ShapeError]]


def contract_version(contract_id: str) -> int | None:
    """Return the version in a contract id, or None if it does not have the form `ROLE:<role_id>:X|C:<ver>`."""
    match = CONTRACT_ID.fullmatch(contract_id)
    return version if match is not None and (version := int(match[3])) <= MAX_VERSION else None


def _make_type_check(expected: str, kind: type) -> ShapeCheck:
    return lambda value: [] if isinstance(value, kind) else [((), expected)]


def _make_choice_check(*choices: str) -> ShapeCheck:
    return lambda value: [] if value in choices else [((), " or ".join(choices))]


def _make_array_check(expected: str, check_item: ShapeCheck, min_items: int = 0) -> ShapeCheck:
    def check(value: Any) -> list[ShapeError]:
        if not isinstance(value, list) or len(value) < min_items:
            return [((), expected)]
        errors: list[ShapeError] = []
        for index, item in enumerate(value):
            errors += [((index,), expected_item) for _, expected_item in check_item(item)]
        if len(errors) > MAX_ITEMS:
            errors[MAX_ITEMS:] = [((), f"right in {len(errors) - MAX_ITEMS} more of its items")]
        return errors

    return check


_STRING: Final = _make_type_check("a string", str)
_OBJECT: Final = _make_type_check("an object", dict)
_STRINGS: Final = _make_array_check("an array of strings", _STRING)
_OBJECTS: Final = _make_array_check("an array of objects", _OBJECT)
_MODE: Final = _make_choice_check("representational", "conceptual")
PACK_FIELDS: Final[Mapping[str, ShapeCheck]] = {
    "pack_id": _STRING,
    "pack_version": _STRING,
    "spec_id": _STRING,
    "roles": _OBJECTS,
}
ROLE_FIELDS: Final[Mapping[str, ShapeCheck]] = {
    "role_id": _STRING,
    "department_id": _STRING,
    "display_name": _STRING,
    "modes_supported": _make_array_check("a non-empty array of representational or conceptual", _MODE, min_items=1),
    "content_profiles_supported": _STRINGS,
    "claim_features": _STRINGS,
    "extract_contracts": _OBJECTS,
    "produce_contracts": _OBJECTS,
    "allowed_models": _STRINGS,
    "allowed_tools": _STRINGS,
    "vocab_namespace": _STRING,
    "proposal_policy": _make_choice_check("disabled", "queue_only", "auto_accept_with_threshold"),
    "aliases": _STRINGS,
    "lifecycle": _make_choice_check("active", "deprecated"),
}
CONTRACT_FIELDS: Final[Mapping[str, ShapeCheck]] = {"contract_id": _STRING, "schema_json": _OBJECT}


def has_valid_fields(value: dict[str, Any], fields: Mapping[str, ShapeCheck]) -> bool:
    """Return whether an object has these fields, with valid values, and no other."""
    if value.keys() != fields.keys():
        return False
    for name, check in fields.items():
        content = value[name]
        # Most fields are texts or empty lists: calling a function for each would take longer than all the rest.
        is_usual = (check is _STRING and type(content) is str) or (check is _STRINGS and content == [])
        if not is_usual and check(content):
            return False
    return True


@value_type
class Subject:
    """What a problem is about: the contract if `contract_id` is given, else the role, else the pack itself.

    `member` is a field of it, and `item` a text in that field.
    """

    role_id: str | None = None
    contract_id: str | None = None
    member: str | None = None
    item: str | None = None
    # the list that contained a contract which is now missing
    kind: RoleContractKind | None = None
    # counts from 0 where an id is duplicated
    occurrence: int = 0


@value_type(eq=False)
class Problem:
    """One broken rule.

    `fillers` are the values for the message template of the code, `commit` is the one that published what is broken.
    """

    code: str
    # Problems are sorted by what they are about. Code, ids and key make the fingerprint.
    ids: tuple[str, ...]
    fillers: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    expected: str | None = None
    got: str | None = None
    # where it is in the pack; if neither is known, `subject` is looked up
    path: JsonPath | None = None
    offset: int | None = None
    subject: Subject | None = None
    commit: str | None = None
    # None for the severity of the code
    severity: Severity | None = None

    @property
    def identity(self) -> tuple[str, tuple[str, ...], str, str | None]:
        """The key by which the same problem is recognised in two packs."""
        return (self.code, self.ids, self.key, self.got)

    def to_finding(self, path: str, location: str | None = None, *, published: str = "", detail: str = "") -> Finding:
        """Return the finding; `published` and `detail` fill the message unless the problem has its own."""
        fillers = {"published": published, "detail": detail} | dict(self.fillers)
        got, severity = self.got, self.severity
        return finding(
            self.code, path, location=location, expected=self.expected, got=got, severity=severity, **fillers
        )
