"""`roles bump`: add the next version of a role's contract."""

from __future__ import annotations

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.roles.service import BumpResult, bump_contract
from registry_pipeline.registries.roles.snapshot import RoleContractKind


@click.command(
    "bump",
    cls=Command,
    examples=[
        ("roles bump chart_designer C --dry-run", "show what would be added, and where"),
        ("roles bump chart_designer C", "add the next version of what the role produces"),
    ],
)
@click.argument("role_id", metavar="ROLE")
@click.argument("kind", metavar="X|C", type=click.Choice([kind.value for kind in RoleContractKind]))
@click.option("--dry-run", is_flag=True, help="Show what would be added, and write nothing.")
@click.pass_obj
def command(reporter: Reporter, /, *, role_id: str, kind: str, dry_run: bool) -> int:
    """Add the next version of a role's contract to the role pack.

    X is what the role extracts, C what it produces. The new contract is a copy of the previous one, which stays; no
    other line of the file changes. Change its schema_json, then run `roles check`.
    """
    repository = find_repository(reporter.settings.repo)
    result = bump_contract(repository, role_id, RoleContractKind(kind), write=not dry_run)
    document = {
        "contract_id": result.added.contract_id,
        "after": result.added.after,
        "pack": result.pack,
        "changed_files": [result.pack] if result.written else [],
        "findings": [],
    }
    reporter.print_result(document, (), lambda page: _print(page, result))
    return 0


def _print(page: Page, result: BumpResult) -> None:
    after = f" after {result.added.after}" if result.added.after is not None else ""
    page.line(f"{'added' if result.written else 'would add'} {result.added.contract_id}{after} in {result.pack}")
    if result.written:
        page.line("next: change its schema_json, then registry-pipeline roles check", style="dim")
