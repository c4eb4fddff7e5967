"""Add and update entries from Python: two functions for each family.

Each call is one change: all its entries are written, or none. It is planned, checked and written as by the command
`entries add`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.config import find_repository
from registry_pipeline.errors import ConfigError, RefusedError
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.change_plan import ChangeRequest
from registry_pipeline.registries.entries.service import GivenEntry, WriteResult, add_entries
from registry_pipeline.yaml.document import to_plain

ModuleType = Literal["module_type", "module_instance", "module_maturity", "module_interface"]
AbilityType = Literal["ability_low", "ability_high"]
_SHOWN: Final = 3


class InvalidEntriesError(RefusedError):
    """A check refuses the entries; nothing changed (exit 5).

    Attributes:
        findings: all findings about the change; those of severity error refuse it.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        texts = [f"{finding.code} {finding.path}: {finding.message}" for finding in errors[:_SHOWN]]
        more = [f"and {len(errors) - _SHOWN} more"] if errors[_SHOWN:] else []
        super().__init__("; ".join([*texts, *more]), errors[0].hint if errors else "")
        self.findings = tuple(findings)


def add_module(
    *entries: Mapping[str, Any],
    type_name: ModuleType | None = None,
    approved_by: str | None = None,
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Add module types, module instances, their maturities or their interfaces, as one change.

    They are written to `type_registry.yaml`, `instance_registry.yaml`, `instance_maturity.yaml` and `interfaces.yaml`.
    An entry that exists with the same values changes nothing.

    Args:
        entries: the entries, as mappings of JSON values.
        type_name: the exact type of all entries; default: that of each entry is determined by its fields.
        approved_by: who approved a lifecycle of RELEASED, SUNSET or REMOVED.
        override_by: who overrides failures between registries, which are then recorded on the entries (EN090), as
            with `--no-check`; default: no failure is overridden.
        repository: a folder of the repository; default: found as by the command line.
        dry_run: True to plan and check, and to write nothing.

    Raises:
        InvalidEntriesError: a check fails, or another entry has the key of one (exit 5); it has the findings.
        RefusedError: a value is no JSON value, the type is not certain, or a file cannot be edited (exit 5).
        NotFoundError: there is no repository (exit 7).
        ConfigError: the toml file or an option is invalid (exit 2).
        BusyError: another change took longer than 30 seconds, or a file changed meanwhile (exit 6).
        WriteError: writing failed; nothing changed (exit 1).
    """
    return _write(
        type_name or "modules", entries, repository, approved_by=approved_by, override_by=override_by, dry_run=dry_run
    )


def update_module(
    *entries: Mapping[str, Any],
    type_name: ModuleType | None = None,
    approved_by: str | None = None,
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Replace existing entries of modules by these, which have the same keys, as one change.

    The fields of an entry are replaced completely. Arguments and errors are those of `add_module`.

    Raises:
        NotFoundError: there is no entry with the key of one, or no repository (exit 7).
    """
    return _write(
        type_name or "modules",
        entries,
        repository,
        approved_by=approved_by,
        update=True,
        override_by=override_by,
        dry_run=dry_run,
    )


def add_route(
    *entries: Mapping[str, Any],
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Add content routes, as one change; raises as `add_module`.

    A route of an existing scope, topic and owner joins the routes of that entry.
    """
    return _write("route", entries, repository, override_by=override_by, dry_run=dry_run)


def update_route(
    *entries: Mapping[str, Any],
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Replace existing content routes, as one change; raises as `update_module`.

    The entry has the same scope, topic and owner. An item of `routes` replaces the one with the same `when_to_use`;
    the other items stay.
    """
    return _write("route", entries, repository, update=True, override_by=override_by, dry_run=dry_run)


def add_ability(
    *entries: Mapping[str, Any],
    type_name: AbilityType | None = None,
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Add abilities of either level, as one change; arguments and errors are those of `add_module`."""
    return _write(type_name or "abilities", entries, repository, override_by=override_by, dry_run=dry_run)


def update_ability(
    *entries: Mapping[str, Any],
    type_name: AbilityType | None = None,
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Replace existing abilities, as one change; arguments and errors are those of `update_module`."""
    return _write(type_name or "abilities", entries, repository, update=True, override_by=override_by, dry_run=dry_run)


def add_hook(
    *entries: Mapping[str, Any],
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Add hooks, each in a file of its own, as one change; raises as `add_module`."""
    return _write("hook", entries, repository, override_by=override_by, dry_run=dry_run)


def update_hook(
    *entries: Mapping[str, Any],
    override_by: str | None = None,
    repository: Path | str | None = None,
    dry_run: bool = False,
) -> WriteResult:
    """Replace existing hooks, as one change; raises as `update_module`."""
    return _write("hook", entries, repository, update=True, override_by=override_by, dry_run=dry_run)


def _write(
    type_name: str,
    entries: Sequence[Mapping[str, Any]],
    folder: Path | str | None,
    *,
    approved_by: str | None = None,
    update: bool = False,
    override_by: str | None,
    dry_run: bool,
) -> WriteResult:
    for name, person in (("override_by", override_by), ("approved_by", approved_by)):
        if person is not None and not person.strip():
            raise ConfigError(f"{name} is blank", "pass the name of a person, or leave it out")
    if not entries:
        raise RefusedError("no entry is given", "pass each entry as a mapping")
    given = [GivenEntry(type_name, to_plain(entry), f"entry {number}") for number, entry in enumerate(entries, 1)]
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - an interface, too
    request = ChangeRequest(override_by or "", now, update, override_by is not None, approved_by, existing_only=update)
    repository = find_repository(None if folder is None else Path(folder))
    result = add_entries(repository, given, request, dry_run=dry_run)
    if result.change.refused:
        raise InvalidEntriesError(result.change.findings)
    return result
