"""`report --watch`: write unsealed pages again whenever a pointer or the name of a run folder changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from registry_pipeline.cli.page_output import open_in_browser
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.cli.settings import read_system_clock
from registry_pipeline.config import CONFIG_NAME, Repository, find_repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.files.atomic_write import overwrite_file
from registry_pipeline.pipeline.page_folder import write_pages
from registry_pipeline.pipeline.pages import HISTORY, INDEX, describe_unsealed, render_pages, render_unavailable_page
from registry_pipeline.pipeline.rebuild import read_report
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.system_health.page import render_health_page
from registry_pipeline.registries.system_health.template import format_time
from registry_pipeline.runs.scan import list_run_folder_names

wait = time.sleep
"""Waits for some seconds; tests replace it."""


def watch_report(reporter: Reporter, folder: Path | None, output: Path | None, every: int, *, open_page: bool) -> int:
    """Write the pages to the folder, or the page to the file, now and after every change; return 0 on Ctrl-C.

    Raises as `write_pages` and `overwrite_file`.
    """
    started, now, seen = read_system_clock(), reporter.settings.now, ""
    try:
        while True:
            seen, pages = _render_if_changed(reporter, seen, now, has_folder=folder is not None)
            if pages:
                if folder is not None:
                    write_pages(folder, pages, keep_others=HISTORY not in pages)
                elif output is not None:
                    overwrite_file(output, pages[INDEX])
                path = output or Path(folder or "") / INDEX
                reporter.note(f"written     {path} at {format_time(now)}  (Ctrl-C ends)")
                if open_page:
                    open_in_browser(reporter, path)
                    open_page = False
            wait(every)
            # A clock that `--now` sets runs on.
            now = reporter.settings.now + (read_system_clock() - started)
    except KeyboardInterrupt:
        return 0


def _render_if_changed(
    reporter: Reporter, seen: str, now: datetime, *, has_folder: bool
) -> tuple[str, Mapping[str, bytes]]:
    """Return what the pages depend on, and the pages if that is not what was seen before.

    While no report can be rendered, it is tried each time, and a page with the reason is written once.
    """
    repo = reporter.settings.repo
    try:
        repository = find_repository(repo)
        state = _describe_state(repository, now)
        if state == seen:
            return state, {}
        sources = read_report(repository, start_build_run(repository, now))
        if has_folder:
            return state, render_pages(repository, sources)
        return state, {INDEX: render_health_page(sources.page, unsealed=describe_unsealed(sources))}
    except (RegistryPipelineError, OSError) as error:
        message, advice = str(error), ""
        if isinstance(error, RegistryPipelineError):
            message, advice = error.message, error.advice
        title = (repo or Path.cwd()).resolve().name or "repository"
        failure = f"{message}\n{advice}"
        if failure == seen:
            return seen, {}
        return failure, {INDEX: render_unavailable_page(title, format_time(now), message, advice)}


def _describe_state(repository: Repository, now: datetime) -> str:
    """Return a text that differs after a change of pointers, of configuration, of run folders' names, or of the day."""
    parts = [str(now.date())]
    for path in (repository.path(repository.config.pointers), repository.root / CONFIG_NAME):
        with suppress(FileNotFoundError):
            status = path.stat()
            parts.append(f"{path.name} {status.st_ino} {status.st_size} {status.st_mtime_ns}")
    roots = list_run_folder_names(repository, repository.config.run_roots, lambda root, e: parts.append(f"{root} {e}"))
    return "\n".join([*parts, *(f"{root}/{name}" for root, names in roots for name in names)])
