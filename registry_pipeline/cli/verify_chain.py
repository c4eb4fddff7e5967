"""What `verify` checks besides run folders: the chain, the pointer file, and signatures.

`verify` imports this module after it has started the processes that verify the folders.
"""

from __future__ import annotations

from collections.abc import Sequence

from registry_pipeline.cli.settings import Settings, read_system_clock
from registry_pipeline.cli.verify_options import VerifyOptions
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.cache_file import find_safe_change
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pipeline.inspect import list_evidence_pathspecs
from registry_pipeline.pipeline.status import inspect_with_git
from registry_pipeline.pipeline.verify import CheckedRun
from registry_pipeline.pointers.activated_runs import check_activated_runs
from registry_pipeline.pointers.chain import ChainState, check_anchor
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.signatures import (
    SignatureCheck,
    check_policy,
    check_record_signatures,
    check_run_signatures,
)
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.drift import check_tracked_files
from registry_pipeline.registries.run_registry.archives import list_archives
from registry_pipeline.runs.reference import PointerFile
from registry_pipeline.signing.keys import find_allowed_signers


def check_chain_and_pointers(
    settings: Settings, repository: Repository | None, request: VerifyOptions
) -> tuple[ChainState | None, PointerFile | None, tuple[Finding, ...]]:
    """Return the chain, the pointer file if it was read, and the findings that the options ask for."""
    if repository is None:
        # Only paths are verified. A repository around the working directory says which runs are marked bad.
        try:
            return read_chain_state(find_repository(settings.repo)), None, ()
        except RegistryPipelineError:
            return None, None, ()
    pointers: PointerFile | None = None
    findings: tuple[Finding, ...] = ()
    if request.includes_pointers:
        # The names in a run root are listed once. The chain and every run folder are read in full all the same.
        remembering = repository.remembering(find_safe_change(read_system_clock()))
        _, snapshot, findings = inspect_with_git(remembering, settings.now)
        chain, pointers = snapshot.chain, snapshot.pointer_file
        if request.all_folders:
            findings = (*findings, *list_archives(repository)[1])
    else:
        chain = read_chain_state(repository)
        if request.chain:
            findings = (*chain.findings, *check_tracked_files(repository, list_evidence_pathspecs(repository.config)))
    if request.chain or request.all_folders:
        findings = (*findings, *check_activated_runs(repository, chain))
    anchor_findings = check_anchor(chain, request.expect, repository.config.pointers) if request.expect else ()
    return chain, pointers, (*findings, *anchor_findings)


def check_signatures(
    repository: Repository,
    chain: ChainState,
    request: VerifyOptions,
    runs: Sequence[FoundRun],
    checked: Sequence[Sequence[CheckedRun]],
) -> SignatureCheck:
    """Return what is signed, of the chain and of the runs that verify.

    A run is a record of the chain if it has the root of one, wherever its folder is and however it was named.
    """
    allowed = find_allowed_signers(repository, request.allowed_signers)
    in_chain = request.chain or request.includes_pointers
    # An archive has a result for each of its runs.
    passed = [
        (run, {r.verdict.root_sha256 for r in results if r.verdict.passed})
        for run, results in zip(runs, checked, strict=True)
    ]
    named = {root for _, roots in passed for root in roots}
    records = {record.root: record for record in (*chain.records, *chain.voided)}
    in_question = [record for root, record in records.items() if in_chain or root in named]
    record_check = check_record_signatures(chain, in_question, allowed)
    missing = check_policy(repository, chain, record_check.signed) if in_chain else ()
    others = [run for run, roots in passed if roots - records.keys()]
    return record_check.joined_with(check_run_signatures(others, records, allowed), missing)
