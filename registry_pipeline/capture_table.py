"""The captured registries: their default sources and names, and what a repository may configure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.files.path_policy import STATEMENT_FILES, path_codes
from registry_pipeline.findings.finding import did_you_mean
from registry_pipeline.values import value_type

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")
_LONGEST: Final = 128


@value_type
class Capture:
    """One captured registry."""

    registry_id: str
    # The file or folder that is captured by default; None if another key of the toml names it.
    source: str | None
    # The name of the main artifact; None if files keep their own names.
    artifact: str | None
    # Whether the toml may give the artifact another name.
    may_be_renamed: bool = True
    # The other key of the toml that names the source.
    key: str | None = None
    # The table of the toml that may name a schema.
    table: str = "captured"

    @property
    def config_key(self) -> str:
        """The key of the toml that names the source, for messages."""
        return f"`source` of [captured.{self.registry_id}]" if self.source else self.key or f"`{self.registry_id}`"


_ALL: Final = (
    Capture("expected_versions", None, "EXPECTED_VERSIONS_v0_1_snapshot.json", key="`expected_versions`"),
    Capture("migration_ledger", "schema/applied_migrations.json", "applied_migrations_snapshot.json"),
    Capture("threshold_packs_file", "configs/threshold_packs", None, may_be_renamed=False),
    Capture(
        "fingerprint_index",
        "reports/path1/trajectory_families/v0.1/fingerprints/index.csv",
        "fingerprint_index_snapshot.csv",
    ),
    Capture(
        "derived_validation_reports",
        "artifacts/derived_validation",
        "derived_validation_report.json",
        may_be_renamed=False,
    ),
    Capture("validation_range_results", "reports/validation", None, may_be_renamed=False),
    Capture("evidence_pack_registry", "reports/path1/evidence/runs", None, may_be_renamed=False),
    Capture("module_registry", None, None, may_be_renamed=False, key="`modules` of [entries]"),
    Capture("route_registry", None, None, may_be_renamed=False, key="`routes` of [entries]"),
    Capture("ability_registry", None, None, may_be_renamed=False, key="`abilities_low` of [entries]"),
    Capture("hook_registry", None, None, may_be_renamed=False, key="`hooks` of [entries]"),
    Capture("overrides_log", None, "overrides-log.jsonl", key="`overrides` of [run_index]"),
    Capture("run_index", None, "run-index.jsonl", key="`path` of [run_index]"),
)
CAPTURES: Final = MappingProxyType({capture.registry_id: capture for capture in _ALL})
"""The captured registries by id."""
OWN_TABLES: Final = MappingProxyType({"role_registry": "roles"})
"""Captured registries that a table of their own in the toml describes."""


_OWN_NAMES: Final = frozenset(("run.json", *map(str.casefold, STATEMENT_FILES)))


def is_reserved_name(name: str) -> bool:
    """Return whether a run folder may need a name: for envelope, seal, statement, or the copy of a schema."""
    folded = name.casefold()
    return folded in _OWN_NAMES or folded.endswith(".schema.json") or "MANIFEST_PATH_RESERVED" in path_codes(name)


def explain_unusable_name(name: str) -> str | None:
    """Return why a run folder cannot contain a captured file of this name, or None if it can."""
    if is_reserved_name(name):
        return "the name is reserved in run folders"
    codes = path_codes(name)
    return f"a run folder cannot contain that name ({', '.join(codes)})" if codes else None


def explain_invalid_captures(stated: Mapping[str, tuple[str | None, str | None]]) -> str | None:
    """Return the first problem of a toml's [captured] tables, or None; `stated` has (source, artifact) by registry."""
    names = {name: capture.artifact for name, capture in CAPTURES.items()}
    for registry_id, (source, artifact) in stated.items():
        place, capture = f"captured.{registry_id}", CAPTURES.get(registry_id)
        if registry_id in OWN_TABLES:
            return f"{place}: the table [{OWN_TABLES[registry_id]}] describes that registry"
        if capture is None:
            near = did_you_mean(registry_id, CAPTURES)
            meant = f"; did you mean {near!r}?" if near else f"; these are: {', '.join(sorted(CAPTURES))}"
            return f"{place}: no captured registry has that name{meant}"
        if source is not None and capture.source is None:
            return f"{place}.source: {capture.config_key} names it"
        if artifact is not None:
            is_taken = any(artifact == other for name, other in names.items() if name != registry_id)
            problem = (
                "another registry's artifact has that name"
                if is_taken
                else _explain_invalid_artifact(capture, artifact)
            )
            if problem is not None:
                return f"{place}.artifact: {artifact!r}: {problem}"
            names[registry_id] = artifact
    return None


def _explain_invalid_artifact(capture: Capture, name: str) -> str | None:
    default = capture.artifact
    if default is None or not capture.may_be_renamed:
        return "its files keep their own names"
    suffix = default[default.rindex(".") :]
    if not _FILE_NAME.fullmatch(name) or len(name) > _LONGEST:
        return "a name is letters, digits, `_`, `-` and dots, as a file has it"
    if not name.endswith(suffix):
        return f"a name ends with {suffix}, which selects the parser"
    return "the name is reserved in run folders" if is_reserved_name(name) else None


ROLE_REGISTRY: Final = "role_registry"
ROLE_ARTIFACT: Final = "ROLE_REGISTRY_v0_1.json"
WAIVERS_PATH: Final = "docs/governance/ROLE_WAIVERS_v0_1.json"
DEFAULT_BASELINE: Final = "main"
ACTIVE_BASELINE: Final = "active"


def explain_invalid_pack_path(path: str) -> str | None:
    """Return why a role pack cannot have a path, or None if it can.; a run folder contains it under its own name."""
    name = path.rpartition("/")[2]
    if not name.endswith(".json") or not path.isprintable():
        return "a role pack is a file whose name ends with .json"
    if name.casefold() == ROLE_ARTIFACT.casefold():
        return "the name is reserved in run folders"
    return explain_unusable_name(name)
