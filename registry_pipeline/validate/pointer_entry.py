"""One entry of the pointer file, read strictly (SPEC 5): its shape, its three states, its reference, its stamp."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.canon import parse_utc
from registry_pipeline.model.codes import finding
from registry_pipeline.model.display import printable
from registry_pipeline.model.finding import Finding
from registry_pipeline.model.ids import is_sha256
from registry_pipeline.model.path_policy import path_codes
from registry_pipeline.model.refs import Known, Pointer, SealedRef
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
