"""Find out what a build would seal, without sealing anything (`build --dry-run`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from registry_pipeline.config import Repository
from registry_pipeline.files.cache_file import find_safe_change
from registry_pipeline.findings.finding import Finding, has_errors
from registry_pipeline.pipeline.collection import preview_collection
from registry_pipeline.pipeline.rebuild import REPORT, Builds, BuiltRow, build_report, select_registries
from registry_pipeline.pipeline.steps import add_chain_head, keep_unchanged
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.sealed_run import NotBuilt
from registry_pipeline.values import value_type

Outcome = Literal["new", "unchanged", "depends", "not_built", "skipped"]
"""A new run, an earlier run, a new run after others are sealed, no usable source, or a registry behind such a one."""


@value_type
class PreviewRow:
    """What a build would do for one registry; `because_of` are the registries that decide it.

    `records` is None if nothing was built in memory. `is_valid` is False if the source fails its check.
    """

    registry_id: str
    outcome: Outcome
    records: int | None = None
    because_of: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    is_valid: bool = True
    # The members of a collection that would be sealed.
    members: tuple[str, ...] = ()


def preview_build(
    repository: Repository,
    run: BuildRun,
    registry_ids: Sequence[str] = (),
    *,
    only: bool = False,
    force: bool = False,
    on_step: Callable[[str], None] = lambda _registry: None,
) -> list[PreviewRow]:
    """Return a row for each registry that `rebuild` would build, in its order. Nothing is written.

    What is built from a run that does not exist yet is not built, so its own findings are unknown. Raises as
    `select_registries`, `build` and `build_report`.
    """
    repository = repository.remembering(find_safe_change(run.started))
    builds = Builds(
        repository,
        add_chain_head(repository, run),
        on_step=lambda _step, registry_id: on_step(registry_id),
        write_caches=False,
    )
    selected = select_registries(repository, registry_ids, only=only)
    with_pointer = [spec for spec in selected if spec.pointer]
    unchanged = None if force else builds.find_unchanged(with_pointer)
    rows = [_make_kept_row(row) for row in unchanged or ()]
    failed: set[str] = set()
    changed: set[str] = set()
    for spec in selected if unchanged is None else selected[len(rows) :]:
        name = spec.registry_id
        if spec.kind == "collection":
            rows.append(_preview_collection(builds, spec, force=force))
            continue
        blocked = tuple(upstream for upstream in spec.depends_on if upstream in failed)
        pending = tuple(upstream for upstream in (*spec.depends_on, *spec.after) if upstream in changed)
        if blocked:
            row = PreviewRow(name, "skipped", because_of=blocked)
        elif pending:
            row = PreviewRow(name, "depends", because_of=pending)
        else:
            row = _preview_registry(builds, spec, force=force)
        rows.append(row)
        # A missing source of a capture is no error: its dependants are built without it.
        has_failed = row.outcome == "skipped" or (row.outcome == "not_built" and has_errors(row.findings))
        if has_failed or not row.is_valid:
            failed.add(name)
        elif row.outcome in ("new", "depends"):
            changed.add(name)
    if REPORT in registry_ids:
        rows.append(_preview_report(builds, () if only else changed))
    return rows


def _preview_report(builds: Builds, changed: Collection[str]) -> PreviewRow:
    """Return the row of the health report, which the build renders after it has activated what changed."""
    pending = tuple(name for name in catalog_of(builds.repository).spec_of(REPORT).depends_on if name in changed)
    if pending:
        return PreviewRow(REPORT, "depends", because_of=pending)
    return PreviewRow(REPORT, "new", build_report(builds.repository, builds.run).artifacts.records)


def _make_kept_row(row: BuiltRow) -> PreviewRow:
    outcome: Outcome = "not_built" if row.run is None else "unchanged"
    return PreviewRow(row.registry_id, outcome, row.records, findings=row.findings)


def _preview_collection(builds: Builds, spec: RegistrySpec, *, force: bool) -> PreviewRow:
    preview = preview_collection(builds.repository, builds.run, spec, force=force)
    outcome: Outcome = "new"
    if not preview.pending and (preview.is_indexed or not preview.members):
        outcome = "unchanged" if preview.members else "not_built"
    members, findings = preview.pending, preview.findings
    return PreviewRow(spec.registry_id, outcome, preview.members, findings=findings, members=members)


def _preview_registry(builds: Builds, spec: RegistrySpec, *, force: bool) -> PreviewRow:
    name = spec.registry_id
    built, _ = builds.build(spec, {})
    if isinstance(built, NotBuilt):
        return PreviewRow(name, "not_built", findings=built.findings)
    checked = () if built.check is None else built.check.findings
    # What is built from several sources is kept only if all of it is, and that is known by now.
    kept = keep_unchanged(builds.repository, builds.run, built).kept if spec.is_kept_alone and not force else None
    return PreviewRow(
        name,
        "new" if kept is None else "unchanged",
        built.artifacts.records,
        findings=(*built.findings, *checked),
        is_valid=not has_errors(checked),
    )
