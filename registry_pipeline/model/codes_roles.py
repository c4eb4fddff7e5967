"""Findings of the role registry (SPEC 9): the codes of its table, and those of waivers, history and the document.

`published` is told with a blank before it, and is empty where the baseline has no say.
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.model.finding import Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

ROWS: Final[tuple[tuple[str, Severity, str, str, str], ...]] = (
    (
        "RR001",
        _E,
        "roles 9",
        "role_id {id} was published and is gone{published}",
        "put {id} back; a role that is out of use gets lifecycle deprecated",
    ),
    (
        "RR002",
        _E,
        "roles 9",
        "contract_id {id} was published and is gone{published}",
        "put {id} back; contracts stay, those of a deprecated role too",
    ),
    (
        "RR003",
        _E,
        "roles 9",
        "the surface of {id} changed under the same contract_id{published}{detail}",
        "add {next}, keep {kept}",
    ),
    ("RR004", _E, "roles 9", "role_id {id} stands {times} in the pack", "give each role an id of its own"),
    ("RR005", _E, "roles 9", "contract_id {id} stands {times} in the pack", "give each contract an id of its own"),
    (
        "RR006",
        _E,
        "roles 9",
        "{member} {id} has not the form [a-z0-9_]{{1,64}}",
        "use 1 to 64 lower-case letters, digits and underscores",
    ),
    (
        "RR007",
        _E,
        "roles 9",
        "contract_id {id} has not the form ROLE:<role_id>:X|C:<ver>",
        "write it like {example}; a version is 1 to 4294967295 without leading zeros",
    ),
    (
        "RR008",
        _E,
        "roles 9",
        "contract_id {id} names another role than {role}, in which it stands",
        "move the contract to the role that it names, or add one that names {role}",
    ),
    (
        "RR009",
        _E,
        "roles 9",
        "contract_id {id} stands in {member}",
        "X stands in extract_contracts, C in produce_contracts",
    ),
    (
        "RR010",
        _E,
        "roles 9",
        "alias {id} of role {role} is {detail}{published}",
        "choose an alias that no other role has or had as an id or alias",
    ),
    (
        "RR011",
        _E,
        "roles 9",
        "alias {id} was published for role {role} and {detail}{published}",
        "put the alias back on role {role}",
    ),
    (
        "RR012",
        _W,
        "roles 9",
        "role {id} was deprecated and is active again{published}",
        "keep it deprecated, or have the change approved by a waiver",
    ),
    (
        "RR013",
        _W,
        "roles 9",
        "contract_id {id} is new and has no predecessor {expected_id}",
        "number versions without gaps",
    ),
    (
        "RR014",
        _E,
        "roles 9",
        "contract_id {id} newly appears below the highest published version {highest}{published}",
        "add {next} instead",
    ),
    (
        "RR015",
        _W,
        "roles 9",
        "contract_id {id} is new and has the same surface as {other}",
        "leave it out until the surface changes",
    ),
    (
        "RR016",
        _W,
        "roles 9",
        "contract_version within the schema_json of {id} is {detail}",
        "let it be the version that the contract_id ends with",
    ),
    ("RR017", _E, "roles 9", "{detail}", "save the file as UTF-8 without a byte order mark"),
    (
        "RR018",
        _E,
        "roles 9",
        "{detail}{where}",
        "write integers up to 9007199254740991 (2^53-1) and numbers that a double can hold; others as strings",
    ),
    ("RR019", _E, "roles 9", "{detail}{where}", "write both halves of the pair, or the character itself"),
    ("RR020", _E, "roles 9", "{what}: {detail}", "see the fields of a RolePack in SPEC 9"),
    (
        "RR021",
        _E,
        "roles 9",
        "{member} {change}{published}{detail}",
        "a pack keeps its pack_id, and its pack_version does not go back",
    ),
    (
        "RR022",
        _W,
        "roles 9",
        "contract_id {id} was added to role {role}, which is deprecated",
        "add it to the role that replaces {role}",
    ),
    (
        "RR026",
        _W,
        "roles 9",
        "the definition of role {id} changed outside its contracts{published}{detail}",
        "see whether those who rely on the role agree; a waiver records that they do",
    ),
    ("RR027", _E, "roles 9", "{detail}{where}", "keep one of the two"),
    ("RR028", _E, "roles 9", "it is no JSON: {detail}", "mend the file at that place"),
    ("RR029", _E, "roles 9", "{detail}", "nest arrays and objects 64 deep at most"),
    (
        "RR030",
        _E,
        "roles 9",
        "the role pack could not be checked: {detail}",
        "restore the file, fetch the history, or name a baseline by --baseline",
    ),
    (
        "RR031",
        _I,
        "roles 9",
        "first publish: no baseline has the pack, so that only its own rules were checked",
        "commit the pack to the baseline branch; from then on its ids are permanent",
    ),
    ("RR032", _W, "roles 9", "the waiver {id} waives nothing", "take it out"),
    ("RR033", _W, "roles 9", "the waiver {id} expired on {detail}", "mend what it waived, or have it approved again"),
    (
        "RR034",
        _E,
        "roles 9",
        "the waiver is invalid: {detail}",
        "give fingerprint, reason, approver and expires (YYYY-MM-DD); RR001 to RR005 cannot be waived",
    ),
    (
        "RR035",
        _E,
        "roles 9",
        "role_id {id} was removed and came back {detail}{published}",
        "give the new role an id of its own; a role that was removed by mistake comes back as it was",
    ),
    (
        "RR036",
        _E,
        "roles 9",
        "the registry document does not tell what its pack declares",
        "rebuild the registry; never edit a sealed run",
    ),
)
"""Code, severity, clause, message and hint (SPEC 9; RR032-RR036 are ours)."""
