"""`registries`: the table of registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.catalog import SHIPPED


@command(
    "registries",
    ("registries", "every registry, what it is built from, and whether it can be active"),
    ("registries --json", "the same as a document, with schemas and reasons"),
)
def registries_command(reporter: Reporter) -> int:
    """List the registries.

    Shows what each one is, what it depends on, and why some can never be active.
    """
    rows = [_describe_registry(spec) for spec in SHIPPED.registries.values()]
    reporter.print_result({"registries": rows}, (), lambda page: _print_registries(page, rows))
    return 0


def _describe_registry(spec: RegistrySpec) -> dict[str, Any]:
    return {
        "registry_id": spec.registry_id,
        "kind": spec.kind,
        "title": spec.title,
        "artifacts": spec.artifacts,
        "schemas": dict(spec.schemas),
        "version": spec.version,
        "operation_id": spec.operation_id,
        "tag": spec.tag,
        "depends_on": spec.depends_on,
        "feeds_back": spec.previous_inputs,
        "sources": spec.sources,
        "pointer": can_be_active(spec),
        "delta": spec.delta,
        "excluded_because": spec.excluded_because,
    }


def _print_registries(page: Page, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = [Column("registry"), Column("kind"), Column("pointer"), Column("artifact"), Column("", below=True)]
    cells = []
    for row in rows:
        sources = f"from {', '.join(row['depends_on'])}" if row["depends_on"] else ""
        pointer, note = ("yes", sources) if row["pointer"] else ("no", row["excluded_because"])
        cells.append([row["registry_id"], row["kind"], pointer, (*row["artifacts"], "-")[0], note])
    page.table(columns, cells)
