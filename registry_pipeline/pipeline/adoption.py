"""Take over the pointer file of an older tool: entries that cannot be used become unknown, and the chain starts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.config_types import check_path
from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Severity
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.init import prepare, search_run_roots
from registry_pipeline.pipeline.inspect import Inspection, inspect
from registry_pipeline.pointers.recovery import start_chain
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.pointer_file import has_registry_id, parse_pointer_file, read_pointer_bytes
from registry_pipeline.runs.reference import POINTER_CONTRACT_VERSION
from registry_pipeline.values import asdict, value_type

_ENTRY: Final = re.compile(r"/pointers/([0-9]{1,4})(?:/.*)?")
_REASON: Final = "adopted the pointer file of an older tool"


@value_type
class ClearedEntry:
    """An entry that could not be used, and the codes of its errors."""

    registry_id: str
    codes: tuple[str, ...]


@value_type
class Adoption:
    """What `init --adopt` did; `record` is None if the pointer file was adopted before."""

    # The number of active runs that are kept.
    kept: int
    cleared: tuple[ClearedEntry, ...] = ()
    # The run id of the first activation record.
    record: str | None = None
    # Where the replaced file is kept; None if it did not change.
    copy: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the member `adopted` of the document of `init --json`."""
        return asdict(self)


def find_adoptable_file(root: Path, named: str, now: datetime) -> str:
    """Return the path of the pointer file to adopt, `named` or the only one that exists; nothing is written.

    Raises:
        RefusedError: there is none or there are several, or the toml names another one (exit 5), or as `prepare`.
        EvidenceError: its entries cannot be read, or its activation chain has an error (exit 3).
    """
    try:
        repository = prepare(root, check_path(named) if named else None)
    except ValueError as error:
        raise RefusedError(
            f"--adopt {named}: {error}", "name a file of the repository by its path from the root"
        ) from None
    if not named and read_pointer_bytes(repository) is None:
        found = search_run_roots(repository).pointer_files
        if len(found) != 1:
            which = "no pointer file was found" if not found else f"several were found: {', '.join(found)}"
            raise RefusedError(f"{repository.config.pointers} does not exist, and {which}", "name it: --adopt FILE")
        repository = prepare(root, found[0])
    if read_pointer_bytes(repository) is None:
        raise RefusedError(f"{repository.config.pointers} does not exist", "name a file that exists: --adopt FILE")
    # Checked before anything is written. The time and the state of git do not matter for that.
    _find_unusable(inspect(repository, BuildRun(now, GitState(None, None))))
    return repository.config.pointers


def adopt_pointer_file(repository: Repository, run: BuildRun, *, actor: str) -> Adoption:
    """Make every entry with an error unknown, keep the old file in quarantine, and seal the first activation record.

    A pointer file that has activation records is not changed. A repeat completes what a crash left.

    Raises:
        EvidenceError: the entries cannot be read, or the activation chain has an error (exit 3).
        BusyError: another process changes the pointer file (exit 6).
    """
    inspection = inspect(repository, run)
    codes = _find_unusable(inspection)
    kept = len(inspection.pointer_file.active_refs())
    if inspection.chain.records:
        return Adoption(kept)
    document = inspection.pointer_file.document
    entries, cleared = _clear_entries(document["pointers"], codes)
    after = {**document, "last_updated_utc": utc_text(run.started), "pointers": entries}
    quarantine = repository.state_root / "quarantine"
    data = json_document(after) if cleared else None
    reason = f"{_REASON}; unknown now: {', '.join(c.registry_id for c in cleared)}" if cleared else _REASON
    seen = inspection.pointer_file.sha256
    activation, copy = start_chain(repository, run, data, seen, quarantine, actor=actor, reason=reason)
    active = {entry.registry_id for entry in cleared} & set(inspection.pointer_file.active_refs())
    copy_path = None if copy is None else copy.relative_to(repository.root).as_posix()
    return Adoption(kept - len(active), cleared, activation.record.run_id, copy_path)


def _find_unusable(inspection: Inspection) -> Mapping[int, tuple[str, ...]]:
    """Return the error codes of each entry that has errors, by its number in the file.

    Raises EvidenceError if the chain has an error, or the file has one that is not about an entry.
    """
    codes: defaultdict[int, set[str]] = defaultdict(set)
    for found in inspection.findings:
        if found.severity is not Severity.ERROR:
            continue
        match = _ENTRY.fullmatch(found.location or "")
        if found.code.startswith("POINTER_") and match is not None:
            codes[int(match[1])].add(found.code)
        elif found.code.startswith(("POINTER_", "CHAIN_")):
            raise EvidenceError(
                f"{found.path} cannot be adopted: {found.code}: {found.message}",
                "correct it, or move the file away and run `registry-pipeline init` for an empty one",
            )
    return {number: tuple(sorted(names)) for number, names in codes.items()}


def _clear_entries(
    entries: list[Any], codes: Mapping[int, tuple[str, ...]]
) -> tuple[list[Any], tuple[ClearedEntry, ...]]:
    """Return the entries of the new file, and those that could not be used.

    An entry without a valid registry_id, and a second one of a registry, cannot be unknown; they are left out.
    """
    kept: list[Any] = []
    cleared: dict[str, set[str]] = {}
    for number, entry in enumerate(entries):
        if number not in codes:
            kept.append(entry)
            continue
        name = entry["registry_id"] if has_registry_id(entry) else f"entry {number}"
        if name not in cleared and has_registry_id(entry):
            kept += _make_unknown(entry)
        cleared.setdefault(name, set()).update(codes[number])
    return kept, tuple(ClearedEntry(printable(name), tuple(sorted(names))) for name, names in cleared.items())


def _make_unknown(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entry without an active run; nothing if its registry_id is none, so that it would stay invalid."""
    notes = entry.get("notes")
    state = {"active_ref": None, "active_ref_known": "unknown", "active_asof_utc": None}
    unknown = {**entry, **state, "notes": notes if isinstance(notes, str) else ""}
    file = {"pointer_contract_version": POINTER_CONTRACT_VERSION, "pointers": [unknown]}
    return [] if parse_pointer_file(json_document(file), "")[1] else [unknown]
