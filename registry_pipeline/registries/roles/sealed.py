"""The check of a pack as its sealed run records it, and the same verdict derived again from the run's own files.

The record names what was compared with, lists the violations that only a comparison can find, and keeps the
fingerprints of the pack's own defects that were tolerated. Own defects are found again in the sealed bytes, so that a
defect which nobody tolerated is an error whatever the record says. See docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.capture_table import ROLE_ARTIFACT, is_reserved_name
from registry_pipeline.findings.codes import CODES, finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.roles.build import registry_document
from registry_pipeline.registries.roles.check import could_not_check, find_pack_violations
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.report import (
    Published,
    Violation,
    as_warning,
    fingerprint_of,
    sorted_violations,
)
from registry_pipeline.runs.envelope import COMPARISON
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import replace, value_type

_UNRECORDED = (
    "its run.json does not record what the pack was compared with; "
    "`registry-pipeline build role_registry --force` seals a run that does"
)


@value_type
class SealedCheck:
    """The check of a sealed pack.

    `pack` is None where the folder contains none; `recorded` is False for a run of a version that kept no record.
    """

    pack: ParsedPack | None
    violations: tuple[Violation, ...]
    waived: tuple[Violation, ...] = ()
    recorded: bool = True


def find_pack(files: Mapping[str, bytes]) -> tuple[str, bytes] | None:
    """Return the name and bytes of the pack among the files of a sealed run, None if there is none."""
    names = sorted(name for name in files if name != ROLE_ARTIFACT and not is_reserved_name(name))
    return (names[0], files[names[0]]) if names else None


def comparison_record(
    pack: ParsedPack, baselines: Iterable[Published], violations: Iterable[Violation], waived: Iterable[Violation]
) -> dict[str, Any]:
    """Return what run.json keeps of the check of a pack: the object `comparison`."""
    own = {each.fingerprint for each in find_pack_violations(pack)}
    found = list(violations)
    return {
        "pack": pack.path,
        "baselines": [{"source": each.source, "commit": each.commit, "sha256": each.pack.sha256} for each in baselines],
        "tolerated": sorted(v.fingerprint for v in found if v.fingerprint in own and _is_tolerated(v)),
        "violations": [v.to_json() for v in found if v.fingerprint not in own],
        "waived": [v.to_json() for v in waived],
    }


def _is_tolerated(violation: Violation) -> bool:
    found = violation.finding
    return found.severity is Severity.WARNING and CODES[found.code].severity is Severity.ERROR


def check_sealed_run(report: SealReport) -> tuple[Finding, ...]:
    """Return the errors and warnings of a sealed role registry, derived from the files of its folder alone."""
    findings = (each.finding for each in read_sealed_check(report).violations)
    # That a pack was a first publish (RR031) mattered on the day of the build, which reports it.
    return tuple(each for each in findings if each.severity is not Severity.INFO)


def read_sealed_check(report: SealReport) -> SealedCheck:
    """Return the check of a sealed pack, derived from the files of its folder alone."""
    found = find_pack(report.kept)
    if found is None:
        return SealedCheck(None, (could_not_check(report.path, "the run folder contains no role pack"),))
    pack = parse_pack(found[1], f"{report.path}/{found[0]}")
    document = _check_document(report, pack)
    record = (report.run_json or {}).get(COMPARISON)
    if not isinstance(record, dict):
        unrecorded = could_not_check(pack.path, _UNRECORDED)
        return SealedCheck(pack, (*document, as_warning(unrecorded)), recorded=False)
    waived = _recorded(record, "waived", pack.path)
    gone = {each.fingerprint for each in waived}
    tolerated = record.get("tolerated")
    known = {each for each in tolerated if isinstance(each, str)} if isinstance(tolerated, list) else set()
    own = [
        as_warning(each) if each.fingerprint in known else each
        for each in find_pack_violations(pack)
        if each.fingerprint not in gone
    ]
    violations = sorted_violations(own, _recorded(record, "violations", pack.path), document)
    return SealedCheck(pack, violations, waived)


def _check_document(report: SealReport, pack: ParsedPack) -> tuple[Violation, ...]:
    """Return RR036 if ROLE_REGISTRY_v0_1.json differs from what the pack beside it declares."""
    try:
        document = read_strict_json(report.kept[ROLE_ARTIFACT])
    except (KeyError, StrictJsonError):
        document = None
    if pack.snapshot is None or document == registry_document(pack):
        return ()
    return (Violation(finding("RR036", pack.path), (), fingerprint_of("RR036", ())),)


def _recorded(record: Mapping[str, Any], key: str, path: str) -> tuple[Violation, ...]:
    """Return violations of the record, located in the sealed pack; rows of another shape fail the envelope's schema."""
    rows = record.get(key)
    found: list[Violation] = []
    for row in rows if isinstance(rows, Sequence) and not isinstance(rows, str) else ():
        try:
            each = Violation.from_json(row)
        except ValueError:
            continue
        sealed = replace(each.finding, path=path) if each.finding.path == record.get("pack") else each.finding
        found.append(replace(each, finding=sealed))
    return tuple(found)
