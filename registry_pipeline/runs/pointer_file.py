"""One entry of the pointer file, read strictly (SPEC 5): its shape, its three states, its reference, its stamp."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, is_sha256, parse_utc, read_strict_json, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.runs.reference import Known, Pointer, PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.schema import json_pointer

_REF_KEYS: Final = ("run_id", "run_root", "relpath", "manifest_sha256")
_REGISTRY_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FOLDER_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}")


class PointerFindings:
    """Collects the findings of one pointer file; `shown` is its path as they name it."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.findings: list[Finding] = []

    def add(self, code: str, location: str, *, expected: object = None, got: object = None, detail: str = "") -> None:
        """Tell a code at a JSON pointer of the file."""
        told = None if got is None else shown_value(got)
        self.findings.append(finding(code, self.shown, location=location, expected=expected, got=told, detail=detail))


def shown_value(value: object) -> str:
    """Return a value as a finding shows it; what could be huge or deep is only named."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= 80 else f"{text[:80]}…"


def read_pointer(entry: Mapping[str, Any], place: str, report: PointerFindings) -> Pointer | None:
    """Return the pointer of an entry, or None if its registry, state or reference is broken.

    Keys that are not ours are left alone, as a rewrite keeps them; a reference has exactly its four.
    """
    before = len(report.findings)
    registry_id = entry.get("registry_id")
    if not isinstance(registry_id, str) or not _REGISTRY_ID.fullmatch(registry_id):
        detail = "registry_id is not a registry's name"
        report.add("POINTER_SHAPE", f"{place}/registry_id", detail=detail, got=registry_id)
    notes = entry.get("notes", "")
    if not isinstance(notes, str):
        report.add("POINTER_SHAPE", f"{place}/notes", detail="notes is not a string", got=notes)
    known = _known(entry.get("active_ref_known"), place, report)
    if known == "unknown" and is_unknown_ref(entry.get("active_ref")):
        ref = None
    else:
        ref = _ref(entry.get("active_ref"), f"{place}/active_ref", report, required=known is True)
    if len(report.findings) > before or known is None:
        return None
    # A stamp that is wrong is told, but the reference that it dates still holds.
    stamp = entry.get("active_asof_utc")
    unknown_stamp = known == "unknown" and stamp == "unknown"
    asof = None if unknown_stamp else _asof(stamp, place, report, required=known is True)
    return Pointer(str(registry_id), ref, known, asof, notes)


def is_unknown_ref(value: Any) -> bool:
    """Whether a reference is the object of four nulls by which older tools say that nothing is active."""
    return isinstance(value, dict) and set(value) == set(_REF_KEYS) and not any(x is not None for x in value.values())


def _known(value: Any, place: str, report: PointerFindings) -> Known | None:
    if value is True or value is False or value == "unknown":
        return value  # type: ignore[no-any-return]  # one of the three, as just tested
    report.add("POINTER_TRISTATE", f"{place}/active_ref_known", expected='true, false or "unknown"', got=value)
    return None


def _ref(value: Any, place: str, report: PointerFindings, *, required: bool) -> SealedRef | None:
    if value is None:
        if required:
            report.add("POINTER_REF", place)
        return None
    if not isinstance(value, dict):
        report.add("POINTER_SHAPE", place, detail="active_ref is neither an object nor null", got=value)
        return None
    for key in sorted(value.keys() ^ set(_REF_KEYS)):
        detail = "a key that no reference has" if key in value else f"{key} is missing"
        report.add("POINTER_SHAPE", place + json_pointer([key]), detail=detail)
    run_id, run_root, relpath, digest = (value.get(key) for key in _REF_KEYS)
    if "run_id" in value and not is_folder_name(run_id):
        report.add("POINTER_RUN_ID_FORM", f"{place}/run_id", got=run_id)
    if "run_root" in value and (not isinstance(run_root, str) or path_codes(run_root)):
        # Whatever the configuration says: nothing is ever read outside the repository.
        report.add("POINTER_RUN_ROOT", f"{place}/run_root", expected="a path inside the repository", got=run_root)
    # A seal file is a path inside the folder and no payload: `check_pointers` reports it.
    if relpath is not None and (not isinstance(relpath, str) or set(path_codes(relpath)) - {"MANIFEST_PATH_RESERVED"}):
        report.add("POINTER_PATH", f"{place}/relpath", got=relpath)
    if "manifest_sha256" in value and not is_sha256(digest):
        report.add("POINTER_SHA_FORM", f"{place}/manifest_sha256", got=digest)
    return SealedRef.from_json(value)


def is_folder_name(value: Any) -> bool:
    """Tell whether a value is the name of one folder: no path, nothing that a terminal would obey."""
    return isinstance(value, str) and _FOLDER_NAME.fullmatch(value) is not None and len(value.encode()) <= 255


def _asof(value: Any, place: str, report: PointerFindings, *, required: bool) -> str | None:
    if value is None and not required:
        return None
    if parse_utc(value) is None:
        detail = "missing where the pointer is known" if value is None else "not YYYY-MM-DDTHH:MM:SSZ"
        report.add("POINTER_ASOF", f"{place}/active_asof_utc", got=value, detail=detail)
        return None
    return str(value)


CONTRACT_VERSION: Final = "0.1"
LARGEST: Final = 4 * 1024 * 1024
MOST_POINTERS: Final = 1000
_TOP_LEVEL: Final[Mapping[str, tuple[type, ...]]] = {
    "description": (str,),
    "mutation_policy": (str, list, dict),
    "last_updated_utc": (str, type(None)),
}


def parse_pointer_file(data: bytes | None, shown: str) -> tuple[PointerFile, tuple[Finding, ...]]:
    """Return what the pointer file states and every finding that its bytes alone give.

    Args:
        data: The file's bytes; None where there is no file.
        shown: The file's path, as findings name it.
    """
    if data is None:
        return PointerFile({}, (), None), (finding("POINTER_FILE_MISSING", shown),)
    report = PointerFindings(shown)
    document = _document(data, report)
    pointers: tuple[Pointer, ...] = ()
    if document.get("pointer_contract_version") == CONTRACT_VERSION:
        pointers = _pointers(document.get("pointers"), report)
    return PointerFile(document, pointers, sha256_hex(data)), sorted_findings(report.findings)


def _document(data: bytes, report: PointerFindings) -> dict[str, Any]:
    """Return the top-level object with its keys in their order; empty where there is none to read."""
    if len(data) > LARGEST:
        report.add("POINTER_SHAPE", "", detail=f"larger than {LARGEST} bytes")
        return {}
    try:
        document = read_strict_json(data)
    except StrictJsonError as error:
        code = "POINTER_DUPLICATE_KEY" if error.kind == "duplicate_key" else "POINTER_SHAPE"
        report.add(code, "", detail=shown_value(str(error)))
        return {}
    if not isinstance(document, dict):
        report.add("POINTER_SHAPE", "", detail="the top level is not an object")
        return {}
    version = document.get("pointer_contract_version")
    if version != CONTRACT_VERSION:
        place, detail = "/pointer_contract_version", "another version than this tool knows"
        report.add("POINTER_SHAPE", place, expected=CONTRACT_VERSION, got=version, detail=detail)
    for key, types in _TOP_LEVEL.items():
        if key in document and not isinstance(document[key], types):
            report.add("POINTER_SHAPE", f"/{key}", detail=f"{key} has the wrong type", got=document[key])
    return document


def _pointers(entries: Any, report: PointerFindings) -> tuple[Pointer, ...]:
    if not isinstance(entries, list):
        report.add("POINTER_SHAPE", "/pointers", detail="pointers is not an array")
        return ()
    if len(entries) > MOST_POINTERS:
        report.add("POINTER_SHAPE", "/pointers", detail=f"more than {MOST_POINTERS} pointers")
        return ()
    names = Counter(entry["registry_id"] for entry in entries if names_registry(entry))
    pointers = []
    for number, entry in enumerate(entries):
        place = f"/pointers/{number}"
        if not isinstance(entry, dict):
            report.add("POINTER_SHAPE", place, detail="a pointer is not an object", got=entry)
            continue
        twice = names_registry(entry) and names[entry["registry_id"]] > 1
        if twice:
            report.add("POINTER_DUPLICATE", f"{place}/registry_id", got=entry["registry_id"])
        pointer = read_pointer(entry, place, report)
        if pointer is not None and not twice:
            pointers.append(pointer)
    return tuple(pointers)


def names_registry(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("registry_id"), str)


def read_pointer_bytes(repository: Repository) -> bytes | None:
    """Return the pointer file's bytes, or None where there is none."""
    try:
        return repository.pointer_path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotFoundError(f"{repository.config.pointers} cannot be read: {error.strerror}", "mend it") from None


def pointer_hash(repository: Repository) -> str | None:
    """Return the hash of the pointer file as it is now, None where there is none."""
    data = read_pointer_bytes(repository)
    return None if data is None else sha256_hex(data)


def read_pointers(repository: Repository) -> PointerFile:
    """Return the pointers as the file states them; findings about the file are the business of `inspect`."""
    return parse_pointer_file(read_pointer_bytes(repository), repository.config.pointers)[0]


def run_folder(repository: Repository, ref: SealedRef) -> Path:
    """Return the folder that a reference names, whether it is there or not."""
    return repository.path(ref.run_root) / ref.run_id


def read_report(repository: Repository, ref: SealedRef, keep: Collection[str] = ()) -> SealReport:
    """Return what the verifier recomputes of a referenced folder, with the bytes of the files named in `keep`."""
    shown = f"{ref.run_root}/{ref.run_id}"
    return verify_folder(repository.path(shown), shown=shown, keep=keep)
