"""`init` makes a repository a governed one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import CONFIG_NAME, Config, Repository, load_repository
from registry_pipeline.errors import BusyError, NotFoundError
from registry_pipeline.files.atomic_write import create_file, read_own_file, replace_file
from registry_pipeline.files.durable import cannot_write, make_folders
from registry_pipeline.git.first_parent import read_first_commit_day
from registry_pipeline.git.repository import is_tracked, read_top_level
from registry_pipeline.pipeline.init_templates import (
    COVERAGE_ADDENDUM_PATH,
    OPERATIONS_ADDENDUM_PATH,
    layer_attributes,
    layer_coverage_addendum,
    layer_ignores,
    layer_operations_addendum,
    log_attributes,
    log_ignores,
)
from registry_pipeline.pointers.new_pointer_file import empty_pointer_file, pointer_file_bytes
from registry_pipeline.registries.base.seal_build import refuse_linked_publish_root
from registry_pipeline.values import value_type

_HEAD: Final = """\
# What registry-pipeline reads and writes here. Every key is optional; paths are relative to this file.
# Run folders are looked for in .codex/RUNS, reports/runs and reports/path1/evidence/runs; to name others:
# run_roots = [".codex/RUNS", "runs"]
"""


@value_type
class InitOutcome:
    """What `init` wrote, as repository-relative paths in the order of writing; unchanged files are not listed."""

    repository: Repository
    created: tuple[str, ...]


def initialize(root: Path, *, track_runs: bool, now: datetime) -> InitOutcome:
    """Make `root` a governed repository: toml, publish root, pointer file, addenda, git's line-end and ignore rules.

    What exists stays as it is, but for missing lines: of git's rules, and the `repository_id` of a toml without one.
    A second call changes nothing.

    Raises:
        NotFoundError: `root` is not a folder, or git cannot read it (exit 7).
        BusyError: a file of git was edited meanwhile (exit 6).
        RefusedError: publish_root lies behind a link, or a rule file of git is a link (exit 5).
        WriteError, DurabilityError: the disk refused (exit 1).
    """
    if not root.is_dir():
        raise NotFoundError(f"{root} is not a folder", "make it first, or name another with -C")
    refuse_linked_publish_root(load_repository(root))
    created: list[str] = []
    # Git is asked before anything is written: a repository that it cannot read is left as it is.
    state = _read_git(load_repository(root), track_runs=track_runs)
    if not (root / CONFIG_NAME).exists():
        created += _write_config(root.resolve(), state)
    repository = load_repository(root)
    if repository.config.repository_id is None:
        _add_repository_id(repository.root / CONFIG_NAME)
        repository = load_repository(root)
        created.append(CONFIG_NAME)
    created += _make_store(repository, now)
    if state.is_checkout:
        created += _write_git_rules(repository, state)
    return InitOutcome(repository, tuple(dict.fromkeys(created)))


@value_type
class _Git:
    """What `init` needs from git; `tracks_runs` if git tracks run folders and pointer file, or is to."""

    is_checkout: bool
    first_day: date | None
    tracks_runs: bool


def _read_git(repository: Repository, *, track_runs: bool) -> _Git:
    paths = (repository.config.publish_root, repository.config.pointers)
    return _Git(
        is_checkout=read_top_level(repository.root) is not None,
        first_day=read_first_commit_day(repository.root),
        # A clone that gets one without the other has pointers without evidence, or evidence that nothing names.
        tracks_runs=track_runs or any(is_tracked(repository.root, path) for path in paths),
    )


def _write_config(root: Path, state: _Git) -> list[str]:
    default = load_repository(root).config
    created = [CONFIG_NAME]
    for path, text in (
        (OPERATIONS_ADDENDUM_PATH, layer_operations_addendum()),
        (COVERAGE_ADDENDUM_PATH, layer_coverage_addendum()),
    ):
        if _write_new(root, path, text):
            created.append(path)
    _write_new(root, CONFIG_NAME, _config_text(root, default, state.first_day))
    return created


def _config_text(root: Path, default: Config, first_day: date | None) -> str:
    """Return a toml text that names only documents that exist, and the addenda."""
    catalogs = (*_existing(root, default.operations_catalog), OPERATIONS_ADDENDUM_PATH)
    matrices = (*_existing(root, default.coverage_matrix), COVERAGE_ADDENDUM_PATH)
    lines = [
        _HEAD,
        _repository_id_line(),
        f'publish_root = "{default.publish_root}"',
        f'pointers = "{default.pointers}"',
        f"operations_catalog = {_array(catalogs)}",
        f"coverage_matrix = {_array(matrices)}",
    ]
    for key, path in (
        ("expected_versions", default.expected_versions),
        ("envelope_standard", default.envelope_standard),
    ):
        lines += [f'{key} = "{found}"' for found in _existing(root, (path,))]
    thresholds = _existing(root, default.threshold_sources)
    lines += [f"threshold_sources = {_array(thresholds)}"] if thresholds else []
    lines += [f"history_start = {first_day.isoformat()}"] if first_day is not None else []
    return "\n".join(lines) + "\n"


def _repository_id_line() -> str:
    """Return a toml line with a new id: random, so that no two repositories get the same one."""
    return f'repository_id = "{uuid.uuid4()}"'


def _add_repository_id(path: Path) -> None:
    """Put a new id before the first line: there it is a top-level key, whatever tables the file has."""
    target = path.resolve()  # a linked file is changed where it lies, and stays a link
    data = target.read_bytes()
    line_end = b"\r\n" if data.partition(b"\n")[0].endswith(b"\r") else b"\n"
    temporary = target.with_name(f"{target.name}.tmp")
    temporary.write_bytes(_repository_id_line().encode() + line_end + data)
    shutil.copymode(target, temporary)
    temporary.replace(target)


def _array(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def _existing(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if (root / path).exists())


def _make_store(repository: Repository, now: datetime) -> list[str]:
    created: list[str] = []
    if not repository.publish_root.is_dir():
        try:
            make_folders(repository.publish_root)
        except OSError as error:
            raise cannot_write(repository.publish_root, error) from None
        created.append(f"{repository.config.publish_root}/")
    text = pointer_file_bytes(empty_pointer_file(utc_text(now))).decode("ascii")
    if _write_new(repository.root, repository.config.pointers, text):
        created.append(repository.config.pointers)
    return created


def _write_git_rules(repository: Repository, state: _Git) -> list[str]:
    publish_root, pointers = repository.config.publish_root, repository.config.pointers
    ignored = layer_ignores(publish_root, pointers, track_runs=state.tracks_runs)
    index = repository.config.run_index
    logs = (index.path, index.overrides)  # there or not: the first append writes no git rules
    rules = {
        ".gitattributes": (*layer_attributes(publish_root, pointers), *log_attributes(logs)),
        ".gitignore": (*ignored, *log_ignores(logs)),
    }
    return [name for name, lines in rules.items() if _append_lines(repository.root / name, lines)]


def _append_lines(path: Path, lines: Iterable[str]) -> bool:
    """Append the lines that the file lacks; return whether there were any."""
    before = read_own_file(path)
    text = before or b""
    present = {line.strip() for line in text.decode("utf-8", "surrogateescape").splitlines()}
    missing = [line for line in lines if line not in present]
    if not missing:
        return False
    glue = b"" if not text or text.endswith(b"\n") else b"\n"
    after = text + glue + "".join(f"{line}\n" for line in missing).encode()
    replace_file(path, after, None if before is None else sha256_hex(before))
    return True


def _write_new(root: Path, relative: str, text: str) -> bool:
    """Create a file where there is none, not even a link; return False if another `init` has just created it."""
    path = root / relative
    if os.path.lexists(path):
        return False
    try:
        create_file(path, text.encode())
    except BusyError:
        return False
    return True
