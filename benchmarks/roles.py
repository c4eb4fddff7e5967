"""A role pack of N roles checked against its baseline, beside the plain loop: python benchmarks/roles.py [N].

Both packs are parsed and every contract surface is hashed (RFC 8785); a hundredth of the roles changed. Each way gives
the contract_ids whose surface is another one:

- the plain loop is what the package rfc8785 is made for: `json.loads`, then sha256 of `rfc8785.dumps` a contract;
- ours reads strictly (duplicate keys, numbers, depth), hashes, and applies every role rule;
- the last row reports them too: line and column in both files, and the JSON pointers that differ.

A table of hashing alone comes first, because strict parsing has its own cost. What is remembered of surfaces is
forgotten before each round; within one, two packs share what did not change. The last table is a history: M versions
of a pack of forty roles (M is N / 20), each parsed and checked.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785
from side_by_side import Results, folders_wanted, measure_in_turns

from registry_pipeline.registries.roles.check import PublishedCommit, check_against_baseline, check_history
from registry_pipeline.registries.roles.pack import ParsedPack, clear_role_cache, parse_pack
from registry_pipeline.registries.roles.pack_reader import parsed_json_sha256
from registry_pipeline.registries.roles.report import PublishedPack

KINDS = {"extract_contracts": "X", "produce_contracts": "C"}


def schema(number: int, kind: str) -> dict[str, Any]:
    """Return a surface as real packs have them: some twenty members, every tenth with a fraction and a far letter."""
    properties = {
        f"field_{member}": {"type": "string", "description": f"What role {number} tells of {member}.", "maxLength": 80}
        for member in range(5)
    }
    made = {"title": f"Surface {kind} {number}", "type": "object", "properties": properties, "required": ["field_1"]}
    return made | ({"weight": 1.0, "sign": "🎬"} if number % 10 == 0 else {})


def role(number: int) -> dict[str, Any]:
    """Return a role with two contracts."""
    role_id = f"role_{number}"
    contracts = {
        field: [{"contract_id": f"ROLE:{role_id}:{kind}:1", "schema_json": schema(number, kind)}]
        for field, kind in KINDS.items()
    }
    return {
        "role_id": role_id,
        "department_id": f"department_{number % 12}",
        "display_name": f"Role {number}",
        "modes_supported": ["representational", "conceptual"],
        "content_profiles_supported": [],
        "claim_features": [],
        **contracts,
        "allowed_models": [],
        "allowed_tools": [],
        "vocab_namespace": "",
        "proposal_policy": "queue_only",
        "aliases": [],
        "lifecycle": "active",
    }


def pack(count: int, changed: int = 0) -> bytes:
    """Return a pack of `count` roles; the first surface of each of the first `changed` is another one."""
    roles = [role(number) for number in range(count)]
    for each in roles[:changed]:
        each["extract_contracts"][0]["schema_json"]["title"] = "Another"
    return json.dumps({"pack_id": "p", "pack_version": "1", "spec_id": "s", "roles": roles}, indent=2).encode()


def plain_hashes(data: bytes) -> dict[str, str]:
    """Hash every surface as a careful colleague would."""
    return {
        contract["contract_id"]: hashlib.sha256(rfc8785.dumps(contract["schema_json"])).hexdigest()
        for each in json.loads(data)["roles"]
        for field in KINDS
        for contract in each[field]
    }


def plain(current: bytes, baseline: bytes) -> list[str]:
    """Return what drifted, by the plain loop."""
    new, old = plain_hashes(current), plain_hashes(baseline)
    return sorted(contract_id for contract_id in old if new.get(contract_id) != old[contract_id])


def ours(current: bytes, baseline: bytes) -> list[str]:
    """Return what drifted, by the check with all its rules."""
    violations = check_against_baseline(parse_pack(current, "p"), PublishedPack(parse_pack(baseline, "p"), "main:p"))
    return sorted(each.ids[-1] for each in violations if each.finding.code == "RR003")


def of_history(versions: list[bytes]) -> list[str]:
    """Return what drifted from any of the versions, by the check of a history; a version is parsed once."""
    parsed: dict[bytes, ParsedPack] = {}
    packs = [
        parsed.setdefault(data, parse_pack(data, "p")) if data not in parsed else parsed[data] for data in versions
    ]
    violations = check_history(packs[-1], [PublishedCommit(str(number), each) for number, each in enumerate(packs)])
    return sorted(each.ids[-1] for each in violations if each.finding.code == "RR003")


def plain_history(versions: list[bytes]) -> list[str]:
    """Return the same by the plain loop over every version."""
    last = plain_hashes(versions[-1])
    drifted = set()
    for data in versions:
        drifted |= {contract_id for contract_id, digest in plain_hashes(data).items() if last[contract_id] != digest}
    return sorted(drifted)


def main() -> None:
    """Print the three tables."""
    count, results = folders_wanted(__doc__, 10_000, "roles"), Results(__file__)
    baseline, same, changed = pack(count), pack(count), pack(count, count // 100)
    surfaces = [
        contract["schema_json"] for each in json.loads(same)["roles"] for field in KINDS for contract in each[field]
    ]
    costs = measure_in_turns(
        {
            "rfc8785, sha256": lambda: [hashlib.sha256(rfc8785.dumps(each)).hexdigest() for each in surfaces],
            "ours, rfc8785 where it is not surely the same": lambda: [parsed_json_sha256(each) for each in surfaces],
        },
        before=lambda _: clear_role_cache(),
    )
    wanted = {"ours, rfc8785 where it is not surely the same": 5.0}
    results.add("hashing alone", len(surfaces), "parsed surfaces", costs, wanted=wanted)
    assert plain(changed, baseline) == ours(changed, baseline), "the two disagree"
    assert plain(same, baseline) == ours(same, baseline) == []
    costs = measure_in_turns(
        {
            "plain loop: json, rfc8785, sha256": lambda: plain(same, baseline),
            "strict, with every rule": lambda: ours(same, baseline),
            "strict, with every rule and a hundredth reported": lambda: ours(changed, baseline),
        },
        before=lambda _: clear_role_cache(),
    )
    results.add("role pack", count, f"roles, {len(baseline) / 1e6:.1f} MB", costs)
    versions = [pack(40, number % 7) for number in range(count // 20)]
    assert plain_history(versions) == of_history(versions), "the two disagree"
    each_once = [data + b" " * number for number, data in enumerate(versions)]
    costs = measure_in_turns(
        {
            "plain loop over every version": lambda: plain_history(each_once),
            "ours, no two versions alike": lambda: of_history(each_once),
            "ours, seven different versions": lambda: of_history(versions),
        },
        before=lambda _: clear_role_cache(),
    )
    results.add("history", len(versions), "versions of 40 roles", costs)
    results.write()


if __name__ == "__main__":
    main()
