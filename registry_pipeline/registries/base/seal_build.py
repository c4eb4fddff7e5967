"""Seal the artifacts of a registry as a run folder of this repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import PurePosixPath
from typing import Any, Final

from registry_pipeline.canonical import json_document, sha256_hex, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.path_policy import SEAL_FILES, STATEMENT_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.repository import read_git_state
from registry_pipeline.git.values import GitState
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.schemas import read_schema_bytes
from registry_pipeline.registries.base.sealed_input import find_main_artifact
from registry_pipeline.runs.envelope import COMPARISON
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.sealed_run import Built, SealedRun, SealReport
from registry_pipeline.runs.writer import PublishedFolder, find_sealed_folder, seal_folders
from registry_pipeline.signing.keys import find_signer
from registry_pipeline.signing.ssh import SshSigner
from registry_pipeline.values import field, replace, value_type

_STATEMENT_VERSION: Final = "0.1"
STATE_NAMES: Final = (
    ".staging",
    "quarantine",
    "cache",
    "dagster",
    "entries",
    "diagnostics.duckdb",
    "diagnostics.duckdb.wal",
)
"""The files and folders of this tool beside publish_root."""


@value_type
class BuildRun:
    """One run of a command or of Dagster."""

    # The start, read from the clock once.
    started: datetime
    # The git state at the start.
    git: GitState
    # None on the command line.
    dagster_run_id: str | None = None
    # The last activation record at the start; the sealed runs name it as an input.
    head: SealedRef | None = None
    # The run that the chain activated last, by registry; empty if the chain has an error.
    activated: Mapping[str, SealedRef] = field(default_factory=dict, compare=False)
    # What records and builds are signed with, and signatures by others of the record that the run seals.
    signer: SshSigner | None = None
    signatures: tuple[bytes, ...] = ()
    # Whether the record is only prepared, for others to sign.
    is_prepared: bool = False

    @property
    def is_signed(self) -> bool:
        """Whether the record that it seals or prepares has a signature."""
        return self.signer is not None or bool(self.signatures) or self.is_prepared


def find_linked_folder(repository: Repository) -> str | None:
    """Return the first folder on the path of publish_root that is a symbolic link, or None if there is none."""
    path = PurePosixPath(repository.config.publish_root)
    folders = [*reversed(path.parents), path]
    return next((str(folder) for folder in folders if repository.path(str(folder)).is_symlink()), None)


def refuse_linked_publish_root(repository: Repository) -> None:
    """Raise RefusedError (exit 5) if publish_root is a link or is behind one."""
    # The verifier follows no links, so nobody would ever check the runs behind one.
    link = find_linked_folder(repository)
    if link is not None:
        raise RefusedError(
            f"publish_root is {repository.config.publish_root}, and {link} is a symbolic link; nothing was written",
            f"replace {link} with the folder that it points to, or set publish_root to a folder without links",
        )


def check_publish_root(repository: Repository) -> tuple[Finding, ...]:
    """Return a finding if publish_root is a link or is behind one; reading is still possible."""
    link = find_linked_folder(repository)
    return () if link is None else (finding("CONFIG_PUBLISH_ROOT_LINK", link, detail=repository.config.publish_root),)


def start_build_run(
    repository: Repository,
    started: datetime,
    dagster_run_id: str | None = None,
    *,
    sign: bool = False,
    signatures: tuple[bytes, ...] = (),
) -> BuildRun:
    """Return the build run that begins at `started`, with the current git state; see `find_signer` about `sign`.

    Raises:
        NotFoundError: there is a git repository, and git cannot read it.
        RefusedError: a signature is wanted, and there is no key.
    """
    git = read_git_state(repository.root, list_own_paths(repository))
    return BuildRun(started, git, dagster_run_id, signer=find_signer(repository, wanted=sign), signatures=signatures)


def list_own_paths(repository: Repository) -> tuple[str, ...]:
    """Return the paths that this tool writes, and all run roots: changes in them do not make the working tree dirty."""
    config = repository.config
    state = PurePosixPath(config.publish_root).parent
    pointer_files = (config.pointers, f"{config.pointers}.lock", f"{config.pointers}.intent")
    state_paths = ((state / name).as_posix() for name in STATE_NAMES)
    return (config.publish_root, *config.run_roots, *pointer_files, *state_paths)


def seal_built(
    repository: Repository,
    run: BuildRun,
    spec: RegistrySpec,
    built: Built,
    *,
    reuse_attempt: bool = True,
    before_sealing: Callable[[], None] | None = None,
) -> SealedRun:
    """Seal artifacts as a new run folder under the next free run id; arguments and errors as `seal_all_built`."""
    requests = [(run, built)]
    return seal_all_built(repository, spec, requests, reuse_attempt=reuse_attempt, before_sealing=before_sealing)[0]


def seal_all_built(
    repository: Repository,
    spec: RegistrySpec,
    requests: Sequence[tuple[BuildRun, Built]],
    *,
    reuse_attempt: bool = True,
    before_sealing: Callable[[], None] | None = None,
) -> list[SealedRun]:
    """Seal many builds of one registry with one synchronisation of the disk, in the order of `requests`.

    Each becomes a new run folder under the next free run id. With `reuse_attempt`, a folder that an earlier attempt of
    the same Dagster run sealed with the same bytes is used. `before_sealing` is called before the first is sealed, and
    may refuse by raising.

    Raises:
        NotFoundError: the repository has no publish root yet.
        RefusedError: the registry has no run folders, publish_root is behind a link, or a build was read from another
            repository.
        PublishError: not all were published.
        DurabilityError: the folders are published, but the disk did not confirm it.
    """
    if spec.tag is None or spec.operation_id is None:
        raise RefusedError(f"{spec.registry_id} has no run folders", spec.excluded_because)
    for _, built in requests:
        if built.root != str(repository.root):
            raise RefusedError(
                f"{built.registry_id} was read from the repository {built.root} and is not sealed in {repository.root}",
                "build it in the repository from which it is read",
            )
    refuse_linked_publish_root(repository)
    if not repository.publish_root.is_dir():
        raise NotFoundError(f"{repository.config.publish_root} does not exist", "run `registry-pipeline init`")
    refs: list[SealedRef | None] = []
    pending = []
    for run, built in requests:
        run_id = make_run_id(spec, run.started, built.partition)
        files_for = partial(build_run_files, repository.config.repository_id, run, spec, built)
        ref = find_previous_attempt(repository, run, run_id, files_for) if reuse_attempt else None
        refs.append(ref)
        if ref is None:
            pending.append((run_id, files_for))
    if pending and before_sealing is not None:
        before_sealing()
    published = iter(seal_folders(repository.publish_root, repository.staging_root, pending))
    sealed = []
    for (_, built), known_ref in zip(requests, refs, strict=True):
        ref = known_ref or make_ref(repository, next(published))
        ref = replace(ref, relpath=find_main_artifact(spec, built.artifacts.files))
        sealed.append(SealedRun(spec.registry_id, ref, built.inputs, built.as_of_utc))
    return sealed


def make_run_id(spec: RegistrySpec, started: datetime, partition: str | None = None) -> RunId:
    """Return the run id of a build; `partition` is the day that it describes, or the member of a collection."""
    tag = spec.tag or spec.registry_id
    if spec.kind == "collection" and partition is not None:
        # The name of each member is free, so that thousands can be sealed in one second.
        return RunId(started, f"{partition}__{tag}")
    return RunId(started, tag, partition)


def make_ref(repository: Repository, folder: PublishedFolder) -> SealedRef:
    """Return the reference to a folder that was published, without a main artifact."""
    return SealedRef(str(folder.run_id), repository.config.publish_root, None, folder.root_sha256)


def schema_copy_name(artifact: str) -> str:
    """Return the name of the copy of an artifact's schema in its run folder."""
    return f"{PurePosixPath(artifact).stem}.schema.json"


def has_present_schema(report: SealReport, artifact: str, spec: RegistrySpec) -> bool:
    """Return whether the schema that was sealed with an artifact is the one that the registry has now."""
    name, copy = spec.schema_of(artifact), schema_copy_name(artifact)
    digests = [entry.sha256 for entry in report.entries if entry.relpath == copy]
    return name is not None and digests == [sha256_hex(read_schema_bytes(spec, name))]


def make_builder_name(registry_id: str) -> str:
    """Return the name of a registry's builder in run.json."""
    return f"registry_pipeline.{registry_id}"


@cache
def read_version() -> str:
    """Return the version of this package."""
    from importlib.metadata import version  # noqa: PLC0415 - 12 ms that only sealing needs

    return version("registry-pipeline")


def build_run_files(
    repository_id: str | None, run: BuildRun, spec: RegistrySpec, built: Built, run_id: RunId
) -> dict[str, bytes]:
    """Return the files of a run folder without its seal: artifacts, copies of their schemas, and run.json."""
    files = dict(built.artifacts.sealed_as(str(run_id)))
    # Each artifact is accompanied by its schema, so that a run can be checked without this package.
    for artifact in built.artifacts.files:
        name = spec.schema_of(artifact)
        if name is not None:
            files[schema_copy_name(artifact)] = read_schema_bytes(spec, name)
    signed = () if run.signer is None else STATEMENT_FILES
    outputs = sorted((*files, *signed, "run.json", *SEAL_FILES))
    builder = {"name": make_builder_name(spec.registry_id), "version": read_version()}
    files["run.json"] = json_document(make_run_json(repository_id, run, spec, built, run_id, outputs, builder))
    if run.signer is not None:
        statement = make_statement({name: sha256_hex(data) for name, data in files.items()}, str(run_id))
        files |= zip(STATEMENT_FILES, (statement, run.signer.sign(statement)), strict=True)
    return files


def make_statement(digests: Mapping[str, str], run_id: str) -> bytes:
    """Return what the signature of a build signs: the run id, and the hash of each file but the seal and these two."""
    files = dict(sorted(digests.items()))
    return json_document({"statement_version": _STATEMENT_VERSION, "run_id": run_id, "files": files})


_OPTIONAL_KEYS: Final = ("repository_id", "partition", "dagster_run_id", "source_operation_id", "coverage", COMPARISON)


def make_run_json(
    repository_id: str | None,
    run: BuildRun,
    spec: RegistrySpec,
    built: Built,
    run_id: RunId,
    outputs: Sequence[str],
    builder: Mapping[str, str],
) -> dict[str, Any]:
    """Return the content of run.json; optional keys whose value is None are absent, other keys are null."""
    member_id = spec.member_of(run_id)
    # Keys keep this order: published run.json files are compared byte by byte.
    document = {
        "run_id": str(run_id),
        "created_utc": utc_text(run.started),
        "run_type": run_id.tag if member_id is None else spec.tag,
        "registry_id": spec.registry_id,
        "option": "QA",
        "operation_id": spec.operation_id or "",
        "git_commit": run.git.commit,
        "working_tree_state": run.git.working_tree_state,
        "repository_id": repository_id,
        "as_of_utc": built.as_of_utc,
        "partition": run_id.partition if member_id is None else member_id,
        "inputs": built.inputs.to_json(),
        "outputs": outputs,
        "builder": builder,
        "dagster_run_id": run.dagster_run_id,
        "source_operation_id": spec.source_operation_id,
        "coverage": built.coverage,
        COMPARISON: None if built.check is None else built.check.record,
    }
    return {key: value for key, value in document.items() if value is not None or key not in _OPTIONAL_KEYS}


def find_previous_attempt(
    repository: Repository, run: BuildRun, run_id: RunId, files_for: Callable[[RunId], Mapping[str, bytes]]
) -> SealedRef | None:
    """Return the folder that an earlier attempt of this Dagster step sealed with the same bytes, or None."""
    # Dagster repeats a step under the same run id and start, so a folder of this name is from an earlier attempt, or
    # from another run that began in the same second. Other bytes get the next suffix.
    if run.dagster_run_id is None:
        return None
    folder = find_sealed_folder(repository.publish_root, run_id, files_for)
    return None if folder is None else make_ref(repository, folder)
