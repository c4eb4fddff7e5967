"""Generate the documents of the registries, and read the inputs of their four snapshots."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Final

from registry_pipeline.config import Entries, Repository
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.files.path_policy import find_collisions, path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.capture import CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.entries.library import find_content_paths, find_link
from registry_pipeline.registries.entries.rules import RULES
from registry_pipeline.registries.entries.schemas import (
    AGENTS_PATH,
    APPROVAL,
    COORDINATION_PATH,
    ENTRY_TYPES,
    FAMILY_OF,
    OVERRIDE,
    SCHEMA_FOLDER,
    EntrySchemas,
    content_path,
    folder_of,
)
from registry_pipeline.schema import schema_bytes
from registry_pipeline.yaml.compose import parse_yaml_values
from registry_pipeline.yaml.document import read_yaml_file

# Never change this text: `init --entries` recognizes the documents of earlier versions by it.
_GENERATED = (
    "<!-- Made by `registry-pipeline init --entries` from the tables of the program. Changes here are lost. -->"
)
_AGENTS_HEAD = f"""\
# Registries of this repository

{_GENERATED}

Change registries by these commands, never in an editor. They check an entry against its schema and against the
other registries, write all files of a change or none, and keep the lines of other entries.

```console
$ registry-pipeline entries add --type module_instance --entry-file entry.yaml --dry-run --diff
$ registry-pipeline entries add --type module_instance --entry-file entry.yaml
$ registry-pipeline entries remove module_instance MODULE_ID
$ registry-pipeline entries check
$ registry_add_entry --type modules --entry-file entry.yaml
```

| type | key | schema | content | purpose |
|---|---|---|---|---|
"""
_AGENTS_TAIL = """
A schema may be extended by keys that start with `x-`. Its `additionalProperties` and `required` decide how strict it
is. A file of abilities contains a list, or a single ability. A further file `<type>.schema.yaml` defines a type of this
repository; it states where the entries are: `x-key`, `x-content`, `x-list`, `x-purpose`.
`registry_coordination.md` lists the rules between the registries.
"""
_COORDINATION_HEAD = f"""\
# Coordination of the registries

{_GENERATED}

When A changes, check B. The commands check the state after the change, before they write. A failure refuses the
change (exit 5). A warning is printed, and the change is written. `registry-pipeline entries check --all` prints
what is recorded only. Change registries by the commands, never in an editor.

| code | when this changes | check that | a violation is |
|---|---|---|---|
"""
_COORDINATION_TAIL = f"""
`--no-check` overrides a failure, but not a write failure. The override is written on the entry as `{OVERRIDE}`, and
`entries check` reports it (EN090) until the entry is written again without it. `--approved-by` records who approved
the lifecycle of an interface as `{APPROVAL}`; the approval is valid for that lifecycle only.

Effects of a hook that start with `ai_` address the agent (EN043). Related documents are files of the working tree; a
`/` at the start of a path is the root of the repository (EN021). Routes without `module_id` are for the whole
repository (EN080). An edge of the type graph is declared in `outbound` of the type that depends and in `inbound` of
the other type; for EN012 one side is enough.
"""


def make_initial_files(repository: Repository, schemas: EntrySchemas) -> dict[str, bytes]:
    """Return the files that `init --entries` writes, by path: missing schemas, and missing or outdated documents."""
    names = {f"{SCHEMA_FOLDER}/{row.schema_name}": f"entries/{row.schema_name}" for row in ENTRY_TYPES.values()}
    files = {path: schema_bytes(name) for path, name in names.items() if not os.path.lexists(repository.path(path))}
    for path, text in make_documents(repository.config.entries, schemas).items():
        existing = _read_document(repository, path)
        # A document without the mark was written by a person, and stays.
        if existing is None or (existing != text and _GENERATED.encode() in existing):
            files[path] = text
    return files


def make_documents(config: Entries, schemas: EntrySchemas) -> Mapping[str, bytes]:
    """Return AGENTS.md and registry_coordination.md as this version generates them, by path."""
    types = [
        f"| {name} | `{row.key_field}` | `{SCHEMA_FOLDER}/{row.schema_name}` | `{content_path(config, row)}`"
        f"{f', list `{row.list_key}`' if row.list_key else ''} | {row.purpose} |\n"
        for name, row in schemas.types.items()
    ]
    coordination = [f"| {rule.code} | {rule.when} | {rule.check} | {rule.violation} |\n" for rule in RULES]
    return {
        AGENTS_PATH: "".join([_AGENTS_HEAD, *types, _AGENTS_TAIL]).encode(),
        COORDINATION_PATH: "".join([_COORDINATION_HEAD, *coordination, _COORDINATION_TAIL]).encode(),
    }


def check_documents(repository: Repository, schemas: EntrySchemas) -> list[Finding]:
    """Return a finding for each document that exists and differs from the generated one (EN070)."""
    expected = make_documents(repository.config.entries, schemas)
    existing = {path: _read_document(repository, path) for path in expected}
    return [finding("EN070", path) for path, data in existing.items() if data is not None and data != expected[path]]


def _read_document(repository: Repository, path: str) -> bytes | None:
    try:
        return read_yaml_file(repository.path(path))
    except NotFoundError:
        return None
    except RegistryPipelineError:
        return b""  # unreadable: it differs, and it is never replaced


def _read_inputs(registry_id: str, repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the content files of one registry and count their entries; any CAPTURE_ finding refuses all files."""
    capture = CaptureReader(registry_id, repository, context)
    types = [entry_type for entry_type in ENTRY_TYPES.values() if entry_type.family == FAMILY_OF[registry_id]]
    paths = find_content_paths(repository, types)
    for path in paths:
        problem = _explain_path_problem(repository, path)
        if problem:
            capture.refuse("CAPTURE_MALFORMED", path, detail=problem)
        else:
            capture.capture_file(path, path)
    for path, other in find_collisions(paths):
        capture.refuse("CAPTURE_MALFORMED", path, detail=f"its path differs from {other} only in case")
    if not paths:
        # A registry that never had entries is no problem, one that lost all of them is.
        severity = None if capture.is_active else Severity.INFO
        folder = folder_of(repository.config.entries, types[0])
        capture.refuse("CAPTURE_MISSING", folder, severity=severity, detail="it contains no file of entries")
    return capture.make_build_inputs(None if capture.refused else sum(map(_count_entries, capture.files.values())))


read_module_registry_inputs = partial(_read_inputs, "module_registry")
read_route_registry_inputs = partial(_read_inputs, "route_registry")
read_ability_registry_inputs = partial(_read_inputs, "ability_registry")
read_hook_registry_inputs = partial(_read_inputs, "hook_registry")


def _explain_path_problem(repository: Repository, path: str) -> str:
    # Links are refused, as in writes.
    codes = path_codes(path)
    if codes:
        return f"a run folder cannot contain its path ({', '.join(codes)})"
    link = find_link(repository.root, path.split("/"))
    if link is not None:
        return f"{link} is a link"
    return "" if repository.path(path).is_file() else "it is not a regular file"


_SINGLE_KEYS: Final = frozenset({"scope", "id", "ability_id", "operation_key"})


def _count_entries(data: bytes) -> int:
    """Return the number of entries in a content file of any shipped type."""
    count = 0
    list_keys = [entry_type.list_key for entry_type in ENTRY_TYPES.values()]
    for document in parse_yaml_values(data):
        if isinstance(document, list):
            count += len(document)
        elif isinstance(document, Mapping):
            key = next((key for key in list_keys if key in document), None)
            # Without a list it is one entry, or the routes of an entry whose head is a document of its own.
            count += len(document[key] or ()) if key is not None else bool(_SINGLE_KEYS & document.keys())
    return count
