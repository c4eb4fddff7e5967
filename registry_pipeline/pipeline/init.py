"""Set up a repository: the files that `init` writes, and their texts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import sha256_hex, utc_text
from registry_pipeline.config import CONFIG_NAME, Config, Repository, load_repository
from registry_pipeline.errors import BusyError, NotFoundError
from registry_pipeline.files.atomic_write import create_file, overwrite_file, read_own_file, replace_file
from registry_pipeline.files.durable import make_folders, make_write_error
from registry_pipeline.git.first_parent import read_first_commit_day
from registry_pipeline.git.repository import TEMPORARY_HOMES, is_tracked, read_top_level
from registry_pipeline.registries.base.seal_build import STATE_NAMES, refuse_linked_publish_root
from registry_pipeline.runs.reference import empty_pointer_file, pointer_file_bytes
from registry_pipeline.values import value_type

OPERATIONS_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_OPERATIONS_ADDENDUM_v0_1.md"
COVERAGE_ADDENDUM_PATH: Final = "docs/governance/REGISTRY_LAYER_COVERAGE_ADDENDUM_v0_1.md"
# The git pattern of the temporary files that an atomic write creates beside the file.
TEMPORARY_FILES: Final = ".*.registry-pipeline.tmp"


@value_type
class LayerOperation:
    """One operation of registry-pipeline itself; `level` is its coverage level."""

    operation_id: str
    name: str
    purpose: str
    command: str
    level: str = "C3"


# The addenda are sources of op_status_table: a changed text changes the registries of every repository that runs
# `init` afterwards, and the known answers of the example.
# fmt: off
LAYER_OPERATIONS: Final = (
    LayerOperation("OP-QA07", "Run Registry Build", "List every run folder, one line each.", "build run_registry"),
    LayerOperation(
        "OP-QA08", "Operation Status Table Build",
        "Report for each operation its last run, the evidence of it, its age and its drift.", "build op_status_table"),
    LayerOperation(
        "OP-QA09", "Drift Signals Build",
        "Compare versions, thresholds and the tracked tree with what is expected.", "build drift_signals"),
    LayerOperation(
        "OP-QA10", "System Health Render",
        "Render the health report from the active registries.", "build system_health_report"),
    LayerOperation(
        "OP-QA11", "Registry Delta Log Build",
        "Append what changed between successive sealed snapshots.", "build registry_delta_log"),
    LayerOperation(
        "OP-QA12", "Governance Scorecard Build",
        "Count operations, coverage, executables and registries.", "build governance_scorecard"),
    LayerOperation(
        "OP-QA13", "Captured Snapshot Seal",
        "Seal a copy of a governed document or of what another operation made.", "build expected_versions"),
    LayerOperation(
        "OP-QA14", "Pointer Activation",
        "Record who activated which snapshot, when and why.", "activate REGISTRY RUN --reason TEXT"),
    LayerOperation(
        "OP-QA15", "Role Registry Build", "Seal the role pack and its contract surface.", "build role_registry"),
    LayerOperation(
        "OP-QA16", "Registry Entries Build",
        "Seal the module, route, ability and hook registries.", "build module_registry"),
    LayerOperation("OP-QA17", "Run Index Build", "Seal the run index and the log of overrides.", "build run_index"),
)
# fmt: on
_OPERATIONS_HEAD: Final = """\
# Allowed Operations: Addendum for the Registry Layer

**Version**: 0.1

The operations by which registry-pipeline observes itself. They are added to the base catalog, which they
do not change.

"""
_OPERATION: Final = """\
### {id} — {name}

| Field | Value |
|---|---|
| **Option** | QA |
| **Purpose** | {purpose} |
| **Command** | `registry-pipeline {command}` |
| **Evidence** | a sealed run folder with run.json, manifest.json and MANIFEST.sha256 |
"""
_COVERAGE_HEAD: Final = """\
# Enforcement Coverage: Addendum for the Registry Layer

**Version**: 0.1

| Operation | Enforced by | Coverage Level |
|---|---|---|
"""


def format_operations_addendum() -> str:
    """Return the addendum to the operations catalog."""
    sections = (
        _OPERATION.format(id=o.operation_id, name=o.name, purpose=o.purpose, command=o.command)
        for o in LAYER_OPERATIONS
    )
    return _OPERATIONS_HEAD + "\n".join(sections)


def format_coverage_addendum() -> str:
    """Return the addendum to the coverage matrix."""
    rows = (
        f"| {o.operation_id} {o.name} | seal, schema, registry rules, activation gate | **{o.level}** |\n"
        for o in LAYER_OPERATIONS
    )
    return _COVERAGE_HEAD + "".join(rows)


def list_git_attributes(run_roots: Iterable[str], pointers: str, logs: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the `.gitattributes` lines of evidence and append-only logs, whose line endings git must not convert."""
    # A converted line ending would break a seal, and would edit every record of a log.
    return tuple(f"{path} -text" for path in (*(f"{root}/**" for root in run_roots), pointers, *logs))


def list_used_run_roots(repository: Repository) -> list[str]:
    """Return publish_root and the other run roots that exist."""
    config = repository.config
    return [root for root in config.run_roots if root == config.publish_root or repository.path(root).is_dir()]


def list_git_ignores(
    publish_root: str, pointers: str, logs: Iterable[str] = (), *, track_runs: bool
) -> tuple[str, ...]:
    """Return the `.gitignore` lines: local state, caches of logs, unless `track_runs` run folders and pointer file."""
    state_root = publish_root.rpartition("/")[0]
    state = (f"/{state_root}/{name}" for name in STATE_NAMES)
    change_files = (f"/{pointers}.lock", f"/{pointers}.intent", TEMPORARY_FILES, TEMPORARY_HOMES)
    runs = () if track_runs else (f"/{publish_root}/", f"/{pointers}")
    # A torn tail of a log that was moved away is not ignored: somebody has to look at it.
    log_files = (f"/{path}.{suffix}" for path in logs for suffix in ("index.sqlite3*", "batch"))
    return (*state, *change_files, *runs, *log_files)


_CONFIG_HEAD: Final = """\
# What registry-pipeline reads and writes here. Every key is optional; paths are relative to this file.
# Run folders are looked for in .codex/RUNS, reports/runs and reports/path1/evidence/runs; to name others:
# run_roots = [".codex/RUNS", "runs"]
"""


@value_type
class InitOutcome:
    """The files that `init` created or extended, relative to the repository, in the order of writing."""

    repository: Repository
    created: tuple[str, ...]


def initialize(root: Path, *, track_runs: bool, now: datetime) -> InitOutcome:
    """Create the toml file, the addenda, publish_root and the pointer file, and extend git's rule files.

    Existing files are kept; only missing lines of git's rule files and a missing `repository_id` are added. The addenda
    are created together with the toml file only. `track_runs` counts as given if git tracks run folders already.

    Raises:
        NotFoundError: `root` is not a folder, or git cannot read it (exit 7).
        BusyError: a rule file of git was edited meanwhile (exit 6).
        RefusedError: publish_root is behind a link, or a rule file of git is a link (exit 5).
    """
    if not root.is_dir():
        raise NotFoundError(f"{root} is not a folder", "create it first, or name another folder with -C")
    repository = load_repository(root)
    refuse_linked_publish_root(repository)
    # Ask git before writing: if git cannot read the repository, nothing is written.
    is_checkout = read_top_level(repository.root) is not None
    first_day = read_first_commit_day(repository.root)
    # Track both or none: a clone with one of them has pointers without evidence, or evidence without pointers.
    evidence = (repository.config.publish_root, repository.config.pointers)
    track_runs = track_runs or any(is_tracked(repository.root, path) for path in evidence)
    created: list[str] = []
    # (1) The toml file and the addenda that it names.
    if not (root / CONFIG_NAME).exists():
        created += _write_addenda_and_config(root.resolve(), repository.config, first_day)
        repository = load_repository(root)
    if repository.config.repository_id is None:
        _add_repository_id(repository.root / CONFIG_NAME)
        repository = load_repository(root)
        created.append(CONFIG_NAME)
    # (2) publish_root and an empty pointer file.
    created += _create_publish_root_and_pointer_file(repository, now)
    # (3) Rules of git, in a checkout only.
    if is_checkout:
        created += _extend_git_rules(repository, track_runs=track_runs)
    return InitOutcome(repository, tuple(dict.fromkeys(created)))


def _write_addenda_and_config(root: Path, default: Config, first_day: date | None) -> list[str]:
    # The toml file comes last: after an interruption the next `init` starts over.
    addenda = {
        OPERATIONS_ADDENDUM_PATH: format_operations_addendum(),
        COVERAGE_ADDENDUM_PATH: format_coverage_addendum(),
    }
    created = [path for path, text in addenda.items() if _create_if_missing(root, path, text)]
    _create_if_missing(root, CONFIG_NAME, _format_config(root, default, first_day))
    return [CONFIG_NAME, *created]


def _format_config(root: Path, default: Config, first_day: date | None) -> str:
    """Return the text of a toml file that names the addenda and, of the default documents, those that exist."""

    def existing(*paths: str) -> tuple[str, ...]:
        return tuple(path for path in paths if (root / path).exists())

    catalog = (*existing(*default.operations_catalog), OPERATIONS_ADDENDUM_PATH)
    matrix = (*existing(*default.coverage_matrix), COVERAGE_ADDENDUM_PATH)
    lines = [
        _CONFIG_HEAD,
        _make_repository_id_line(),
        f'publish_root = "{default.publish_root}"',
        f'pointers = "{default.pointers}"',
        f"operations_catalog = {_format_toml_array(catalog)}",
        f"coverage_matrix = {_format_toml_array(matrix)}",
    ]
    lines += [f'expected_versions = "{path}"' for path in existing(default.expected_versions)]
    lines += [f'envelope_standard = "{path}"' for path in existing(default.envelope_standard)]
    thresholds = existing(*default.threshold_sources)
    if thresholds:
        lines.append(f"threshold_sources = {_format_toml_array(thresholds)}")
    if first_day is not None:
        lines.append(f"history_start = {first_day.isoformat()}")
    return "\n".join(lines) + "\n"


def _format_toml_array(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def _make_repository_id_line() -> str:
    # A random id: two repositories must never have the same one.
    return f'repository_id = "{uuid.uuid4()}"'


def _add_repository_id(path: Path) -> None:
    """Insert a new id as the first line of a toml file: there it is a top-level key, whatever tables follow."""
    # Insert text instead of writing the parsed file, which would lose the user's comments and line endings.
    data = path.read_bytes()
    line_end = b"\r\n" if data.partition(b"\n")[0].endswith(b"\r") else b"\n"
    overwrite_file(path, _make_repository_id_line().encode() + line_end + data)


def _create_publish_root_and_pointer_file(repository: Repository, now: datetime) -> list[str]:
    created: list[str] = []
    if not repository.publish_root.is_dir():
        try:
            make_folders(repository.publish_root)
        except OSError as error:
            raise make_write_error(repository.publish_root, error) from None
        created.append(f"{repository.config.publish_root}/")
    text = pointer_file_bytes(empty_pointer_file(utc_text(now))).decode("ascii")
    if _create_if_missing(repository.root, repository.config.pointers, text):
        created.append(repository.config.pointers)
    return created


def _extend_git_rules(repository: Repository, *, track_runs: bool) -> list[str]:
    config = repository.config
    # Rules for logs that do not exist yet, too: the first append writes no rules of git.
    paths = (config.publish_root, config.pointers, (config.run_index.path, config.run_index.overrides))
    rules = {
        ".gitattributes": list_git_attributes(list_used_run_roots(repository), *paths[1:]),
        ".gitignore": list_git_ignores(*paths, track_runs=track_runs),
    }
    return [name for name, lines in rules.items() if _append_missing_lines(repository.root / name, lines)]


def _append_missing_lines(path: Path, lines: Iterable[str]) -> bool:
    """Append the lines that a file lacks, in their order; return whether the file changed. Creates a missing file."""
    before = read_own_file(path)
    data = before or b""
    present = {line.strip() for line in data.decode("utf-8", "surrogateescape").splitlines()}
    missing = [line for line in lines if line not in present]
    if not missing:
        return False
    separator = b"" if not data or data.endswith(b"\n") else b"\n"
    after = data + separator + "".join(f"{line}\n" for line in missing).encode()
    replace_file(path, after, None if before is None else sha256_hex(before))
    return True


def _create_if_missing(root: Path, relative: str, text: str) -> bool:
    """Create a file unless there is one, or a link; return False if another `init` has just created it."""
    path = root / relative
    if os.path.lexists(path):
        return False
    try:
        create_file(path, text.encode())
    except BusyError:
        return False
    return True
