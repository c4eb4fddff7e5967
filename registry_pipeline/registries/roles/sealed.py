"""The record of a pack's check in its sealed run, and the verdict derived from the run's own files.

The record lists what the pack was compared with, the violations that only a comparison finds, and the fingerprints of
the pack's own defects that were tolerated. The pack's own defects are found again in the sealed bytes, so a defect that
was not tolerated is an error whatever the record says. See docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.capture_table import ROLE_ARTIFACT, is_reserved_name
from registry_pipeline.findings.codes import CODES, finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.roles.build import make_registry_document
from registry_pipeline.registries.roles.check import find_pack_violations, make_not_checked
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.report import (
    PublishedPack,
    Violation,
    as_warning,
    make_fingerprint,
    sort_violations,
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

    Attributes:
        pack: None if the folder contains none.
        recorded: False for a run of a version that kept no record.
    """

    pack: ParsedPack | None
    violations: tuple[Violation, ...]
    waived: tuple[Violation, ...] = ()
    recorded: bool = True


def find_pack(files: Mapping[str, bytes]) -> tuple[str, bytes] | None:
    """Return the name and bytes of the pack among the files of a sealed run, or None if there is none."""
    names = sorted(name for name in files if name != ROLE_ARTIFACT and not is_reserved_name(name))
    return (names[0], files[names[0]]) if names else None


def make_comparison_record(
    pack: ParsedPack, baselines: Iterable[PublishedPack], violations: Iterable[Violation], waived: Iterable[Violation]
) -> dict[str, Any]:
    """Return the object `comparison` of run.json: the result of a pack's check."""
    own = {violation.fingerprint for violation in find_pack_violations(pack)}
    violations = list(violations)
    return {
        "pack": pack.path,
        "baselines": [
            {"source": baseline.source, "commit": baseline.commit, "sha256": baseline.pack.sha256}
            for baseline in baselines
        ],
        "tolerated": sorted(v.fingerprint for v in violations if v.fingerprint in own and _is_tolerated(v.finding)),
        "violations": [v.to_json() for v in violations if v.fingerprint not in own],
        "waived": [v.to_json() for v in waived],
    }


def _is_tolerated(result: Finding) -> bool:
    return result.severity is Severity.WARNING and CODES[result.code].severity is Severity.ERROR


def check_sealed_run(report: SealReport) -> tuple[Finding, ...]:
    """Return the errors and warnings of a sealed role registry, derived from the files of its folder alone."""
    findings = (violation.finding for violation in read_sealed_check(report).violations)
    # A first publish (RR031) matters on the day of the build, which reports it.
    return tuple(result for result in findings if result.severity is not Severity.INFO)


def read_sealed_check(report: SealReport) -> SealedCheck:
    """Return the check of a sealed pack, derived from the files of its folder alone."""
    file = find_pack(report.kept)
    if file is None:
        return SealedCheck(None, (make_not_checked(report.path, "the run folder contains no role pack"),))
    pack = parse_pack(file[1], f"{report.path}/{file[0]}")
    document = _check_document(report, pack)
    record = (report.run_json or {}).get(COMPARISON)
    if not isinstance(record, dict):
        unrecorded = make_not_checked(pack.path, _UNRECORDED)
        return SealedCheck(pack, (*document, as_warning(unrecorded)), recorded=False)
    waived = _read_recorded(record, "waived", pack.path)
    waived_fingerprints = {violation.fingerprint for violation in waived}
    tolerated = record.get("tolerated")
    tolerated = {text for text in tolerated if isinstance(text, str)} if isinstance(tolerated, list) else set()
    own = [
        as_warning(violation) if violation.fingerprint in tolerated else violation
        for violation in find_pack_violations(pack)
        if violation.fingerprint not in waived_fingerprints
    ]
    violations = sort_violations(own, _read_recorded(record, "violations", pack.path), document)
    return SealedCheck(pack, violations, waived)


def _check_document(report: SealReport, pack: ParsedPack) -> tuple[Violation, ...]:
    """Return RR036 if ROLE_REGISTRY_v0_1.json differs from what the pack beside it declares."""
    try:
        document = read_strict_json(report.kept[ROLE_ARTIFACT])
    except (KeyError, StrictJsonError):
        document = None
    if pack.snapshot is None or document == make_registry_document(pack):
        return ()
    return (Violation(finding("RR036", pack.path), (), make_fingerprint("RR036", ())),)


def _read_recorded(record: Mapping[str, Any], key: str, path: str) -> tuple[Violation, ...]:
    """Return recorded violations, located in the sealed pack."""
    rows = record.get(key)
    violations: list[Violation] = []
    for row in rows if isinstance(rows, Sequence) and not isinstance(rows, str) else ():
        try:
            violation = Violation.from_json(row)
        except ValueError:
            continue  # the schema of run.json reports it
        if violation.finding.path == record.get("pack"):
            violation = replace(violation, finding=replace(violation.finding, path=path))
        violations.append(violation)
    return tuple(violations)
