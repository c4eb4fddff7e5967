"""`anchor`: the hash to note elsewhere, so that a cut or rewritten chain is found."""

from __future__ import annotations

import click

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.pointers.state import read_chain_state


@click.command(
    "anchor",
    cls=Command,
    examples=[
        ("anchor", "the hash of the last activation record"),
        ("anchor --json", "the same with the record's name and the length of the chain"),
    ],
)
@click.pass_obj
def command(reporter: Reporter) -> int:
    """Print the hash of the chain's head.

    Keep it where nobody who can write here can write: in a ticket, a mail, another repository. The chain shows every
    edit of a record, but not that someone rewrote all of it or cut its tail and put the older pointer file back;
    `verify --chain --expect HASH` does. A chain that does not hold is not anchored (exit 3).
    """
    chain = read_chain_state(find_repository(reporter.settings.repo))
    head = chain.head
    if not chain.refuses and head is None:
        raise NotFoundError("there is no activation record yet", "the first `registry-pipeline build` makes one")
    anchored = None if chain.refuses or head is None else head
    findings = chain.findings if anchored is None else ()
    document = {
        "root_sha256": None if anchored is None else anchored.ref.manifest_sha256,
        "head": None if anchored is None else anchored.ref.to_json(),
        "created_utc": None if anchored is None else anchored.created_utc,
        "records": len(chain.records),
        "findings": [finding.to_json() for finding in findings],
    }

    def tell(page: Page) -> None:
        if anchored is not None:
            page.line(anchored.ref.manifest_sha256)
        page.findings(findings)

    reporter.answer(document, findings, tell)
    return ExitCode.FINE if anchored is not None else ExitCode.EVIDENCE_INVALID
