"""`runs`, `show` and `log`: read what was built and activated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import time
from typing import Any, Final

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.completion import complete_registry, complete_run
from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import command
from registry_pipeline.cli.param_types import Moment
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.cli.run_argument import find_named_run, find_repository_for
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.log import read_log
from registry_pipeline.pipeline.runs import (
    ORDERS,
    STATES,
    RunDocument,
    RunQuery,
    RunQueryResult,
    list_states,
    read_run_document,
    read_runs,
)

_SEAL_STATES: Final = frozenset(STATES[:3])


@command(
    "runs",
    ("runs", "the newest runs"),
    ("runs --operation OP-A01 --since 2026-02-01 --until 2026-02-28", "the runs of one operation in February"),
    ("runs --state legacy --state warned --limit 0 --json", "all runs that need a closer look"),
)
@click.option("--operation", "operations", multiple=True, metavar="ID", help="Runs of this operation.")
@click.option("--option", "options", multiple=True, metavar="OPTION", help="Runs that state this option.")
@click.option("--root", "run_roots", multiple=True, metavar="DIR", help="Runs under this run root.")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Runs in this state.")
@click.option("--since", type=Moment(time.min), metavar="TIME", help="Not before this day (UTC) or instant.")
@click.option("--until", type=Moment(time.max), metavar="TIME", help="Not after this day (UTC) or instant.")
@click.option("--order", type=click.Choice(ORDERS), default="newest", show_default=True, help="Which come first.")
@click.option("--own", is_flag=True, help="Also the runs of this tool: its registries and activation records.")
@click.option("-n", "--limit", type=click.IntRange(min=0), default=30, show_default=True, help="How many; 0 is all.")
def runs_command(reporter: Reporter, /, **options: Any) -> int:
    """List runs from the active run registry.

    Verifies and reads the registry, not the folders: `build` lists them again. Runs of this tool itself are left out.
    An option that is given several times matches any of its values. `sealed`, `partial` and `unsealed` say which seal
    files a folder contains, `legacy` that it names no operation, `warned` that its record has warnings. Exits 7 where
    no registry is active.
    """
    sets = {name: frozenset(options[name]) for name in ("operations", "options", "run_roots", "states")}
    repository = find_repository(reporter.settings.repo)
    without_own = None if options["own"] else repository.config.publish_root
    query = RunQuery(**sets, since=options["since"], until=options["until"], without_own=without_own)
    if query.since is not None and query.until is not None and query.until < query.since:
        raise click.UsageError("--until is before --since")
    result = read_runs(repository, query, options["order"], options["limit"])
    reporter.print_result(result.to_json(), (), lambda page: _print_result(page, result))
    return 0


def _print_result(page: Page, result: RunQueryResult) -> None:
    columns = [*map(Column, ("created", "operation", "option", "seal")), Column("warnings", right=True)]
    if result.records:
        page.table([*columns, Column("run", below=True)], map(_format_row, result.records))
    for line in result.unknown:
        page.line(line)
    more = result.matched - len(result.records)
    parts = [
        f"{plural(result.matched, 'run')} of {result.source.run_id}",
        *([f"{more} more with --limit 0"] if more else []),
        *([f"{result.undated} without a time left out"] if result.undated else []),
        *([f"{plural(result.own, 'run')} of this tool left out (--own)"] if result.own else []),
    ]
    page.line("; ".join(parts), style="dim")


def _format_row(record: Any) -> list[str]:
    seal = next(state for state in list_states(record) if state in _SEAL_STATES)
    values = (record["created_utc"], record["operation_id"], record["option"], seal, len(record["warnings"]) or "")
    return [*("-" if value is None else str(value) for value in values), f"{record['run_root']}/{record['run_id']}"]


_ENVELOPE_KEYS: Final = (
    "created_utc",
    "as_of_utc",
    "operation_id",
    "git_commit",
    "working_tree_state",
    "builder",
    "dagster_run_id",
)


@command("show", ("show latest", "the newest run"), ("show latest --json", "the same with all of run.json"))
@click.argument("word", metavar="RUN|PATH", shell_complete=complete_run)
def show_command(reporter: Reporter, word: str) -> int:
    """Show one run and who activated it.

    Shows its envelope, the state of its seal (verified now), its inputs and files, and the activations that name it.
    RUN is `latest`, a run id or its beginning, or the beginning of a ROOT_SHA256; a PATH is a folder anywhere. Exits
    3 if the run does not verify.
    """
    repository = find_repository_for(reporter, [word])
    run = read_run_document(repository, find_named_run(repository, word))
    reporter.print_result(run.to_json(), run.verdict.findings, lambda page: _print_run(page, run))
    return ExitCode.FINE if run.verdict.passed else ExitCode.INVALID_EVIDENCE


def _print_run(page: Page, run: RunDocument) -> None:
    page.line(run.verdict.path, style="bold")
    for label, value in _list_facts(run):
        page.line(f"  {label:<19} {value}")
    page.line()
    columns = [Column("file"), Column("bytes", right=True), Column("sha256")]
    if run.report.entries:
        page.table(columns, ([e.relpath, str(e.bytes), short(e.sha256)] for e in run.report.entries))
    page.findings(run.verdict.findings)


def _list_facts(run: RunDocument) -> Iterator[tuple[str, str]]:
    """Yield labels and values of a run: verdict, envelope, inputs, sources and activations, as far as they exist."""
    verdict, envelope = run.verdict, run.report.run_json or {}
    yield "verdict", verdict.verdict
    yield "root", verdict.root_sha256 or "not known"
    yield "registry", verdict.registry_id or "-"
    if run.active_for:
        yield "active for", ", ".join(run.active_for)
    for key in _ENVELOPE_KEYS:
        value = envelope.get(key)
        if value is not None:
            # The builder is an object: its name and version.
            yield key.replace("_", " "), " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
    for registry in run.inputs.registries:
        yield registry.role, f"{registry.ref.run_id} {short(registry.ref.manifest_sha256)}"
    for file in run.inputs.files:
        yield "source", f"{file.path} {short(file.sha256)}"
    for entry in run.activations:
        action = entry.record.action.replace("_", " ")
        yield action, f"{entry.created_utc} by {entry.record.actor}: {entry.record.reason}"


@command(
    "log",
    ("log", "the last activations and builds of all registries"),
    ("log run_registry --limit 0", "all of one registry"),
)
@click.argument("registry_id", metavar="[REGISTRY]", required=False, shell_complete=complete_registry)
@click.option("-n", "--limit", type=click.IntRange(min=0), default=30, show_default=True, help="How many; 0 is all.")
def log_command(reporter: Reporter, registry_id: str | None, limit: int) -> int:
    """List activations and builds, the newest first.

    Shows of each activation who, when, why, and which pointers moved. Activation records are verified; builds are
    not, they are listed by the names of their folders with the roots that these claim.
    """
    records = read_log(find_repository(reporter.settings.repo), registry_id, limit)
    reporter.print_result({"records": records, "count": len(records)}, (), lambda page: _print_log(page, records))
    return 0


def _print_log(page: Page, records: Sequence[Mapping[str, Any]]) -> None:
    if not records:
        page.line("nothing was built or activated yet -> registry-pipeline build")
    is_signing = any(record.get("signatures") for record in records)
    for record in records:
        if record["kind"] == "build":
            seal = "" if record["seal"] == "sealed" else f" ({record['seal']})"
            page.line(f"{record['created_utc']}  built {record['run_id']}{seal}")
            continue
        # Where nothing is signed, the word would be on every line. Nobody has checked a signature here.
        number = record["signatures"]
        signed = f"{plural(number, 'signature')}, not checked" if number else "unsigned" if is_signing else ""
        who = f"{record['actor']}{f' ({signed})' if signed else ''}"
        page.line(f"{record['created_utc']}  {record['action']} by {who}: {record['reason']}", style="bold")
        for ref in record["runs"]:
            page.line(f"    {ref['run_id']}")
        for move in record["moves"]:
            page.line(f"    {move['registry_id']} -> {move['to_ref']['run_id'] if move['to_ref'] else 'unknown'}")
