"""The commands of `entries`: change, check and list registry entries; rules belong in `registries.entries`."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from registry_pipeline.cli.actor import find_actor
from registry_pipeline.cli.exit_codes import (
    ExitCode,
    check_conditions,
    combine_exit_codes,
    exit_code_of,
    fail_on_option,
    has_failed,
)
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.transaction import Recovery
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import Severity, count_findings, verdict_of
from registry_pipeline.registries.entries.change_plan import ChangeRequest, find_type
from registry_pipeline.registries.entries.library import Entry
from registry_pipeline.registries.entries.rules import RULES
from registry_pipeline.registries.entries.schemas import FAMILIES
from registry_pipeline.registries.entries.service import (
    GivenEntry,
    WriteResult,
    add_entries,
    check_entries,
    recover_and_read_library,
    remove_entries,
)
from registry_pipeline.values import asdict
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode, parse_yaml

# Of the documents of `entries add`, `remove` and `check`. Since 0.2 `counts` has `infos` instead of `recorded`.
_SCHEMA_VERSION: Final = "0.2"


def _recovery_to_json(recovery: Recovery | None) -> Any:
    return None if recovery is None else {"outcome": recovery.outcome, "files": list(recovery.paths)}


def _print_recovery(page: Page, recovery: Recovery | None) -> None:
    if recovery is not None:
        page.line(f"an interrupted change was {recovery.outcome}: {', '.join(recovery.paths)}", style="yellow")


def _print_write_result(reporter: Reporter, result: WriteResult, *, diff: bool, dry_run: bool) -> int:
    """Print what `add` or `remove` changed, or would change, and return the exit code: 5 if it was refused, else 0."""
    change = result.change
    paths = [] if change.refused else list(change.files)
    diff_text = "".join(_format_diff(path, *change.files[path]) for path in change.files) if diff else None
    document = {
        "schema_version": _SCHEMA_VERSION,
        "verdict": verdict_of(change.findings),
        "findings": [finding.to_json() for finding in change.findings],
        "counts": count_findings(change.findings) | {"entries": change.entry_count, "files": len(change.files)},
        "changed_files": paths if result.written else [],
        "would_change": paths if dry_run else [],
        "dry_run": dry_run,
        "settled": _recovery_to_json(result.settled),
        "diff": diff_text,
    }

    def print_text(page: Page) -> None:
        _print_recovery(page, result.settled)
        page.findings(change.findings)
        for line in (diff_text or "").splitlines():
            page.line(line)
        if change.refused:
            page.line("refused: nothing changed", style="bold red")
        elif paths:
            page.line(f"{'would change' if dry_run else 'changed'}: {', '.join(paths)}")
        else:
            page.line("nothing to change")

    reporter.print_result(document, change.findings, print_text)
    return ExitCode.REFUSED if change.refused else ExitCode.FINE


def _format_diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Return the unified diff of a file, for `git apply`; None is a file that does not exist."""
    old, new = ((data or b"").decode("utf-8").splitlines(keepends=True) for data in (before, after))
    names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    # `git apply` needs the note about a missing newline.
    lines = difflib.unified_diff(old, new, *names)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@command(
    "list",
    ("entries list", "list every entry with its file and status"),
    ("entries list --type abilities --json", "the entries of a family, with their values"),
)
@click.option("--type", "name", metavar="TYPE", help="Only entries of a type or a family.")
def list_command(reporter: Reporter, name: str | None) -> int:
    """List registry entries.

    Shows the type, key, status, location and description of each entry; as JSON with all values. `entries check`
    reports problems. A change that was interrupted is first finished or undone.
    """
    library, recovery = recover_and_read_library(find_repository(reporter.settings.repo))
    if name is not None and name not in FAMILIES:
        find_type(library, name)
    order = {type_name: number for number, type_name in enumerate(library.schemas.types)}
    entries = [entry for entry in library.entries if name in (None, entry.type.name, entry.type.family)]
    entries.sort(key=lambda entry: (order[entry.type.name], entry.key, entry.path))

    def print_text(page: Page) -> None:
        _print_recovery(page, recovery)
        if not entries:
            page.line("there are no entries; `registry-pipeline entries add` writes the first")
            return
        columns = [Column("type"), Column("key"), Column("status"), Column("location"), Column("", below=True)]
        page.table(columns, map(_format_row, entries))

    records = [_entry_to_json(entry) for entry in entries]
    document = {"records": records, "count": len(records), "settled": _recovery_to_json(recovery)}
    reporter.print_result(document, (), print_text)
    return 0


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    names = {"type": entry.type.name, "key": entry.key}
    return names | {"path": entry.path, "location": entry.location(), "value": dict(entry.value)}


def _format_row(entry: Entry) -> list[str]:
    status = str(entry.value.get("status", ""))
    return [entry.type.name, entry.key, status, f"{entry.path}:{entry.location()}", entry.text]


@command(
    "check",
    ("entries check", "failures and warnings"),
    ("entries check --all --json", "also what is only recorded, as JSON"),
    ("entries check --fail-on warning", "exit 4 if there is a warning"),
)
@click.option("--all", "show_all", is_flag=True, help="Show also what is only recorded (EN032).")
@fail_on_option("warning")
def check_command(reporter: Reporter, show_all: bool, fail_on: tuple[str, ...]) -> int:
    """Check all registry entries.

    Checks the schema of each entry, the rules between the registries, active overrides (EN090), and whether the
    generated documents are current (EN070). Exits 3 on any failure, or if a file of entries in the commit at HEAD is
    missing; exits 7 if git cannot read the repository. An interrupted change is finished or undone first.
    """
    repository = find_repository(reporter.settings.repo)
    library, findings, recovery = check_entries(repository)
    shown = [finding for finding in findings if show_all or finding.severity is not Severity.INFO]
    counts = count_findings(findings) | {"entries": len(library.entries), "files": len(library.files)}
    verdict = verdict_of(findings)
    document = {
        "schema_version": _SCHEMA_VERSION,
        "verdict": verdict,
        "findings": [finding.to_json() for finding in shown],
        "counts": counts,
        "settled": _recovery_to_json(recovery),
    }

    def print_text(page: Page) -> None:
        _print_recovery(page, recovery)
        page.findings(shown)
        summary = "{entries} entries in {files} files; {errors} failures, {warnings} warnings, {infos} recorded only"
        page.line(f"{verdict}: {summary.format(**counts)}", style="bold red" if verdict == "fail" else "bold green")

    conditions = check_conditions(fail_on, findings)
    checked = dict.fromkeys(library.files, "")
    reporter.print_result(document, shown, print_text, conditions=conditions, checked=checked)
    return combine_exit_codes([exit_code_of(findings), ExitCode.FAIL_ON * has_failed(conditions)])


_TYPE: Final = '{"id": "gauge", "description": "Reads one gauge."}'
_HOOK: Final = '{"id": "tidy", "description": "Tidies up.", "event_type": "SessionStop"}'


@command(
    "add",
    (f"entries add --type module_type --entry-json '{_TYPE}'", "add one entry"),
    (f"entries add --type hook --entry-json '{_HOOK}' --dry-run --diff", "show what would change"),
)
@click.argument("sources", metavar="[-]", nargs=-1)
@click.option("--type", "types", metavar="TYPE", multiple=True, help="The exact type, or a family: modules, routes, …")
@click.option("--entry-file", "files", metavar="FILE", multiple=True, help="A YAML or JSON file; - is standard input.")
@click.option("--entry-json", "texts", metavar="JSON", multiple=True, help="The entry itself; - is standard input.")
@click.option("--update", is_flag=True, help="Replace an entry that has this key and differs.")
@click.option("--dry-run", is_flag=True, help="Check and report; write nothing.")
@click.option("--diff", is_flag=True, help="Show what changes in the files.")
@click.option("--no-check", is_flag=True, help="Write despite failures between registries; the override is recorded.")
@click.option("--approved-by", metavar="NAME", help="Who approved a lifecycle of RELEASED, SUNSET or REMOVED.")
@click.option("--actor", metavar="NAME", help="Who overrides; default: the environment's, git's, or the login name.")
def add_command(  # noqa: PLR0913 - the options of a command
    reporter: Reporter,
    *,
    sources: tuple[str, ...],
    types: tuple[str, ...],
    files: tuple[str, ...],
    texts: tuple[str, ...],
    update: bool,
    dry_run: bool,
    diff: bool,
    no_check: bool,
    approved_by: str | None,
    actor: str | None,
) -> int:
    """Add or update entries.

    Entries are checked against their schemas and, in the state after the write, against the rules between the
    registries. A failure writes nothing (exit 5). Several entries are one change over all their files: give a YAML
    list, several documents or several options; without --type, a mapping of types to lists of entries. Other lines
    keep every byte, and an entry that exists already changes nothing.
    """
    if any(source != "-" for source in sources) or len(sources) > 1:
        raise click.UsageError(
            f"{sources[0]!r}: name a file with --entry-file; the only argument is - (standard input)"
        )
    if approved_by is not None and not approved_by.strip():
        raise click.UsageError("--approved-by needs a name")
    repository = find_repository(reporter.settings.repo)
    given = read_given_entries(types, (*files, *sources), texts, Path.cwd())
    request = ChangeRequest(find_actor(actor, repository.root), reporter.settings.now, update, no_check, approved_by)
    result = add_entries(repository, given, request, dry_run=dry_run)
    return _print_write_result(reporter, result, diff=diff, dry_run=dry_run)


@command(
    "remove",
    ("entries remove module_interface heights_by_station", "remove one entry"),
    (
        "entries remove ability_high heights.explain route series.heights --dry-run --diff",
        "show the removal of two entries in one change",
    ),
)
@click.argument("names", metavar="TYPE KEY...", nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="Check and report; write nothing.")
@click.option("--diff", is_flag=True, help="Show what changes in the files.")
def remove_command(reporter: Reporter, names: tuple[str, ...], dry_run: bool, diff: bool) -> int:
    """Remove entries.

    Name each entry by its type and its key, which is `scope.topic` for a route. An entry to which others refer is not
    removed (exit 5), and every reference is listed; referrers may be removed in the same call. A file that contains
    nothing else, as that of a hook, is deleted.
    """
    if len(names) % 2:
        raise click.UsageError("name each entry by its type and its key")
    repository = find_repository(reporter.settings.repo)
    result = remove_entries(repository, list(zip(names[::2], names[1::2], strict=True)), dry_run=dry_run)
    return _print_write_result(reporter, result, diff=diff, dry_run=dry_run)


@command("rules", ("entries rules", "when A changes, check B: by code"), ("entries rules --json", "the same as JSON"))
def rules_command(reporter: Reporter) -> int:
    """Print the rules between the registries.

    For each code: what changes, what is checked then, and whether a violation refuses the write, is a warning, or is
    only recorded. `explain CODE` explains a code. The repository's registry_coordination.md is generated from the
    same table.
    """

    def print_text(page: Page) -> None:
        columns = [Column("code"), Column("when this changes"), Column("check that"), Column("a violation is")]
        page.table(columns, ([rule.code, rule.when, rule.check, rule.violation] for rule in RULES))

    rows = [asdict(rule) | {"severity": CODES[rule.code].severity} for rule in RULES]
    reporter.print_result({"rules": rows}, (), print_text)
    return 0


# A JSON escape; group 1 is longer than one character for a surrogate pair.
_ESCAPE: Final = re.compile(rb"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|.)")


def read_given_entries(
    types: Sequence[str], files: Sequence[str], texts: Sequence[str], folder: Path
) -> tuple[GivenEntry, ...]:
    """Return the entries in files (relative to `folder`) and texts, in their order; "-" is standard input.

    `types` has one type for all sources or one for each; without types each source maps types to lists of entries.

    Raises:
        UsageError: no source is given, or the number of types does not fit (exit 2).
        NotFoundError: a file does not exist (exit 7).
        RefusedError: a source is not YAML, or contains no entry (exit 5).
    """
    sources = [*(_read_file_source(name, folder) for name in files), *map(_make_text_source, texts)]
    if not sources:
        raise click.UsageError("name an entry: --entry-file FILE, --entry-json JSON, or - for standard input")
    if len(types) > 1 and (len(types) != len(sources) or (files and texts)):
        raise click.UsageError(
            "give one --type for all entries, or one for each --entry-file, or for each --entry-json"
        )
    given: list[GivenEntry] = []
    for number, (origin, data) in enumerate(sources):
        for node in _parse_documents(origin, data):
            if types:
                groups = [(types[number] if len(types) > 1 else types[0], node)]
            elif node.kind == "mapping" and all(items.kind == "sequence" for _, items in node.pairs()):
                groups = [(key.value, items) for key, items in node.pairs()]
            else:
                raise click.UsageError(f"give --type, or write {origin} as a mapping of types to lists of entries")
            # A document of a type is an entry or a list of entries.
            for type_name, group in groups:
                items = group.members if group.kind == "sequence" else (group,)
                given += [GivenEntry(type_name, item.value, origin, item) for item in items]
    if not given:
        raise RefusedError("the input contains no entry", "write each entry as a mapping")
    return tuple(given)


def _make_text_source(text: str) -> tuple[str, bytes]:
    """Return the origin and the bytes of a text of `--entry-json`; those of standard input for "-"."""
    return _read_file_source("-", Path()) if text == "-" else ("--entry-json", text.encode("utf-8", "surrogateescape"))


def _read_file_source(name: str, folder: Path) -> tuple[str, bytes]:
    """Return the origin and the bytes of a file, or of standard input for "-"; NotFoundError if it cannot be read."""
    if name == "-":
        return "standard input", sys.stdin.buffer.read()
    try:
        return name, (folder / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}", "name one that exists, or - for standard input") from None
    except OSError as error:
        raise NotFoundError(f"{name} cannot be read: {error.strerror}", "name a file that can be read") from None


def _parse_documents(origin: str, data: bytes) -> list[YamlNode]:
    """Return the YAML or JSON documents of a source that are not null; raise RefusedError if it is not valid."""
    # JSON is parsed as YAML, so that findings have a line and a column.
    try:
        return [node for node in parse_yaml(_join_surrogates(data)) if node.value is not None]
    except StrictYamlError as error:
        raise RefusedError(f"{origin}:{error.location}: {error}", "correct the input; nothing changed") from None


def _join_surrogates(data: bytes) -> bytes:
    """Return JSON with one YAML escape for each surrogate pair, its only syntax that is not YAML; else `data`."""
    if b"\\ud" not in data.lower():
        return data
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return data  # not JSON: the YAML parser decides
    return _ESCAPE.sub(_join_surrogate_pair, data)


def _join_surrogate_pair(match: re.Match[bytes]) -> bytes:
    return match[0] if len(match[1]) == 1 else b"\\U%08x" % ord(json.loads(b'"%s"' % match[0]))
