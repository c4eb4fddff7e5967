"""The log that a new one continues (SPEC 4.5): the head, proven, or the reasons why there is none.

A claimed head is a log that no other log names as its `previous`. Logs marked bad do not count, nor does one that does
not begin with the bytes of its previous. A head that does not verify, and two heads, are for people to settle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.base.claims import Claim
from registry_pipeline.registries.base.delta import DELTA_LOG, LOG_FILE, DeltaEdge, parse_delta_log
from registry_pipeline.registries.base.reader import SealedStore
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import value_type


@value_type
class DeltaHead:
    """A log that verifies: its reference, its bytes and its edges."""

    ref: SealedRef
    data: bytes
    edges: tuple[DeltaEdge, ...]


@value_type
class HeadSearch:
    """The head, None where there is no log yet, or where an error among the findings forbids to continue any."""

    head: DeltaHead | None
    findings: tuple[Finding, ...]

    @property
    def refuses(self) -> bool:
        """Whether no log may be built until somebody has settled what is told."""
        return has_errors(self.findings)


def find_head(
    logs: Iterable[Claim], store: SealedStore, marked_bad: Mapping[str, str], run_roots: Collection[str]
) -> HeadSearch:
    """Return the one verified log that no other names; `marked_bad` are run ids that do not count."""
    standing = [log for log in logs if log.run_id not in marked_bad]
    told: list[Finding] = []
    while True:
        # One that names itself was altered: it names nothing, so that it must prove what it is.
        named = {ref.run_id for log in standing if (ref := log.previous) is not None and ref.run_id != log.run_id}
        claimed = {log: _judge(log, store, run_roots) for log in standing if log.run_id not in named}
        told += [found for found in claimed.values() if isinstance(found, Finding)]
        out = [log for log, found in claimed.items() if isinstance(found, Finding) and not has_errors([found])]
        if not out:
            break
        standing = [log for log in standing if log not in out]
    # A log that lies in two run roots is one log.
    heads = {
        (found.ref.run_id, found.ref.manifest_sha256): found
        for found in claimed.values()
        if not isinstance(found, Finding)
    }
    findings = sorted_findings([*told, *_contradictions(standing, claimed, list(heads.values()))])
    return HeadSearch(None if has_errors(findings) or not heads else next(iter(heads.values())), findings)


def _contradictions(standing: Sequence[Claim], claimed: Collection[Claim], heads: Sequence[DeltaHead]) -> list[Finding]:
    if len(heads) > 1:
        last = max(heads, key=lambda head: head.ref.run_id).ref
        names = " and ".join(sorted(head.ref.run_id for head in heads))
        return [finding("DELTA_TWO_HEADS", f"{last.run_root}/{last.run_id}", detail=names, run_id=last.run_id)]
    if standing and not claimed:
        log = max(standing, key=lambda log: log.run_id)
        detail = "the logs name each other in a circle"
        return [finding("DELTA_HEAD_NOT_VERIFIED", log.path, detail=detail, run_id=log.run_id)]
    return []


def find_foreign(report: SealReport, store: SealedStore) -> Finding | None:
    """Return the finding that leaves a verified run of another repository out of the log, None for any other run."""
    foreign_id = store.foreign_id(report) if report.verdict == "pass" else None
    return None if foreign_id is None else finding("DELTA_FOREIGN", report.path, got=foreign_id, detail=report.run_id)


def _judge(log: Claim, store: SealedStore, run_roots: Collection[str]) -> DeltaHead | Finding:
    """Return a claimed head as it was proven; a finding that is no error takes it out of the search."""
    report = store.verify(log.run_root, log.run_id, (LOG_FILE,))
    foreign = find_foreign(report, store)
    if foreign is not None:
        return foreign
    if report.verdict == "unsealed":
        detail = "it has no seal"
        return finding("DELTA_SNAPSHOT_NOT_VERIFIED", log.path, detail=detail, run_id=log.run_id)
    try:
        data = _verified_log(report)
        edges = tuple(parse_delta_log(data))
    except ValueError as error:
        return finding("DELTA_HEAD_NOT_VERIFIED", log.path, detail=str(error), run_id=log.run_id)
    named = Inputs.from_json((report.run_json or {}).get("inputs")).previous(DELTA_LOG)
    before = None if named is None else _previous_bytes(named, store, run_roots)
    if named is not None and before is not None and not data.startswith(before):
        return finding("DELTA_PREFIX_BROKEN", log.path, severity=Severity.WARNING, previous=named.run_id)
    return DeltaHead(SealedRef(log.run_id, log.run_root, LOG_FILE, report.root_sha256 or ""), data, edges)


def _verified_log(report: SealReport) -> bytes:
    """Return the bytes of a log.

    Raises:
        ValueError: the folder does not verify, or holds no log.
    """
    if report.verdict != "pass":
        raise ValueError(", ".join(sorted({f.code for f in report.findings if f.severity is Severity.ERROR})))
    if LOG_FILE not in report.kept:
        raise ValueError(f"there is no {LOG_FILE} in it")
    return report.kept[LOG_FILE]


def _previous_bytes(named: SealedRef, store: SealedStore, run_roots: Collection[str]) -> bytes | None:
    """Return the log that a head continued; None where it is gone or altered, so that nothing can be compared."""
    if named.run_root not in run_roots or "/" in named.run_id:
        return None
    report = store.verify(named.run_root, named.run_id, (LOG_FILE,))
    try:
        return _verified_log(report) if report.root_sha256 == named.manifest_sha256 else None
    except ValueError:
        return None
