"""`init` makes a repository a governed one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from registry_pipeline.activate.pointer_file import empty_pointer_file, pointer_file_bytes
from registry_pipeline.canon import sha256_hex, utc_text
from registry_pipeline.config import CONFIG_NAME, Config, Governed, load_governed
from registry_pipeline.errors import BusyError, NotFoundError
from registry_pipeline.files.atomic_write import create_file, read_own_file, replace_file
from registry_pipeline.files.durable import cannot_write, make_folders
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
    """What `init` made, as repository-relative paths in the order of making; nothing that was there is listed."""

    governed: Governed
    created: tuple[str, ...]


def initialise(root: Path, *, track_runs: bool, now: datetime) -> InitOutcome:
    """Make `root` a governed repository: toml, publish root, pointer file, addenda, git's line-end and ignore rules.

    Files that exist stay as they are, apart from lines added to the two files of git; a second call changes nothing.

    Raises:
        NotFoundError: `root` is not a folder (exit 7).
        BusyError: a file of git was edited meanwhile (exit 6). RefusedError: it is a link (exit 5).
        WriteError: a file cannot be written (exit 1).
    """
    if not root.is_dir():
        raise NotFoundError(f"{root} is not a folder", "make it first, or name another with -C")
    created: list[str] = []
    if not (root / CONFIG_NAME).exists():
        created += _write_config(root.resolve())
    governed = load_governed(root)
    created += _make_store(governed, now)
    if read_top_level(governed.root) is not None:
        created += _write_git_rules(governed, track_runs=track_runs)
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
    _write_new(root, CONFIG_NAME, _config_text(root, default))
    return created


def _config_text(root: Path, default: Config) -> str:
    """Return a toml text that names only documents that exist, and the addenda."""
    catalogs = (*_existing(root, default.operations_catalog), OPERATIONS_ADDENDUM_PATH)
    matrices = (*_existing(root, default.coverage_matrix), COVERAGE_ADDENDUM_PATH)
    lines = [
        _HEAD,
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


def _array(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def _existing(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if (root / path).exists())


def _make_store(governed: Governed, now: datetime) -> list[str]:
    created: list[str] = []
    if not governed.publish_root.is_dir():
        try:
            make_folders(governed.publish_root)
        except OSError as error:
            raise cannot_write(governed.publish_root, error) from None
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
    """Create a file; return False if it exists, or another `init` has just created it."""
    path = root / relative
    if path.exists():
        return False
    try:
        create_file(path, text.encode())
    except BusyError:
        return False
    return True
