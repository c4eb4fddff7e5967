"""The defects of some run folders, and the findings that a verifier must report for each.

The findings are written by hand, so that tests can compare the verifier with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from registry_pipeline.values import value_type

Files = dict[str, bytes]
BadVerdict = Literal["fail", "partial", "unsealed"]
RESULT: Final = "result.json"
SUMMARY: Final = "summary.md"


def _same(files: Files) -> Files:
    return files


@value_type
class Defect:
    """One kind of damage.

    `before` and `after` change the files of a folder before and after an older tool seals it; `sealed` states whether
    it did. `findings` are (code, relpath in the folder), the folder itself being `""`.
    """

    name: str
    verdict: BadVerdict
    findings: tuple[tuple[str, str], ...]
    sealed: bool = True
    before: Callable[[Files], Files] = _same
    after: Callable[[Files], Files] = _same


def _without(name: str) -> Callable[[Files], Files]:
    return lambda files: {path: data for path, data in files.items() if path != name}


def _changed(name: str, change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda files: {**files, name: change(files[name])}


def _with_a_note(files: Files) -> Files:
    return {**files, "notes.txt": b"looked at by hand, seems fine\n"}


def _flip_a_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


_CUT: Final = _changed("run.json", lambda data: data[: len(data) // 2])
_CREATED_AT: Final = _changed("run.json", lambda data: data.replace(b'"created_utc"', b'"created_at"'))
_ARRAY: Final = _changed("run.json", lambda data: b"[" + data.rstrip() + b"]\n")
_COPIED: Final = _changed("run.json", lambda data: data.replace(b'"run_id": "', b'"run_id": "copy_of_'))
_ROOTLESS: Final = _changed("MANIFEST.sha256", lambda data: data[: data.index(b"ROOT_SHA256")])
_CRLF: Final = _changed(SUMMARY, lambda data: data.replace(b"\n", b"\r\n"))
_NO_RUN_JSON: Final = (("RUN_JSON_MISSING", "run.json"), ("RUN_JSON_NOT_SEALED", "run.json"))
_NO_HASH_FILE: Final = (("MANIFEST_SHA256_MISSING", "MANIFEST.sha256"), ("PARTIAL", ""))
UNSEALED: Final = (("UNSEALED", ""),)
SEALED_DEFECTS: Final = (
    Defect("tampered", "fail", (("HASH_MISMATCH", RESULT),), after=_changed(RESULT, _flip_a_bit)),
    Defect("broken_run_json", "fail", (("RUN_JSON_INVALID", "run.json"),), before=_CUT),
    Defect("created_at", "fail", (("RUN_JSON_SHAPE", "run.json"),), before=_CREATED_AT),
    Defect("renamed", "fail", (("RUN_ID_FOLDER_MISMATCH", "run.json"),), before=_COPIED),
    Defect("note_added", "fail", (("UNLISTED_FILE", "notes.txt"),), after=_with_a_note),
    Defect("payload_lost", "fail", (("FILE_MISSING", SUMMARY),), after=_without(SUMMARY)),
    Defect("line_ends", "fail", (("SEAL_BROKEN_EOL", SUMMARY), ("SIZE_MISMATCH", SUMMARY)), after=_CRLF),
    Defect("root_line_lost", "fail", (("HASHFILE_ROOT_LINE", "MANIFEST.sha256"),), after=_ROOTLESS),
    Defect("run_json_lost", "fail", _NO_RUN_JSON, before=_without("run.json")),
    Defect("hash_file_lost", "partial", _NO_HASH_FILE, after=_without("MANIFEST.sha256")),
)
UNSEALED_DEFECTS: Final = (
    *(Defect("left_unsealed", "unsealed", UNSEALED, sealed=False),) * 5,
    *(Defect("unsealed_created_at", "unsealed", UNSEALED, sealed=False, before=_CREATED_AT),) * 2,
    Defect("unsealed_broken_run_json", "unsealed", UNSEALED, sealed=False, before=_CUT),
    Defect("unsealed_array", "unsealed", UNSEALED, sealed=False, before=_ARRAY),
)
BEFORE_SEALS: Final = Defect("before_seals", "unsealed", UNSEALED, sealed=False)
LEGACY: Final = Defect("legacy", "unsealed", UNSEALED, sealed=False, before=_without("run.json"))
