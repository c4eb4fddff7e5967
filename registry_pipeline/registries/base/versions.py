"""Find the versions that the repository expects and the versions that its documents state."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json, sha256_hex
from registry_pipeline.git.tree import Tree
from registry_pipeline.registries.base.builder_inputs import ExpectedVersions
from registry_pipeline.runs.envelope import InputFile

_FLAGS: Final = re.IGNORECASE | re.MULTILINE
_LABEL: Final = re.compile(r"^\*\*Version\*\*:\s*([A-Za-z0-9_.\-]+)", _FLAGS)
_PLAIN_LABEL: Final = re.compile(r"^Version:\s*([A-Za-z0-9_.\-]+)", _FLAGS)
_SCHEMA_VERSION: Final = re.compile(r"\bSCHEMA_VERSION\b(.*)", _FLAGS)
_QUOTED: Final = re.compile(r"['\"]([A-Za-z0-9_.\-]+)['\"]", _FLAGS)
_ASSIGNMENT: Final = re.compile(r"\b[A-Z0-9_]*_VERSION\b\s*=\s*['\"]([A-Za-z0-9_.\-]+)['\"]", _FLAGS)
_ENVELOPE_VERSION: Final = "0.1"


def read_threshold_version(tree: Tree, sources: Sequence[str]) -> tuple[str | None, tuple[InputFile, ...]]:
    """Return the version of the first source that states one, or None, and the files that were read for it.

    A folder is searched file by file in the order of paths. An unreadable source states no version.
    """
    read: list[InputFile] = []
    for source in sources:
        for path in tree.files_under(source) if tree.is_folder(source) else [source]:
            try:
                data = tree.read(path)
            except OSError:
                continue
            read.append(InputFile(path, sha256_hex(data)))
            version = find_version(data)
            if version is not None:
                return version, tuple(read)
    return None, tuple(read)


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
    if isinstance(document, dict) and isinstance(document.get("version"), str) and document["version"]:
        return str(document["version"])
    text = data.decode("utf-8", "ignore").replace("\r\n", "\n").replace("\r", "\n")
    match = _LABEL.search(text) or _PLAIN_LABEL.search(text) or _after_schema_version(text) or _ASSIGNMENT.search(text)
    return match[1] if match else None


def _after_schema_version(text: str) -> re.Match[str] | None:
    """Return the first quoted value that follows the word SCHEMA_VERSION on its line, as a match."""
    # One pattern with `.*?` in it would take quadratic time on a line of many such words. A value after a later word
    # also follows the first one, so one search behind the first word of each line is enough.
    lines = _SCHEMA_VERSION.finditer(text)
    return next((match for line in lines if (match := _QUOTED.search(line[1]))), None)


def read_envelope_version(tree: Tree, path: str) -> str | None:
    """Return "0.1" if the document that defines the run envelope exists, else None."""
    return _ENVELOPE_VERSION if tree.is_file(path) else None


def parse_expected_versions(data: bytes) -> ExpectedVersions | None:
    """Return the versions that the expected-versions document states, or None if it is not such a document."""
    try:
        document = read_strict_json(data)
    except StrictJsonError:
        return None
    expected = document.get("expected") if isinstance(document, dict) else None
    if not isinstance(expected, dict):
        return None
    return ExpectedVersions(_text(expected.get("schema_version")), _text(expected.get("threshold_pack_version")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
