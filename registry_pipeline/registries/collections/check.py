"""The rules of the sealed runs of a collection: members and indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

from registry_pipeline.config import Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.collections import INDEX, PACK_ARTIFACT
from registry_pipeline.registries.collections.build import is_captured_file, parse_index
from registry_pipeline.registries.collections.members import PACK_FOLDER
from registry_pipeline.runs.pointer_file import run_folder, verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, SealReport


def check_sealed_run(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of a sealed member or index; a previous index that is missing is a warning."""
    findings: list[Finding] = []
    if INDEX in report.kept:
        previous = sealed.inputs.previous(sealed.registry_id)
        findings += _check_index(repository, report, report.kept[INDEX], previous)
    if PACK_ARTIFACT in report.kept:
        findings += _check_pack_record(report, report.kept[PACK_ARTIFACT])
    return sorted_findings(findings)


def _check_index(
    repository: Repository, report: SealReport, data: bytes, previous: SealedRef | None
) -> Iterator[Finding]:
    path = f"{report.path}/{INDEX}"
    try:
        entries = parse_index(data)
    except ValueError as error:
        yield finding("COLLECTION_INDEX_INVALID", path, detail=str(error))
        return
    keys = [(entry.member_id, entry.ref.run_id) for entry in entries]
    if any(a >= b for a, b in pairwise(keys)):
        yield finding("COLLECTION_INDEX_INVALID", path, detail="the lines are not sorted by member and run id")
    if previous is None:
        return
    if not run_folder(repository, previous).is_dir():
        yield finding("COLLECTION_PREVIOUS_UNKNOWN", path, detail=f"{previous.run_id} is missing")
        return
    before = verify_referenced_run(repository, previous, (INDEX,))
    if before.verdict != "pass" or before.root_sha256 != previous.manifest_sha256 or INDEX not in before.kept:
        yield finding("COLLECTION_PREVIOUS_UNKNOWN", path, detail=f"{previous.run_id} does not verify")
        return
    lines = set(data.split(b"\n"))
    removed = [line for line in before.kept[INDEX].split(b"\n") if line not in lines]
    if removed:
        detail = f"{len(removed)} of its lines, the first is {removed[0][:200].decode('utf-8', 'backslashreplace')}"
        yield finding("COLLECTION_LINE_REMOVED", path, previous=previous.run_id, detail=detail)


def _check_pack_record(report: SealReport, data: bytes) -> Iterator[Finding]:
    try:
        record = json.loads(data)
        stated = {f"{PACK_FOLDER}/{item['path']}": (item["bytes"], item["sha256"]) for item in record["files"]}
    except (ValueError, LookupError, TypeError):
        # The schema reports it.
        return
    sealed = {e.relpath: (e.bytes, e.sha256) for e in report.entries if is_captured_file(e.relpath)}
    differing = sorted(path for path in stated.keys() | sealed.keys() if stated.get(path) != sealed.get(path))
    if differing:
        detail = ", ".join(differing[:3])
        yield finding("COLLECTION_PACK_DIFFERS", f"{report.path}/{PACK_ARTIFACT}", detail=detail)
