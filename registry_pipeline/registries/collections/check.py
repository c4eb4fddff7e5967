"""The rules of the sealed runs of a collection: members and indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, plural
from registry_pipeline.registries.collections import INDEX, PACK_ARTIFACT
from registry_pipeline.registries.collections.build import is_captured_file
from registry_pipeline.registries.collections.members import PACK_FOLDER
from registry_pipeline.runs.pointer_file import run_folder, verify_referenced_run
from registry_pipeline.runs.sealed_run import SealedRun, SealReport

_MAX_SHOWN: Final = 200


def check_report(report: SealReport) -> tuple[Finding, ...]:
    """Return what is wrong with the content of a sealed member or index."""
    findings: list[Finding] = []
    if INDEX in report.kept:
        findings += _check_lines(f"{report.path}/{INDEX}", report.kept[INDEX])
    if PACK_ARTIFACT in report.kept:
        findings += _check_pack_record(report, report.kept[PACK_ARTIFACT])
    return tuple(findings)


def _check_lines(path: str, data: bytes) -> Iterator[Finding]:
    try:
        lines = [json.loads(line) for line in data.splitlines()]
        keys = [(line["member_id"], line["sealed_ref"]["run_id"]) for line in lines]
        is_sorted = all(a < b for a, b in pairwise(keys))
    except (ValueError, LookupError, TypeError, RecursionError):
        # The schema reports it.
        return
    if not is_sorted:
        yield finding("COLLECTION_INDEX_INVALID", path, detail="the lines are not sorted by member and run id")


def check_previous_index(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return a finding if an index lacks a line of the index that it continues, or if that cannot be checked."""
    data, previous = report.kept.get(INDEX), sealed.inputs.previous(sealed.registry_id)
    if data is None or previous is None:
        return ()
    path = f"{report.path}/{INDEX}"
    if not run_folder(repository, previous).is_dir():
        return (finding("COLLECTION_PREVIOUS_UNKNOWN", path, detail=f"{previous.run_id} is missing"),)
    before = verify_referenced_run(repository, previous, (INDEX,))
    if before.verdict != "pass" or before.root_sha256 != previous.manifest_sha256 or INDEX not in before.kept:
        return (finding("COLLECTION_PREVIOUS_UNKNOWN", path, detail=f"{previous.run_id} does not verify"),)
    lines = set(data.split(b"\n"))
    removed = [line for line in before.kept[INDEX].split(b"\n") if line not in lines]
    if not removed:
        return ()
    first = printable(removed[0][:_MAX_SHOWN].decode("utf-8", "backslashreplace"))
    detail = f"{plural(len(removed), 'line')}, the first is {first}"
    return (finding("COLLECTION_LINE_REMOVED", path, previous=previous.run_id, detail=detail),)


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
