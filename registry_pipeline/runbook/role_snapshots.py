"""The sealed role registry: what can be captured at all, and what a snapshot must keep (SPEC 3 and 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from registry_pipeline.canon import StrictJsonError, parse_utc, read_strict_json, sha256_hex
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.model.captures import is_own_name
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding, Severity
from registry_pipeline.model.refs import SealedRef
from registry_pipeline.model.roles import ROLE_ARTIFACT, ROLE_REGISTRY
from registry_pipeline.model.verdict import SealedRun, SealReport
from registry_pipeline.roles import (
    ParsedPack,
    Published,
    Violation,
    check_against,
    check_append_only,
    could_not_check,
    parse_pack,
    sorted_violations,
)
from registry_pipeline.runbook.reading import read_sealed, run_folder
from registry_pipeline.runbook.role_violations import FIRST_PUBLISH, not_checked, record_violations, waive
from registry_pipeline.sources.published_packs import read_commit_baseline

_TOOL = "role_registry append_only"


def pack_in(files: Mapping[str, bytes]) -> tuple[str, bytes] | None:
    """Return the name and bytes of the pack among the files of a sealed snapshot, None where there is none."""
    names = sorted(name for name in files if name != ROLE_ARTIFACT and not is_own_name(name))
    return (names[0], files[names[0]]) if names else None


def judge_pack(data: bytes, path: str) -> Sequence[Finding]:
    """Return why no role can be read from the bytes of a pack; nothing where some can, whatever else is wrong."""
    pack = parse_pack(data, path)
    if pack.snapshot is not None:
        return ()
    return [each.finding for each in check_against(pack, None) if each.finding.severity is Severity.ERROR]


def check_role_registry(governed: Governed, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Judge a sealed pack against the snapshot that was active before it and against git; remember what is found.

    Git is asked what was published at the commit that run.json names, so that no verdict changes by what was published
    since. Where git cannot tell, that is a warning: the snapshot before it still speaks.
    """
    found = pack_in(report.kept)
    if found is None:
        return (could_not_check(report.path, "the run folder holds no role pack").finding,)
    pack = parse_pack(found[1], f"{report.path}/{found[0]}")
    previous, unknown = _previous(governed, sealed)
    told = check_append_only(pack, _document(report), previous)
    by_git, baseline = _by_git(governed, sealed, report, pack)
    told = sorted_violations(told, by_git, unknown)
    if previous is not None or baseline is not None:
        told = tuple(each for each in told if each.finding.code != FIRST_PUBLISH)
    stamp = parse_utc((report.run_json or {}).get("created_utc"))
    if stamp is None:
        return tuple(each.finding for each in told)
    told, waived = waive(governed, told, stamp, usual=False)
    note = record_violations(governed, told, waived, stamp, tool=_TOOL, job_id=_dagster_run(report))
    unrecorded = () if note is None else (finding("DIAGNOSTICS_NOT_RECORDED", report.path, detail=note),)
    return (*(each.finding for each in told), *unrecorded)


def _document(report: SealReport) -> Any:
    try:
        return read_strict_json(report.kept[ROLE_ARTIFACT])
    except (KeyError, StrictJsonError):
        return None


def _dagster_run(report: SealReport) -> str | None:
    run_id = (report.run_json or {}).get("dagster_run_id")
    return run_id if isinstance(run_id, str) else None


def _previous(governed: Governed, sealed: SealedRun) -> tuple[Published | None, tuple[Violation, ...]]:
    """Return the snapshot that was active at build time; one that is gone or altered proves nothing, and is told."""
    ref = sealed.inputs.previous(ROLE_REGISTRY)
    if ref is None:
        return None, ()
    place = f"{ref.run_root}/{ref.run_id}"
    try:
        name, data = _sealed_pack(governed, ref, place)
    except (NotFoundError, EvidenceError) as error:
        return None, (_warning(not_checked(place, error)),)
    source = f"{place}/{name}"
    return Published(parse_pack(data, source), source), ()


def _sealed_pack(governed: Governed, ref: SealedRef, place: str) -> tuple[str, bytes]:
    if not run_folder(governed, ref).is_dir():
        raise NotFoundError(f"the snapshot before it, {place}, is not here")
    found = pack_in(read_sealed(governed, ROLE_REGISTRY, ref).kept)
    if found is None:
        raise NotFoundError(f"the snapshot before it, {place}, holds no role pack")
    return found


def _by_git(
    governed: Governed, sealed: SealedRun, report: SealReport, pack: ParsedPack
) -> tuple[tuple[Violation, ...], Published | None]:
    commit = (report.run_json or {}).get("git_commit")
    if not isinstance(commit, str):
        return (), None  # a plain folder: nothing was ever published by git
    digest = sha256_hex(pack.data)
    path = next((each.path for each in sealed.inputs.files if each.sha256 == digest), governed.config.roles.pack)
    try:
        found = read_commit_baseline(governed.root, path, commit, pack.data, governed.config.roles.baseline).pack
    except NotFoundError as error:
        return (_warning(not_checked(pack.path, error)),), None
    if found is None:
        return check_against(pack, None), None
    baseline = Published(parse_pack(found.data, found.source), found.source)
    return check_against(pack, baseline), baseline


def _warning(violation: Violation) -> Violation:
    return replace(violation, finding=replace(violation.finding, severity=Severity.WARNING))
