"""What the delta log is built from: the head, and the snapshots that were sealed since (SPEC 4.5).

Folders that the head names are not opened. Of the last logged snapshots only the manifests are read, and believed as
far as they give the logged root; every new snapshot is verified from its bytes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from registry_pipeline.config import Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.claims import (
    Claim,
    RunKey,
    is_named_like_a_log,
    main_artifact,
    read_claims,
    read_run_keys,
    registry_of,
)
from registry_pipeline.registries.base.delta import DELTA_LOG, DeltaEdge, Snapshot
from registry_pipeline.registries.base.reader import BuildInputs, SealedStore, SourceContext
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.registries.delta_log.build import DeltaLogInputs
from registry_pipeline.registries.delta_log.head import HeadSearch, find_foreign, find_head
from registry_pipeline.runs.envelope import InputRegistry
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import replace, value_type


def read_delta_log_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Gather the previous log and the new snapshots of every eligible registry, those of this build run among them.

    A step that Dagster tries again finds the log of its first try as the head, with nothing to add. Nothing can be
    built on a head that does not verify, or where there are two.

    Raises:
        ValueError: the context has no store to verify with (a bug of the caller).
    """
    if context.store is None:
        raise ValueError("the delta log is read through the store of sealed runs")
    search, claims = _search(repository, context, context.store)
    if search.refuses:
        return BuildInputs(None, (), _merge_foreign(repository, search.findings))
    edges = () if search.head is None else search.head.edges
    new = _read_new(repository, context, context.store, [c for c in claims if _is_eligible(context, c)], _keys(edges))
    last, untold = _read_last(context.store, edges, new.snapshots)
    previous = () if search.head is None else (InputRegistry(DELTA_LOG, "previous", search.head.ref),)
    return BuildInputs(
        DeltaLogInputs(b"" if search.head is None else search.head.data, last, new.snapshots),
        (),
        (*_merge_foreign(repository, [*search.findings, *new.findings]), *untold, *_late(edges, new.snapshots)),
        previous,
        _coverage(context.specs, edges, new.snapshots),
    )


def find_log_head(repository: Repository, store: SealedStore, specs: Mapping[str, RegistrySpec]) -> HeadSearch:
    """Return the log that a new one has to continue now, as `read_delta_log_inputs` looks for it."""
    return _search(repository, SourceContext(specs=specs), store)[0]


def _search(repository: Repository, context: SourceContext, store: SealedStore) -> tuple[HeadSearch, list[Claim]]:
    """Return the head, and the claims of all folders that it does not name.

    Logs are looked for by their folders' names first: with a head, nearly all other folders stay closed. A log under
    another name is found among the others, and then the head is looked for again.
    """
    specs, roots = context.specs, repository.config.run_roots
    keys = read_run_keys(repository.root, roots)
    bad = store.marked_bad()
    read = {key for key in keys if is_named_like_a_log(key, specs)}
    claims = read_claims(repository.root, [key for key in keys if key in read], specs)
    while True:
        logs = [claim for claim in claims if claim.registry_id == DELTA_LOG]
        search = find_head(logs, store, bad, roots)
        logged = _keys(() if search.head is None else search.head.edges)
        rest = [key for key in keys if key not in read and key not in logged]
        more = read_claims(repository.root, rest, specs, context.on_progress)
        read.update(rest)
        claims += more
        if all(claim.registry_id != DELTA_LOG for claim in more):
            return search, [claim for claim in claims if claim.key not in logged]


def _is_eligible(context: SourceContext, claim: Claim) -> bool:
    return claim.registry_id in context.specs and context.specs[claim.registry_id].delta


def _keys(edges: Iterable[DeltaEdge]) -> frozenset[RunKey]:
    return frozenset((edge.to_ref.run_root, edge.to_ref.run_id) for edge in edges)


@value_type
class _New:
    snapshots: tuple[Snapshot, ...]
    findings: tuple[Finding, ...]


def _read_new(
    repository: Repository,
    context: SourceContext,
    store: SealedStore,
    claims: Iterable[Claim],
    logged: frozenset[RunKey],
) -> _New:
    """Verify what claims to be a snapshot; what only a pointer proves to have been one is known by its root alone."""
    found: dict[RunKey, Snapshot] = {}
    untold: dict[RunKey, Finding] = {}
    for claim in claims:
        snapshot = _verified(claim, context.specs, store)
        if isinstance(snapshot, Finding):
            untold[claim.key] = snapshot
        elif snapshot is not None:
            found[claim.key] = snapshot
    for pointer in store.pointers().pointers:
        spec, ref = context.specs.get(pointer.registry_id), pointer.ref
        if spec is None or not spec.delta or ref is None or pointer.known == "unknown":
            continue
        key = ref.run_root, ref.run_id
        foreign = key in untold and untold[key].code == "DELTA_FOREIGN"
        if key in found or key in logged or foreign or ref.run_root not in repository.config.run_roots:
            continue
        found[key] = Snapshot(pointer.registry_id, ref, None)
        untold[key] = _unreadable(ref, "the pointer file")
    return _New(tuple(found.values()), tuple(untold.values()))


def _verified(claim: Claim, specs: Mapping[str, RegistrySpec], store: SealedStore) -> Snapshot | Finding | None:
    """Return the snapshot that a folder is, a finding where it does not verify, None if its bytes claim otherwise."""
    report = store.verify(claim.run_root, claim.run_id)
    if report.verdict != "pass" or report.root_sha256 is None:
        errors = {f.code for f in report.findings if f.severity is Severity.ERROR or report.verdict == "unsealed"}
        detail = ", ".join(sorted(errors))
        return finding("DELTA_SNAPSHOT_NOT_VERIFIED", claim.path, detail=detail, run_id=claim.run_id)
    foreign = find_foreign(report, store)
    if foreign is not None:
        return foreign
    relpaths = [entry.relpath for entry in report.entries]
    spec = specs.get(registry_of(report.run_json, relpaths, specs)[0] or "")
    if spec is None or not spec.delta:
        return None
    ref = SealedRef(claim.run_id, claim.run_root, main_artifact(spec, relpaths), report.root_sha256)
    return Snapshot(spec.registry_id, ref, report.entries)


def _merge_foreign(repository: Repository, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings with one DELTA_FOREIGN for each other repository: a fork may inherit a thousand runs."""
    by_repository: defaultdict[str | None, dict[str, Finding]] = defaultdict(dict)
    others = []
    for each in findings:
        if each.code == "DELTA_FOREIGN":
            by_repository[each.got][each.path] = each
        else:
            others.append(each)
    for left_out in by_repository.values():
        newest = max(left_out.values(), key=lambda each: each.path.rpartition("/")[2])
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        others.append(replace(newest, message=newest.message + more, expected=repository.config.repository_id))
    return tuple(others)


def _unreadable(ref: SealedRef, who: str) -> Finding:
    return finding("DELTA_SNAPSHOT_UNKNOWN", f"{ref.run_root}/{ref.run_id}", expected=ref.manifest_sha256, detail=who)


def _read_last(
    store: SealedStore, edges: Iterable[DeltaEdge], new: Iterable[Snapshot]
) -> tuple[dict[str, Snapshot], list[Finding]]:
    """Return the last logged snapshot of each registry that has new ones, and those that cannot be read any more."""
    grown = {snapshot.registry_id for snapshot in new}
    refs = {edge.registry_id: edge.to_ref for edge in edges if edge.registry_id in grown}
    last = {name: Snapshot(name, ref, store.proven_entries(ref)) for name, ref in refs.items()}
    return last, [_unreadable(each.ref, "the log") for each in last.values() if each.entries is None]


def _late(edges: Iterable[DeltaEdge], new: Iterable[Snapshot]) -> list[Finding]:
    newest: dict[str, str] = {}
    for edge in edges:
        newest[edge.registry_id] = max(newest.get(edge.registry_id, ""), edge.to_ref.run_id)
    return [
        finding("DELTA_LATE", f"{s.ref.run_root}/{s.ref.run_id}", detail=newest[s.registry_id])
        for s in new
        if s.ref.run_id < newest.get(s.registry_id, "")
    ]


def _coverage(specs: Mapping[str, RegistrySpec], edges: Iterable[DeltaEdge], new: Iterable[Snapshot]) -> dict[str, Any]:
    """Return what the log says of every registry of the table: covered, skipped, or excluded with the reason."""
    counts = Counter([*(edge.registry_id for edge in edges), *(snapshot.registry_id for snapshot in new)])
    rows = []
    for name, spec in specs.items():
        state, reason = ("covered", None) if counts[name] else ("skipped", "no sealed snapshot")
        if not spec.delta:
            state, reason = "excluded", spec.excluded_because
        rows.append({"registry_id": name, "state": state, "records": counts[name], "reason": reason})
    return {"records": counts.total(), "registries": rows}
