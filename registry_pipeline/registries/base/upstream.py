"""Parse what builders need of other registries and of documents: verified artifacts and stated versions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from itertools import product
from operator import itemgetter
from types import NoneType
from typing import Any, Final

from registry_pipeline.canonical import PLAIN_TEXT, sha256_hex, try_parse_strict_json
from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.git.tree import Tree
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.base.values import ExpectedVersions, SystemDrift
from registry_pipeline.runs.envelope import ADAPTED, InputFile, RunRow
from registry_pipeline.values import fields

ARTIFACTS: Final = {
    "run_registry": "RUN_REGISTRY_v0_1.jsonl",
    "op_status_table": "OPERATION_STATUS_TABLE_v0_1.json",
    "drift_signals": "DRIFT_SIGNALS_v0_1.json",
}
"""The artifact that other registries read, by registry id."""
# The members of a line that the status table reads, with their types. Lines of other versions have more. The first is
# the key, which repeats the next two.
_ROW_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("run_key", "run_root", "run_id"), (str,)),
    **dict.fromkeys(("created_utc", "operation_id", "git_commit", "working_tree_state"), (str, NoneType)),
    **dict.fromkeys(("has_run_json", "has_manifest_sha256"), (bool,)),
}
_TYPES_OF_A_ROW: Final = frozenset(product(*_ROW_TYPES.values()))
# A line as `make_run_line` writes it, apart from texts with escapes: it is valid JSON, and its envelope was not read by
# an adapter. It takes half of the time of parsing, and matches nearly every line.
_LINE: Final = re.compile(
    r'\{{"registry_version":{text},"run_id":{kept},"run_root":{kept},"run_key":{text},"run_path":{text},'
    '"created_utc":{kept_or_null},"run_type":{text_or_null},"option":{text_or_null},"operation_id":{kept_or_null},'
    '"git_commit":{kept_or_null},"working_tree_state":{kept_or_null},"has_run_json":(true|false),'
    '"has_manifest_sha256":(true|false),"has_manifest_json":(?:true|false),"manifest_root_sha256":{text_or_null},'
    r'"files":\[(?:{file}(?:,{file})*+)?\],"warnings":\[(?:{warning}(?:,{warning})*+)?\]}}\n'.format(
        text=f'"{PLAIN_TEXT}"',
        kept=f'"({PLAIN_TEXT})"',
        text_or_null=f'(?:"{PLAIN_TEXT}"|null)',
        kept_or_null=f'(?:"({PLAIN_TEXT})"|null)',
        file=rf'\{{"relpath":"{PLAIN_TEXT}","bytes":(?:0|[1-9][0-9]{{0,17}}+)\}}',
        warning=f'"(?!{ADAPTED}){PLAIN_TEXT}"',
    )
)


def read_upstream_artifact(context: SourceContext, registry_id: str) -> bytes:
    """Return the verified bytes of an upstream artifact.

    Raises:
        RefusedError: there is no run of the upstream registry.
        EvidenceError: the run does not contain the artifact.
    """
    files = context.upstream.get(registry_id)
    if files is None:
        message = f"there is no run of {registry_id} to build from"
        raise RefusedError(message, f"run `registry-pipeline build {registry_id}`")
    if ARTIFACTS[registry_id] not in files:
        raise _make_error(registry_id, "the artifact is not in the run")
    return files[ARTIFACTS[registry_id]]


def _make_error(registry_id: str, detail: str, location: str = "") -> EvidenceError:
    message = f"{registry_id}: {ARTIFACTS[registry_id]}{location} cannot be parsed ({detail}); it is not used"
    return EvidenceError(message, f"run `registry-pipeline build {registry_id}`")


def parse_upstream_json(data: bytes, registry_id: str, location: str = "") -> Any:
    """Return the JSON value of an upstream artifact; raise EvidenceError if it cannot be parsed."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _make_error(registry_id, str(error), location) from None


def parse_run_rows(data: bytes) -> Iterator[RunRow]:
    """Yield what the status table reads of each line of a run registry; raise EvidenceError if one is malformed."""
    # Most runs have an operation, a commit and a tree state that others have: one text is kept for all of them.
    known: dict[Any, Any] = {}
    for number, line in enumerate(BytesIO(data), 1):
        match = _LINE.match(line.decode("latin-1"))  # one character for each byte
        if match is not None:
            run_id, run_root, created_utc, *shared, has_run_json, has_hashes = match.groups()
            stated = map(known.setdefault, shared, shared)
            flags = has_run_json == "true", has_hashes == "true", False
            yield RunRow._make((run_root, run_id, created_utc, *stated, *flags))
        elif line != b"\n":
            yield _parse_row(line.removesuffix(b"\n"), f" line {number}")


def _parse_row(line: bytes, location: str) -> RunRow:
    """Return what the status table reads of one line; raise EvidenceError if it is malformed."""
    record = parse_upstream_json(line, "run_registry", location)
    try:
        members = itemgetter(*_ROW_TYPES)(record) if isinstance(record, dict) else ()
    except KeyError:
        members = ()
    if tuple(map(type, members)) not in _TYPES_OF_A_ROW:
        raise _make_error("run_registry", "it is not a record", location)
    warnings = record.get("warnings")
    is_adapted = bool(warnings) and isinstance(warnings, list) and has_adapter_warning(warnings)
    return RunRow._make((*members[1:], is_adapted))


def has_adapter_warning(warnings: Sequence[Any]) -> bool:
    """Return whether the warnings of a run registry line say that an adapter read the envelope."""
    return any(str(warning).startswith(ADAPTED) for warning in warnings)


def parse_system_drift(files: Mapping[str, bytes]) -> SystemDrift:
    """Return the flags of a drift_signals snapshot, None for a missing one; raise EvidenceError if it has none."""
    document = parse_upstream_json(files.get(ARTIFACTS["drift_signals"], b"null"), "drift_signals")
    flags = document.get("system_drift") if isinstance(document, dict) else None
    if not isinstance(flags, dict):
        raise _make_error("drift_signals", "system_drift is missing")
    return SystemDrift(*(flags.get(name) for name in fields(SystemDrift)))


_LABEL_FLAGS: Final = re.IGNORECASE | re.MULTILINE
_LABEL: Final = re.compile(r"^\*\*Version\*\*:\s*([A-Za-z0-9_.\-]+)", _LABEL_FLAGS)
_PLAIN_LABEL: Final = re.compile(r"^Version:\s*([A-Za-z0-9_.\-]+)", _LABEL_FLAGS)
_SCHEMA_VERSION: Final = re.compile(r"\bSCHEMA_VERSION\b(.*)", _LABEL_FLAGS)
_QUOTED: Final = re.compile(r"['\"]([A-Za-z0-9_.\-]+)['\"]", _LABEL_FLAGS)
_ASSIGNMENT: Final = re.compile(r"\b[A-Z0-9_]*_VERSION\b\s*=\s*['\"]([A-Za-z0-9_.\-]+)['\"]", _LABEL_FLAGS)


def read_threshold_version(tree: Tree, sources: Sequence[str]) -> tuple[str | None, tuple[InputFile, ...]]:
    """Return the version of the first source that states one, or None, and the files that were read for it.

    A folder is searched file by file in the order of paths. An unreadable source states no version.
    """
    files: list[InputFile] = []
    for source in sources:
        for path in tree.files_under(source) if tree.is_folder(source) else [source]:
            with suppress(OSError):
                data = tree.read(path)
                files.append(InputFile(path, sha256_hex(data)))
                if (version := find_version(data)) is not None:
                    return version, tuple(files)
    return None, tuple(files)


def find_version(data: bytes) -> str | None:
    """Return the `version` of a JSON object, else the version that a text states, or None.

    The first of these forms that occurs anywhere in a text counts: `**Version**: x` or `Version: x` at the start of a
    line; a quoted value after the word `SCHEMA_VERSION` on its line; a quoted value assigned to a name that ends in
    `_VERSION`.
    """
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        document = None
    version = find_text_member(document, "version")
    if version:
        return version
    text = data.decode("utf-8", "ignore").replace("\r\n", "\n").replace("\r", "\n")
    match = (
        _LABEL.search(text) or _PLAIN_LABEL.search(text) or _find_after_schema_version(text) or _ASSIGNMENT.search(text)
    )
    return match[1] if match else None


def _find_after_schema_version(text: str) -> re.Match[str] | None:
    """Return the first quoted value that follows the word SCHEMA_VERSION on its line, as a match."""
    # One pattern with `.*?` in it would take quadratic time on a line of many such words. A value after a later word
    # also follows the first one, so one search behind the first word of each line is enough.
    lines = _SCHEMA_VERSION.finditer(text)
    return next((match for line in lines if (match := _QUOTED.search(line[1]))), None)


def read_envelope_version(tree: Tree, path: str) -> str | None:
    """Return "0.1" if the document that defines the run envelope exists, else None; its content is not read."""
    return "0.1" if tree.is_file(path) else None


def parse_expected_versions(data: bytes) -> ExpectedVersions | None:
    """Return the versions that an expected-versions document states, or None if it has no object `expected`."""
    document = try_parse_strict_json(data)
    expected = document.get("expected") if isinstance(document, dict) else None
    if not isinstance(expected, dict):
        return None
    return ExpectedVersions(*(find_text_member(expected, name) for name in fields(ExpectedVersions)))


def find_text_member(document: object, key: str) -> str | None:
    """Return the text under a key of a JSON object; None if it is missing or no text, or if `document` is no object."""
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, str) else None
