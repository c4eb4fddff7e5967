"""`members`: the members of the collections, and their sealed runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from registry_pipeline.cli.completion import complete_collection
from registry_pipeline.cli.exit_codes import exit_code_of
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.findings.finding import Severity, sorted_findings
from registry_pipeline.pipeline.collection import read_members
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.collections.members import find_source
from registry_pipeline.registries.collections.state import MEMBER_STATES, CollectionState, MemberState


@command(
    "members",
    ("members", "the members of all collections, with their states, runs and root hashes"),
    ("members evidence_pack_registry --state new", "the packs that the next build seals"),
    ("members validation_range_results --json", "the same as a document"),
)
@click.argument("registry_id", metavar="[COLLECTION]", required=False, shell_complete=complete_collection)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(MEMBER_STATES),
    help="Only the members in this state; repeat it for several.",
)
def members_command(reporter: Reporter, registry_id: str | None, states: tuple[str, ...]) -> int:
    """List the members of the collections.

    A collection has many members, each sealed in a run folder of its own. None of them is ever active. The state of a
    member is `sealed`, `new` (not sealed yet), `changed` (the source differs from the newest sealed run) or
    `missing_source` (sealed, and the source is gone). Sources that may have changed since the last build are read; run
    folders are not: `verify` reads them. The index of a collection lists all sealed runs with their root hashes, so the
    root hash of its run covers the whole collection.
    """
    repository = find_repository(reporter.settings.repo)
    catalog = catalog_of(repository)
    if registry_id is not None and catalog.spec_of(registry_id).kind != "collection":
        names = " and ".join(spec.registry_id for spec in catalog.collections)
        raise click.UsageError(f"{registry_id} is no collection; these are {names}")
    selected = [spec for spec in catalog.collections if registry_id in (None, spec.registry_id)]
    collections = [(spec, read_members(repository, spec)) for spec in selected]
    findings = sorted_findings(f for _, state in collections for f in state.findings)
    members = [
        (spec, member)
        for spec, state in collections
        for member in state.members
        if not states or member.status in states
    ]
    document = {
        "collections": [_describe_collection(repository, spec, state) for spec, state in collections],
        "members": [_describe_member(spec, member) for spec, member in members],
        "findings": [finding.to_json() for finding in findings],
    }

    def print_text(page: Page) -> None:
        _print_members(page, [member for _, member in members])
        for spec, state in collections:
            counts = ", ".join(f"{number} {name}" for name, number in state.count().items() if number)
            head = state.index.head
            index = "no index yet" if head is None else f"index {head.ref.run_id}, root {head.ref.manifest_sha256}"
            page.line(f"{spec.registry_id}: {counts or 'no members'}; {index}")
        # Of a collection without members the line below says it.
        page.findings(f for f in findings if f.severity is not Severity.INFO)

    reporter.print_result(document, findings, print_text)
    return exit_code_of(findings)


def _describe_collection(repository: Repository, spec: RegistrySpec, state: CollectionState) -> dict[str, Any]:
    head = state.index.head
    return {
        "registry_id": spec.registry_id,
        "source": find_source(repository, spec.registry_id),
        "index": None if head is None else head.ref.to_json(),
        "unlisted": sorted(state.index.unlisted),
        "counts": state.count(),
        "excluded_because": spec.excluded_because,
    }


def _describe_member(spec: RegistrySpec, state: MemberState) -> dict[str, Any]:
    entry = state.entry
    return {
        "registry_id": spec.registry_id,
        "member_id": state.member_id,
        "state": state.status,
        "source": None if state.member is None else state.member.source,
        "sealed_ref": None if entry is None else entry.ref.to_json(),
        "content_sha256": None if entry is None else entry.content_sha256,
        "files": None if entry is None else entry.files,
        "bytes": None if entry is None else entry.bytes,
    }


def _print_members(page: Page, members: Sequence[MemberState]) -> None:
    columns = [
        Column("member"),
        Column("state"),
        Column("bytes", right=True),
        Column("root"),
        Column("run", below=True),
    ]
    cells = []
    for state in members:
        entry = state.entry
        sealed = ["-", "-", "-"]
        if entry is not None:
            sealed = [str(entry.bytes), entry.ref.manifest_sha256, entry.ref.run_id]
        cells.append([state.member_id, state.status, *sealed])
    if cells:
        page.table(columns, cells)
