"""What a rule found, before it is placed in the files and told."""

from __future__ import annotations

from collections.abc import Mapping

from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.json_positions import Place
from registry_pipeline.registries.roles.snapshot import RoleContractKind
from registry_pipeline.values import field, value_type


@value_type
class Subject:
    """What an offence is about, to be looked up in both packs.

    A contract where `contract_id` is given, else a role where `role_id` is, else the pack itself. `member` names a
    field of it; `item` a text in that field. `kind` tells in which list of the role a contract stood that is gone.
    `occurrence` counts from 0 where an id stands more than once.
    """

    role_id: str | None = None
    contract_id: str | None = None
    member: str | None = None
    item: str | None = None
    kind: RoleContractKind | None = None
    occurrence: int = 0


@value_type(eq=False)
class Problem:
    """One way in which a rule is broken.

    `ids` name what it is about and sort it; `key` tells apart offences of one code and the same ids; the two with the
    code make the fingerprint. `place` or `at` is where it shows in the pack itself; else `subject` is looked up.
    `words` fill the message of the code's row.
    """

    code: str
    ids: tuple[str, ...]
    words: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    expected: str | None = None
    got: str | None = None
    place: Place | None = None
    at: int | None = None
    subject: Subject | None = None
    commit: str | None = None
    severity: Severity | None = None

    @property
    def identity(self) -> tuple[str, tuple[str, ...], str, str | None]:
        """Two packs have the same defect where these are equal (ratchet)."""
        return (self.code, self.ids, self.key, self.got)
