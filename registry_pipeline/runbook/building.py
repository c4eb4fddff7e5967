"""Steps 1 to 3 of the runbook: build, seal, validate (seed 000). Each demands what the step before returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath

from registry_pipeline import schema
from registry_pipeline.canon import json_document, sha256_hex, utc_text
from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, HeadMovedError, NotFoundError, RefusedError
from registry_pipeline.model.activation import ACTIVATION_TAG
from registry_pipeline.model.attribution import main_artifact
from registry_pipeline.model.capture_check import COMPARISON
from registry_pipeline.model.captures import is_own_name
from registry_pipeline.model.codes import finding
from registry_pipeline.model.envelope import BuildContext, GitState, InputRegistry, Inputs, RunEnvelope
from registry_pipeline.model.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.model.ids import RunId
from registry_pipeline.model.layer import STATE_NAMES
from registry_pipeline.model.refs import SealedRef
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.model.verdict import Built, NotBuilt, SealedRun, Verdict
from registry_pipeline.runbook.publish_root import refuse_linked_publish_root
from registry_pipeline.runbook.reading import (
    pointer_hash,
    read_judgeable,
    read_pointers,
    read_report,
    read_sealed,
    run_folder,
    sealed_run,
    spec_of,
)
from registry_pipeline.runbook.rules import capture_checks, check_rules
from registry_pipeline.runbook.store import Store, find_foreign_id, read_chain_state
from registry_pipeline.runbook.underway import sealing_alone
from registry_pipeline.seal.folder import seal_folder
from registry_pipeline.sources.context import Previous, SourceContext
from registry_pipeline.sources.delta_log import find_log_head
from registry_pipeline.sources.git import read_git_state
from registry_pipeline.validate.run import check_run
from registry_pipeline.values import replace, value_type

SEAL_FILES = ("MANIFEST.sha256", "manifest.json")


@value_type
class BuildRun:
    """One invocation of the command line or one Dagster run: its start, taken once, and git as it was then.

    `head` is the activation record that was the last when the run began; what the run seals names it as an input.
    """

    started: datetime
    git: GitState
    dagster_run_id: str | None = None
    head: SealedRef | None = None


def start_build_run(governed: Governed, started: datetime, dagster_run_id: str | None = None) -> BuildRun:
    """Return the build run that begins at `started`; git is asked here and nowhere else in it.

    Raises:
        NotFoundError: there is a git repository, and git cannot read it.
    """
    return BuildRun(started, read_git_state(governed.root, own_paths(governed)), dagster_run_id)


def own_paths(governed: Governed) -> tuple[str, ...]:
    """Return the paths in which a change does not make the working tree dirty: run folders, pointers, and state."""
    config = governed.config
    state = PurePosixPath(config.publish_root).parent
    own = [
        config.publish_root,
        *config.run_roots,
        config.pointers,
        f"{config.pointers}.lock",
        f"{config.pointers}.intent",
    ]
    return (*own, *((state / name).as_posix() for name in STATE_NAMES))


def with_chain_head(governed: Governed, run: BuildRun) -> BuildRun:
    """Return the build run with the head of the activation chain as it is now."""
    head = read_chain_state(governed).head
    return replace(run, head=None if head is None else head.ref)


def build(
    governed: Governed,
    run: BuildRun,
    spec: RegistrySpec,
    sealed: Mapping[str, SealedRun],
    *,
    on_progress: Callable[[int], None] | None = None,
) -> Built | NotBuilt:
    """Build one registry from its sources and upstream snapshots (runbook step 1).

    `sealed` are the runs that this build run has sealed and checked; an upstream that is not among them is the
    active one. Both are verified while they are read.

    Raises:
        RefusedError: an upstream is neither sealed here nor active, or belongs to another repository.
        EvidenceError: an upstream does not verify or cannot be parsed; nothing is built on it.
    """
    if spec.reader is None or spec.builder is None:
        raise RefusedError(f"{spec.registry_id} is not built", f"{spec.excluded_because}")
    upstream, refs = _read_upstream(governed, spec, sealed)
    previous, previous_refs, findings = _read_previous(governed, spec)
    gathered = spec.reader(
        governed,
        SourceContext(
            upstream=upstream,
            previous=previous,
            leave_out=frozenset((s.ref.run_root, s.ref.run_id) for s in sealed.values()),
            leave_out_dagster_run=run.dagster_run_id,
            on_progress=on_progress,
            commit=run.git.commit,
            store=Store(governed, run.started),
            specs=REGISTRIES,
            checks=capture_checks(governed, run.started),
        ),
    )
    told = sorted_findings([*findings, *gathered.findings])
    if gathered.inputs is None:
        return NotBuilt(spec.registry_id, told)
    as_of_utc = utc_text(run.started)
    run_id = str(RunId(run.started, spec.tag or spec.registry_id))
    artifacts = spec.builder(gathered.inputs, BuildContext(run.started, as_of_utc, run.git, run_id))
    # A record that is removed or rewritten later contradicts the runs that name it.
    head = () if run.head is None else (InputRegistry(ACTIVATION_TAG, "previous", run.head),)
    inputs = Inputs((*refs, *previous_refs, *gathered.registries, *head), gathered.files)
    return Built(spec.registry_id, artifacts, inputs, as_of_utc, told, coverage=gathered.coverage, check=gathered.check)


def _read_upstream(
    governed: Governed, spec: RegistrySpec, sealed: Mapping[str, SealedRun]
) -> tuple[dict[str, Mapping[str, bytes]], list[InputRegistry]]:
    files: dict[str, Mapping[str, bytes]] = {}
    refs: list[InputRegistry] = []
    pointers = read_pointers(governed)
    for name in spec.depends_on:
        ref = sealed[name].ref if name in sealed else pointers.active(name)
        if ref is None or not run_folder(governed, ref).is_dir():
            if REGISTRIES[name].kind == "captured":
                continue
            raise RefusedError(
                f"{spec.registry_id} is built from {name}, and no {name} is active",
                f"run `registry-pipeline build {name}`, which builds what depends on it too",
            )
        report = read_sealed(governed, REGISTRIES[name], ref)
        foreign_id = find_foreign_id(governed, report)
        if foreign_id is not None:
            # The gate of activation does not cover it: the pointer file or the repository's id was edited.
            raise RefusedError(
                f"{spec.registry_id} is built from {name}, and {ref.run_id} belongs to the repository {foreign_id}",
                f"run `registry-pipeline build {name}`, or accept the run: "
                f"`registry-pipeline activate {name} {ref.run_id} --allow-foreign --reason TEXT`",
            )
        files[name] = report.kept
        refs.append(InputRegistry(name, "upstream", ref))
    return files, refs


def _read_previous(
    governed: Governed, spec: RegistrySpec
) -> tuple[dict[str, Previous], list[InputRegistry], list[Finding]]:
    """Read what is fed back; without, and with a finding, a previous run that does not verify or is foreign.

    Neither is refused: rebuilding is the remedy for an active run that was altered or is another repository's.
    """
    files: dict[str, Previous] = {}
    refs: list[InputRegistry] = []
    findings: list[Finding] = []
    pointers = read_pointers(governed)
    for name in spec.feeds_back:
        ref = pointers.active(name)
        if ref is None or not run_folder(governed, ref).is_dir():
            continue
        place = f"{ref.run_root}/{ref.run_id}"
        try:
            report = read_sealed(governed, REGISTRIES[name], ref)
        except EvidenceError as error:
            findings.append(finding("POINTER_SEAL_INVALID", place, detail=error.message, severity=Severity.WARNING))
            continue
        foreign_id = find_foreign_id(governed, report)
        if foreign_id is not None:
            words = {"detail": "this build does not use it", "registry": name, "run_id": ref.run_id}
            own = governed.config.repository_id
            findings.append(
                finding("POINTER_FOREIGN", place, expected=own, got=foreign_id, severity=Severity.WARNING, **words)
            )
            continue
        files[name] = Previous(ref.run_id, report.kept)
        refs.append(InputRegistry(name, "previous", ref))
    return files, refs, findings


def seal(governed: Governed, run: BuildRun, spec: RegistrySpec, built: Built) -> SealedRun:
    """Seal what was built as a new run folder, complete or not at all (runbook step 2, SPEC 2.4).

    Raises:
        RegistryPipelineError: as `seal_built`.
        HeadMovedError: another writer continued the append-only registry since it was built; nothing was sealed.
    """
    if not spec.append_only or not governed.publish_root.is_dir():
        return seal_built(governed, run, spec, built)
    refuse_linked_publish_root(governed)
    with sealing_alone(governed, spec.registry_id):
        return seal_built(governed, run, spec, built, before_sealing=partial(_refuse_moved_head, governed, run, built))


def seal_built(
    governed: Governed,
    run: BuildRun,
    spec: RegistrySpec,
    built: Built,
    *,
    retried: bool = True,
    before_sealing: Callable[[], None] | None = None,
) -> SealedRun:
    """Seal artifacts as a new run folder under the next free run id.

    A step that Dagster retries finds the folder of its first attempt: the same bytes are that run, other bytes get
    the next suffix. With `retried` false every call makes a folder of its own. `before_sealing` is called when there
    is no such folder; it may refuse by raising.

    Raises:
        NotFoundError: the repository has no publish root yet. RefusedError: it is behind a link.
        PublishError: nothing was published. DurabilityError: published, but the disk did not confirm it.
    """
    if spec.tag is None or spec.operation_id is None:
        raise RefusedError(f"{spec.registry_id} has no run folders", spec.excluded_because)
    refuse_linked_publish_root(governed)
    if not governed.publish_root.is_dir():
        raise NotFoundError(f"there is no {governed.config.publish_root}", "run `registry-pipeline init`")
    run_id = RunId(run.started, spec.tag, None if built.partition is None else built.partition.isoformat())
    files_for = partial(_files, governed.config.repository_id, run, spec, built)
    found = _earlier_try(governed, run, run_id, files_for) if retried else None
    if found is None:
        if before_sealing is not None:
            before_sealing()
        published = seal_folder(governed.publish_root, governed.staging_root, run_id, files_for)
        found = SealedRef(str(published.run_id), governed.config.publish_root, None, published.root_sha256)
    ref = replace(found, relpath=main_artifact(spec, built.artifacts.files))
    return SealedRun(spec.registry_id, ref, built.inputs, built.as_of_utc)


def _refuse_moved_head(governed: Governed, run: BuildRun, built: Built) -> None:
    """Refuse to seal a log that does not continue the head of this moment: that would make a second head.

    Raises:
        HeadMovedError: the head is another one than when the log was built.
    """
    search = find_log_head(governed, Store(governed, run.started), REGISTRIES)
    continued = built.inputs.previous(built.registry_id)
    expected = None if continued is None else continued.run_id
    head = None if search.head is None else search.head.ref.run_id
    if search.refuses or head != expected:
        raise HeadMovedError(
            f"{built.registry_id} was continued by another build meanwhile: this one continues "
            f"{expected or 'no log'}, and the head is {head or 'not valid'} now; nothing was sealed",
            f"build {built.registry_id} again",
        )


def builder_name(registry_id: str) -> str:
    """Return how run.json names the builder of a registry."""
    return f"registry_pipeline.{registry_id}"


def _files(
    repository_id: str | None, run: BuildRun, spec: RegistrySpec, built: Built, run_id: RunId
) -> dict[str, bytes]:
    """Return the payload of a run folder: artifacts, copies of their schemas, and the envelope for this run id."""
    from importlib.metadata import version  # noqa: PLC0415 - 12 ms that only sealing needs

    files = dict(built.artifacts.sealed_as(str(run_id)))
    for artifact in built.artifacts.files:
        name = spec.schema_of(artifact)
        if name is not None:
            files[f"{PurePosixPath(artifact).stem}.schema.json"] = schema.schema_bytes(name)
    envelope = RunEnvelope(
        run_id=str(run_id),
        created_utc=utc_text(run.started),
        run_type=run_id.tag,
        registry_id=spec.registry_id,
        option="QA",
        operation_id=spec.operation_id or "",
        git=run.git,
        as_of_utc=built.as_of_utc,
        partition=run_id.partition,
        inputs=built.inputs,
        outputs=tuple(sorted((*files, "run.json", *SEAL_FILES))),
        builder_name=builder_name(spec.registry_id),
        builder_version=version("registry-pipeline"),
        dagster_run_id=run.dagster_run_id,
        source_operation_id=spec.source_operation_id,
        coverage=built.coverage,
        comparison=None if built.check is None else built.check.record,
        repository_id=repository_id,
    )
    files["run.json"] = json_document(envelope.to_json())
    return files


def _earlier_try(
    governed: Governed, run: BuildRun, run_id: RunId, files_for: Callable[[RunId], Mapping[str, bytes]]
) -> SealedRef | None:
    """Return the folder that an earlier try of this Dagster step sealed with the same bytes, or None."""
    while run.dagster_run_id is not None and (governed.publish_root / str(run_id)).is_dir():
        wanted = files_for(run_id)
        ref = SealedRef(str(run_id), governed.config.publish_root, None, "")
        report = read_report(governed, ref, wanted)
        same = report.verdict == "pass" and dict(report.kept) == dict(wanted) and len(report.entries) == len(wanted)
        if same and report.root_sha256 is not None:
            return replace(ref, manifest_sha256=report.root_sha256)
        run_id = run_id.next()
    return None


def unchanged(governed: Governed, built: Built) -> SealedRun | None:
    """Return the run that a build would only repeat, or None: an unchanged capture's, a log's that did not grow.

    For a capture that is the active run, for a log the one that it continues. Only a verified run of this repository
    counts; another one is replaced by a new run. A source that fails its check today is sealed again with that
    verdict, and so is one whose active run has no record of a check.
    """
    spec = spec_of(built.registry_id)
    if built.check is not None and has_errors(built.check.findings):
        return None
    ref = read_pointers(governed).active(spec.registry_id) if spec.kind == "captured" else None
    if spec.append_only:
        ref = built.inputs.previous(spec.registry_id)
    if ref is None or not run_folder(governed, ref).is_dir():
        return None
    try:
        report = read_sealed(governed, spec, ref)
    except EvidenceError:
        return None
    if built.check is not None and COMPARISON not in (report.run_json or {}):
        return None
    if find_foreign_id(governed, report) is not None:
        return None
    wanted = {name: sha256_hex(data) for name, data in built.artifacts.files.items()}
    held = {entry.relpath: entry.sha256 for entry in report.entries if not is_own_name(entry.relpath)}
    return sealed_run(spec.registry_id, ref, report) if held == wanted else None


def validate(governed: Governed, sealed: SealedRun) -> Verdict:
    """Judge a sealed run: seal, envelope, schema, and the registry's own rules (runbook step 3).

    The verdict is bound to the root that was recomputed and to the pointer file of this moment.
    """
    pointers = pointer_hash(governed)
    shown = f"{sealed.ref.run_root}/{sealed.ref.run_id}"
    report = read_judgeable(run_folder(governed, sealed.ref), shown)
    judged = check_run(report, REGISTRIES)
    findings = list(judged.findings)
    if report.root_sha256 not in (None, sealed.ref.manifest_sha256):
        expected, got = sealed.ref.manifest_sha256, report.root_sha256
        findings.append(finding("ROOT_MISMATCH", shown, expected=expected, got=got))
    findings += check_rules(governed, sealed, report)
    told = sorted_findings(findings)
    verdict = "fail" if judged.verdict == "pass" and has_errors(told) else judged.verdict
    return replace(judged, findings=told, verdict=verdict, pointer_sha256=pointers)
