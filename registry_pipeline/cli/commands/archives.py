"""`export` and `import`: pack run folders into a verified archive, and bring them back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import click

from registry_pipeline.cli.completion import complete_run
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, exit_code_of
from registry_pipeline.cli.group import command
from registry_pipeline.cli.param_types import Age
from registry_pipeline.cli.reporter import Page, Reporter, draw_progress
from registry_pipeline.cli.run_argument import find_named_run
from registry_pipeline.config import ARCHIVE_SUFFIXES, CONFIG_NAME, Repository, find_repository
from registry_pipeline.findings.finding import Finding, Severity, plural
from registry_pipeline.pipeline.export import Export, Selection, export_runs, select_named_runs, select_old_runs
from registry_pipeline.pipeline.import_runs import IMPORT_STATES, Import, import_archive
from registry_pipeline.registries.catalog import catalog_of

_MAX_FOLDERS: Final = 20
# Errors of a request that is refused although nothing is invalid.
_REFUSALS: Final = frozenset(
    {"EXPORT_NOT_SEALED", "EXPORT_RUN_NEEDED", "ARCHIVE_OUTSIDE_ROOTS", "IMPORT_RECORD", "IMPORT_RUN_EXISTS"}
)


def _refuse_other_suffix(_ctx: click.Context, _param: click.Parameter, value: Path) -> Path:
    if not value.name.endswith(ARCHIVE_SUFFIXES) or value.name in ARCHIVE_SUFFIXES:
        raise click.UsageError(f"{os.fspath(value)!r} does not end in {', '.join(ARCHIVE_SUFFIXES)}")
    return value


@command(
    "export",
    ("export --older-than 90 archives/2025.tar.gz", "the sealed runs of more than 90 days ago"),
    ("export --older-than 2026-06-01 --registry run_registry old.tar", "those of one registry, by date"),
    ("export 2025-01-10__000000__survey one.tar.gz", "one run by its id"),
)
@click.argument("names", metavar="[RUN|PATH]...", nargs=-1, shell_complete=complete_run)
@click.argument("archive", metavar="FILE", type=click.Path(path_type=Path), callback=_refuse_other_suffix)
@click.option("--older-than", metavar="DAYS|DATE", type=Age(), help="Sealed runs of so many days ago, or before a day.")
@click.option("--registry", "registries", metavar="REGISTRY", multiple=True, help="With --older-than: only its runs.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Number of processes; default: one per processor.")
def export_command(
    reporter: Reporter,
    names: tuple[str, ...],
    archive: Path,
    older_than: datetime | timedelta | None,
    registries: tuple[str, ...],
    jobs: int | None,
) -> int:
    """Pack run folders into a verified archive.

    Every folder is verified, and FILE (.tar.gz, .tgz or .tar) is read back and verified before it gets its name. It is
    complete or does not exist, and never replaces a file. The same folders give the same bytes. Nothing is deleted:
    the command prints which folders their owner may remove, and how to check before.

    With --older-than the time in run.json decides. Left out are runs without a seal, and those that must stay folders:
    activation records, active runs, the runs that these were built from or replaced, the newest run of each registry
    and day, what the delta log still reads, and folders that do not verify. If such a run is named, nothing is written.
    Exits 3 if a folder does not verify, even though the others were exported; 5 if a run or FILE is refused; 7 if there
    is nothing to export.
    """
    if bool(names) == (older_than is not None):
        raise click.UsageError("name runs, or add --older-than")
    if registries and older_than is None:
        raise click.UsageError("--registry needs --older-than")
    repository = find_repository(reporter.settings.repo)
    selection = _select(reporter, repository, names, older_than, registries)
    with ExitStack() as bars:

        def start(step: str, total: int) -> Callable[[int], None]:
            bars.pop_all().close()
            return bars.enter_context(draw_progress(reporter, step, total)).set_done

        result = export_runs(repository, selection, archive, jobs=jobs or os.cpu_count() or 1, on_step=start)
    reporter.print_result(
        result.to_json(), result.findings, lambda page: _print_export(page, repository, result, archive)
    )
    return _find_exit_code(result.findings)


def _select(
    reporter: Reporter,
    repository: Repository,
    names: Sequence[str],
    older_than: datetime | timedelta | None,
    registries: Sequence[str],
) -> Selection:
    if older_than is None:
        return select_named_runs(repository, [find_named_run(repository, name) for name in names])
    before = reporter.settings.now - older_than if isinstance(older_than, timedelta) else older_than
    return select_old_runs(
        repository, before, {catalog_of(repository).spec_of(name).registry_id for name in registries}
    )


def _print_export(page: Page, repository: Repository, result: Export, archive: Path) -> None:
    page.findings(result.findings)
    for reason, number in sorted(result.left_out.items()):
        page.line(f"left out  {plural(number, 'run')}: {reason}")
    if result.path is None:
        page.line("refused: nothing was written", style="bold red")
        return
    page.line(
        f"exported  {plural(len(result.runs), 'run')}, {result.bytes} bytes, sha256 {result.sha256}", style="bold"
    )
    inside = _find_path_inside(repository, archive)
    where = "" if inside is not None else f"move it into {repository.root}, and "
    page.line(f"next: {page.settings.format_command('import', '--dry-run', str(archive))}")
    page.line(
        f"    compares every folder with the archive; then {where}write in {CONFIG_NAME}, which keeps the runs listed:"
    )
    page.line(f'    archives = ["{inside or archive.name}"]')
    page.line("removable after that, by their owner; nothing was deleted:")
    for line in _list_folders(page, [run.path for run in result.runs]):
        page.line(f"  {line}")


def _find_path_inside(repository: Repository, archive: Path) -> str | None:
    path = archive.parent.resolve() / archive.name
    return path.relative_to(repository.root).as_posix() if path.is_relative_to(repository.root) else None


def _list_folders(page: Page, paths: Sequence[str]) -> Iterator[str]:
    limit = len(paths) if page.settings.verbosity > 0 else _MAX_FOLDERS
    yield from paths[:limit]
    if len(paths) > limit:
        yield f"and {len(paths) - limit} more (--verbose lists all)"


@command(
    "import",
    ("import archives/2025.tar.gz", "bring its run folders back"),
    ("import --dry-run archives/2025.tar.gz", "compare the archive with the folders that exist"),
)
@click.argument("archive", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Verify and compare, and write nothing.")
def import_command(reporter: Reporter, archive: Path, dry_run: bool) -> int:
    """Bring the run folders of an archive back.

    Every run of FILE is verified first. A folder that exists with the same root is skipped, one with another content
    is refused. Also refused are links, devices, paths that lead out of the archive, folders in no run root, and
    activation records. If anything is refused, nothing is written. Each folder appears complete and read-only, or
    not at all. Exits 3 if the archive or a run in it is invalid, 5 if a folder is refused, 7 if FILE is no archive or
    could not be unpacked.
    """
    repository = find_repository(reporter.settings.repo)
    result = import_archive(repository, archive, write=not dry_run)
    reporter.print_result(
        {"dry_run": dry_run, **result.to_json()}, result.findings, lambda page: _print_import(page, result)
    )
    return _find_exit_code(result.findings)


def _print_import(page: Page, result: Import) -> None:
    page.findings(result.findings)
    if result.refused:
        page.line("refused: nothing was written", style="bold red")
        return
    for state in IMPORT_STATES:
        paths = [run.path for run in result.runs if run.state == state]
        for line in _list_folders(page, paths):
            page.line(f"{state:<10}  {line}")
    counts = Counter(run.state for run in result.runs)
    parts = (
        *([f"{plural(counts['importable'], 'run')} can be imported"] if counts["importable"] else []),
        *([f"{plural(counts['imported'], 'run')} imported"] if counts["imported"] else []),
        *([f"{plural(counts['exists'], 'run')} with the same root already there"] if counts["exists"] else []),
        *([] if counts["imported"] else ["nothing was written"]),
    )
    page.line("; ".join(parts), style="bold")


def _find_exit_code(findings: Iterable[Finding]) -> int:
    """Return 3 or 7 for findings about evidence, 5 if the request is refused; the usual rule decides between them."""
    listed = tuple(findings)
    refused = any(found.code in _REFUSALS and found.severity is Severity.ERROR for found in listed)
    evidence = exit_code_of(found for found in listed if found.code not in _REFUSALS)
    return combine_exit_codes([evidence, ExitCode.REFUSED * refused])
