"""`init` makes a repository a governed one; `example` makes a whole one to look at (SPEC 1 and 8)."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from registry_pipeline.activate.pointer_file import empty_pointer_file, pointer_file_bytes
from registry_pipeline.canon import utc_text
from registry_pipeline.config import CONFIG_NAME, Config, Governed, load_governed
from registry_pipeline.errors import NotFoundError
from registry_pipeline.model.layer import (
    COVERAGE_ADDENDUM_PATH,
    OPERATIONS_ADDENDUM_PATH,
    layer_attributes,
    layer_coverage_addendum,
    layer_ignores,
    layer_operations_addendum,
    log_attributes,
    log_ignores,
)
from registry_pipeline.sources.git import is_tracked, read_top_level
from registry_pipeline.sources.history import read_first_commit_day

_HEAD: Final = """\
# What registry-pipeline reads and writes here. Every key is optional; paths are relative to this file.
# Run folders are looked for in .codex/RUNS, reports/runs and reports/path1/evidence/runs; to name others:
# run_roots = [".codex/RUNS", "runs"]
"""


@dataclass(frozen=True, slots=True)
class InitOutcome:
    """What `init` wrote, as repository-relative paths in the order of writing; unchanged files are not listed."""

    governed: Governed
    created: tuple[str, ...]


def initialise(root: Path, *, track_runs: bool, now: datetime) -> InitOutcome:
    """Make `root` a governed repository: toml, publish root, pointer file, addenda, git's line-end and ignore rules.

    What exists stays as it is, but for missing lines: of git's rules, and the `repository_id` of a toml without one.
    A second call changes nothing.

    Raises:
        NotFoundError: `root` is not a folder, or cannot be written.
    """
    if not root.is_dir():
        raise NotFoundError(f"{root} is not a folder", "make it first, or name another with -C")
    created: list[str] = []
    try:
        if not (root / CONFIG_NAME).exists():
            created += _write_config(root.resolve())
        governed = load_governed(root)
        if governed.config.repository_id is None:
            _add_repository_id(governed.root / CONFIG_NAME)
            governed = load_governed(root)
            created.append(CONFIG_NAME)
        created += _make_store(governed, now)
        if read_top_level(governed.root) is not None:
            created += _write_git_rules(governed, track_runs=track_runs)
    except OSError as error:
        raise NotFoundError(f"{error.filename} cannot be written: {error.strerror}", "mend its permissions") from None
    return InitOutcome(governed, tuple(dict.fromkeys(created)))


def _write_config(root: Path) -> list[str]:
    default = load_governed(root).config
    created = [CONFIG_NAME]
    for path, text in (
        (OPERATIONS_ADDENDUM_PATH, layer_operations_addendum()),
        (COVERAGE_ADDENDUM_PATH, layer_coverage_addendum()),
    ):
        if _write_new(root, path, text):
            created.append(path)
    (root / CONFIG_NAME).write_text(_config_text(root, default), encoding="utf-8")
    return created


def _config_text(root: Path, default: Config) -> str:
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
    first_day = read_first_commit_day(root)
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


def _make_store(governed: Governed, now: datetime) -> list[str]:
    created: list[str] = []
    if not governed.publish_root.is_dir():
        governed.publish_root.mkdir(parents=True)
        created.append(f"{governed.config.publish_root}/")
    text = pointer_file_bytes(empty_pointer_file(utc_text(now))).decode("ascii")
    if _write_new(governed.root, governed.config.pointers, text):
        created.append(governed.config.pointers)
    return created


def _write_git_rules(governed: Governed, *, track_runs: bool) -> list[str]:
    publish_root, pointers = governed.config.publish_root, governed.config.pointers
    kept = {path: track_runs or is_tracked(governed.root, path) for path in (publish_root, pointers)}
    ignored = layer_ignores(publish_root, pointers, track_runs=False)
    index = governed.config.run_index
    logs = (index.path, index.overrides)  # there or not: the first append writes no git rules
    rules = {
        ".gitattributes": (*layer_attributes(publish_root, pointers), *log_attributes(logs)),
        ".gitignore": (*(line for line in ignored if not kept.get(line.strip("/"), False)), *log_ignores(logs)),
    }
    return [name for name, lines in rules.items() if _append_lines(governed.root / name, lines)]


def _append_lines(path: Path, lines: Iterable[str]) -> bool:
    """Append the lines that the file lacks; tell whether there were any."""
    before = path.read_bytes() if path.exists() else b""
    there = {line.strip() for line in before.decode("utf-8", "surrogateescape").splitlines()}
    missing = [line for line in lines if line not in there]
    if not missing:
        return False
    glue = b"" if not before or before.endswith(b"\n") else b"\n"
    with path.open("ab") as file:
        file.write(glue + "".join(f"{line}\n" for line in missing).encode())
    return True


def _write_new(root: Path, relative: str, text: str) -> bool:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123 - an open descriptor
        file.write(text)
    return True
