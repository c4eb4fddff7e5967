"""Seal one value of an asset as a run folder, and read it back, verified.

The folders of an asset are in a folder named after its key, and after the partition if there is one. Their names are
run ids: the start of the Dagster run, and the last part of the asset key.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from registry_pipeline.canonical import json_document, json_line, sha256_hex, utc_text
from registry_pipeline.dagster.sealed_value import FILE_NAMES, EncodedValue, decode_value, is_format
from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.files.durable import make_folders, make_write_error
from registry_pipeline.files.path_policy import SEAL_FILES, path_codes
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import find_sealed_folder, seal_folder
from registry_pipeline.values import value_type

STAGING: Final = ".staging"
"""The folder in `base_dir` in which run folders are written before they get their name."""
_NOT_IN_TAG: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_TAG_LENGTH: Final = 120
_NAME_LENGTH: Final = 200
_HASH_LENGTH: Final = 32
_CUT_ESCAPE: Final = re.compile("%[0-9A-F]?$")
_HIGHEST_NUMBER: Final = 999


@value_type
class Origin:
    """What a value is: of which asset and partition, and from which Dagster run, which began at `started`."""

    asset_key: tuple[str, ...]
    partition: str | None
    dagster_run_id: str
    started: datetime


@value_type
class FolderReference:
    """A sealed folder, relative to `base_dir` with slashes, and the root hash that it must have."""

    folder: str
    root_sha256: str


@value_type
class SealedValue:
    """The folder of a value that was sealed, with the number and the size of the files that its manifest lists."""

    reference: FolderReference
    files: int
    bytes: int


def seal_value(base_dir: Path, origin: Origin, value: EncodedValue) -> SealedValue:
    """Seal a value under the next free run id; a folder of the same run with the same bytes is used again.

    Raises:
        RefusedError: the path of the folder would be longer than the path rules allow.
        WriteError: the folder of the asset cannot be made.
        PublishError: nothing was published.
        DurabilityError: the folder is published, but the disk did not confirm it.
    """
    parts = [*origin.asset_key, *([] if origin.partition is None else [origin.partition])]
    parent = "/".join(map(_folder_name, parts))
    publish_root = base_dir / parent
    tag = _NOT_IN_TAG.sub("_", origin.asset_key[-1]).strip("_.-")[:_TAG_LENGTH].rstrip("_.-")
    run_id = RunId(origin.started, tag or "value")
    # The number at the end of a run id is chosen later.
    if path_codes(f"{parent}/{RunId(run_id.stamp, run_id.tag, number=_HIGHEST_NUMBER)}"):
        raise RefusedError("the asset key and partition are too long for a folder", "use shorter keys")
    try:
        make_folders(publish_root)
    except OSError as error:
        raise make_write_error(publish_root, error) from None
    files_for = partial(_make_files, origin, value)
    folder = find_sealed_folder(publish_root, run_id, files_for)
    if folder is None:
        folder = seal_folder(publish_root, base_dir / STAGING, run_id, files_for)
    files = files_for(folder.run_id)
    reference = FolderReference(f"{parent}/{folder.run_id}", folder.root_sha256)
    return SealedValue(reference, len(files), sum(map(len, files.values())))


def content_sha256(value: EncodedValue) -> str:
    """Return the hash of a value and its format, which does not depend on the run that made it."""
    return sha256_hex(json_line([value.format, sha256_hex(value.data)]))


def verify_reference(base_dir: Path, reference: FolderReference) -> tuple[SealReport, Sequence[str]]:
    """Verify a folder now, and return the report with one line for each reason why it is not what was sealed."""
    # The reference is what an event states: it must not lead out of base_dir.
    is_inside = not path_codes(reference.folder)
    path = base_dir / (reference.folder if is_inside else f"{STAGING}/invalid reference")
    report = verify_folder(path, display_path=reference.folder, keep=frozenset(FILE_NAMES.values()))
    problems = [_format_problem(finding) for finding in report.findings if finding.severity is Severity.ERROR]
    if not is_inside:
        reason = "this is not a path below base_dir. Next: materialize the asset again"
        problems = [f"FOLDER_NOT_DIRECTORY {reference.folder}: {reason}"]
    elif report.verdict == "pass" and report.root_sha256 != reference.root_sha256:
        expected, got = reference.root_sha256, report.root_sha256
        problems.append(f"ROOT_SHA256 {reference.folder}: expected {expected}, got {got}: the folder was replaced")
    elif report.verdict != "pass" and not problems:
        problems.append(f"{reference.folder} is {report.verdict}")
    return report, problems


def read_value(base_dir: Path, reference: FolderReference, subject: str) -> Any:
    """Return the value of a folder, verified now; `subject` names it in messages.

    Raises:
        EvidenceError: the folder does not verify, has another root hash, or contains no value.
    """
    report, problems = verify_reference(base_dir, reference)
    path = base_dir / reference.folder
    again = f"materialize {subject} again and then launch a new run (a re-execution reads the same folder)"
    if problems:
        raise EvidenceError(
            f"{subject}: the sealed folder {reference.folder} is not what was materialized: {problems[0]}",
            f"see `registry-pipeline verify {shlex.quote(str(path))}`; restore the folder, or {again}",
        )
    stated = (report.run_json or {}).get("value")
    kind = stated.get("format") if isinstance(stated, dict) else None
    name = FILE_NAMES[kind] if is_format(kind) else None  # type: ignore[index]
    if name is None or name not in report.kept:
        raise EvidenceError(f"{subject}: {reference.folder} contains no value", again)
    try:
        return decode_value(kind, report.kept[name])  # type: ignore[arg-type]
    except ValueError as error:
        raise EvidenceError(f"{subject}: {reference.folder}/{name} cannot be parsed: {error}", again) from None


def _format_problem(finding: Finding) -> str:
    if finding.code == "FOLDER_NOT_DIRECTORY" and finding.got == "nothing":
        return f"{finding.code} {finding.path}: the folder is missing. Next: restore it, or check base_dir"
    return f"{finding.code} {finding.path}: {finding.full_message}. Next: {finding.hint}"


def _folder_name(part: str) -> str:
    """Return a part of an asset key, or a partition key, as the name of a folder; different parts have others."""
    name = quote(part, safe="=+@,")
    # A name that begins with a dot is ours; the path rules refuse others, as that of a device or one of dots only.
    if name.startswith(".") or set(path_codes(name)) - {"MANIFEST_PATH_TOO_LONG"}:
        name = "".join(f"%{ord(c):02X}" if c.isalnum() or c == "." else c for c in name) or "%"
    if len(name) <= _NAME_LENGTH:
        return name
    # Digits follow each other percent sign, so that no other part has this name.
    suffix = f"%-{sha256_hex(part.encode())[:_HASH_LENGTH]}"
    return _CUT_ESCAPE.sub("", name[: _NAME_LENGTH - len(suffix)]) + suffix


def _make_files(origin: Origin, value: EncodedValue, run_id: RunId) -> Mapping[str, bytes]:
    name = FILE_NAMES[value.format]
    run_json = {
        "run_id": str(run_id),
        "created_utc": utc_text(origin.started),
        "run_type": run_id.tag,
        "asset_key": list(origin.asset_key),
        "partition_key": origin.partition,
        "dagster_run_id": origin.dagster_run_id,
        "value": {"format": value.format, "file": name},
        "outputs": sorted([name, "run.json", *SEAL_FILES]),
        "builder": {"name": "registry_pipeline.dagster", "version": version("registry-pipeline")},
    }
    return {name: value.data, "run.json": json_document(run_json)}
