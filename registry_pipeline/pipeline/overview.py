"""Read the health of several repositories, one row each; a repository that cannot be read is a row that says so."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import utc_text
from registry_pipeline.config import CONFIG_NAME, Repository, find_repository
from registry_pipeline.errors import NotFoundError, RegistryPipelineError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline.health_page import read_days
from registry_pipeline.pipeline.rebuild import REPORT
from registry_pipeline.pipeline.status import Status, read_status
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.registries.system_health.page import PAGE
from registry_pipeline.runs.reference import RunId
from registry_pipeline.values import replace, value_type


@value_type
class RepositoryRow:
    """What the overview shows of a repository.

    Attributes:
        repository, status: None if the repository could not be read.
        findings: with absolute paths; the only one, if it could not be read, says why.
        stale_by_day: the number of stale operations of the days that have a sealed run.
        page: its newest health page.
    """

    root: Path
    name: str
    findings: tuple[Finding, ...]
    repository: Repository | None = None
    status: Status | None = None
    stale_by_day: Mapping[date, int] | None = None
    page: Path | None = None

    @property
    def problem(self) -> Finding | None:
        """Why the repository could not be read."""
        return None if self.status is not None else self.findings[0]

    def list_errors(self) -> list[Finding]:
        """Return the findings that are errors."""
        return [finding for finding in self.findings if finding.severity is Severity.ERROR]

    def to_json(self) -> dict[str, Any]:
        """Return the row of the document; what is not known is null."""
        status, problem = self.status, self.problem
        inspection = None if status is None else status.inspection
        operations = None if inspection is None else inspection.operations
        head = None if inspection is None else inspection.chain.head
        return {
            "root": str(self.root),
            "name": self.name,
            "problem": None if problem is None else {"message": problem.message, "advice": problem.hint},
            "health_state": None if inspection is None else inspection.health.state,
            "health_conditions": [] if inspection is None else [c.to_json() for c in inspection.health.conditions],
            "active": None if status is None else _describe_active(status),
            "operations": None if operations is None else operations.total,
            "stale": None if operations is None else operations.stale,
            "drifting": None if operations is None else operations.drifting,
            "errors": len(self.list_errors()),
            "warnings": sum(f.severity is Severity.WARNING for f in self.findings),
            "newest_run": None if status is None else _find_newest_run(status),
            "chain_head": None if head is None else {"run_id": head.ref.run_id, "root_sha256": head.root},
            "page": None if self.page is None else str(self.page),
        }


def read_overview(roots: Iterable[Path], now: datetime) -> tuple[RepositoryRow, ...]:
    """Return a row for each repository, in the order of the folders; one that is named twice has one row."""
    rows = [_read_row(root, now) for root in dict.fromkeys(Path(os.path.realpath(root)) for root in roots)]
    names = Counter(row.name for row in rows)
    return tuple(row if names[row.name] == 1 else replace(row, name=str(row.root)) for row in rows)


def _read_row(root: Path, now: datetime) -> RepositoryRow:
    name = root.name or str(root)
    try:
        if not root.is_dir():
            raise NotFoundError("there is no such folder", "correct the path")
        repository = find_repository(root)
        name = repository.config.dagster.location or name
        _refuse_other_folder(repository)
        status = read_status(repository, now)
        last, operations = now.astimezone(UTC).date(), status.inspection.operations
        days = {day.day: day.stale for day in read_days(repository, last)}
        # The curve ends with the figure of the row.
        days |= {} if operations is None else {last: operations.stale}
    except (RegistryPipelineError, OSError) as error:
        # Whatever one repository is in, the others are shown.
        message, advice = _explain(error)
        unreadable = finding("REPOSITORY_UNREADABLE", str(root), detail=message)
        return RepositoryRow(root, name, (replace(unreadable, hint=advice) if advice else unreadable,))
    findings = tuple(replace(f, path=str(root / f.path)) for f in status.findings)
    return RepositoryRow(root, name, findings, repository, status, days, _find_page(repository, status))


def _explain(error: RegistryPipelineError | OSError) -> tuple[str, str]:
    if isinstance(error, RegistryPipelineError):
        return error.message, error.advice or ""
    return f"{error.filename or 'a file'}: {error.strerror or error}", ""


def _refuse_other_folder(repository: Repository) -> None:
    """Raise NotFoundError for a folder in which nothing of ours exists: an empty status would not say so."""
    if not (repository.root / CONFIG_NAME).is_file() and not repository.publish_root.is_dir():
        raise NotFoundError(
            f"neither {CONFIG_NAME} nor {repository.config.publish_root} exists",
            "correct the path, or run `registry-pipeline init` there",
        )


def _describe_active(status: Status) -> dict[str, Any]:
    """Return how many registries are active, and the last activation of any of them."""
    specs = status.catalog.registries
    active = [row["active"] for row in status.registries if row["active"] is not None]
    last: dict[str, Any] = max(active, key=lambda row: row["activated_utc"] or "", default={})
    return {
        "registries": len(active),
        "in_use": sum(r["in_use"] and can_be_active(specs[r["registry_id"]]) for r in status.registries),
        "since_utc": last.get("activated_utc"),
        "actor": last.get("actor"),
        "reason": last.get("reason"),
    }


def _find_newest_run(status: Status) -> dict[str, str] | None:
    """Return the run folder with the latest moment in its name; folders of another form have none."""
    newest: list[tuple[datetime, str]] = []
    for names in status.listing.names.values():
        # Names of our form are in the order of their moments, and other names may be among them.
        parsed = ((run_id, name) for name in reversed(names) if (run_id := RunId.parse(name)) is not None)
        newest += [(run_id.stamp, name) for run_id, name in [next(parsed, (None, ""))] if run_id is not None]
    stamp, name = max(newest, default=(None, ""))
    return None if stamp is None else {"run_id": name, "created_utc": utc_text(stamp)}


def _find_page(repository: Repository, status: Status) -> Path | None:
    run_id = next((row["newest_run_id"] for row in status.registries if row["registry_id"] == REPORT), None)
    page = None if run_id is None else repository.publish_root / run_id / PAGE
    return page if page is not None and page.is_file() else None
