"""Seal the members of a collection that are new or have changed, and the index of all of them.

Members are sealed up to 32 together. A build that is killed leaves complete members; the next build adds them to the
index. Rules: docs/reference/specification.md, "Collections".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.pipeline.steps import hold_registry_lock, list_head_inputs
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.reader import ChainFacts, RegistrySpec
from registry_pipeline.registries.base.seal_build import (
    BuildRun,
    make_run_id,
    refuse_linked_publish_root,
    seal_all_built,
    seal_built,
)
from registry_pipeline.registries.collections.build import IndexEntry, build_index, make_index_entry
from registry_pipeline.registries.collections.members import Member
from registry_pipeline.registries.collections.state import (
    CollectionState,
    MemberCache,
    list_run_names,
    read_collection,
    read_sealed_index,
)
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope import BuildContext, InputRegistry, Inputs
from registry_pipeline.runs.manifest import make_entry
from registry_pipeline.runs.sealed_run import Built, SealedRun, Verdict
from registry_pipeline.values import field, value_type

# So many members, or so many bytes, are sealed with one synchronisation: more would gain little, and need memory.
_BATCH: Final = 32
_BATCH_BYTES: Final = 64 << 20


@value_type
class SealedMember:
    """A member that was sealed now, and the verdict on its run."""

    member_id: str
    built: Built
    run: SealedRun
    verdict: Verdict
    entry: IndexEntry


@value_type
class CollectionBuild:
    """One build of a collection: its state at the start, and what becomes of its members."""

    repository: Repository
    run: BuildRun
    spec: RegistrySpec
    chain: ChainFacts
    state: CollectionState
    cache: MemberCache
    # What was wrong with the members that could not be sealed, by member; filled by `seal_members`.
    refused: dict[str, tuple[Finding, ...]] = field(default_factory=dict)


def read_members(repository: Repository, spec: RegistrySpec) -> CollectionState:
    """Return the state of a collection, without writing a cache."""
    return read_collection(repository, spec, _read_chain_facts(repository, spec))


def _read_chain_facts(repository: Repository, spec: RegistrySpec) -> ChainFacts:
    # Of a collection without runs the chain says nothing.
    if not list_run_names(repository, spec):
        return ChainFacts({}, frozenset())
    chain = read_chain_state(repository, from_checkpoint=True)
    return ChainFacts(chain.marked_bad, chain.accepted_foreign(repository.config.repository_id))


def start_collection_build(repository: Repository, run: BuildRun, spec: RegistrySpec) -> CollectionBuild:
    """Return a build of a collection as it is now; only sources that may have changed are read."""
    facts = _read_chain_facts(repository, spec)
    cache = MemberCache(repository, spec)
    return CollectionBuild(repository, run, spec, facts, read_collection(repository, spec, facts, cache), cache)


def select_members(
    build: CollectionBuild, *, member_ids: Collection[str] | None = None, force: bool = False
) -> tuple[Member, ...]:
    """Return the members to seal: of the ids, or of all, those that are new or have changed; with `force` all."""
    members = [state.member for state in build.state.members if state.member is not None]
    selected = members if force else build.state.list_pending()
    return tuple(member for member in selected if member_ids is None or member.member_id in member_ids)


def seal_members(
    build: CollectionBuild, members: Sequence[Member], *, is_cancelled: Callable[[], bool] = lambda: False
) -> Iterator[SealedMember]:
    """Seal members in their order, up to 32 together, and yield each with its verdict; raises as `seal_all_built`.

    A member that cannot be sealed is left out, with its findings in `build.refused`. Once `is_cancelled` returns True
    no further member is read, and those that were read are sealed and yielded.
    """
    for batch in _read_batches(build, members, is_cancelled):
        requests = [(build.run, built) for _, built in batch]
        sealed = seal_all_built(build.repository, build.spec, requests)
        for (member, built), run in zip(batch, sealed, strict=True):
            verdict = validate(build.repository, run)
            files = [make_entry(path, data) for path, data in built.artifacts.files.items()]
            entry = make_index_entry(member.member_id, run.ref, files)
            build.cache.add(member, entry.content_sha256)
            yield SealedMember(member.member_id, built, run, verdict, entry)


def _read_batches(
    build: CollectionBuild, members: Sequence[Member], is_cancelled: Callable[[], bool]
) -> Iterator[list[tuple[Member, Built]]]:
    batch: list[tuple[Member, Built]] = []
    size = 0
    for member in members:
        if is_cancelled():
            break
        built = _build_member(build, member)
        if built is None:
            continue
        batch.append((member, built))
        size += sum(map(len, built.artifacts.files.values()))
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _build_member(build: CollectionBuild, member: Member) -> Built | None:
    """Read and build a member; if it cannot be sealed, keep its findings in `build.refused` and return None."""
    repository, run, spec = build.repository, build.run, build.spec
    if spec.reader is None or spec.builder is None:
        raise ValueError(f"{spec.registry_id} is no collection")
    gathered = spec.reader(repository, spec, member)
    findings = sorted_findings(gathered.findings)
    if gathered.inputs is None:
        build.refused[member.member_id] = findings
        return None
    as_of_utc, run_id = utc_text(run.started), str(make_run_id(spec, run.started, member.member_id))
    artifacts = spec.builder(gathered.inputs, BuildContext(run.started, as_of_utc, run.git, run_id))
    inputs = Inputs(list_head_inputs(run.head), gathered.files)
    root = str(repository.root)
    return Built(spec.registry_id, artifacts, inputs, as_of_utc, root, findings, partition=member.member_id)


def seal_index(build: CollectionBuild, sealed: Iterable[IndexEntry]) -> SealedRun | None:
    """Seal the index with the runs that it lacks, or return the newest one; None if nothing was ever sealed.

    `sealed` are the entries of the runs that this build has sealed. Raises as `seal_all_built`.
    """
    repository, run, spec = build.repository, build.run, build.spec
    entries = tuple(sealed)
    if repository.publish_root.is_dir():
        build.cache.save(run.started)
    if not entries and not build.state.index.unlisted:
        return build.state.index.head
    refuse_linked_publish_root(repository)
    # Runs that no index listed at the start were read then.
    known = [build.state.index.entries[name] for name in build.state.index.unlisted]
    # Another process may have extended the index since this build began: its runs are added, and none is lost.
    with hold_registry_lock(repository, spec.registry_id):
        index = read_sealed_index(repository, spec, build.chain, (*known, *entries), build.state.index)
        if not index.unlisted:
            return index.head
        previous = () if index.head is None else (InputRegistry(spec.registry_id, "previous", index.head.ref),)
        artifacts = build_index(index.entries.values(), len(index.unlisted))
        inputs = Inputs((*previous, *list_head_inputs(run.head)))
        root = str(repository.root)
        return seal_built(
            repository, run, spec, Built(spec.registry_id, artifacts, inputs, utc_text(run.started), root)
        )


@value_type
class CollectionResult:
    """What a build made of a collection; `index` is None if the collection has no sealed member."""

    index: SealedRun | None
    sealed: tuple[SealedMember, ...]
    # The number of members with a sealed run.
    members: int
    findings: tuple[Finding, ...]


def build_collection(
    repository: Repository,
    run: BuildRun,
    spec: RegistrySpec,
    *,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> CollectionResult:
    """Seal the members that are new or have changed, or with `force` all, and the index; raises as `seal_all_built`."""
    build = start_collection_build(repository, run, spec)
    sealed: list[SealedMember] = []
    for member in seal_members(build, select_members(build, force=force), is_cancelled=is_cancelled):
        sealed.append(member)
        if on_progress is not None:
            on_progress(len(sealed))
    index = seal_index(build, [member.entry for member in sealed])
    members = build.state.index.current.keys() | {member.member_id for member in sealed}
    return CollectionResult(index, tuple(sealed), len(members), list_findings(build, sealed))


def list_findings(build: CollectionBuild, sealed: Iterable[SealedMember] = ()) -> tuple[Finding, ...]:
    """Return the findings about the collection, the members that could not be sealed, and those that were."""
    refused = [finding for findings in build.refused.values() for finding in findings]
    found = [finding for member in sealed for finding in (*member.built.findings, *member.verdict.findings)]
    return sorted_findings([*build.state.findings, *refused, *found])


@value_type
class CollectionPreview:
    """What a build would do: the members that it would seal, the number of members with a sealed run, and findings."""

    pending: tuple[str, ...]
    members: int
    # Whether there is an index that lists all sealed runs.
    is_indexed: bool
    findings: tuple[Finding, ...]


def preview_collection(
    repository: Repository, run: BuildRun, spec: RegistrySpec, *, force: bool = False
) -> CollectionPreview:
    """Return what a build of a collection would seal; the members are read and checked, and nothing is written."""
    build = start_collection_build(repository, run, spec)
    pending = [m.member_id for m in select_members(build, force=force) if _build_member(build, m) is not None]
    index = build.state.index
    is_indexed = index.head is not None and not index.unlisted
    return CollectionPreview(tuple(pending), len(index.current), is_indexed, list_findings(build))
