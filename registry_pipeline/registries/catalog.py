"""The registry table: one row for each registry, in build order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType
from typing import Final

from registry_pipeline.config import CONFIG_NAME, Config
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, did_you_mean, sorted_findings
from registry_pipeline.registries import (
    captured,
    collections,
    delta_log,
    drift_signals,
    drift_signals_daily,
    entries,
    op_status_table,
    roles,
    run_index,
    run_registry,
    scorecard,
    system_health,
)
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.reference import RunId
from registry_pipeline.values import replace

_MAX_SHOWN: Final = 80


# Rows that a rebuild does not build: the chain's records, collections, and a database outside the repository.
_NOT_BUILT: Final = (
    RegistrySpec(
        registry_id="pointer_activation",
        kind="record",
        title="Who activated which snapshot, when and why: the hash chain of changes of the pointer file.",
        artifacts=("POINTER_ACTIVATION_v0_1.json", "POINTERS_AFTER.json"),
        schemas=(
            ("POINTER_ACTIVATION_v0_1.json", "REGISTRY_pointer_activation_v0_1.schema.json"),
            ("POINTERS_AFTER.json", "ACTIVE_REGISTRY_POINTERS_v0_1.schema.json"),
        ),
        operation_id="OP-QA14",
        tag="pointer_activation",
        pointer=False,
        delta=False,
        excluded_because="a record of a change, not a snapshot that can be active",
    ),
    *collections.SPECS,
    RegistrySpec(
        registry_id="threshold_registry_db",
        kind="external",
        title="Thresholds in a database outside the repository.",
        delta=False,
        # The scorecard contains this text.
        excluded_because="an external database: nothing in the repository proves its content, so it stays unknown",
    ),
)
# In dependency order.
_BUILT: Final = (
    run_registry.SPEC,
    *captured.SPECS,
    *entries.SPECS.values(),
    run_index.OVERRIDES_LOG_SPEC,
    run_index.RUN_INDEX_SPEC,
    roles.ROLE_REGISTRY_SPEC,
    op_status_table.SPEC,
    drift_signals.SPEC,
    drift_signals_daily.SPEC,
    scorecard.SPEC,
)
# The delta log records the snapshots that a build makes of all other registries, so it is built last.
_LOGGED: Final = tuple(row.registry_id for row in _BUILT if row.delta and not row.partitioned)
_TABLE: Final = (*_BUILT, replace(delta_log.SPEC, after=_LOGGED), system_health.SPEC, *_NOT_BUILT)
REGISTRIES: Final = MappingProxyType({row.registry_id: row for row in _TABLE})
"""All registries by id; each comes after those that it depends on."""
COLLECTIONS: Final = collections.SPECS
"""The collections. Their members are sealed after everything else, because nothing is built from them."""
BUILD_ORDER: Final = tuple(
    row for row in _TABLE if row.builder is not None and not row.partitioned and row.kind != "collection"
)
"""The registries of which a build makes one run, in dependency order."""


_OWN_TAGS: Final = frozenset(row.tag for row in _TABLE if row.tag)


def has_own_tag(run_id: RunId) -> bool:
    """Return whether a run id has the tag of a registry, of a member of a collection, or of the activation chain."""
    return run_id.tag in _OWN_TAGS or any(row.member_of(run_id) is not None for row in COLLECTIONS)


def is_own_run(publish_root: str, run_root: str, run_id: str) -> bool:
    """Return whether a run folder is named as one that this tool seals of a registry or of the activation chain."""
    parsed = RunId.parse(run_id) if run_root == publish_root else None
    return parsed is not None and has_own_tag(parsed)


_POSITIONS: Final = {row.tag: number for number, row in enumerate(_TABLE) if row.tag is not None}
_RECORD_TAGS: Final = frozenset(row.tag for row in _TABLE if row.kind == "record")


def make_build_order_key(run_id: RunId) -> tuple[datetime, int, int, str]:
    """Return a key that sorts runs by time and, within a second, in the order in which builds seal them.

    A later build of the same second has higher numbers; within one build the order is that of the table. A run of no
    registry comes first.
    """
    # Every build writes several activation records or one, so their numbers do not count builds.
    number = 1 if run_id.tag in _RECORD_TAGS else run_id.number
    return run_id.stamp, number, _POSITIONS.get(run_id.tag, -1), str(run_id)


def select_with_dependants(registry_ids: Iterable[str]) -> tuple[RegistrySpec, ...]:
    """Return the named registries and all that are built from or after them, in dependency order.

    Registries that a build does not make, and unknown ids, are left out.
    """
    # One pass is enough, because BUILD_ORDER lists each registry after what it depends on.
    chosen = set(registry_ids)
    for row in BUILD_ORDER:
        if chosen.intersection((*row.depends_on, *row.after)):
            chosen.add(row.registry_id)
    return tuple(row for row in BUILD_ORDER if row.registry_id in chosen)


# The health state and the report are made from these, and the chain consists of the last.
_ALWAYS_ENABLED: Final = frozenset(
    {"run_registry", "op_status_table", "drift_signals", "system_health_report", "pointer_activation"}
)


def is_enabled(config: Config, registry_id: str) -> bool:
    """Return whether the configuration allows to build a registry: `enabled` and `disabled` of the toml."""
    if registry_id in _ALWAYS_ENABLED:
        return True
    return registry_id not in config.disabled and (config.enabled is None or registry_id in config.enabled)


def check_registry_names(config: Config) -> tuple[Finding, ...]:
    """Return a finding for each name in `enabled` and `disabled` that is no registry, or that cannot be disabled."""
    findings: list[Finding] = []
    for key, names in (("enabled", config.enabled or ()), ("disabled", config.disabled)):
        for name in names:
            detail = None
            if name not in REGISTRIES:
                suggestion = did_you_mean(name, REGISTRIES)
                detail = f"is no registry{f'; did you mean {suggestion}?' if suggestion else ''}"
            elif key == "disabled" and name in _ALWAYS_ENABLED:
                detail = "cannot be disabled, because the health state is made from it"
            if detail is not None:
                shown = printable(repr(name[:_MAX_SHOWN]))
                findings.append(finding("CONFIG_REGISTRY_UNKNOWN", CONFIG_NAME, key=key, name=shown, detail=detail))
    return sorted_findings(findings)


def refuse_disabled(config: Config, registry_id: str) -> None:
    """Raise RefusedError if the configuration disables a registry."""
    if not is_enabled(config, registry_id):
        key = "disabled" if registry_id in config.disabled else "enabled"
        where = f"remove it from `{key}`" if key == "disabled" else f"add it to `{key}`"
        raise RefusedError(f"{registry_id} is disabled in {CONFIG_NAME}", f"{where} to build it")


def spec_of(registry_id: str) -> RegistrySpec:
    """Return the row of a registry; raise NotFoundError if no registry has this id."""
    spec = REGISTRIES.get(registry_id)
    if spec is None:
        suggestion = did_you_mean(registry_id, REGISTRIES)
        question = f"did you mean {suggestion}? " if suggestion else ""
        raise NotFoundError(
            f"no registry is called {registry_id!r}", f"{question}`registry-pipeline registries` lists them"
        )
    return spec
