"""Read sealed runs, verified on every read, and find out which registry a run folder belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

from registry_pipeline.capture_table import is_reserved_name
from registry_pipeline.config import MemoKind, Repository
from registry_pipeline.errors import EvidenceError
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.finding import sorted_findings
from registry_pipeline.registries.base.delta import DELTA_LOG
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.envelope import Inputs, stated_repository_id
from registry_pipeline.runs.envelope_file import parse_registry_run_json
from registry_pipeline.runs.pointer_file import read_pointers, run_folder, verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import Documents
from registry_pipeline.runs.sealed_run import SealedRun, SealReport, Verdict
from registry_pipeline.values import field, value_type

VERIFIED: Final = MemoKind[SealReport]()
"""The verified reports that one build keeps, with their artifacts, by reference."""


def make_sealed_run(registry_id: str, ref: SealedRef, report: SealReport) -> SealedRun:
    """Return a folder that the caller has verified as a sealed run; it counts as reused, not as built now."""
    envelope = report.run_json or {}
    as_of = envelope.get("as_of_utc") or envelope.get("created_utc")
    return SealedRun(
        registry_id=registry_id,
        ref=ref,
        inputs=Inputs.from_json(envelope.get("inputs")),
        as_of_utc=as_of if isinstance(as_of, str) else "",
        reused=True,
    )


def read_sealed_report(repository: Repository, spec: RegistrySpec, ref: SealedRef) -> SealReport:
    """Return the verified report of a run with its artifacts; raise EvidenceError if it is not what `ref` names.

    One build verifies a run once.
    """
    registry_id = spec.registry_id
    known = repository.recall(VERIFIED, ref)
    if known is not None:
        return known
    keep = {*spec.artifacts, *([] if ref.relpath is None else [ref.relpath])}
    if spec.multi_file:
        keep = list_likely_artifacts(spec, run_folder(repository, ref))
    report = verify_referenced_run(repository, ref, keep)
    if spec.multi_file and report.verdict == "pass":
        artifacts = find_artifacts(spec, [entry.relpath for entry in report.entries])
        # The folder changed meanwhile, or its hash file lists them in another form.
        if report.kept.keys() != set(artifacts):
            report = verify_referenced_run(repository, ref, artifacts)
    if report.verdict != "pass":
        codes = ", ".join(sorted({f.code for f in report.findings}))
        raise EvidenceError(
            f"{registry_id}: the run {ref.run_id} does not verify: {codes}; it is not used",
            f"see `registry-pipeline verify {ref.run_id}`, then `registry-pipeline build {registry_id}`",
        )
    # A folder that was replaced by another valid one verifies, but is not the run of the reference.
    if report.root_sha256 != ref.manifest_sha256:
        raise EvidenceError(
            f"{registry_id}: the run {ref.run_id} has the root {report.root_sha256} instead of {ref.manifest_sha256}",
            f"the folder was replaced; run `registry-pipeline build {registry_id}` to make a new one",
        )
    repository.keep(VERIFIED, report, ref)
    return report


def read_active_run(repository: Repository, spec: RegistrySpec) -> SealedRun | None:
    """Return the active run of a registry, verified; raise EvidenceError if it does not verify.

    None if there is none, or if its folder is missing, as in a clone without the runs.
    """
    ref = read_pointers(repository).active(spec.registry_id)
    if ref is None or not run_folder(repository, ref).is_dir():
        return None
    return make_sealed_run(spec.registry_id, ref, read_sealed_report(repository, spec, ref))


RunKey = tuple[str, str]
"""A run root, as configured, and the name of a folder in it."""
_VERSION: Final = re.compile(r"_v[0-9]+_[0-9]+(?=[._])")
_DIGEST_AND_BLANKS: Final = 66
_PROGRESS_EVERY: Final = 256


def find_registry(
    run_json: Mapping[str, Any] | None, relpaths: Iterable[str], specs: Mapping[str, RegistrySpec]
) -> tuple[str | None, bool]:
    """Return the id of the registry that a run belongs to, or None, and whether its run.json names it.

    If run.json names none, it is the first registry of the table whose main artifact is in the folder. An id that
    run.json names need not be in the table.
    """
    name = (run_json or {}).get("registry_id")
    if isinstance(name, str) and name:
        return name, True
    names = set(relpaths)
    for key, spec in specs.items():
        # An own registry is always named: its artifact may have a common name, such as prices.json.
        if spec.artifacts and spec.artifacts[0] in names and not spec.is_own:
            return key, False
    return None, False


def find_artifacts(spec: RegistrySpec, relpaths: Iterable[str]) -> tuple[str, ...]:
    """Return the artifacts of a registry in a run folder, those of the registry's row first."""
    names = {name for name in relpaths if spec.preserve_paths or "/" not in name}
    artifacts = [name for name in spec.artifacts if name in names]
    others = sorted(name for name in names if name not in artifacts and not is_reserved_name(name))
    # Of a registry of many files, every file with a schema is an artifact.
    if spec.multi_file:
        return (*artifacts, *(name for name in others if spec.schema_of(name)))
    # A captured file may have another name: then it is the only file besides the reserved ones.
    if spec.is_one_capture and not artifacts and len(others) == 1:
        suffix = spec.artifact[spec.artifact.rindex(".") :]
        return tuple(name for name in others if name.endswith(suffix) and not is_other_version(name, spec.artifact))
    return tuple(artifacts)


def list_likely_artifacts(spec: RegistrySpec, folder: Path | str) -> set[str]:
    """Return the artifacts that the hash file of a folder names, which nothing has verified; none without a file."""
    # Only the folder names the artifacts of a registry of many files. A wrong name costs a second verification.
    return set(find_artifacts(spec, _list_hashed_paths(_read(f"{os.fspath(folder)}/MANIFEST.sha256"))))


def find_main_artifact(spec: RegistrySpec, relpaths: Iterable[str]) -> str | None:
    """Return the first artifact of a registry in a run folder, or None; references to the run contain it."""
    return next(iter(find_artifacts(spec, relpaths)), None) if spec.artifacts else None


def make_seal_verdict(report: SealReport, specs: Mapping[str, RegistrySpec]) -> Verdict:
    """Return the verdict on a folder by its seal alone, with the registry that it belongs to and its main artifact."""
    relpaths = [entry.relpath for entry in report.entries]
    registry_id, _ = find_registry(report.run_json, relpaths, specs)
    spec = specs.get(registry_id or "")
    return Verdict(
        path=report.path,
        run_id=report.run_id,
        registry_id=registry_id,
        verdict=report.verdict,
        root_sha256=report.root_sha256,
        findings=sorted_findings(report.findings),
        artifact=None if spec is None else find_main_artifact(spec, relpaths),
        repository_id=stated_repository_id(report.run_json),
    )


def is_other_version(name: str, artifact: str) -> bool:
    """Return whether two names differ only in their version, as `A_v0_1.json` and `A_v0_2.json` do."""
    return name != artifact and _VERSION.sub("", name) == _VERSION.sub("", artifact)


@value_type
class Claim:
    """A run folder that claims to belong to a registry, unverified; `envelope` is its run.json if that names one."""

    registry_id: str
    run_root: str
    run_id: str
    envelope: Mapping[str, Any] = field(compare=False)

    @property
    def key(self) -> RunKey:
        """The run root and the folder's name."""
        return self.run_root, self.run_id

    @property
    def path(self) -> str:
        """The folder's path relative to the repository."""
        return f"{self.run_root}/{self.run_id}"

    @property
    def previous(self) -> SealedRef | None:
        """The previous snapshot of its own registry, as run.json states it."""
        return Inputs.from_json(self.envelope.get("inputs")).previous(self.registry_id)


def read_claims(
    root: Path,
    keys: Iterable[RunKey],
    specs: Mapping[str, RegistrySpec],
    on_progress: Callable[[int], None] | None = None,
) -> list[Claim]:
    """Return which registry each run folder claims to belong to, in the order of `keys`; nothing is verified.

    A folder without run.json is recognised by its other files. A folder of no registry is left out. `on_progress` is
    called with the number of folders read, after every 256.
    """
    claims: list[Claim] = []
    root_paths: dict[str, str] = {}
    artifacts = list_main_artifacts(specs)
    for number, (run_root, run_id) in enumerate(keys, 1):
        root_path = root_paths.get(run_root) or root_paths.setdefault(run_root, os.fspath(root / run_root))
        claim = _read_claim(f"{root_path}/{run_id}", run_root, run_id, specs, artifacts)
        if claim is not None:
            claims.append(claim)
        if on_progress is not None and number % _PROGRESS_EVERY == 0:
            on_progress(number)
    return claims


UNCLAIMED: Final = MemoKind[Mapping[str, AbstractSet[str]]]()
"""The names of folders that no delta log records, by run root: they claim no registry, or a collection."""


def select_delta_log_names(names: Iterable[str], specs: Mapping[str, RegistrySpec]) -> list[str]:
    """Return the names of folders that are named like a delta log: these must be verified as one."""
    if DELTA_LOG not in specs:
        return []
    part = f"__{specs[DELTA_LOG].tag}"
    return [name for name in names if part in name]


def _read_claim(
    folder: str, run_root: str, run_id: str, specs: Mapping[str, RegistrySpec], artifacts: frozenset[str]
) -> Claim | None:
    envelope = parse_registry_run_json(_read(f"{folder}/run.json"))
    if envelope is not None:
        return Claim(envelope["registry_id"], run_root, run_id, envelope)
    # Older runs name no registry: their hash file shows whether they contain an artifact.
    relpaths = _list_hashed_paths(_read(f"{folder}/MANIFEST.sha256"))
    registry_id = None if artifacts.isdisjoint(relpaths) else find_registry(None, relpaths, specs)[0]
    if registry_id is None and select_delta_log_names([run_id], specs):
        registry_id = DELTA_LOG
    return None if registry_id is None else Claim(registry_id, run_root, run_id, {})


def list_main_artifacts(specs: Mapping[str, RegistrySpec]) -> frozenset[str]:
    """Return the names of the main artifacts that show to which registry a folder belongs."""
    return frozenset(spec.artifacts[0] for spec in specs.values() if spec.artifacts and not spec.is_own)


def list_collections(specs: Mapping[str, RegistrySpec]) -> frozenset[str]:
    """Return the ids of the collections, whose members no delta log records."""
    return frozenset(name for name, spec in specs.items() if spec.kind == "collection")


def claims_no_registry(documents: Documents, artifacts: frozenset[str], collections: frozenset[str]) -> bool:
    """Return whether a folder with these documents claims to belong to no registry, or to one of the collections.

    If it is named like a delta log, it must be read all the same.
    """
    run_json, hash_file = documents.get("run.json"), documents.get("MANIFEST.sha256")
    # What cannot be read may claim anything.
    if isinstance(run_json, str) or isinstance(hash_file, str):
        return False
    envelope = parse_registry_run_json(run_json)
    if envelope is not None:
        return envelope["registry_id"] in collections
    return artifacts.isdisjoint(_list_hashed_paths(hash_file))


def _list_hashed_paths(hash_file: bytes | None) -> list[str]:
    return [line[_DIGEST_AND_BLANKS:] for line in (hash_file or b"").decode("utf-8", "replace").splitlines()]


def _read(path: str) -> bytes | None:
    try:
        return read_regular_file(path, follow_links=False)
    except OSError:
        return None
