"""Of very many shape violations some are not listed; those are checked too."""

from __future__ import annotations

import json

from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.check import check_against_baseline
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.pack_reader import MAX_PROBLEMS
from registry_pipeline.registries.roles.report import PublishedPack, RoleRegistryViolation

FIELDS = 13
ENOUGH = MAX_PROBLEMS // FIELDS + 10


def pack(last: str = "{}", count: int = ENOUGH) -> bytes:
    """Return a pack of roles that have nothing but an id; `last` is added to the last one's members."""
    roles = [{"role_id": f"r{number}"} for number in range(count)]
    roles[-1] |= json.loads(last)
    return json.dumps({"pack_id": "p", "pack_version": "1", "spec_id": "s", "roles": roles}).encode()


def errors(current: bytes, baseline: bytes) -> list[RoleRegistryViolation]:
    violations = check_against_baseline(parse_pack(current, "p"), PublishedPack(parse_pack(baseline, "b"), "main:p"))
    return [each for each in violations if each.finding.severity is Severity.ERROR]


def test_a_violation_that_the_baseline_has_is_no_error_even_if_it_is_not_listed() -> None:
    assert errors(pack(), pack()) == []


def test_a_violation_that_replaces_an_unlisted_one_is_an_error() -> None:
    (error,) = errors(pack('{"lifecycle": "gone"}'), pack())

    assert error.finding.code == "RR020"
    assert "the rest is not listed" in error.finding.message
