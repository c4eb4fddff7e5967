"""Compare the run folders with what the activation records say about them, without reading all their files."""

from __future__ import annotations

import os

from registry_pipeline.canonical import json_line
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.chain import ACCEPTED_REMOVED, ChainState
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.envelope_file import read_stated_root
from registry_pipeline.runs.pointer_file import is_folder_name, read_pointers
from registry_pipeline.runs.reference import SealedRef


def check_activated_runs(repository: Repository, chain: ChainState) -> tuple[Finding, ...]:
    """Return a finding for each run that a record activated and that is missing, or now states another root.

    A missing run is a warning if a record accepted removed runs and the active run registry does not list it.
    """
    # (1) The runs that a record activated; of several records the first counts.
    moved = {
        move.to_ref: sealed.ref.run_id
        for sealed in reversed(chain.records)
        for move in sealed.record.moves
        if move.to_ref is not None and is_folder_name(move.to_ref.run_id) and not path_codes(move.to_ref.run_root)
    }
    # (2) Compare the root that the record names with the one that the folder states.
    findings: list[Finding] = []
    for ref, record in moved.items():
        path = ref.path
        root = read_stated_root(repository.path(path))
        if not os.path.lexists(repository.path(path)):
            accepted = _is_removal_accepted(repository, chain, ref)
            severity, detail = (Severity.WARNING, f"{record}, accepted since,") if accepted else (None, record)
            findings.append(finding("CHAIN_RUN_MISSING", path, severity=severity, detail=detail))
        elif root != ref.manifest_sha256:
            got = root or "no readable manifest"
            findings.append(finding("CHAIN_RUN_RESEALED", path, expected=ref.manifest_sha256, got=got, detail=record))
    return sorted_findings(findings)


def _is_removal_accepted(repository: Repository, chain: ChainState, missing: SealedRef) -> bool:
    """Return whether a record accepted a removal and the active run registry no longer lists the run."""
    if not any(sealed.record.verdicts.get(ACCEPTED_REMOVED) for sealed in chain.records):
        return False
    # A record counts removals but does not name them. The run registry that it activated no longer lists the run.
    ref = read_pointers(repository).active("run_registry")
    if ref is None:
        return False
    try:
        lines = read_sealed_report(repository, catalog_of(repository).spec_of("run_registry"), ref).kept[
            ref.relpath or ""
        ]
    except EvidenceError:
        return False
    return json_line(f"{missing.run_root}::{missing.run_id}").strip() not in lines
