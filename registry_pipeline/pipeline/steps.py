"""The steps of the pipeline, and the locks of builds. Each step takes what the step before returned."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.capture_table import is_reserved_name
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, HeadMovedError, RefusedError
from registry_pipeline.files.lock import hold_lock, is_locked
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.pipeline.registries_in_use import find_unused_registries
from registry_pipeline.pointers.chain import ACTIVATION_TAG, ChainState
from registry_pipeline.pointers.state import find_foreign_id, read_chain_state
from registry_pipeline.registries.base.reader import BuilderError, ChainFacts, Previous, RegistrySpec, SourceContext
from registry_pipeline.registries.base.seal_build import (
    BuildRun,
    build_run_files,
    has_present_schema,
    refuse_linked_publish_root,
    seal_built,
)
from registry_pipeline.registries.base.sealed_input import make_sealed_run, read_sealed_report
from registry_pipeline.registries.catalog import catalog_of, is_enabled
from registry_pipeline.registries.delta_log.read import find_log_head
from registry_pipeline.runs.envelope import COMPARISON, BuildContext, InputRegistry, Inputs
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import PointerFile, RunId, SealedRef
from registry_pipeline.runs.sealed_run import Artifacts, Built, NotBuilt, SealedRun, SealReport
from registry_pipeline.values import replace

# How long a build waits for another writer to finish.
WAIT_SECONDS: Final = 30.0
_BUILD_LOCK: Final = "building"
_STATED_TIMES: Final = ("created_utc", "as_of_utc", "dagster_run_id")


@contextmanager
def hold_build_lock(repository: Repository) -> Iterator[None]:
    """Hold the lock of a CLI build; a second CLI build waits for it. Readers do not take it.

    Nothing is locked while publish_root does not exist.

    Raises:
        BusyError: another build held the lock for `WAIT_SECONDS`; nothing changed (exit 6).
        RefusedError: publish_root is behind a link (exit 5).
        WriteError: the lock file cannot be created (exit 1).
    """
    refuse_linked_publish_root(repository)
    # Without publish_root the build cannot seal anything. It must not leave a lock file in such a folder either.
    if not repository.publish_root.is_dir():
        yield
        return
    with _hold_lock(repository, _BUILD_LOCK, "build"):
        yield


def is_build_in_progress(repository: Repository) -> bool:
    """Return whether a CLI build of this repository runs on this machine; raises as `files.lock.is_locked`."""
    return is_locked(_lock_path(repository, _BUILD_LOCK))


def hold_registry_lock(repository: Repository, registry_id: str) -> AbstractContextManager[None]:
    """Hold the lock of an append-only registry, from the comparison of its head to the sealing of its next run."""
    # Dagster takes no build lock, so the CLI and Dagster share this one. It is held for the sealing only, because a
    # build takes long.
    return _hold_lock(repository, registry_id, f"writer of {registry_id}")


def _hold_lock(repository: Repository, name: str, purpose: str) -> AbstractContextManager[None]:
    path = _lock_path(repository, name)
    return hold_lock(path, repository.root, purpose, wait_seconds=WAIT_SECONDS, make_folder=True)


def _lock_path(repository: Repository, name: str) -> Path:
    return repository.state_root / "cache" / f"{name}.lock"


def add_chain_head(repository: Repository, run: BuildRun) -> BuildRun:
    """Return the build run with what the activation chain says now: its head, and the runs that it activated last."""
    chain = read_chain_state(repository, from_checkpoint=True)
    moves = {} if chain.refuses else chain.facts.last_moves
    activated = {registry_id: move.to_ref for registry_id, move in moves.items() if move.to_ref is not None}
    return replace(run, head=None if chain.head is None else chain.head.ref, activated=activated)


def build(
    repository: Repository,
    run: BuildRun,
    spec: RegistrySpec,
    sealed: Mapping[str, SealedRun],
    *,
    on_progress: Callable[[int], None] | None = None,
    write_caches: bool = True,
) -> Built | NotBuilt:
    """Build one registry from its sources and from verified runs of the registries that it depends on; write nothing.

    `sealed` are the valid runs that this build run has sealed; another upstream registry is read from its active run.
    Without `write_caches` not even a cache is written. NotBuilt has the findings that say why the sources cannot be
    built, or that the registry is disabled.

    Raises:
        RefusedError: there is no builder, or an upstream registry is neither sealed nor active, or is foreign.
        EvidenceError: an upstream run does not verify or cannot be parsed.
    """
    # A collection has many runs: see `collection`.
    if spec.reader is None or spec.builder is None or spec.kind == "collection":
        raise RefusedError(f"{spec.registry_id} is not built", spec.excluded_because)
    if not is_enabled(repository.config, spec.registry_id):
        return NotBuilt(spec.registry_id, (finding("CONFIG_REGISTRY_DISABLED", spec.registry_id),))
    # (1) Read: upstream runs, previous runs, sources.
    pointers = read_pointers(repository)
    upstream, upstream_refs = _read_upstream(repository, spec, sealed, pointers)
    previous = _PreviousRuns(partial(_read_previous, repository, spec, pointers))
    chain = read_chain_state(repository, from_checkpoint=True) if spec.reads_chain else None
    context = SourceContext(
        upstream=upstream,
        previous=previous,
        # A registry that lists runs does not list those of its own build.
        exclude_runs=frozenset((s.ref.run_root, s.ref.run_id) for s in sealed.values()),
        exclude_dagster_run=run.dagster_run_id,
        on_progress=on_progress,
        commit=run.git.commit,
        started=run.started,
        chain=None if chain is None else _make_chain_facts(repository, chain),
        find_unused=None
        if chain is None
        else partial(find_unused_registries, repository, pointers, chain.facts.last_moves),
        specs=catalog_of(repository).registries,
        write_caches=write_caches,
    )
    gathered = spec.reader(repository, context)
    # (2) Build.
    as_of_utc, run_id = utc_text(run.started), str(RunId(run.started, spec.tag or spec.registry_id))
    artifacts, failure = None, []
    if gathered.inputs is not None:
        try:
            artifacts = spec.builder(gathered.inputs, BuildContext(run.started, as_of_utc, run.git, run_id))
        except BuilderError as error:
            failure = [error.finding]
    # The lines of all runs, which the inputs contain, and those of the previous registry are not in memory together.
    gathered = replace(gathered, inputs=None)
    all_findings = sorted_findings([*previous.findings, *gathered.findings, *failure])
    if artifacts is None:
        return NotBuilt(spec.registry_id, all_findings)
    # (3) Record the inputs.
    # A run that is read as upstream and counted as previous is one input.
    counted = (entry for entry in gathered.registries if entry.ref not in {upstream.ref for upstream in upstream_refs})
    refs = (*upstream_refs, *previous.refs, *counted, *list_head_inputs(run.head))
    inputs, check = Inputs(refs, gathered.files), gathered.check
    return Built(
        spec.registry_id,
        artifacts,
        inputs,
        as_of_utc,
        str(repository.root),
        all_findings,
        coverage=gathered.coverage,
        check=check,
    )


def list_head_inputs(head: SealedRef | None) -> tuple[InputRegistry, ...]:
    """Return the head of the activation chain as the only input; () if there is no chain."""
    # If that record is removed or rewritten later, it contradicts the runs that name it.
    return () if head is None else (InputRegistry(ACTIVATION_TAG, "previous", head),)


def _make_chain_facts(repository: Repository, chain: ChainState) -> ChainFacts:
    return ChainFacts(chain.marked_bad, chain.accepted_foreign(repository.config.repository_id))


def _read_upstream(
    repository: Repository, spec: RegistrySpec, sealed: Mapping[str, SealedRun], pointers: PointerFile
) -> tuple[dict[str, Mapping[str, bytes]], list[InputRegistry]]:
    """Return artifacts and runs of the registries that `spec` depends on.

    A captured or optional one without a run is left out.
    """
    files: dict[str, Mapping[str, bytes]] = {}
    refs: list[InputRegistry] = []
    for name in spec.depends_on:
        ref = sealed[name].ref if name in sealed else pointers.active(name)
        if ref is None or not run_folder(repository, ref).is_dir():
            if catalog_of(repository).registries[name].kind == "captured" or name in spec.optional_upstream:
                continue
            raise RefusedError(
                f"{spec.registry_id} is built from {name}, but no {name} is active",
                "run `registry-pipeline build`, which builds all registries",
            )
        report = read_sealed_report(repository, catalog_of(repository).registries[name], ref)
        foreign_id = find_foreign_id(repository, report)
        if foreign_id is not None:
            # Activation refuses foreign runs, so the pointer file or the repository_id was edited.
            raise RefusedError(
                f"{spec.registry_id} is built from {name}, but {ref.run_id} belongs to the repository {foreign_id}",
                "run `registry-pipeline build` to make runs of this repository, or accept this run: "
                f"`registry-pipeline activate {name} {ref.run_id} --allow-foreign --reason TEXT`",
            )
        files[name] = report.kept
        refs.append(InputRegistry(name, "upstream", ref))
    return files, refs


class _PreviousRuns(Mapping[str, Previous]):
    """The files of the active runs that a build uses as previous, by registry id, read when they are first needed."""

    def __init__(self, read: Callable[[], tuple[dict[str, Previous], list[InputRegistry], list[Finding]]]) -> None:
        self._read = cache(read)

    @property
    def refs(self) -> list[InputRegistry]:
        """The runs as inputs."""
        return self._read()[1]

    @property
    def findings(self) -> list[Finding]:
        """A warning for each run that cannot be used."""
        return self._read()[2]

    def __getitem__(self, registry_id: str) -> Previous:
        return self._read()[0][registry_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read()[0])

    def __len__(self) -> int:
        return len(self._read()[0])


def _read_previous(
    repository: Repository, spec: RegistrySpec, pointers: PointerFile
) -> tuple[dict[str, Previous], list[InputRegistry], list[Finding]]:
    """Return the active runs that a build uses as previous, as files and inputs, and a warning for each bad one."""
    files: dict[str, Previous] = {}
    refs: list[InputRegistry] = []
    findings: list[Finding] = []
    # An altered or foreign previous run is no reason to refuse: this build is what replaces it.
    for name in spec.previous_inputs:
        ref = pointers.active(name)
        if ref is None or not run_folder(repository, ref).is_dir():
            continue
        try:
            report = read_sealed_report(repository, catalog_of(repository).registries[name], ref)
        except EvidenceError as error:
            # The finding names registry and run already.
            detail = error.message.partition(f"{ref.run_id} ")[2].removeprefix("does not verify: ")
            words = {"detail": detail, "registry": name}
            findings.append(finding("POINTER_SEAL_INVALID", ref.path, severity=Severity.WARNING, **words))
            continue
        foreign_id = find_foreign_id(repository, report)
        if foreign_id is None:
            files[name] = Previous(ref.run_id, report.kept)
            refs.append(InputRegistry(name, "previous", ref))
            continue
        findings.append(
            finding(
                "POINTER_FOREIGN",
                ref.path,
                expected=repository.config.repository_id,
                got=foreign_id,
                severity=Severity.WARNING,
                detail="this build does not use it",
                registry=name,
                run_id=ref.run_id,
            )
        )
    return files, refs, findings


def seal(repository: Repository, run: BuildRun, spec: RegistrySpec, built: Built) -> SealedRun:
    """Seal what was built as a new run folder; raise HeadMovedError if another writer has just continued the log."""
    if not spec.append_only or not repository.publish_root.is_dir():
        return seal_built(repository, run, spec, built)
    refuse_linked_publish_root(repository)
    with hold_registry_lock(repository, spec.registry_id):
        return seal_built(repository, run, spec, built, before_sealing=partial(_refuse_moved_head, repository, built))


def _refuse_moved_head(repository: Repository, built: Built) -> None:
    """Raise HeadMovedError if the log that was built does not continue the current head, or no head is valid."""
    chain = read_chain_state(repository, from_checkpoint=True)
    search = find_log_head(repository, _make_chain_facts(repository, chain), catalog_of(repository).registries)
    continued = built.inputs.previous(built.registry_id)
    expected = None if continued is None else continued.run_id
    head = None if search.head is None else search.head.ref.run_id
    if search.refuses or head != expected:
        raise HeadMovedError(
            f"{built.registry_id} was continued by another build: this build continues {expected or 'no log'}, "
            f"but the head is now {head or 'not valid'}; nothing was sealed",
            f"build {built.registry_id} again",
        )


def keep_unchanged(repository: Repository, run: BuildRun, built: Built) -> Built:
    """Return the build with the earlier run that says the same as `kept`; as it is if its content must be sealed.

    The earlier run is the active one, or of an append-only registry the log that the build continues. Captures and logs
    are the same if all bytes are; what is built from several sources also if only times differ, or own runs of this
    tool. None is kept if the source fails its check, or the run does not verify, is foreign or lacks that check.
    """
    spec = catalog_of(repository).spec_of(built.registry_id)
    # A source that fails its check today is sealed again, with that verdict.
    if built.check is not None and has_errors(built.check.findings):
        return built
    ref = read_pointers(repository).active(spec.registry_id)
    if spec.append_only:
        ref = built.inputs.previous(spec.registry_id)
    if ref is None or not run_folder(repository, ref).is_dir():
        return built
    try:
        report = read_sealed_report(repository, spec, ref)
    except EvidenceError:
        return built
    # A run that is foreign or lacks the record of its check is replaced, like one that does not verify.
    lacks_check = built.check is not None and COMPARISON not in (report.run_json or {})
    if lacks_check or find_foreign_id(repository, report) is not None:
        return built
    is_same = _has_same_artifacts if spec.is_kept_alone else partial(_says_same, repository, run, spec)
    # The schema of an own registry may change without a new version of this program.
    has_old_schema = spec.is_own and not all(has_present_schema(report, name, spec) for name in built.artifacts.files)
    if has_old_schema or not is_same(built, report):
        return built
    kept = make_sealed_run(spec.registry_id, ref, report)
    return replace(built, kept=kept, artifacts=_describe_kept(built.artifacts, report, spec.relpath))


def _describe_kept(artifacts: Artifacts, report: SealReport, main: str | None) -> Artifacts:
    """Return the artifacts as the kept run has them; figures that may differ from it are left out."""
    files = {name: report.kept.get(name, data) for name, data in artifacts.files.items()}
    if main is None or files[main] == artifacts.files[main] or not main.endswith(".jsonl"):
        return replace(artifacts, files=files)
    # The run registry that was built has more own runs: more lines, each a record.
    return replace(artifacts, files=files, records=files[main].count(b"\n"), metrics={})


def _has_same_artifacts(built: Built, report: SealReport) -> bool:
    new_hashes = {name: sha256_hex(data) for name, data in built.artifacts.files.items()}
    sealed_hashes = {entry.relpath: entry.sha256 for entry in report.entries if not is_reserved_name(entry.relpath)}
    return sealed_hashes == new_hashes


def _says_same(repository: Repository, run: BuildRun, spec: RegistrySpec, built: Built, report: SealReport) -> bool:
    """Return whether sealing `built` would repeat a verified run: commit, schemas, inputs and content are the same."""
    run_id = RunId.parse(report.run_id)
    if run_id is None or report.run_json is None:
        return False
    config = repository.config
    files = build_run_files(config.repository_id, run, spec, built, run_id)
    if _list_stated_facts(json.loads(files.pop("run.json"))) != _list_stated_facts(report.run_json):
        return False
    sealed_hashes = {entry.relpath: entry.sha256 for entry in report.entries if entry.relpath != "run.json"}
    if sealed_hashes.keys() != files.keys():
        return False
    is_own = partial(catalog_of(repository).is_own_run, config.publish_root)
    for name, data in files.items():
        active = report.kept.get(name)
        if data == active or (active is None and sha256_hex(data) == sealed_hashes[name]):
            continue
        if active is None or spec.says_same is None or not spec.says_same(active, data, is_own):
            return False
    return True


def _list_stated_facts(run_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run.json states apart from times, and of the inputs what an artifact is built from."""
    facts = {key: value for key, value in run_json.items() if key not in _STATED_TIMES}
    inputs = Inputs.from_json(run_json.get("inputs"))
    # Which runs were active before it, and the head of the chain, differ in each build.
    return facts | {"inputs": (inputs.upstream(), inputs.files)}
