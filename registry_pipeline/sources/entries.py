"""What the registries of entries are given: their YAML files under the paths that they have, all or none (SPEC 3, 10).

Which rules hold between them is judged when the snapshot is sealed, by the check `coordination`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Final

from registry_pipeline.canon import sha256_hex
from registry_pipeline.config import Governed
from registry_pipeline.model.codes import finding
from registry_pipeline.model.entry_types import ENTRY_TYPES, FAMILY_OF, EntryType
from registry_pipeline.model.envelope import InputFile
from registry_pipeline.model.finding import Finding, Severity
from registry_pipeline.model.inputs import CapturedInputs
from registry_pipeline.model.path_policy import collisions, path_codes
from registry_pipeline.schema import PROBLEM_LIMIT, check_bytes, shipped_judge
from registry_pipeline.sources.context import Gathered, SourceContext
from registry_pipeline.sources.files import read_regular_file
from registry_pipeline.yaml_values import read_yaml_values

_SUFFIX: Final = ".yaml"


def _read(registry_id: str, governed: Governed, context: SourceContext) -> Gathered:
    """Capture the content files of one family; one that is malformed refuses the whole capture."""
    types = [each for each in ENTRY_TYPES.values() if each.family == FAMILY_OF[registry_id]]
    files: dict[str, bytes] = {}
    findings: list[Finding] = []
    for path in sorted({path for each in types for path in _paths(governed, each)}):
        try:
            files[path] = _bytes(governed, path)
        except OSError as error:
            findings.append(_told(registry_id, "CAPTURE_MALFORMED", path, error.strerror or "it cannot be read"))
            continue
        findings += _malformed(registry_id, path, files[path])
    findings += [
        _told(registry_id, "CAPTURE_MALFORMED", path, f"its path differs from {other} in case alone")
        for path, other in collisions(files)
    ]
    if not files and not findings:
        absent = None if registry_id in context.previous else Severity.INFO
        folder = str(getattr(governed.config.entries, types[0].folder or "modules"))
        findings.append(_told(registry_id, "CAPTURE_MISSING", folder, "there is no entry file in it", absent))
    read = tuple(InputFile(path, sha256_hex(data)) for path, data in files.items())
    records = None if findings else sum(_entries(data) for data in files.values())
    return Gathered(None if findings else CapturedInputs(files, records), read, tuple(findings))


read_module_registry_inputs = partial(_read, "module_registry")
read_route_registry_inputs = partial(_read, "route_registry")
read_ability_registry_inputs = partial(_read, "ability_registry")
read_hook_registry_inputs = partial(_read, "hook_registry")


def _paths(governed: Governed, entry_type: EntryType) -> list[str]:
    """Return the content files of a type that are there; routes are looked for in folders below theirs, too."""
    folder = str(getattr(governed.config.entries, entry_type.folder or "modules"))
    if entry_type.one_file:
        path = f"{folder}/{entry_type.content}"
        return [path] if os.path.lexists(governed.path(path)) else []
    found = []
    for place, folders, names in os.walk(governed.path(folder)):
        relative = Path(place).relative_to(governed.root).as_posix()
        found += [f"{relative}/{name}" for name in names if name.endswith(_SUFFIX)]
        if entry_type.name != "route":
            folders.clear()
    return found


def _bytes(governed: Governed, path: str) -> bytes:
    """Return a content file's bytes; one that is or lies behind a link is refused, as the writers refuse it."""
    place = governed.root
    for part in path.split("/"):
        place = place / part
        if place.is_symlink():
            raise OSError(0, f"{part} is a link")
    if not S_ISREG(place.lstat().st_mode):
        raise OSError(0, "it is not a regular file")
    return read_regular_file(place)


def _malformed(registry_id: str, path: str, data: bytes) -> list[Finding]:
    codes = path_codes(path)
    if codes:
        return [_told(registry_id, "CAPTURE_MALFORMED", path, f"no run folder may hold its path ({', '.join(codes)})")]
    judge = shipped_judge(f"REGISTRY_{registry_id}_v0_1.schema.json")
    problems = list(islice(check_bytes(path, data, judge), PROBLEM_LIMIT))
    if not problems:
        return []
    more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
    return [_told(registry_id, "CAPTURE_MALFORMED", path, f"{problems[0].place}: {problems[0].message}{more}")]


def _told(registry_id: str, code: str, path: str, detail: str, severity: Severity | None = None) -> Finding:
    family = FAMILY_OF[registry_id]
    key = f"`{'abilities_low` and `abilities_high' if family == 'abilities' else family}` of [entries]"
    return finding(code, path, severity=severity, detail=detail, key=key, registry=registry_id)


def _entries(data: bytes) -> int:
    """Return how many entries a file has: those of its lists, else one a document."""
    return sum(_entries_in(document) for document in read_yaml_values(data))


def _entries_in(document: object) -> int:
    if isinstance(document, list):
        return len(document)
    if not isinstance(document, Mapping):
        return 0
    lists = [document[each.list_key] for each in ENTRY_TYPES.values() if each.list_key in document]
    return len(lists[0] or ()) if lists else 1 if {"scope", "id"} & document.keys() else 0
