"""Read and verify the activation records in the run roots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers.record import (
    ACTIVATION_TAG,
    AFTER_FILE,
    RECORD_FILE,
    REPORT_TAG,
    ActivationRecord,
    ChainRecords,
    SealedRecord,
    Witness,
)
from registry_pipeline.runs.envelope import Inputs, is_foreign, stated_repository_id
from registry_pipeline.runs.listing import list_run_folder_names
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder

_KEPT: Final = (RECORD_FILE, AFTER_FILE)


def read_chain(repository: Repository) -> ChainRecords:
    """Return every activation record under the run roots; a copy of one in another run root counts once.

    Raises:
        NotFoundError: a run root exists and cannot be listed (exit 7).
    """
    records: dict[str, SealedRecord] = {}
    broken: list[Finding] = []
    for run_root, run_id in list_record_folders(repository):
        path = f"{run_root}/{run_id}"
        report = verify_folder(repository.path(path), display_path=path, keep=_KEPT)
        try:
            sealed = _parse(run_root, report)
        except ValueError as error:
            broken.append(finding("CHAIN_RECORD_EDITED", path, detail=str(error)))
        else:
            # A copy in another run root has the same root hash.
            records.setdefault(sealed.ref.manifest_sha256, sealed)
    ordered = sorted(records.values(), key=lambda r: r.ref.run_id)
    return ChainRecords(repository.config.pointers, tuple(ordered), tuple(broken), tuple(_witnesses(repository)))


def list_record_folders(repository: Repository) -> Iterator[tuple[str, str]]:
    """Yield run root and run id of every folder with the name of an activation record, without reading it.

    Raises:
        NotFoundError: a run root exists and cannot be listed (exit 7).
    """
    return ((run_root, str(run_id)) for run_root, run_id in _list_folders(repository, ACTIVATION_TAG))


def _witnesses(repository: Repository) -> Iterator[Witness]:
    """Yield the record that the newest health report names as the head of the chain, if the report verifies."""
    reports = list(_list_folders(repository, REPORT_TAG))
    if not reports:
        return
    run_root, run_id = max(reports, key=lambda pair: (pair[1].stamp, pair[1].number))
    path = f"{run_root}/{run_id}"
    report = verify_folder(repository.path(path), display_path=path)
    # A report of another repository that was copied here names the records of that repository.
    foreign = is_foreign(stated_repository_id(report.run_json), repository.config.repository_id)
    if report.verdict == "pass" and not foreign:
        inputs = Inputs.from_json((report.run_json or {}).get("inputs"))
        yield from (Witness(str(run_id), i.ref) for i in inputs.registries if i.registry_id == ACTIVATION_TAG)


def _list_folders(repository: Repository, tag: str) -> Iterator[tuple[str, RunId]]:
    def refuse(run_root: str, error: OSError) -> None:
        if not isinstance(error, NotADirectoryError):
            advice = "check its permissions; without it the chain cannot be checked"
            raise NotFoundError(f"the run root {run_root} cannot be read: {error.strerror}", advice) from None

    roots = (repository.config.publish_root, *repository.config.run_roots)
    # Whatever has the name of a record counts, not directories only: a link instead of a record is a finding.
    for run_root, names in list_run_folder_names(repository.root, roots, refuse, lambda _, entry: tag in entry.name):
        for name in names:
            run_id = RunId.parse(name)
            if run_id is not None and run_id.tag == tag:
                yield run_root, run_id


def _parse(run_root: str, report: SealReport) -> SealedRecord:
    """Return the record of a verified folder.

    Raises:
        ValueError: the seal, the record or the state in it is invalid; the message says which.
    """
    if report.verdict != "pass" or report.root_sha256 is None:
        raise ValueError(", ".join(sorted({f.code for f in report.findings})) or report.verdict)
    envelope = report.run_json or {}
    if envelope.get("registry_id") != ACTIVATION_TAG:
        raise ValueError("registry_id in run.json is not pointer_activation")
    # `kept` has the bytes that were hashed, so they cannot change between the check and the parsing.
    for name in _KEPT:
        if name not in report.kept:
            raise ValueError(f"{name} is missing")
    try:
        record = ActivationRecord.from_json(read_strict_json(report.kept[RECORD_FILE]))
    except StrictJsonError as error:
        raise ValueError(f"{RECORD_FILE}: {error}") from None
    if sha256_hex(report.kept[AFTER_FILE]) != record.after_sha256:
        raise ValueError(f"{AFTER_FILE} does not have the hash that the record states")
    ref = SealedRef(report.run_id, run_root, RECORD_FILE, report.root_sha256)
    return SealedRecord(report.path, ref, str(envelope.get("created_utc")), record, stated_repository_id(envelope))
