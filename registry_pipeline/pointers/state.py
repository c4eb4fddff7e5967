"""Read the pointer file and the activation records as of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import StrictJsonError, json_document, parse_strict_json, sha256_hex
from registry_pipeline.config import MemoKind, Repository
from registry_pipeline.errors import BusyError, DurabilityError, NotFoundError
from registry_pipeline.files.atomic_write import create_file, read_own_file, remove_file
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.files.read import read_short_files
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers.chain import (
    ACTIVATION_TAG,
    AFTER_FILE,
    RECORD_FILE,
    SIGNATURE_FILES,
    ActivationRecord,
    ChainRecords,
    ChainState,
    Intent,
    SealedRecord,
    make_chain_state,
    make_state_from_checkpoint,
)
from registry_pipeline.pointers.checkpoint import make_line
from registry_pipeline.pointers.plan import ActivationState
from registry_pipeline.registries.base.reader import find_foreign_repository_id
from registry_pipeline.registries.base.sealed_input import VERIFIED
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.envelope import Inputs, is_foreign, stated_repository_id
from registry_pipeline.runs.pointer_file import (
    parse_pointer_file,
    read_pointer_bytes,
    run_folder,
    verify_referenced_run,
)
from registry_pipeline.runs.reference import TAG_START, PointerFile, RunId, SealedRef
from registry_pipeline.runs.scan import list_run_roots
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import value_type

# The tag of a health report, which names the head of the chain at its time.
_REPORT_TAG: Final = "system_health_render"
_NEEDED: Final = (RECORD_FILE, AFTER_FILE)
_KEPT: Final = (*_NEEDED, *SIGNATURE_FILES)
# Before the root in the last line of a MANIFEST.sha256.
_ROOT_LINE: Final = b"\nROOT_SHA256  "
# The MANIFEST.sha256 of a record has four lines, and one for each signature.
_MOST_BYTES: Final = 4096
# A folder with the name of a record: the record, or the finding if it is none.
_ReadRecord = SealedRecord | Finding


def read_chain(repository: Repository) -> ChainRecords:
    """Return every activation record under the run roots, copies once; NotFoundError if a root cannot be listed."""
    return _read_all_records(repository, _list_names(repository), {})


def _read_all_records(repository: Repository, names: _RecordNames, verified: Mapping[str, _ReadRecord]) -> ChainRecords:
    """Return every record; those in `verified` are not read again."""
    return _read_records(repository, _parse_names(names.records, ACTIVATION_TAG), names.reports, verified)


def _read_records(
    repository: Repository,
    runs: Iterable[tuple[str, RunId | str]],
    reports: Sequence[tuple[str, str]],
    verified: Mapping[str, _ReadRecord],
) -> ChainRecords:
    """Return the records with these run roots and names, copies once; those in `verified` are not read again."""
    records: dict[str, SealedRecord] = {}
    broken: list[Finding] = []
    for run_root, name in runs:
        path = f"{run_root}/{name}"
        record = verified[path] if path in verified else _read_record(repository, path)
        if isinstance(record, Finding):
            broken.append(record)
        else:
            # A copy in another run root has the same root hash.
            records.setdefault(record.root, record)
    ordered = tuple(sorted(records.values(), key=lambda r: r.ref.run_id))
    witnesses = tuple(_read_witnesses(repository, reports))
    return ChainRecords(repository.config.pointers, ordered, tuple(broken), witnesses)


def _read_record(repository: Repository, path: str) -> _ReadRecord:
    """Verify the folder of a record; return the record, or the finding if the folder contains none."""
    report = verify_folder(repository.path(path), display_path=path, keep=_KEPT)
    try:
        return _parse_record(path.rpartition("/")[0], report)
    except ValueError as error:
        return finding("CHAIN_RECORD_EDITED", path, detail=str(error))


def _read_witnesses(repository: Repository, reports: Sequence[tuple[str, str]]) -> Iterator[tuple[str, SealedRef]]:
    """Yield the record that the newest health report names as the head of the chain, if the report verifies."""
    newest = _find_newest_run(reports, _REPORT_TAG)
    if newest is None:
        return
    run_root, run_id = newest
    path = f"{run_root}/{run_id}"
    report = verify_folder(repository.path(path), display_path=path)
    # A report of another repository that was copied here names the records of that repository.
    foreign = is_foreign(stated_repository_id(report.run_json), repository.config.repository_id)
    if report.verdict == "pass" and not foreign:
        inputs = Inputs.from_json((report.run_json or {}).get("inputs"))
        yield from ((str(run_id), i.ref) for i in inputs.registries if i.registry_id == ACTIVATION_TAG)


def _find_newest_run(names: Sequence[tuple[str, str]], tag: str) -> tuple[str, RunId] | None:
    """Return the run root and the newest run id with this tag."""
    # Parsing a name costs more than reading it, so only names with the newest time are parsed.
    for stamp in sorted({name[:TAG_START] for _, name in names}, reverse=True):
        runs = list(_parse_names((pair for pair in names if pair[1].startswith(stamp)), tag))
        if runs:
            return max(runs, key=lambda pair: (pair[1].stamp, pair[1].number))
    return None


def _parse_names(names: Iterable[tuple[str, str]], tag: str) -> Iterator[tuple[str, RunId]]:
    for run_root, name in names:
        run_id = RunId.parse(name)
        if run_id is not None and run_id.tag == tag:
            yield run_root, run_id


@value_type
class _RecordNames:
    """The (run root, name) of all whose name has the tag of a record or a health report after its time.

    `others` are the names of records that are links or files.
    """

    records: tuple[tuple[str, str], ...]
    reports: tuple[tuple[str, str], ...]
    others: tuple[str, ...]


def _list_names(repository: Repository) -> _RecordNames:
    """List the run roots once; NotFoundError if one cannot be listed."""

    def refuse(run_root: str, error: OSError) -> None:
        if not isinstance(error, NotADirectoryError):
            advice = "check its permissions; without it the chain cannot be checked"
            raise NotFoundError(f"the run root {run_root} cannot be read: {error.strerror}", advice) from None

    # Whatever has the name of a record counts, not directories only: a link instead of a record is a finding.
    roots = (repository.config.publish_root, *repository.config.run_roots)
    records: list[tuple[str, str]] = []
    reports: list[tuple[str, str]] = []
    others: list[str] = []
    for run_root, entries in list_run_roots(repository, roots, refuse):
        tagged = entries.select_tagged((ACTIVATION_TAG, _REPORT_TAG))
        for name in (*tagged.folders, *tagged.others):
            (records if name.startswith(ACTIVATION_TAG, TAG_START) else reports).append((run_root, name))
        others += [name for name in tagged.others if name.startswith(ACTIVATION_TAG, TAG_START)]
    # Sorting by name only keeps the order of the run roots.
    records.sort(key=itemgetter(1))
    reports.sort(key=itemgetter(1))
    return _RecordNames(tuple(records), tuple(reports), tuple(sorted(others)))


def _parse_record(run_root: str, report: SealReport) -> SealedRecord:
    """Return the record of a verified folder, or raise ValueError with what is invalid."""
    if report.verdict != "pass" or report.root_sha256 is None:
        raise ValueError(", ".join(sorted({f.code for f in report.findings})) or report.verdict)
    envelope = report.run_json or {}
    if envelope.get("registry_id") != ACTIVATION_TAG:
        raise ValueError("registry_id in run.json is not pointer_activation")
    # `kept` has the bytes that were hashed, so they cannot change between the check and the parsing.
    for name in _NEEDED:
        if name not in report.kept:
            raise ValueError(f"{name} is missing")
    try:
        record = ActivationRecord.from_json(parse_strict_json(report.kept[RECORD_FILE]))
    except StrictJsonError as error:
        raise ValueError(f"{RECORD_FILE}: {error}") from None
    if sha256_hex(report.kept[AFTER_FILE]) != record.after_sha256:
        raise ValueError(f"{AFTER_FILE} does not have the hash that the record states")
    created_utc = str(envelope.get("created_utc"))
    if record.created_utc not in (None, created_utc):
        raise ValueError(f"created_utc in {RECORD_FILE} is not that of run.json")
    ref = SealedRef(report.run_id, run_root, RECORD_FILE, report.root_sha256)
    signatures = tuple(report.kept[name] for name in SIGNATURE_FILES if name in report.kept)
    return SealedRecord(
        path=report.path,
        ref=ref,
        created_utc=created_utc,
        record=record,
        active=parse_pointer_file(report.kept[AFTER_FILE], f"{report.path}/{AFTER_FILE}")[0].active_refs(),
        repository_id=stated_repository_id(envelope),
        signatures=signatures,
        document=report.kept[RECORD_FILE] if signatures else b"",
    )


def intent_path(pointer_path: Path) -> Path:
    """Return the path of the intent file of a pointer file."""
    return pointer_path.with_name(pointer_path.name + ".intent")


def create_intent(pointer_path: Path, run_id: str, before: str, after: str) -> None:
    """Create the intent file: which record will be sealed, and the pointer file's hashes before and after.

    Raises:
        BusyError: an intent exists; nothing changed (exit 6).
        WriteError: it cannot be written (exit 1).
        DurabilityError: the disk did not confirm it; it was removed again (exit 1).
    """
    try:
        create_file(intent_path(pointer_path), json_document(Intent(run_id, before, after).to_json()))
    except DurabilityError:
        # A record must not be sealed under an intent that may vanish in a power cut.
        intent_path(pointer_path).unlink(missing_ok=True)
        raise
    except BusyError:
        raise BusyError(
            "the intent of another change exists; nothing changed", "run `registry-pipeline status`"
        ) from None


def read_intent(pointer_path: Path) -> Intent | None:
    """Return the intent beside a pointer file; None if it is missing or its content is not an intent.

    Raises:
        RefusedError: it is a link, not a regular file, or cannot be read (exit 5).
    """
    data = read_own_file(intent_path(pointer_path))
    if data is None:
        return None
    # The record is sealed after the intent is complete, so a torn intent has no record.
    try:
        return Intent.from_json(parse_strict_json(data))
    except StrictJsonError:
        return None


def remove_intent(pointer_path: Path) -> None:
    """Remove the intent if it exists; its change must be committed or never sealed."""
    remove_file(intent_path(pointer_path))


def lock_path(pointer_path: Path) -> Path:
    """Return the path of the lock file of a pointer file."""
    return pointer_path.with_name(pointer_path.name + ".lock")


# How long a change waits for readers, which share the lock for a moment.
CHANGE_WAIT_SECONDS: Final = 2.0


def pointer_lock(
    pointer_path: Path, root: Path, *, shared: bool = False, wait_seconds: float = CHANGE_WAIT_SECONDS
) -> AbstractContextManager[None]:
    """Hold the lock of the pointer file of the repository at `root`; readers share it. Errors: see `hold_lock`."""
    return hold_lock(lock_path(pointer_path), root, "activation", shared=shared, wait_seconds=wait_seconds)


WAIT_SECONDS: Final = 30.0
_ATTEMPTS: Final = 20
_SETTLED: Final = frozenset(("not_chained", "committed"))


@value_type
class PointerState:
    """The bytes of the pointer file (None without a file) and the chain compared with exactly these bytes."""

    pointers: bytes | None
    chain: ChainState


_Fingerprint = tuple[_RecordNames, bytes | None, Intent | None]
_STATES: Final = MemoKind[tuple[_Fingerprint, PointerState]]()


def read_chain_state(repository: Repository, *, from_checkpoint: bool = False) -> ChainState:
    """Return the activation chain and how the pointer file compares with it; see `read_pointer_state`."""
    return read_pointer_state(repository, from_checkpoint=from_checkpoint).chain


def read_pointer_state(repository: Repository, *, from_checkpoint: bool = False) -> PointerState:
    """Return a state of pointer file and chain that existed at one moment, even while another process changes it.

    With `from_checkpoint` the records before the newest checkpoint are not verified: only their names and the roots in
    their MANIFEST.sha256 are compared with it. On any difference every record is verified. One build reads the same
    state once.

    Raises:
        BusyError: a change was in progress for all of `WAIT_SECONDS` (exit 6).
        NotFoundError: a run root or the pointer file exists and cannot be read.
    """
    for _ in range(_ATTEMPTS):
        # (1) Read without a lock first: usually nothing changes, and no writer has to wait.
        before = _read_fingerprint(repository)
        known = repository.recall(_STATES) if from_checkpoint else None
        if known is not None and known[0] == before:
            return known[1]
        state = read_locked_state(repository, from_checkpoint=from_checkpoint, names=before[0])
        if _read_fingerprint(repository) != before:
            continue
        # (2) A sealed record whose pointer file is not yet replaced is normal while a writer holds the lock.
        if state.chain.state in _SETTLED or not lock_path(repository.pointer_path).exists():
            if from_checkpoint:
                repository.keep(_STATES, (before, state))
            return state
        break
    # (3) The lock excludes writers: what is read now is final.
    with pointer_lock(repository.pointer_path, repository.root, shared=True, wait_seconds=WAIT_SECONDS):
        return read_locked_state(repository, from_checkpoint=from_checkpoint)


def read_locked_state(
    repository: Repository, *, from_checkpoint: bool = False, names: _RecordNames | None = None
) -> PointerState:
    """Return the state of pointer file and chain as `read_pointer_state`; the caller holds the lock.

    `names` are those of the records and reports, if the caller has listed them.
    """
    names = _list_names(repository) if names is None else names
    verified: dict[str, _ReadRecord] = {}
    state = _read_state_from_checkpoint(repository, names, verified) if from_checkpoint else None
    if state is not None:
        return state
    records = _read_all_records(repository, names, verified)
    pointers = read_pointer_bytes(repository)
    return PointerState(pointers, make_chain_state(records, pointers, read_intent(repository.pointer_path)))


def _read_state_from_checkpoint(
    repository: Repository, names: _RecordNames, verified: MutableMapping[str, _ReadRecord]
) -> PointerState | None:
    """Return the state from the newest checkpoint on, or None if every record must be read.

    What is verified here is added to `verified`, by path.
    """
    if names.others:
        return None
    # (1) Verify from the newest name back to the newest checkpoint.
    later: list[tuple[str, str]] = []
    earlier = list(names.records)
    while earlier:
        later.append(earlier.pop())
        path = "/".join(later[-1])
        record = verified[path] = _read_record(repository, path)
        if isinstance(record, Finding):
            return None
        if record.record.checkpoint is not None:
            break
    else:
        return None
    # (2) Read the roots that the earlier folders state, without verifying them.
    # A copy of the checkpoint in another run root is next to it.
    while earlier and earlier[-1][1] == later[-1][1]:
        later.append(earlier.pop())
    records = _read_records(repository, reversed(later), names.reports, verified)
    try:
        lines = _read_stated_lines(repository, earlier)
    except OSError:  # a run root that was moved away meanwhile
        return None
    pointers = read_pointer_bytes(repository)
    chain = make_state_from_checkpoint(records, lines, pointers)
    return None if chain is None else PointerState(pointers, chain)


def _read_stated_lines(repository: Repository, names: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the line of each record with the root that its MANIFEST.sha256 states; "" if there is none."""
    by_root: defaultdict[str, list[str]] = defaultdict(list)
    for run_root, name in names:
        by_root[run_root].append(name)
    lines: set[str] = set()
    for run_root, run_ids in by_root.items():
        relpaths = [f"{run_id}/MANIFEST.sha256" for run_id in run_ids]
        files = read_short_files(repository.path(run_root), relpaths, _MOST_BYTES)
        # The last line is the keyword, the root and a line feed. Slices are cheaper than a search.
        lines |= {
            make_line(run_id, data[-65:-1].decode("latin-1") if data[-79:-65] == _ROOT_LINE else "")
            for run_id, data in zip(run_ids, files, strict=True)
        }
    return frozenset(lines)


def _read_fingerprint(repository: Repository) -> _Fingerprint:
    """Return a value that differs after every change: names of records and reports, pointer file and intent."""
    # Every change of the pointers changes at least one of these. A new report can be a witness of a missing record.
    return _list_names(repository), read_pointer_bytes(repository), read_intent(repository.pointer_path)


def read_active_runs(repository: Repository, pointers: PointerFile, *, from_memo: bool = False) -> dict[str, SealedRun]:
    """Return the active runs whose folders exist, verified or not, with the inputs that they record.

    With `from_memo` a run that this build has verified is not verified again.
    """
    active: dict[str, SealedRun] = {}
    for registry_id, ref in pointers.active_refs().items():
        if run_folder(repository, ref).is_dir():
            known = repository.recall(VERIFIED, ref) if from_memo else None
            report = known or verify_referenced_run(repository, ref)
            envelope = report.run_json or {}
            as_of = envelope.get("as_of_utc")
            as_of_utc, inputs = as_of if isinstance(as_of, str) else "", Inputs.from_json(envelope.get("inputs"))
            active[registry_id] = SealedRun(registry_id, ref, inputs, as_of_utc)
    return active


def read_activation_state(
    repository: Repository, chain: ChainState, pointers: PointerFile, *, from_memo: bool = False
) -> ActivationState:
    """Return what candidates for activation are compared with: the active runs, and what the chain says about runs.

    The folder of each active run is read and hashed, with `from_memo` unless this build has done so. One that does not
    verify is included, a missing one is not.
    """
    return ActivationState(
        active=read_active_runs(repository, pointers, from_memo=from_memo),
        specs=catalog_of(repository).registries,
        run_roots=repository.config.run_roots,
        marked_bad=chain.marked_bad,
        rolled_back_runs=chain.rolled_back_runs,
        repository_id=repository.config.repository_id,
        accepted_foreign=chain.accepted_foreign(repository.config.repository_id),
        disabled=catalog_of(repository).find_disabled(repository.config),
    )


def find_foreign_id(repository: Repository, report: SealReport) -> str | None:
    """Return the repository_id of a verified run of another repository that was not accepted, else None."""
    own_id = repository.config.repository_id
    # The chain is read only for a foreign run, because nearly all runs are of this repository.
    if find_foreign_repository_id(report, own_id, frozenset()) is None:
        return None
    chain = read_chain_state(repository, from_checkpoint=True)
    return find_foreign_repository_id(report, own_id, chain.accepted_foreign(own_id))
