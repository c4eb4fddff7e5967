"""AGENTS.md and registry_coordination.md of a repository, made from the tables so that they cannot disagree."""

from __future__ import annotations

import os
from collections.abc import Mapping

from registry_pipeline.config import Entries, Repository
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.entries.library import fixed_path, folder_of
from registry_pipeline.registries.entries.rules import rules
from registry_pipeline.registries.entries.schemas import EntrySchemas, shipped_schema
from registry_pipeline.registries.entries.types import (
    AGENTS_PATH,
    APPROVAL,
    COORDINATION_PATH,
    ENTRY_TYPES,
    OVERRIDE,
    SCHEMA_FOLDER,
    EntryType,
)
from registry_pipeline.yaml.document import read_yaml_file

_GENERATED = (
    "<!-- Made by `registry-pipeline init --entries` from the tables of the program. Changes here are lost. -->"
)


def entry_files(repository: Repository, schemas: EntrySchemas) -> dict[str, bytes]:
    """Return what `init --entries` writes, by path: a copy of each shipped schema that is not there, both documents."""
    files: dict[str, bytes] = {}
    names = [each.schema_name for each in ENTRY_TYPES.values()]
    lacking = [name for name in names if not os.path.lexists(repository.path(f"{SCHEMA_FOLDER}/{name}"))]
    files.update({f"{SCHEMA_FOLDER}/{name}": shipped_schema(name) for name in lacking})
    for path, text in generated_documents(repository.config.entries, schemas).items():
        found = _read(repository, path)
        if found is None or (found != text and _GENERATED.encode() in found):  # what people wrote there stays
            files[path] = text
    return files


def generated_documents(config: Entries, schemas: EntrySchemas) -> Mapping[str, bytes]:
    """Return both documents as they must be, by path."""
    return {
        AGENTS_PATH: _agents(config, schemas).encode(),
        COORDINATION_PATH: _coordination().encode(),
    }


def check_documents(repository: Repository, schemas: EntrySchemas) -> list[Finding]:
    """Return which generated document is there and is not the one that the tables make (EN070)."""
    expected = generated_documents(repository.config.entries, schemas)
    found = {path: _read(repository, path) for path in expected}
    return [finding("EN070", path) for path, data in found.items() if data is not None and data != expected[path]]


def _read(repository: Repository, path: str) -> bytes | None:
    try:
        return read_yaml_file(repository.path(path))
    except NotFoundError:
        return None
    except RegistryPipelineError:
        return b""


def _content(config: Entries, entry_type: EntryType) -> str:
    if entry_type.one_file:
        return fixed_path(config, entry_type)
    return f"{folder_of(config, entry_type)}/{entry_type.content}"


def _agents(config: Entries, schemas: EntrySchemas) -> str:
    rows = [
        f"| {name} | `{each.key_field}` | `{SCHEMA_FOLDER}/{each.schema_name}` | `{_content(config, each)}`"
        f"{f', list `{each.list_key}`' if each.list_key else ''} | {each.purpose} |"
        for name, each in schemas.types.items()
    ]
    return "\n".join(
        [
            "# Registries of this repository",
            "",
            _GENERATED,
            "",
            "Registry changes go through the scripts and never through an editor: they check an entry against its",
            "schema and against the other registries, write all files of a change or none, and leave the lines of",
            "other entries as they are.",
            "",
            "```console",
            "$ registry-pipeline entries add --type module_instance --entry-file entry.yaml --dry-run --diff",
            "$ registry-pipeline entries add --type module_instance --entry-file entry.yaml",
            "$ registry-pipeline entries remove module_instance MODULE_ID",
            "$ registry-pipeline entries check",
            "$ registry_add_entry --type modules --entry-file entry.yaml",
            "```",
            "",
            "| type | key | schema | content | purpose |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Schemas may be extended by keys that begin with `x-`, and by further files `<type>.schema.yaml` that say",
            "where the entries of a type of your own lie: `x-key`, `x-content`, `x-list`, `x-purpose`. What the rules",
            "between the registries are tells `registry_coordination.md`.",
            "",
        ]
    )


def _coordination() -> str:
    rows = [f"| {rule.code} | {rule.when} | {rule.check} | {rule.violation} |" for rule in rules()]
    return "\n".join(
        [
            "# Coordination of the registries",
            "",
            _GENERATED,
            "",
            "When A changes, check B. The scripts apply every rule before they write, to the state that the change",
            "would leave. A failure aborts the write and changes nothing (exit 5); a warning is told and the write",
            "goes on; what is only recorded is told by `registry-pipeline entries check --all`. Registry changes go",
            "through the scripts and never through an editor.",
            "",
            "| code | when this changes | check that | a violation is |",
            "|---|---|---|---|",
            *rows,
            "",
            "A failure, but no write failure, can be overridden by `--no-check`. The override is written on the entry",
            f"as `{OVERRIDE}`, and `entries check` lists it (EN090) until the entry is written again without it.",
            "Who approved the lifecycle of an interface (`--approved-by`) is written on the entry as",
            f"`{APPROVAL}`, and counts for that lifecycle only.",
            "",
            "Effects of a hook that begin with `ai_` speak to the agent (EN043). Routes and documents of the",
            "repository are looked for in the working tree (EN021). An edge of the type graph stands in `outbound` of",
            "the type that depends and in `inbound` of the other; one side is enough for EN012.",
            "",
        ]
    )
