"""`entries check`: every entry against its schema and against the other registries."""

from __future__ import annotations

import click

from registry_pipeline.cli.entry_output import SCHEMA_VERSION, print_repairs, settled_to_json, verdict_of
from registry_pipeline.cli.exit_codes import ExitCode, code_of, combined, fail_on_option, holds
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import Severity, count_findings
from registry_pipeline.registries.entries.service import check_entries


@click.command(
    "check",
    cls=Command,
    examples=[
        ("entries check", "failures and warnings"),
        ("entries check --all --json", "what is only recorded, too, as a document"),
        ("entries check --fail-on warning", "exit 4 where a warning stands"),
    ],
)
@click.option("--all", "every", is_flag=True, help="Tell what is only recorded (EN032), too.")
@fail_on_option
@click.pass_obj
def command(reporter: Reporter, every: bool, fail_on: frozenset[str]) -> int:
    """Check all registry entries.

    The shape of each entry, the rules between the registries, the overrides that stand (EN090), and whether the
    generated documents are those of this version (EN070). Exits 3 on any failure, also where the commit at HEAD has a
    file of entries that is missing, and 7 where git cannot read the repository. A change that was killed is finished
    or undone first, so that half of a change is never judged.
    """
    repository = find_repository(reporter.settings.repo)
    contents, found, settled = check_entries(repository)
    told = [each for each in found if every or each.severity is not Severity.INFO]
    counts = count_findings(found) | {"entries": len(contents.entries), "files": len(contents.files)}
    verdict = verdict_of(found)
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "findings": [each.to_json() for each in told],
        "counts": counts,
        "settled": settled_to_json(settled),
    }
    sentence = (
        f"{verdict}: {counts['entries']} entries in {counts['files']} files; {counts['errors']} failures, "
        f"{counts['warnings']} warnings, {counts['infos']} recorded only"
    )

    def tell(page: Page) -> None:
        print_repairs(page, settled)
        page.findings(told)
        page.line(sentence, style="bold red" if verdict == "fail" else "bold green")

    reporter.answer(document, told, tell)
    return combined([code_of(found), ExitCode.ASKED_TO_FAIL * holds(fail_on, found)])
