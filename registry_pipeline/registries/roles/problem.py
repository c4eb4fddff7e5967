"""The result of a rule, before it is located in the files and formatted as a violation."""

from __future__ import annotations

from collections.abc import Mapping

from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.json_positions import JsonPath
from registry_pipeline.registries.roles.snapshot import RoleContractKind
from registry_pipeline.values import field, value_type


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
