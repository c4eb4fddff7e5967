"""`anchor`: print the hash that proves the activation records."""

from __future__ import annotations

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.pointers.state import read_chain_state


@command(
    "anchor",
    ("anchor", "the hash of the last activation record"),
    ("anchor --json", "the same with the record's name and the length of the chain"),
)
def anchor_command(reporter: Reporter) -> int:
    """Print the hash of the last activation record.

    Keep it where nobody who can write to the repository can change it: in a ticket, a mail, another repository. The
    chain shows every edit of a record, but not that all of it was rewritten, or that its end was removed and the
    older pointer file restored; `verify --chain --expect HASH` shows both. Exits 3 if the chain is invalid.
    """
    chain = read_chain_state(find_repository(reporter.settings.repo))
    if not chain.refuses and chain.head is None:
        raise NotFoundError("there is no activation record yet", "the first `registry-pipeline build` writes one")
    # An invalid chain is not anchored.
    head = None if chain.refuses else chain.head
    findings = chain.findings if head is None else ()
    document = {
        "root_sha256": None if head is None else head.ref.manifest_sha256,
        "head": None if head is None else head.ref.to_json(),
        "created_utc": None if head is None else head.created_utc,
        "records": len(chain.records),
        "findings": [finding.to_json() for finding in findings],
    }

    def print_text(page: Page) -> None:
        if head is not None:
            page.line(head.ref.manifest_sha256)
        page.findings(findings)

    reporter.print_result(document, findings, print_text)
    return ExitCode.INVALID_EVIDENCE if head is None else ExitCode.FINE
