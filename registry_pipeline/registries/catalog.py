"""The catalog: one row for each registry of a repository, in build order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from registry_pipeline.config import CONFIG_NAME, Config, Repository
from registry_pipeline.errors import ConfigError, NotFoundError, RefusedError
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
from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec
from registry_pipeline.registries.base.shard_names import is_shard_tag
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
)


class Catalog:
    """The registries of one repository: what exists, in which order it is built, and which run folders belong to it.

    `registries` has all rows by id, each after those that it depends on; `build_order` has those that a build makes.
    `collections` have many members, which a build seals after everything else, because nothing is built from them.
    """

    def __init__(self, own: Iterable[RegistrySpec] = (), findings: tuple[Finding, ...] = ()) -> None:
        """Add the repository's own registries, in dependency order; `findings` say what is wrong with others."""
        self.findings: Final = findings
        rows = _insert_own(tuple(own))
        # The delta log records the snapshots that a build makes of all other registries, so it is built last.
        logged = tuple(row.registry_id for row in rows if row.delta and not row.partitioned)
        table = (*rows, replace(delta_log.SPEC, after=logged), system_health.SPEC, *_NOT_BUILT)
        self.registries: Final[Mapping[str, RegistrySpec]] = MappingProxyType({row.registry_id: row for row in table})
        self.build_order: Final = tuple(row for row in table if row.is_rebuilt)
        self.collections: Final = tuple(row for row in table if row.kind == "collection")
        self.with_pointer: Final = tuple(row.registry_id for row in self.build_order if row.pointer)
        self.positions: Final = MappingProxyType({name: number for number, name in enumerate(self.registries)})
        tags = {row.tag: row.registry_id for row in table if row.tag}
        self.own_tags: Final[Mapping[str, str]] = MappingProxyType(tags)
        self._record_tags = frozenset(row.tag for row in table if row.kind == "record")
        self._positions_by_tag = {row.tag: number for number, row in enumerate(table) if row.tag is not None}

    def spec_of(self, registry_id: str) -> RegistrySpec:
        """Return the row of a registry; raise NotFoundError if no registry has this id."""
        spec = self.registries.get(registry_id)
        if spec is None:
            suggestion = did_you_mean(registry_id, self.registries)
            question = f"did you mean {suggestion}? " if suggestion else ""
            raise NotFoundError(
                f"no registry is called {registry_id!r}", f"{question}`registry-pipeline registries` lists them"
            )
        return spec

    def is_own_run(self, publish_root: str, run_root: str, run_id: str) -> bool:
        """Return whether a run folder is named as one that this tool seals of a registry or of the activation chain."""
        parsed = RunId.parse(run_id) if run_root == publish_root else None
        return parsed is not None and self.is_own_tag(parsed.tag)

    def is_own_tag(self, tag: str) -> bool:
        """Return whether a registry, a member of a collection, a shard, or the activation chain has this tag."""
        return self.find_registry_by_tag(tag) is not None or is_shard_tag(tag)

    def find_registry_by_tag(self, tag: str) -> str | None:
        """Return the registry whose run folders, or those of its members, have this tag; None if it is no own tag."""
        members = (row.registry_id for row in self.collections if tag.endswith(f"__{row.tag}"))
        return self.own_tags.get(tag) or next(members, None)

    def make_build_order_key(self, run_id: RunId) -> tuple[datetime, int, int, str]:
        """Return a key that sorts runs by time and, within a second, in the order in which builds seal them.

        A later build of the same second has higher numbers; within one build the order is that of the catalog. A run of
        no registry comes first.
        """
        # Every build writes several activation records or one, so their numbers do not count builds.
        number = 1 if run_id.tag in self._record_tags else run_id.number
        return run_id.stamp, number, self._positions_by_tag.get(run_id.tag, -1), str(run_id)

    def find_disabled(self, config: Config) -> frozenset[str]:
        """Return the registries that the configuration does not allow to build."""
        return frozenset(name for name in self.registries if not is_enabled(config, name))

    def check_registry_names(self, config: Config) -> tuple[Finding, ...]:
        """Return what is wrong with own registries, and with names in `enabled` and `disabled`."""
        findings = list(self.findings)
        for key, names in (("enabled", config.enabled or ()), ("disabled", config.disabled)):
            for name in names:
                detail = None
                if name not in self.registries:
                    suggestion = did_you_mean(name, self.registries)
                    detail = f"is no registry{f'; did you mean {suggestion}?' if suggestion else ''}"
                elif key == "disabled" and name in _ALWAYS_ENABLED:
                    detail = "cannot be disabled, because the health state is made from it"
                if detail is not None:
                    shown = printable(repr(name[:_MAX_SHOWN]))
                    findings.append(finding("CONFIG_REGISTRY_UNKNOWN", CONFIG_NAME, key=key, name=shown, detail=detail))
        return sorted_findings(findings)


def _insert_own(own: Sequence[RegistrySpec]) -> tuple[RegistrySpec, ...]:
    """Return the shipped rows that a build makes with the own ones before the scorecard, which counts them."""
    late = {scorecard.SPEC.registry_id}
    for row in own:
        if late.intersection(row.depends_on):
            late.add(row.registry_id)
    before = tuple(row for row in own if row.registry_id not in late)
    after = tuple(row for row in own if row.registry_id in late)
    return (*_BUILT, *before, scorecard.SPEC, *after)


# Few repositories need it, and it imports more than a bare Python has.
_READ_OWN: Final = DeferredCall("registry_pipeline.registries.own.read_own_registries")
SHIPPED: Final = Catalog()
"""The catalog without registries of a repository's own."""


def select_with_dependants(specs: Iterable[RegistrySpec], registry_ids: Iterable[str]) -> tuple[RegistrySpec, ...]:
    """Return of `specs`, in dependency order, the named registries and all that are built from or after them.

    Registries that a build does not make, and unknown ids, are left out.
    """
    chosen, selected = set(registry_ids), list[RegistrySpec]()
    # One pass is enough, because a catalog lists each registry after what it depends on.
    for row in specs:
        if row.is_rebuilt and (row.registry_id in chosen or chosen.intersection((*row.depends_on, *row.after))):
            chosen.add(row.registry_id)
            selected.append(row)
    return tuple(selected)


def catalog_of(repository: Repository | None) -> Catalog:
    """Return the catalog of a repository; outside of one, the shipped one.

    It is made once for each `Repository`: commands and steps load their own.

    Raises:
        ConfigError: `signing.registries` names a registry that does not exist.
    """
    if repository is None:
        return SHIPPED
    config = repository.config
    if not (config.registries or config.registry_components or config.registry_packages):
        _refuse_unknown_names(config, SHIPPED)
        return SHIPPED
    catalog: Catalog | None = repository.catalogs.get("")
    if catalog is None:
        own = _READ_OWN(repository, SHIPPED.registries)
        catalog = Catalog(own.rows, own.findings)
        _refuse_unknown_names(config, catalog)
        repository.catalogs[""] = catalog
    return catalog


def _refuse_unknown_names(config: Config, catalog: Catalog) -> None:
    """Refuse a name in `signing.registries` that no registry has: it would protect nothing."""
    unknown = [name for name in config.signing.registries if name != "*" and name not in catalog.registries]
    # A registry of the repository's own that cannot be read is a finding, and its name may be right.
    if unknown and not catalog.findings:
        shown, suggestion = printable(repr(unknown[0][:_MAX_SHOWN])), did_you_mean(unknown[0], catalog.registries)
        raise ConfigError(
            f"signing.registries names {shown}, which is no registry",
            f"did you mean {suggestion}?" if suggestion else "`*` names all of them",
        )


# The health state and the report are made from these, and the chain consists of the last.
_ALWAYS_ENABLED: Final = frozenset(
    {"run_registry", "op_status_table", "drift_signals", "system_health_report", "pointer_activation"}
)


def is_enabled(config: Config, registry_id: str) -> bool:
    """Return whether the configuration allows to build a registry: `enabled` and `disabled` of the toml."""
    if registry_id in _ALWAYS_ENABLED:
        return True
    return registry_id not in config.disabled and (config.enabled is None or registry_id in config.enabled)


def refuse_disabled(config: Config, registry_id: str) -> None:
    """Raise RefusedError if the configuration disables a registry."""
    if not is_enabled(config, registry_id):
        key = "disabled" if registry_id in config.disabled else "enabled"
        where = f"remove it from `{key}`" if key == "disabled" else f"add it to `{key}`"
        raise RefusedError(f"{registry_id} is disabled in {CONFIG_NAME}", f"{where} to build it")
