"""Read what the delta log is built from: its sealed predecessor, the chain, and the run folders that both name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from registry_pipeline.config import MemoKind, Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.base.delta import DELTA_LOG, LOG_FILE, DeltaEdge, Snapshot, parse_delta_log
from registry_pipeline.registries.base.reader import (
    BuildInputs,
    ChainFacts,
    RegistrySpec,
    SourceContext,
    find_foreign_repository_id,
)
from registry_pipeline.registries.base.sealed_input import (
    UNCLAIMED,
    Claim,
    RunKey,
    find_main_artifact,
    find_registry,
    read_claims,
    select_delta_log_names,
)
from registry_pipeline.registries.delta_log.build import DeltaLogInputs, check_delta_log
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.envelope_file import read_entries_for_root
from registry_pipeline.runs.pointer_file import read_pointers, run_folder, verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import list_run_roots
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import replace, value_type


@value_type
class DeltaHead:
    """A log that verifies: its reference, its bytes and its edges."""

    ref: SealedRef
    data: bytes
    edges: tuple[DeltaEdge, ...]


@value_type
class HeadSearch:
    """The head, and the findings of the search; no head if there is no log yet, or if a finding is an error."""

    head: DeltaHead | None
    findings: tuple[Finding, ...]

    @property
    def refuses(self) -> bool:
        """Whether no log may be built until the errors are resolved."""
        return has_errors(self.findings)


def find_head(repository: Repository, logs: Iterable[Claim], chain: ChainFacts) -> HeadSearch:
    """Return the one log of `logs` that verifies and that no other log names as its previous.

    Logs that are marked bad, foreign, unsealed or that do not continue their previous one do not count; each of the
    last three is a finding that is no error. Two heads, a cycle, or a head that does not verify are errors.
    """
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
        last = max(heads.values(), key=lambda head: head.ref.run_id).ref
        names = " and ".join(sorted(head.ref.run_id for head in heads.values()))
        path = f"{last.run_root}/{last.run_id}"
        findings.append(finding("DELTA_TWO_HEADS", path, detail=names, run_id=last.run_id))
    elif candidates and not results:
        log = max(candidates, key=lambda log: log.run_id)
        detail = "the logs name each other in a cycle"
        findings.append(finding("DELTA_HEAD_NOT_VERIFIED", log.path, detail=detail, run_id=log.run_id))
    usable = heads and not has_errors(findings)
    return HeadSearch(next(iter(heads.values())) if usable else None, sorted_findings(findings))


def _find_foreign(repository: Repository, report: SealReport, chain: ChainFacts) -> Finding | None:
    """Return DELTA_FOREIGN if a verified run belongs to another repository and was not accepted, else None."""
    if report.verdict != "pass":
        return None
    foreign_id = find_foreign_repository_id(report, repository.config.repository_id, chain.accepted_foreign)
    if foreign_id is None:
        return None
    registry_id = str((report.run_json or {}).get("registry_id"))
    found = finding(
        "DELTA_FOREIGN", report.path, got=foreign_id, detail=report.run_id, registry=registry_id, run_id=report.run_id
    )
    # A log has no pointer, so that it cannot be accepted by an activation.
    return replace(found, hint="move the folder out of the run roots") if registry_id == "registry_delta_log" else found


def _verify_head(repository: Repository, log: Claim, chain: ChainFacts) -> DeltaHead | Finding:
    """Return a log as a verified head, or a finding; a log whose finding is no error does not count as a log."""
    report = verify_referenced_run(repository, SealedRef(log.run_id, log.run_root, LOG_FILE, ""), (LOG_FILE,))
    # (1) What is no log of this repository does not count: a foreign run, or a folder that was never sealed.
    foreign = _find_foreign(repository, report, chain)
    if foreign is not None:
        return foreign
    if report.verdict == "unsealed":
        detail = "the folder has no seal"
        return finding("DELTA_SNAPSHOT_NOT_VERIFIED", log.path, detail=detail, run_id=log.run_id)
    # (2) What was sealed and is no valid log is an error: it may have been altered.
    try:
        data, edges = _parse_log(repository, report)
    except ValueError as error:
        return finding("DELTA_HEAD_NOT_VERIFIED", log.path, detail=str(error), run_id=log.run_id)
    previous = Inputs.from_json((report.run_json or {}).get("inputs")).previous(DELTA_LOG)
    # (3) A log that does not start with its previous one does not count, so that the previous one can be continued.
    # A path that run.json states is opened only if it is a run folder of this repository.
    if previous is not None and previous.run_root in repository.config.run_roots and "/" not in previous.run_id:
        previous_data = _read_log(repository, previous)
        if previous_data is not None and not data.startswith(previous_data):
            return finding("DELTA_PREFIX_BROKEN", log.path, severity=Severity.WARNING, previous=previous.run_id)
    return DeltaHead(SealedRef(log.run_id, log.run_root, LOG_FILE, report.root_sha256 or ""), data, edges)


# By the root of a log: a build looks for the head once more before it seals.
_EDGES: Final = MemoKind[tuple[DeltaEdge, ...]]()


def _parse_log(repository: Repository, report: SealReport) -> tuple[bytes, tuple[DeltaEdge, ...]]:
    """Return the bytes and edges of a sealed log; raise ValueError with the reason if it is no valid log."""
    if report.verdict != "pass":
        raise ValueError(", ".join(sorted({f.code for f in report.findings if f.severity is Severity.ERROR})))
    if LOG_FILE not in report.kept:
        raise ValueError(f"the folder does not contain {LOG_FILE}")
    data = report.kept[LOG_FILE]
    edges = repository.recall(_EDGES, report.root_sha256)
    if edges is None:
        edges = tuple(parse_delta_log(data))
        repository.keep(_EDGES, edges, report.root_sha256)
    return data, edges


def _read_log(repository: Repository, ref: SealedRef) -> bytes | None:
    """Return the bytes of a log, or None if the run is missing, does not verify or has another root."""
    report = verify_referenced_run(repository, ref, (LOG_FILE,))
    verified = report.verdict == "pass" and report.root_sha256 == ref.manifest_sha256
    return report.kept.get(LOG_FILE) if verified else None


def check_sealed_log(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings about a sealed delta log, compared with the log that it names; none without the log file."""
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


def read_delta_log_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Read the head and the snapshots of logged registries that it does not list, those of this build run included.

    Each is verified; what does not verify is a finding and is left out. There are no inputs, only findings, if the
    search for the head gives an error. A snapshot that only a pointer names has no entries.

    Raises:
        ValueError: the context has no chain (a bug of the caller).
    """
    chain = context.chain
    if chain is None:
        raise ValueError("the delta log needs the facts of the activation chain")
    # (1) The head, if there is a log already. No log is built while the search for it gives an error.
    search, claims = _find_head_and_claims(repository, context, chain)
    if search.refuses:
        return BuildInputs(None, (), _merge_foreign(repository, search.findings))
    head = search.head
    edges = () if head is None else head.edges
    # (2) The snapshots that it does not list.
    logged_ids = {name for name, spec in context.specs.items() if spec.delta}
    logged = [claim for claim in claims if claim.registry_id in logged_ids]
    new, findings = _read_new_snapshots(repository, context.specs, chain, logged, _collect_run_keys(edges))
    # (3) The last listed snapshot of each registry that has new ones. Its manifest is authenticated by the logged root.
    changed = {snapshot.registry_id for snapshot in new}
    refs = {edge.registry_id: edge.to_ref for edge in edges if edge.registry_id in changed}
    last = {
        name: Snapshot(name, ref, read_entries_for_root(run_folder(repository, ref), ref.manifest_sha256))
        for name, ref in refs.items()
    }
    unreadable = [_make_unknown_finding(s.ref, "the log") for s in last.values() if s.entries is None]
    return BuildInputs(
        DeltaLogInputs(b"" if head is None else head.data, last, new),
        (),
        (*_merge_foreign(repository, [*search.findings, *findings]), *unreadable, *_find_late(edges, new)),
        () if head is None else (InputRegistry(DELTA_LOG, "previous", head.ref),),
        _summarize_coverage(context.specs, edges, new),
    )


def find_log_head(repository: Repository, chain: ChainFacts, specs: Mapping[str, RegistrySpec]) -> HeadSearch:
    """Return the search for the log that a new one has to continue now; it reads the run folders."""
    return _find_head_and_claims(repository, SourceContext(specs=specs), chain)[0]


def _find_head_and_claims(
    repository: Repository, context: SourceContext, chain: ChainFacts
) -> tuple[HeadSearch, list[Claim]]:
    """Return the search for the head, and the claims of the run folders that the head does not list."""
    specs = context.specs
    # An unreadable run root is skipped here; run_registry reports it.
    roots = repository.config.run_roots
    listing = {
        run_root: entries.folders
        for run_root, entries in list_run_roots(repository, roots, lambda _run_root, _error: None)
    }
    # (1) Only the folders that are named like logs are opened first: a head makes opening most others unnecessary.
    logs = [
        (run_root, name) for run_root, names in listing.items() for name in sorted(select_delta_log_names(names, specs))
    ]
    claims = read_claims(repository.root, logs, specs)
    # The build of run_registry may have found out which folders belong to no registry. With a hundred thousand of
    # them, sets take a tenth of the time of a loop.
    unclaimed = repository.recall(UNCLAIMED) or {}
    unread = {run_root: set(names).difference(unclaimed.get(run_root, ())) for run_root, names in listing.items()}
    for run_root, name in logs:
        unread[run_root].discard(name)
    while True:
        search = find_head(repository, [claim for claim in claims if claim.registry_id == DELTA_LOG], chain)
        listed = _collect_run_keys(() if search.head is None else search.head.edges)
        # (2) The folders that the head does not list. A log with another name among them makes the search start again.
        keys = [(run_root, name) for run_root, names in unread.items() for name in sorted(names)]
        keys = [key for key in keys if key not in listed]
        more = read_claims(repository.root, keys, specs, context.on_progress)
        for run_root, name in keys:
            unread[run_root].discard(name)
        claims += more
        if all(claim.registry_id != DELTA_LOG for claim in more):
            return search, [claim for claim in claims if claim.key not in listed]


def _collect_run_keys(edges: Iterable[DeltaEdge]) -> frozenset[RunKey]:
    return frozenset((edge.to_ref.run_root, edge.to_ref.run_id) for edge in edges)


def _read_new_snapshots(
    repository: Repository,
    specs: Mapping[str, RegistrySpec],
    chain: ChainFacts,
    claims: Iterable[Claim],
    listed: Collection[RunKey],
) -> tuple[tuple[Snapshot, ...], tuple[Finding, ...]]:
    """Return the snapshots that the log does not list, and findings about folders that are left out or unreadable."""
    snapshots: dict[RunKey, Snapshot] = {}
    findings: dict[RunKey, Finding] = {}
    for claim in claims:
        result = _verify_snapshot(repository, claim, specs, chain)
        if isinstance(result, Finding):
            findings[claim.key] = result
        elif result is not None:
            snapshots[claim.key] = result
    # A pointer proves that its snapshot existed, even if the folder cannot be read: the edge gets the basis `unknown`.
    foreign = {key for key, item in findings.items() if item.code == "DELTA_FOREIGN"}
    for pointer in read_pointers(repository).pointers:
        spec, ref = specs.get(pointer.registry_id), pointer.ref
        if spec is None or not spec.delta or ref is None or pointer.known == "unknown":
            continue
        key = ref.run_root, ref.run_id
        if key in snapshots or key in listed or key in foreign or ref.run_root not in repository.config.run_roots:
            continue
        snapshots[key] = Snapshot(pointer.registry_id, ref, None)
        findings[key] = _make_unknown_finding(ref, "the pointer file")
    return tuple(snapshots.values()), tuple(findings.values())


def _verify_snapshot(
    repository: Repository, claim: Claim, specs: Mapping[str, RegistrySpec], chain: ChainFacts
) -> Snapshot | Finding | None:
    """Return the snapshot in a folder, or a finding; None if the verified bytes belong to no logged registry."""
    report = verify_referenced_run(repository, SealedRef(claim.run_id, claim.run_root, None, ""))
    if report.verdict != "pass" or report.root_sha256 is None:
        codes = {f.code for f in report.findings if f.severity is Severity.ERROR or report.verdict == "unsealed"}
        detail = ", ".join(sorted(codes))
        return finding("DELTA_SNAPSHOT_NOT_VERIFIED", claim.path, detail=detail, run_id=claim.run_id)
    foreign = _find_foreign(repository, report, chain)
    if foreign is not None:
        return foreign
    relpaths = [entry.relpath for entry in report.entries]
    spec = specs.get(find_registry(report.run_json, relpaths, specs)[0] or "")
    if spec is None or not spec.delta:
        return None
    ref = SealedRef(claim.run_id, claim.run_root, find_main_artifact(spec, relpaths), report.root_sha256)
    return Snapshot(spec.registry_id, ref, report.entries)


def _merge_foreign(repository: Repository, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings with one DELTA_FOREIGN for each other repository, about its newest run, at the end."""
    # A fork may inherit a thousand runs, and one finding for each would hide all others.
    foreign: defaultdict[str | None, dict[str, Finding]] = defaultdict(dict)
    merged = []
    for item in findings:
        if item.code == "DELTA_FOREIGN":
            foreign[item.got][item.path] = item
        else:
            merged.append(item)
    for by_path in foreign.values():
        newest = max(by_path.values(), key=lambda item: item.path.rpartition("/")[2])
        more = f" and {len(by_path) - 1} more" if len(by_path) > 1 else ""
        merged.append(replace(newest, message=newest.message + more, expected=repository.config.repository_id))
    return tuple(merged)


def _make_unknown_finding(ref: SealedRef, named_by: str) -> Finding:
    return finding("DELTA_SNAPSHOT_UNKNOWN", ref.path, expected=ref.manifest_sha256, detail=named_by)


def _find_late(edges: Iterable[DeltaEdge], snapshots: Iterable[Snapshot]) -> list[Finding]:
    """Return a finding for each snapshot whose run id is before the newest logged one of its registry."""
    newest: dict[str, str] = {}
    for edge in edges:
        newest[edge.registry_id] = max(newest.get(edge.registry_id, ""), edge.to_ref.run_id)
    return [
        finding("DELTA_LATE", s.ref.path, detail=newest[s.registry_id])
        for s in snapshots
        if s.ref.run_id < newest.get(s.registry_id, "")
    ]


def _summarize_coverage(
    specs: Mapping[str, RegistrySpec], edges: Iterable[DeltaEdge], snapshots: Iterable[Snapshot]
) -> dict[str, Any]:
    """Return the state of every registry in the log: covered, skipped, or excluded with the reason."""
    counts = Counter([*(edge.registry_id for edge in edges), *(snapshot.registry_id for snapshot in snapshots)])
    rows = []
    for name, spec in specs.items():
        state, reason = ("covered", None) if counts[name] else ("skipped", "no sealed snapshot")
        if not spec.delta:
            state, reason = "excluded", spec.excluded_because
        rows.append({"registry_id": name, "state": state, "records": counts[name], "reason": reason})
    return {"records": counts.total(), "registries": rows}
