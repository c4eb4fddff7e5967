"""`diff`: show the differences between two sealed runs, by path and by record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.completion import complete_registry, complete_run
from registry_pipeline.cli.group import command
from registry_pipeline.cli.page_output import (
    HTML,
    make_temporary_file,
    open_in_browser,
    page_options,
    refuse_contradiction,
)
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.cli.run_argument import find_named_run, find_repository_for
from registry_pipeline.config import Repository
from registry_pipeline.files.atomic_write import overwrite_file, refuse_missing_folder
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.diff import (
    ArtifactDiff,
    FieldChange,
    RunDiff,
    compare_runs,
    count_fields,
    find_key_text,
    find_pair,
    find_registry_of_run,
    order_by_rarity,
)
from registry_pipeline.pipeline.page_folder import refuse_evidence
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.registries.catalog import catalog_of

_MAX_LINES: Final = 20
_MAX_VALUE: Final = 60
_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


@command(
    "diff",
    ("diff active --registry run_registry", "the active run and the run before it"),
    ("diff 2026-01-14 active", "a run and the active run of its registry"),
    ("diff latest --registry drift_signals --json", "the newest run and the active one, in full"),
    ("diff active --registry run_registry -o diff.html", "also as a page for the browser"),
)
@click.argument("first", metavar="A", shell_complete=complete_run)
@click.argument("second", metavar="[B]", required=False, shell_complete=complete_run)
@click.option(
    "--registry",
    "registry_id",
    metavar="REGISTRY",
    shell_complete=complete_registry,
    help="The registry of `active` and `latest`.",
)
@click.option("--own", is_flag=True, help="Of a run registry, also the runs of this tool.")
@page_options(HTML, output_help="Also write a page (.html) to this file.")
def diff_command(
    reporter: Reporter,
    first: str,
    second: str | None,
    registry_id: str | None,
    own: bool,
    page_format: str | None,
    output: Path | None,
    open_page: bool,
) -> int:
    """Show the differences between two runs.

    Lists files added, removed and modified, and their records added, removed and changed by key, field by field. A
    and B are `active`, `active~N`, `latest`, a run id or its beginning, the beginning of a ROOT_SHA256, or a path.
    Without B, A is compared with the active run of its registry, or, if A is active, with the run before it; the
    older run comes first. Both are verified; exits 3 if one does not verify.

    `--format html` prints one page that loads nothing from elsewhere, unless -o or --open writes a file. The page is
    not sealed; --open without -o writes it to a temporary folder. It cuts long lists and says so, as the text does.
    """
    refuse_contradiction(reporter, page_format)
    if output is not None and output.suffix != ".html":
        raise click.UsageError(f"-o writes a page, so its name must end with .html: {output}")
    if output is not None:
        refuse_missing_folder(output)
    names = [first] if second is None else [first, second]
    repository = find_repository_for(reporter, names)
    without_own = None if own or repository is None else repository.config.publish_root
    diff = compare_runs(catalog_of(repository), *_find_runs(repository, names, registry_id), without_own=without_own)
    if output is not None and repository is not None:
        refuse_evidence(repository, output)
    if page_format is not None or output is not None or open_page:
        # Only a page pays for the import.
        from registry_pipeline.pipeline.diff_page import render_diff_page  # noqa: PLC0415

        html = render_diff_page(repository, diff, reporter.settings.now)
        if output is None and not open_page:
            reporter.print_bytes(html)
            return 0
        output = output or make_temporary_file("diff.html")
        overwrite_file(output, html)
    document = {**diff.to_json(), "output": None if output is None else str(output)}
    reporter.print_result(document, (), lambda page: _print_diff(page, diff, output))
    if open_page and output is not None:
        open_in_browser(reporter, output)
    return 0


def _find_runs(
    repository: Repository | None, names: Sequence[str], registry_id: str | None
) -> tuple[FoundRun, FoundRun]:
    """Return the two runs to compare: as named, or the named one and its counterpart, the older run id first."""
    # `active` and `latest` need a registry, which may be that of the other run: they are looked up last.
    runs: dict[int, FoundRun] = {}
    for index in sorted(range(len(names)), key=lambda index: names[index].startswith(("active", "latest"))):
        runs[index] = find_named_run(repository, names[index], registry_id)
        registry_id = registry_id or find_registry_of_run(catalog_of(repository), runs[index])
    if len(names) > 1:
        return runs[0], runs[1]
    if repository is None or registry_id is None:
        raise click.UsageError(f"{runs[0].shown} belongs to no registry here: name the run to compare it with")
    return find_pair(repository, runs[0], registry_id)


def _print_diff(page: Page, diff: RunDiff, output: Path | None) -> None:
    _print_differences(page, diff)
    if output is not None:
        page.line(f"written  {output}")


def _print_differences(page: Page, diff: RunDiff) -> None:
    page.line(diff.registry_id or "a run of no registry", style="bold")
    width = max(len(side.run_id) for side in (diff.before, diff.after))
    for label, side in (("from", diff.before), ("to", diff.after)):
        page.line(f"  {label:<4}  {side.run_id:<{width}}  {short(side.root_sha256)}")
    kinds = (("added", diff.paths.added), ("removed", diff.paths.removed), ("changed", diff.paths.modified))
    if not diff.paths.total:
        page.line("all files are identical")
        return
    page.line(f"files: {', '.join(f'{len(paths)} {kind}' for kind, paths in kinds)}")
    _print_shortened(page, [f"{_SIGNS[kind]} {path}" for kind, paths in kinds for path in paths])
    for artifact in diff.artifacts:
        page.line()
        page.line(_format_heading(artifact), style="bold")
        counts = count_fields(artifact.changed)
        if len(artifact.changed) > 1:
            page.line(f"  changed: {', '.join(f'{field} in {count}' for field, count in sorted(counts.items()))}")
        _print_shortened(page, list(_format_records(artifact)))


def _format_heading(artifact: ArtifactDiff) -> str:
    if artifact.kind == "bytes":
        return f"{artifact.relpath}: the bytes differ"
    if artifact.kind == "object":
        return f"{artifact.relpath}: {len(artifact.fields)} changed"
    counts = f"{len(artifact.added)} added, {len(artifact.removed)} removed, {len(artifact.changed)} changed"
    by = f" by {', '.join(artifact.key)}" if artifact.key else ", whole records"
    own = f"; {plural(artifact.own, 'run')} of this tool left out (--own)" if artifact.own else ""
    return f"{artifact.relpath}{by}: {counts}, {artifact.unchanged} unchanged{own}"


def _format_records(artifact: ArtifactDiff) -> Iterator[str]:
    """Yield a text per added, removed and changed record (its fields on further lines), and per field of an object."""
    for kind, records in (("added", artifact.added), ("removed", artifact.removed)):
        for record in records:
            key = record if not artifact.key else {name: record[name] for name in artifact.key}
            yield f"{_SIGNS[kind]} {_format_key(key)}"
    for changed in order_by_rarity(artifact.changed):
        yield "\n    ".join([f"~ {_format_key(changed.key)}", *_shorten(_format_fields(changed.fields))])
    yield from _format_fields(artifact.fields)


def _format_fields(fields: Sequence[FieldChange]) -> list[str]:
    width = max((len(field.field) for field in fields), default=0)
    return [f"{_SIGNS[field.change]} {field.field:<{width}}  {_format_change(field)}" for field in fields]


def _format_change(field: FieldChange) -> str:
    if field.change == "changed":
        return f"{_format_value(field.before)} -> {_format_value(field.after)}"
    return _format_value(field.after if field.change == "added" else field.before)


def _format_key(key: Any) -> str:
    return find_key_text(key) or _format_value(key)


def _format_value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"


def _print_shortened(page: Page, entries: Sequence[str]) -> None:
    for entry in _shorten(entries):
        for line in entry.split("\n"):
            page.line(f"  {line}")


def _shorten(entries: Sequence[str]) -> list[str]:
    """Return the first entries, and a line that counts the rest if there are more than `_MAX_LINES`."""
    rest = len(entries) - _MAX_LINES
    return [*entries[:_MAX_LINES], *([f"… and {rest} more; --json shows all"] if rest > 0 else [])]
