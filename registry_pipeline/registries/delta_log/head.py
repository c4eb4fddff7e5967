"""Find the log that a new delta log continues (the head), and check a sealed log against its previous one.

Errors stop the build: a head that does not verify, or two heads. People decide then which log to keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from registry_pipeline.config import Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.base.claims import Claim
from registry_pipeline.registries.base.delta import DELTA_LOG, LOG_FILE, DeltaEdge, parse_delta_log
from registry_pipeline.registries.base.reader import ChainFacts, foreign_repository_id
from registry_pipeline.registries.delta_log.check import check_delta_log
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type


@value_type
class DeltaHead:
    """A log that verifies: its reference, its bytes and its edges."""

    ref: SealedRef
    data: bytes
    edges: tuple[DeltaEdge, ...]


@value_type
class HeadSearch:
    """The head; None if there is no log yet, or if the findings contain an error."""

    head: DeltaHead | None
    findings: tuple[Finding, ...]

    @property
    def refuses(self) -> bool:
        """Whether no log may be built until the errors are resolved."""
        return has_errors(self.findings)


def find_head(repository: Repository, logs: Iterable[Claim], chain: ChainFacts) -> HeadSearch:
    """Return the one log that verifies and that no other log names as its previous."""
    candidates = [log for log in logs if log.run_id not in chain.marked_bad]
    findings: list[Finding] = []
    while True:
        # (1) A head is a log that no other names. A log that names itself was altered, so it names nothing.
        named = {ref.run_id for log in candidates if (ref := log.previous) is not None and ref.run_id != log.run_id}
        results = {log: _verify_head(repository, log, chain) for log in candidates if log.run_id not in named}
        findings += [result for result in results.values() if isinstance(result, Finding)]
        # (2) Logs that do not count may have hidden the real head: search again without them.
        excluded = {log for log, result in results.items() if isinstance(result, Finding) and not has_errors([result])}
        if not excluded:
            break
        candidates = [log for log in candidates if log not in excluded]
    # (3) A log that exists in two run roots is one log.
    heads = {
        (result.ref.run_id, result.ref.manifest_sha256): result
        for result in results.values()
        if isinstance(result, DeltaHead)
    }
    if len(heads) > 1:
        findings.append(_two_heads(list(heads.values())))
    elif candidates and not results:
        log = max(candidates, key=lambda log: log.run_id)
        detail = "the logs name each other in a cycle"
        findings.append(finding("DELTA_HEAD_NOT_VERIFIED", log.path, detail=detail, run_id=log.run_id))
    usable = heads and not has_errors(findings)
    return HeadSearch(next(iter(heads.values())) if usable else None, sorted_findings(findings))


def _two_heads(heads: Sequence[DeltaHead]) -> Finding:
    last = max(heads, key=lambda head: head.ref.run_id).ref
    names = " and ".join(sorted(head.ref.run_id for head in heads))
    return finding("DELTA_TWO_HEADS", f"{last.run_root}/{last.run_id}", detail=names, run_id=last.run_id)


def find_foreign(repository: Repository, report: SealReport, chain: ChainFacts) -> Finding | None:
    """Return a finding if a verified run belongs to another repository; such a run is not logged."""
    if report.verdict != "pass":
        return None
    foreign_id = foreign_repository_id(report, repository.config.repository_id, chain.accepted_foreign)
    return None if foreign_id is None else finding("DELTA_FOREIGN", report.path, got=foreign_id, detail=report.run_id)


def _verify_head(repository: Repository, log: Claim, chain: ChainFacts) -> DeltaHead | Finding:
    """Return a log as a verified head, or a finding; a log whose finding is no error does not count as a log."""
    report = verify_referenced_run(repository, SealedRef(log.run_id, log.run_root, LOG_FILE, ""), (LOG_FILE,))
    # (1) What is no log of this repository does not count: a foreign run, or a folder that was never sealed.
    foreign = find_foreign(repository, report, chain)
    if foreign is not None:
        return foreign
    if report.verdict == "unsealed":
        detail = "the folder has no seal"
        return finding("DELTA_SNAPSHOT_NOT_VERIFIED", log.path, detail=detail, run_id=log.run_id)
    # (2) What was sealed and is no valid log is an error: it may have been altered.
    edges: tuple[DeltaEdge, ...] = ()
    problem = None
    if report.verdict != "pass":
        problem = ", ".join(sorted({f.code for f in report.findings if f.severity is Severity.ERROR}))
    elif LOG_FILE not in report.kept:
        problem = f"the folder does not contain {LOG_FILE}"
    else:
        try:
            edges = tuple(parse_delta_log(report.kept[LOG_FILE]))
        except ValueError as error:
            problem = str(error)
    if problem is not None:
        return finding("DELTA_HEAD_NOT_VERIFIED", log.path, detail=problem, run_id=log.run_id)
    data = report.kept[LOG_FILE]
    previous = Inputs.from_json((report.run_json or {}).get("inputs")).previous(DELTA_LOG)
    # (3) A log that does not start with its previous one does not count, so that the previous one can be continued.
    # A path that run.json states is opened only if it is a run folder of this repository.
    if previous is not None and previous.run_root in repository.config.run_roots and "/" not in previous.run_id:
        previous_data = _read_log(repository, previous)
        if previous_data is not None and not data.startswith(previous_data):
            return finding("DELTA_PREFIX_BROKEN", log.path, severity=Severity.WARNING, previous=previous.run_id)
    return DeltaHead(SealedRef(log.run_id, log.run_root, LOG_FILE, report.root_sha256 or ""), data, edges)


def _read_log(repository: Repository, ref: SealedRef) -> bytes | None:
    """Return the bytes of a log, or None if the run is missing, does not verify or has another root."""
    report = verify_referenced_run(repository, ref, (LOG_FILE,))
    verified = report.verdict == "pass" and report.root_sha256 == ref.manifest_sha256
    return report.kept.get(LOG_FILE) if verified else None


def check_sealed_log(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings about a sealed delta log, compared with the log that it names as `previous`."""
    log = report.kept.get(LOG_FILE)
    if log is None:
        return ()
    previous = sealed.inputs.previous(DELTA_LOG)
    return check_delta_log(
        log,
        None if previous is None else _read_log(repository, previous),
        path=f"{report.path}/{LOG_FILE}",
        run_id=report.run_id,
        created_utc=str((report.run_json or {}).get("created_utc")),
        previous_run_id=None if previous is None else previous.run_id,
    )
