"""`roles bump`: the next version of a role's contract, beside those that stay."""

from __future__ import annotations

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.roles.service import Bumped, bump_contract
from registry_pipeline.registries.roles.snapshot import RoleContractKind


@click.command(
    "bump",
    cls=Command,
    examples=[
        ("roles bump chart_designer C --dry-run", "what would be added, and where"),
        ("roles bump chart_designer C", "the next version of what the role produces, to be filled in"),
    ],
)
@click.argument("role_id", metavar="ROLE")
@click.argument("kind", metavar="X|C", type=click.Choice([kind.value for kind in RoleContractKind]))
@click.option("--dry-run", is_flag=True, help="Tell what would be added, and write nothing.")
@click.pass_obj
def command(reporter: Reporter, /, *, role_id: str, kind: str, dry_run: bool) -> int:
    """Add the next version of a role's contract to the role pack.

    X is what the role extracts, C what it produces. The new contract begins as a copy of the one before it, which
    stays; no other line of the file changes. Change its schema_json, then `roles check`.
    """
    repository = find_repository(reporter.settings.repo)
    done = bump_contract(repository, role_id, RoleContractKind(kind), write=not dry_run)
    document = {
        "contract_id": done.added.contract_id,
        "after": done.added.after,
        "pack": done.pack,
        "changed_files": [done.pack] if done.written else [],
        "findings": [],
    }
    reporter.answer(document, (), lambda page: _tell(page, done))
    return 0


def _tell(page: Page, done: Bumped) -> None:
    behind = f" behind {done.added.after}" if done.added.after is not None else ""
    page.line(f"{'added' if done.written else 'would add'} {done.added.contract_id}{behind} in {done.pack}")
    if done.written:
        page.line("next: change its schema_json, then registry-pipeline roles check", style="dim")
