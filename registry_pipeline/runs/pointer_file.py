"""Parse the pointer file strictly, and follow its references: "Pointer file" in docs/reference/specification.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, is_sha256, parse_strict_json, parse_utc, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import json_pointer, printable
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.runs.reference import POINTER_CONTRACT_VERSION, Known, Pointer, PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import fields

_REF_KEYS: Final = fields(SealedRef)
_REGISTRY_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FOLDER_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_MAX_BYTES: Final = 4 * 1024 * 1024
_MAX_POINTERS: Final = 1000
_TOP_LEVEL: Final[Mapping[str, tuple[type, ...]]] = {
    "description": (str,),
    "mutation_policy": (str, list, dict),
    "last_updated_utc": (str, type(None)),
}


class _PointerFindings:
    """Collects the findings of one pointer file.

    `display_path` is its path in the findings, `registry` the registry of the entry that is read, "" outside of one.
    """

    def __init__(self, display_path: str) -> None:
        self.display_path = display_path
        self.registry = ""
        self.findings: list[Finding] = []

    def add(self, code: str, location: str, *, expected: object = None, got: object = None, detail: str = "") -> None:
        """Add a finding at a JSON pointer of the file."""
        path, value = self.display_path, None if got is None else _format_value(got)
        registry = self.registry or "a registry without a valid name"
        if code == "POINTER_SHAPE" and self.registry:
            detail = f"{detail}, in the entry of {registry}"
        self.findings.append(
            finding(code, path, location=location, expected=expected, got=value, detail=detail, registry=registry)
        )


def _format_value(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= 80 else f"{text[:80]}…"


def _parse_pointer(entry: Mapping[str, Any], location: str, report: _PointerFindings) -> Pointer | None:
    """Return the pointer of an entry; None, with a finding, if registry, notes, state or reference is invalid."""
    # Unknown keys of an entry are ignored, because a rewrite keeps them.
    count_before = len(report.findings)
    registry_id = entry.get("registry_id")
    if not _has_valid_registry_id(entry):
        detail = "registry_id is not the name of a registry"
        report.add("POINTER_SHAPE", f"{location}/registry_id", detail=detail, got=registry_id)
    notes = entry.get("notes", "")
    if not isinstance(notes, str):
        report.add("POINTER_SHAPE", f"{location}/notes", detail="notes is not a string", got=notes)
    known = _parse_known(entry.get("active_ref_known"), location, report)
    # Older tools write an object of nulls if nothing is active.
    if known == "unknown" and entry.get("active_ref") == dict.fromkeys(_REF_KEYS):
        ref = None
    else:
        ref = _parse_ref(entry.get("active_ref"), f"{location}/active_ref", report, required=known is True)
    if len(report.findings) > count_before or known is None:
        return None
    # An invalid timestamp is reported below, but the reference that it dates stays usable.
    stamp = entry.get("active_asof_utc")
    is_unknown = known == "unknown" and stamp == "unknown"
    asof = None if is_unknown else _parse_asof(stamp, location, report, required=known is True)
    return Pointer(str(registry_id), ref, known, asof, notes)


def _parse_known(value: Any, location: str, report: _PointerFindings) -> Known | None:
    if value is True or value is False or value == "unknown":
        return value  # type: ignore[no-any-return]  # one of the three, as just tested
    report.add("POINTER_TRISTATE", f"{location}/active_ref_known", expected='true, false or "unknown"', got=value)
    return None


def _parse_ref(value: Any, location: str, report: _PointerFindings, *, required: bool) -> SealedRef | None:
    """Return the reference, even an invalid one that can be represented; report all that is invalid."""
    if value is None:
        if required:
            report.add("POINTER_REF", location)
        return None
    if not isinstance(value, dict):
        report.add("POINTER_SHAPE", location, detail="active_ref is neither an object nor null", got=value)
        return None
    for key in sorted(value.keys() ^ set(_REF_KEYS)):
        detail = "unknown key" if key in value else f"{key} is missing"
        report.add("POINTER_SHAPE", location + json_pointer([key]), detail=detail)
    run_id, run_root, relpath, digest = (value.get(key) for key in _REF_KEYS)
    if "run_id" in value and not is_folder_name(run_id):
        report.add("POINTER_RUN_ID_FORM", f"{location}/run_id", got=run_id)
    if "run_root" in value and (not isinstance(run_root, str) or path_codes(run_root)):
        # Whatever the configuration says: nothing is ever read outside the repository.
        report.add("POINTER_RUN_ROOT", f"{location}/run_root", expected="a path inside the repository", got=run_root)
    # The path of a seal file is valid here; `check_pointers` refuses it as a payload.
    if relpath is not None and (not isinstance(relpath, str) or set(path_codes(relpath)) - {"MANIFEST_PATH_RESERVED"}):
        report.add("POINTER_PATH", f"{location}/relpath", got=relpath)
    if "manifest_sha256" in value and not is_sha256(digest):
        report.add("POINTER_SHA_FORM", f"{location}/manifest_sha256", got=digest)
    return SealedRef.from_json(value)


def is_folder_name(value: Any) -> bool:
    """Return whether a value is the name of one folder: not a path, without control characters."""
    return isinstance(value, str) and _FOLDER_NAME.fullmatch(value) is not None and len(value.encode()) <= 255


def _parse_asof(value: Any, location: str, report: _PointerFindings, *, required: bool) -> str | None:
    if value is None and not required:
        return None
    if parse_utc(value) is None:
        detail = "missing although active_ref_known is true" if value is None else "not YYYY-MM-DDTHH:MM:SSZ"
        report.add("POINTER_ASOF", f"{location}/active_asof_utc", got=value, detail=detail)
        return None
    return str(value)


def parse_pointer_file(data: bytes | None, display_path: str) -> tuple[PointerFile, tuple[Finding, ...]]:
    """Return the parsed file with its valid pointers, and every finding; `data` is None if there is no file."""
    if data is None:
        return PointerFile({}, (), None), (finding("POINTER_FILE_MISSING", display_path),)
    report = _PointerFindings(display_path)
    document = _parse_document(data, report)
    pointers: tuple[Pointer, ...] = ()
    if document.get("pointer_contract_version") == POINTER_CONTRACT_VERSION:
        pointers = _parse_pointers(document.get("pointers"), report)
    return PointerFile(document, pointers, sha256_hex(data)), sorted_findings(report.findings)


def _parse_document(data: bytes, report: _PointerFindings) -> dict[str, Any]:
    """Return the top-level object, even with an invalid key; {} if it cannot be parsed. Report what is invalid."""
    # The limits bound the work that a hostile file can cause.
    if len(data) > _MAX_BYTES:
        report.add("POINTER_SHAPE", "", detail=f"larger than {_MAX_BYTES} bytes")
        return {}
    try:
        document = parse_strict_json(data)
    except StrictJsonError as error:
        code = "POINTER_DUPLICATE_KEY" if error.kind == "duplicate_key" else "POINTER_SHAPE"
        report.add(code, "", detail=_format_value(str(error)))
        return {}
    if not isinstance(document, dict):
        report.add("POINTER_SHAPE", "", detail="the top level is not an object")
        return {}
    version = document.get("pointer_contract_version")
    if version != POINTER_CONTRACT_VERSION:
        location, detail = "/pointer_contract_version", "a version that this tool does not know"
        report.add("POINTER_SHAPE", location, expected=POINTER_CONTRACT_VERSION, got=version, detail=detail)
    for key, types in _TOP_LEVEL.items():
        if key in document and not isinstance(document[key], types):
            report.add("POINTER_SHAPE", f"/{key}", detail=f"{key} has the wrong type", got=document[key])
    return document


def _parse_pointers(entries: Any, report: _PointerFindings) -> tuple[Pointer, ...]:
    if not isinstance(entries, list):
        report.add("POINTER_SHAPE", "/pointers", detail="pointers is not an array")
        return ()
    if len(entries) > _MAX_POINTERS:
        report.add("POINTER_SHAPE", "/pointers", detail=f"more than {_MAX_POINTERS} pointers")
        return ()
    counts = Counter(entry["registry_id"] for entry in entries if has_registry_id(entry))
    pointers = []
    for number, entry in enumerate(entries):
        location = f"/pointers/{number}"
        report.registry = str(entry["registry_id"]) if _has_valid_registry_id(entry) else ""
        if not isinstance(entry, dict):
            report.add("POINTER_SHAPE", location, detail="a pointer is not an object", got=entry)
            continue
        # No entry of a duplicated registry counts, because neither can be preferred.
        is_duplicate = has_registry_id(entry) and counts[entry["registry_id"]] > 1
        if is_duplicate:
            report.add("POINTER_DUPLICATE", f"{location}/registry_id", got=entry["registry_id"])
        pointer = _parse_pointer(entry, location, report)
        if pointer is not None and not is_duplicate:
            pointers.append(pointer)
    return tuple(pointers)


def _has_valid_registry_id(entry: Any) -> bool:
    return has_registry_id(entry) and _REGISTRY_ID.fullmatch(entry["registry_id"]) is not None


def has_registry_id(entry: Any) -> bool:
    """Return whether an entry is an object with a registry_id of text."""
    return isinstance(entry, dict) and isinstance(entry.get("registry_id"), str)


def read_pointer_bytes(repository: Repository) -> bytes | None:
    """Return the bytes of the pointer file, None if there is none; raise NotFoundError if it cannot be read."""
    try:
        return read_regular_file(repository.pointer_path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotFoundError(
            f"{repository.config.pointers} cannot be read: {error.strerror}", "check its permissions"
        ) from None


def read_pointer_hash(repository: Repository) -> str | None:
    """Return the hash of the current pointer file, or None if there is none."""
    data = read_pointer_bytes(repository)
    return None if data is None else sha256_hex(data)


def read_pointers(repository: Repository) -> PointerFile:
    """Return the pointer file with its valid pointers only: none if it is missing or invalid; findings are dropped."""
    return parse_pointer_file(read_pointer_bytes(repository), repository.config.pointers)[0]


def run_folder(repository: Repository, ref: SealedRef) -> Path:
    """Return the folder that a reference names, whether it exists or not."""
    return repository.path(ref.path)


def verify_referenced_run(repository: Repository, ref: SealedRef, keep: Collection[str] = ()) -> SealReport:
    """Verify the folder at a reference's path and return the report; the root hash is not compared.

    The report has the bytes of the files named in `keep`. A missing folder is a finding.
    """
    return verify_folder(repository.path(ref.path), display_path=ref.path, keep=keep)
