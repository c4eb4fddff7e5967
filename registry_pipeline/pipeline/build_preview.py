"""Find out what a build would seal, without sealing anything (`build --dry-run`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import Finding, has_errors
from registry_pipeline.pipeline.rebuild import Builds, BuiltRow, select_registries
from registry_pipeline.pipeline.steps import add_chain_head, keep_unchanged
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.sealed_run import NotBuilt
from registry_pipeline.values import replace, value_type

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
    `select_registries` and `build`.
    """
    repository = replace(repository, memo={})
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
    return rows


def _make_kept_row(row: BuiltRow) -> PreviewRow:
    outcome: Outcome = "not_built" if row.run is None else "unchanged"
    return PreviewRow(row.registry_id, outcome, row.records, findings=row.findings)


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
