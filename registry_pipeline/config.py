"""The repository and its configuration file `registry-pipeline.toml` (docs/reference/configuration.md)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Hashable, Mapping, MutableMapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from glob import has_magic
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Final, Generic, Literal, TypeVar

from registry_pipeline.canonical import is_repository_id
from registry_pipeline.capture_table import explain_invalid_captures, explain_invalid_pack_path
from registry_pipeline.config_types import (
    REQUIRED,
    OptionProblem,
    between,
    boolean,
    check_path,
    checked_text,
    choice,
    format_problems,
    list_of,
    nonempty_text,
    option_row,
    parse_table,
    repo_path,
    table,
    tables,
    text,
)
from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.finding import did_you_mean
from registry_pipeline.path_pattern import OPERATION_ID, PATH_FIELDS, parse_path_pattern
from registry_pipeline.stale_limits import StaleLimits, parse_stale_limits
from registry_pipeline.values import field, replace, value_type

CONFIG_NAME: Final = "registry-pipeline.toml"
ARCHIVE_SUFFIXES: Final = (".tar.gz", ".tgz", ".tar")
"""How the name of an archive ends."""
REPO_VARIABLE: Final = "REGISTRY_PIPELINE_REPO"
UI_URL_VARIABLE: Final = "REGISTRY_PIPELINE_UI_URL"
"""The address of Dagster's web interface, for the links in notifications."""
AUTOMATION_VARIABLE: Final = "REGISTRY_PIPELINE_AUTOMATION"
DEFAULT_RUNS: Final = ".codex/RUNS"
POINTERS_SEED: Final = "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"
POINTERS_DEFAULT: Final = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"
_MAX_BYTES: Final = 256 << 10
_MAX_DOTS: Final = 1_000
_MAX_ERRORS: Final = 10
_MAX_LOCATION: Final = 32


def _check_repository_id(text: str) -> str:
    if not is_repository_id(text):
        raise ValueError("must be 8 to 64 of a-z, 0-9 and `-`, for instance a UUID in lower case")
    return text


def _check_file_name(text: str) -> str:
    if check_path(text) != PurePosixPath(text).name or text in ("run.json", "manifest.json", "MANIFEST.sha256"):
        raise ValueError("must be the name of a file in the run folder, and none of the seal's own")
    return text


def _check_keys(text: str) -> str:
    if not all(text.split(".")):
        raise ValueError("must be a key, or keys with dots between them, as in `job.started`")
    return text


def _check_glob(text: str) -> str:
    if check_path(text) != text:
        raise ValueError("must be a glob for a name, or for a path inside the repository")
    return text


def _check_path_pattern(text: str) -> str:
    if check_path(text) != text:
        raise ValueError("must be a pattern for a name, or for a path inside the repository")
    parse_path_pattern(text)
    return text


def _check_operation_id(text: str) -> str:
    if OPERATION_ID.fullmatch(text) is None:
        raise ValueError("must be the id of an operation, as OP-A01; no catalog lists another form")
    return text


def _check_archive(text: str) -> str:
    if not text.endswith(ARCHIVE_SUFFIXES) or check_path(text) != text:
        raise ValueError(f"must be a path or a glob inside the repository that ends in {', '.join(ARCHIVE_SUFFIXES)}")
    return text


def _check_location(text: str) -> str:
    # The keys of sources begin with `sources` in a repository without a location.
    plain = text.replace("_", "a").replace("-", "a")
    valid = plain.isascii() and plain.isalnum() and plain.islower() and text[0].isalpha() and len(text) <= _MAX_LOCATION
    if not valid or text == "sources":
        raise ValueError(f"must be at most {_MAX_LOCATION} of a-z, 0-9, `_` and `-`, a letter first, and not `sources`")
    return text


def check_pack_path(text: str) -> str:
    """Return the path of a role pack in its shortest form; raise ValueError if no role pack can have that path."""
    path = check_path(text)
    problem = explain_invalid_pack_path(path)
    if problem is not None:
        raise ValueError(problem)
    return path


Rebuild = Literal["schedule", "on_cron", "eager"]
ExecutorName = Literal["in_process", "multiprocess", "celery"]
_paths: Final = list_of(repo_path)
_texts: Final = list_of(text)
_globs: Final = list_of(checked_text(_check_glob))
_keys: Final = checked_text(_check_keys)
_LAST_DAY: Final = date(2999, 12, 31)  # Dagster makes a partition of each day, and fails near the last day of Python


# The configuration table: a row per option with default, type and help. docs/reference/configuration.md is made from it.
# fmt: off


@value_type
class Captured:
    """What a repository states of a captured registry (decision 6)."""

    source: str | None = option_row(None, repo_path, "path of the source")
    artifact: str | None = option_row(None, text, "name of the artifact in the run folder")
    schema: str | None = option_row(None, repo_path, "a JSON Schema of the repository that the source must satisfy, beside the shipped one")


@value_type
class AdapterConstants:
    """What is known of all runs that an adapter reads, for those whose file does not state it."""

    operation_id: str | None = option_row(None, checked_text(_check_operation_id), "the operation of the runs whose file does not state one")
    option: str | None = option_row(None, nonempty_text, "likewise; one of `options`")
    run_type: str | None = option_row(None, nonempty_text, "likewise")

    def fields(self) -> dict[str, str]:
        """Return the fields that are stated, with their values."""
        return {name: value for name in PATH_FIELDS if (value := getattr(self, name)) is not None}


@value_type
class OwnRegistry:
    """A registry of the repository's own: files that are captured as they are (decision 28)."""

    sources: tuple[str, ...] = option_row(REQUIRED, _globs, "the files that are captured: paths of the repository, or globs in which `*` matches no `/` and `**` any folders")
    schema: str = option_row(REQUIRED, repo_path, "the JSON Schema of the repository that each file must satisfy")
    title: str | None = option_row(None, nonempty_text, "one line that says what the registry is; by default it names the sources")
    artifact: str | None = option_row(None, text, "name of the file in the run folder; by default that of the source, and without it several files keep their own names")
    record_key: tuple[str, ...] = option_row((), _texts, "the fields that identify a record, for `diff`")
    depends_on: tuple[str, ...] = option_row((), _texts, "registries that are built before it, and whose runs its run names as inputs")


@value_type
class Adapter:
    """How to read run folders whose envelope is not run.json (decision 7)."""

    root: str = option_row(REQUIRED, repo_path, "the run root that the adapter reads")
    file: str = option_row(REQUIRED, checked_text(_check_file_name), "the envelope file in a folder without a run.json; not parsed if no key below is given")
    run_id: str | None = option_row(None, _keys, "where the file has the run id: a key, or nested keys with dots")
    created_utc: str | None = option_row(None, _keys, "likewise")
    run_type: str | None = option_row(None, _keys, "likewise")
    option: str | None = option_row(None, _keys, "likewise")
    operation_id: str | None = option_row(None, _keys, "likewise")
    git_commit: str | None = option_row(None, _keys, "likewise")
    path_pattern: str | None = option_row(None, checked_text(_check_path_pattern), "only folders that match: a name such as `p1_*`, or a path; `{operation_id}`, `{option}` and `{run_type}` are what the path states")
    constants: AdapterConstants = option_row(AdapterConstants(), table(AdapterConstants), "`operation_id`, `option` and `run_type` of the runs whose file and path do not state them")

    def fields(self) -> dict[str, str]:
        """Return the keys in the file by field of the envelope, in the order of run.json; fields without keys are left out."""
        names = ("run_id", "created_utc", "run_type", "option", "operation_id", "git_commit")
        return {name: keys for name in names if (keys := getattr(self, name)) is not None}

    def read_path(self, run_id: str) -> dict[str, str] | None:
        """Return the fields that the constants and the path of a run folder state; None if the path does not match."""
        constants = self.constants.fields()
        if self.path_pattern is None:
            return constants
        stated = parse_path_pattern(self.path_pattern).match(self.root, run_id)
        return None if stated is None else {**constants, **stated}


@value_type
class Roles:
    """The role pack."""

    pack: str = option_row("assets/atelier_rolepack_digital_production_studio_v1.json", checked_text(check_pack_path), "path of the role pack, a .json file")
    baseline: str = option_row("main", nonempty_text, "the branch, tag or commit that the pack is compared with")


@value_type
class Entries:
    """The YAML registries."""

    modules: str = option_row("modules/overview", repo_path, "folder of the module registries")
    routes: str = option_row("modules/routes", repo_path, "folder of the route registries")
    abilities_low: str = option_row(".system/registry/low-level", repo_path, "folder of the low-level abilities")
    abilities_high: str = option_row(".system/registry/high-level", repo_path, "folder of the high-level abilities")
    hooks: str = option_row(".system/hooks", repo_path, "folder of the hooks")
    stages: tuple[str, ...] = option_row(("understand", "plan", "act", "review"), _texts, "the stages that a hook or a related document may name")
    maturity: tuple[str, ...] = option_row(("SCAFFOLDED", "IN_PROGRESS", "DESIGNED", "MOCKED", "IMPLEMENTED", "FUNCTIONAL", "QA_VERIFIED", "READY_FOR_INTEGRATION", "READY_FOR_RELEASE", "DEPRECATED"), _texts, "the values that the maturity of a module may have")


@value_type
class RunIndex:
    """The run index and the overrides log."""

    path: str = option_row("60-REGISTRY/data/run-index.jsonl", repo_path, "the run index")
    overrides: str = option_row("60-REGISTRY/data/overrides-log.jsonl", repo_path, "the overrides log")
    ids: Literal["dash", "ulid"] = option_row("dash", choice("dash", "ulid"), "the grammar of ids: `dash` or `ulid`")
    song_index: str | None = option_row(None, repo_path, "the song index, which song ids must be in")
    extra_keys: tuple[str, ...] = option_row((), _texts, "further keys that a record of either log may have")


@value_type
class DagsterTable:
    """What the Dagster code location shows."""

    location: str | None = option_row(None, checked_text(_check_location), "the name of the code location, with which every asset key begins, if several repositories share a Dagster instance: at most 32 of `a-z`, `0-9`, `_` and `-`, a letter first")
    freshness_hours: int = option_row(36, between(0, 8760), "a registry that was not materialized for so many hours is overdue in Dagster; 0 for never, at most 8760")
    rebuild: Rebuild = option_row("schedule", choice("schedule", "on_cron", "eager"), "what starts rebuilds in Dagster: `schedule`, a schedule that you switch on; `on_cron`, the assets' own condition, every night; `eager`, every change of a source")
    executor: ExecutorName = option_row("in_process", choice("in_process", "multiprocess", "celery"), "where the steps of a Dagster run are executed: `in_process`, in the process of the run; `multiprocess`, in a process each, on its machine; `celery`, by Celery workers, which need `registry-pipeline[scale]`")
    shards: bool = option_row(False, boolean, "whether Dagster indexes and verifies the run folders of each run root and month by themselves, as partitions of `run_registry_shards` and `run_verification`")
    verified_hours: int = option_row(168, between(1, 8760), "with `shards`, a run folder that was not verified for so many hours fails the check of `run_verification`; 1 to 8760")


@value_type
class Signing:
    """Which changes of the pointers must be signed."""

    registries: tuple[str, ...] = option_row((), _texts, "registries whose pointers only a signed record may move to a run; `*` for all")
    signers: tuple[str, ...] = option_row((), _texts, "whose signatures count: names of the file of allowed signers; without this key all of them")
    threshold: int = option_row(1, between(1, 16), "how many of them must sign, from 1 to 16")
    allowed_signers: str | None = option_row(None, repo_path, "the file of allowed signers; by default that of git's `gpg.ssh.allowedSignersFile`")


@value_type
class Anchors:
    """Where `anchor --write` writes the head of the chain, and `verify --anchors` looks for it."""

    tags: bool = option_row(False, boolean, "signed git tags `registry-anchor/<record>`; push them where nobody can delete them")
    file: str | None = option_row(None, nonempty_text, "a file outside the repository, to which a line is appended; relative to the root of the repository, or absolute, or from `~`")
    time_stamps: str | None = option_row(None, repo_path, "a folder for RFC 3161 time stamps: requests (.tsq), and the answers of an authority (.tsr)")
    authorities: str | None = option_row(None, nonempty_text, "the certificates (PEM) of the authorities whose time stamps count, as `file` named by a path that may be outside: a writer of the repository can replace what is inside")


@value_type
class Config:
    """The toml file, parsed."""

    repository_id: str | None = option_row(None, checked_text(_check_repository_id), "distinguishes runs of this repository from runs of others; 8 to 64 of `a-z`, `0-9` and `-`; `init` writes a random UUID")
    run_roots: tuple[str, ...] = option_row((DEFAULT_RUNS, "reports/runs", "reports/path1/evidence/runs"), _paths, "where run folders are looked for, in this order; one that is named here and missing is a warning")
    exclude: tuple[str, ...] = option_row((), _globs, "run folders that are not registered: globs such as `scratch-*` for a name in any run root, or `runs/scratch-*` for a path; `*` also matches `/`")
    archives: tuple[str, ...] = option_row((), list_of(checked_text(_check_archive)), "archives of removed run folders, which stay registered: paths or globs inside the repository such as `archives/*.tar.gz`; `*` does not match `/`")
    publish_root: str = option_row(DEFAULT_RUNS, repo_path, "where sealed run folders are written; one of `run_roots`, in a folder of its own")
    pointers: str = option_row(POINTERS_DEFAULT, repo_path, f"the pointer file; `{POINTERS_SEED}` if that exists")
    operations_catalog: tuple[str, ...] = option_row(("OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md",), _paths, "documents that define operations: Markdown, JSON or YAML by suffix, merged in order")
    coverage_matrix: tuple[str, ...] = option_row(("OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md",), _paths, "documents that state coverage levels, likewise")
    options: tuple[str, ...] = option_row(("A", "B", "C", "D", "QA"), _texts, "the options that are listed, in this order")
    expected_versions: str = option_row("docs/governance/EXPECTED_VERSIONS_v0_1.json", repo_path, "what the repository expects of itself")
    threshold_sources: tuple[str, ...] = option_row((
        "configs/threshold_packs/state_plane_v0_2_default_v1.json",
        "configs/threshold_packs/c3_regime_trend_v1.json",
        "configs/threshold_packs/c3_example_pack_v1.json",
        "docs/runbooks/option_threshold_registry_runbook.md",
    ), _paths, "searched in order for a version")
    envelope_standard: str = option_row("docs/governance/RUN_ENVELOPE_STANDARD_v0_1.md", repo_path, "if it exists, the observed envelope version is 0.1")
    executables: tuple[str, ...] = option_row((
        "bin/*", "jobs/*.py", "jobs/*.sh", "scripts/*.py", "scripts/*.sh", "tools/*.py", "tools/*.sh", "!*/__init__.py",
    ), _globs, "the executables that the scorecard counts: globs for paths, where `*` also matches `/`; one that starts with `!` takes paths out; in git only tracked files count")
    enabled: tuple[str, ...] | None = option_row(None, _texts, "registries that are built, beside those that the health state is made from; without this key all are")
    disabled: tuple[str, ...] = option_row((), _texts, "registries that are not built and do not count for the health state")
    captured: Mapping[str, Captured] = option_row(dict, tables(Captured), "`[captured.<registry_id>]`: a registry that is a copy")
    registries: Mapping[str, OwnRegistry] = option_row(dict, tables(OwnRegistry), "`[registries.<registry_id>]`: a registry of the repository's own")
    registry_components: tuple[str, ...] = option_row((), _paths, "YAML files of `RegistryComponent`s that describe registries of this repository, as `[registries.<registry_id>]` does")
    registry_packages: tuple[str, ...] = option_row((), _texts, "installed Python packages whose registries this repository has: their entry points in the group `registry_pipeline.registries`")
    adapters: tuple[Adapter, ...] = option_row((), list_of(table(Adapter)), "`[[adapters]]`: run folders whose envelope is not run.json")
    roles: Roles = option_row(Roles(), table(Roles), "the table `[roles]`")
    entries: Entries = option_row(Entries(), table(Entries), "the table `[entries]`")
    run_index: RunIndex = option_row(RunIndex(), table(RunIndex), "the table `[run_index]`")
    dagster: DagsterTable = option_row(DagsterTable(), table(DagsterTable), "the table `[dagster]`")
    anchors: Anchors = option_row(Anchors(), table(Anchors), "the table `[anchors]`")
    signing: Signing = option_row(Signing(), table(Signing), "the table `[signing]`")
    stale_days: StaleLimits = option_row(StaleLimits(), parse_stale_limits, "the table `[stale_days]`, or only its `default`")
    history_start: date | None = option_row(None, between(date(1970, 1, 1), _LAST_DAY), "first day of the history of drift signals, from 1970-01-01 to 2999-12-31; `init` writes it")
    op_drift: Literal["commit", "paths"] = option_row("commit", choice("commit", "paths"), "how an operation's drift is found; `paths`: only commits that changed its bound executables count")

    def find_exclusion(self, run_root: str, run_id: str) -> str | None:
        """Return the first glob of `exclude` that matches a run folder, or None; one without a slash matches its name."""
        if not self.exclude:  # as in most repositories; thousands of folders are asked about
            return None
        path = f"{run_root}/{run_id}"
        return next((glob for glob in self.exclude if fnmatchcase(path if "/" in glob else run_id, glob)), None)


# fmt: on


_Kept = TypeVar("_Kept")


class MemoKind(Generic[_Kept]):
    """One kind of things that a memo keeps, all of one type; the module that reads them has it as a constant."""


class Memo:
    """What one build or one `status` has read; see `Repository.recall`.

    What changed before `safe_change`, in nanoseconds, shows a later change by another time.
    """

    def __init__(self, safe_change: int) -> None:
        self.safe_change = safe_change
        self.kept: dict[tuple[MemoKind[Any], Hashable], Any] = {}


@value_type
class Repository:
    """One repository: its absolute root and its configuration."""

    root: Path
    config: Config
    # None except in one build or one `status`; without it everything is read again.
    memo: Memo | None = field(default=None, compare=False)
    # The catalog of registries, once it is made.
    catalogs: MutableMapping[str, Any] = field(default_factory=dict, compare=False)

    def path(self, relative: str) -> Path:
        """Return the absolute path of a repository-relative one."""
        return self.root / relative

    def remembering(self, safe_change: int) -> Repository:
        """Return the repository with an empty memo, for one build or one `status`."""
        return replace(self, memo=Memo(safe_change))

    def recall(self, kind: MemoKind[_Kept], name: Hashable = None) -> _Kept | None:
        """Return what `keep` was given last under this kind and name; None if there is none, or no memo."""
        known: _Kept | None = None if self.memo is None else self.memo.kept.get((kind, name))
        return known

    def keep(self, kind: MemoKind[_Kept], value: _Kept, name: Hashable = None) -> None:
        """Keep a value for the rest of this build or `status`; without a memo nothing is kept."""
        if self.memo is not None:
            self.memo.kept[kind, name] = value

    def forget(self, kind: MemoKind[Any], name: Hashable = None) -> None:
        """Forget a value, if it is kept."""
        if self.memo is not None:
            self.memo.kept.pop((kind, name), None)

    @property
    def publish_root(self) -> Path:
        """Where sealed run folders are written."""
        return self.root / self.config.publish_root

    @property
    def pointer_path(self) -> Path:
        """The only mutable file of the registry layer."""
        return self.root / self.config.pointers

    @property
    def state_root(self) -> Path:
        """The folder of staging, caches and the Dagster home; none of it is evidence."""
        return self.publish_root.parent

    @property
    def staging_root(self) -> Path:
        """Where folders are staged: on the file system of publish_root, never inside a run root."""
        return self.state_root / ".staging"

    @property
    def dagster_home(self) -> Path:
        """Where `ui` keeps Dagster's own state."""
        return self.state_root / "dagster"


def find_own_artifact(own: OwnRegistry) -> str | None:
    """Return the name that the one file of an own registry has in a run folder; None if files keep their names."""
    is_one = len(own.sources) == 1 and not has_magic(own.sources[0])
    return own.artifact or (PurePosixPath(own.sources[0]).name if is_one else None)


def refuse_missing_celery(settings: DagsterTable) -> None:
    """Raise ConfigError if Celery is to execute the steps of Dagster runs and is not installed."""
    if settings.executor == "celery" and find_spec("dagster_celery") is None:
        raise ConfigError(
            'dagster.executor is "celery", and dagster-celery is not installed',
            "install the extra: pip install 'registry-pipeline[scale]'",
        )


def find_repository(named: Path | None = None, environ: Mapping[str, str] | None = None) -> Repository:
    """Return the repository at the root that `find_root` returns.

    Raises:
        NotFoundError: there is none, or the named one is not a folder.
        ConfigError: its toml file is invalid or cannot be read.
    """
    return load_repository(find_root(named, environ))


def find_location(root: Path) -> str | None:
    """Return `location` of the table `[dagster]`, also of a toml that is invalid elsewhere; None if it has no valid one."""
    try:
        return _check_location(parse_toml(read_regular_file(root / CONFIG_NAME))["dagster"]["location"])
    except (OSError, ConfigError, LookupError, TypeError, ValueError, AttributeError):
        return None


def find_root(named: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the root: `named`, else that of the environment, else the nearest at or above the working directory.

    A folder that is searched for has a toml file or the default run root; a named one needs neither. The path is
    absolute and has no links.

    Raises:
        NotFoundError: there is none, or the named one is not a folder.
    """
    stated = (environ if environ is not None else os.environ).get(REPO_VARIABLE)
    if named is None and stated:
        named = Path(stated)
    if named is not None:
        if not named.is_dir():
            raise NotFoundError(f"{named} is not a folder", "name the repository with -C")
        return named.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_NAME).is_file() or (folder / DEFAULT_RUNS).is_dir():
            return folder.resolve()
    raise NotFoundError(
        f"no repository at or above {here}: neither {CONFIG_NAME} nor {DEFAULT_RUNS}",
        "run `registry-pipeline init` in the repository, or name it with -C",
    )


def load_repository(root: Path) -> Repository:
    """Return the repository at `root`; without a toml it has the defaults.

    Raises:
        ConfigError: the toml is invalid or cannot be read.
    """
    root = root.resolve()
    try:
        data = read_regular_file(root / CONFIG_NAME)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise ConfigError(f"{CONFIG_NAME} cannot be read: {error.strerror}", "fix the file's permissions") from None
    return Repository(root, parse_config(data, root))


def parse_config(data: bytes, root: Path) -> Config:
    """Return the configuration that a toml text states; raise ConfigError, which names the key, if it is invalid.

    An older pointer file that exists under `root` is the default.
    """
    document = parse_toml(data)
    # A repository that has the older pointer file keeps it.
    if "pointers" not in document and (root / POINTERS_SEED).is_file():
        document["pointers"] = POINTERS_SEED
    problems: list[OptionProblem] = []
    config = parse_table(Config, document, (), problems)
    if config is None:
        raise ConfigError(format_problems(problems, _MAX_ERRORS), f"fix {CONFIG_NAME}")
    _check_roots_and_options(config)
    _check_adapters(config)
    stated = {name: (captured.source, captured.artifact) for name, captured in config.captured.items()}
    problem = explain_invalid_captures(stated)
    if problem is not None:
        raise ConfigError(problem, f"fix {CONFIG_NAME}")
    if 0 < len(set(config.signing.signers)) < config.signing.threshold:
        raise ConfigError("signing.threshold is larger than the number of signing.signers", "lower it or add signers")
    # The signers also limit whose tags are anchors.
    is_unused = config.signing.threshold > 1 or (config.signing.signers and not config.anchors.tags)
    if is_unused and not config.signing.registries:
        raise ConfigError(
            "[signing] names signers or a threshold and no registries, so it protects nothing",
            'add `registries = ["*"]`, or the registries that only a signed record may move',
        )
    if config.run_index.path == config.run_index.overrides:
        raise ConfigError("run_index.path and run_index.overrides name one file", "give each log a file of its own")
    return config


def parse_toml(data: bytes) -> dict[str, Any]:
    """Return the document of a toml text, in bounded time; raise ConfigError if it is too large or not TOML."""
    advice = "fix the line that the message names"
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{CONFIG_NAME} is larger than {_MAX_BYTES >> 10} KiB", "remove what is no configuration")
    # tomllib needs quadratic time for a key of many parts, and a key ends on its line.
    crowded = next((n for n, line in enumerate(data.split(b"\n"), 1) if line.count(b".") > _MAX_DOTS), None)
    if crowded is not None:
        raise ConfigError(f"{CONFIG_NAME} has more than {_MAX_DOTS} dots on line {crowded}", "split or fix that line")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{CONFIG_NAME} is not TOML: {error}", advice) from None
    except RecursionError:
        raise ConfigError(f"{CONFIG_NAME} is nested too deeply", "use only the documented tables and keys") from None
    except ValueError:
        # Python converts no integer of more than 4300 digits, and tomllib does not say where it is.
        raise ConfigError(f"{CONFIG_NAME} has an integer of too many digits", "shorten the integer") from None


def _check_roots_and_options(config: Config) -> None:
    """Raise ConfigError if run_roots, publish_root or options are empty, repeated or inside each other."""
    for name, values in (("run_roots", config.run_roots), ("options", config.options)):
        if not values or len(set(values)) != len(values):
            raise ConfigError(f"{name} must list at least one value and no value twice", f"fix {CONFIG_NAME}")
    if len(PurePosixPath(config.publish_root).parts) < 2:
        raise ConfigError("publish_root must be in a folder of its own, as `.codex/RUNS` is", "state is kept beside it")
    if config.publish_root not in config.run_roots:
        raise ConfigError("publish_root must be one of run_roots", f"add {config.publish_root!r} to run_roots")
    contradiction = next((name for name in config.disabled if name in (config.enabled or ())), None)
    if contradiction is not None:
        raise ConfigError(f"enabled and disabled both name {contradiction!r}", "remove it from one of them")
    for inner in config.run_roots:
        outer = next((str(parent) for parent in PurePosixPath(inner).parents if str(parent) in config.run_roots), None)
        if outer is not None:
            raise ConfigError(
                f"the run root {inner!r} is inside {outer!r}", "name roots that do not contain each other"
            )


def _check_adapters(config: Config) -> None:
    """Raise ConfigError for an adapter that reads nothing: of an unknown run root, without a field, or behind another."""
    others: list[Adapter] = []
    for number, adapter in enumerate(config.adapters):
        place = f"adapters.{number}"
        if adapter.root not in config.run_roots:
            meant = _suggest(adapter.root, config.run_roots)
            raise ConfigError(f"{place}.root: {adapter.root!r} is not one of run_roots{meant}", f"fix {CONFIG_NAME}")
        pattern = None if adapter.path_pattern is None else parse_path_pattern(adapter.path_pattern)
        constants = adapter.constants.fields()
        if not (adapter.fields() or constants or (pattern is not None and pattern.fields)):
            raise ConfigError(
                f"{place} names no field that it reads from {adapter.file}",
                'say where the envelope has it, as in `operation_id = "job.operation"`, or state it in `constants`',
            )
        if pattern is not None and not pattern.can_match_root(adapter.root):
            raise ConfigError(
                f"{place}.path_pattern: no folder in {adapter.root} has the path {adapter.path_pattern!r}",
                "give the name of the folder, or its whole path in the repository",
            )
        twice = next((name for name in constants if pattern is not None and name in pattern.fields), None)
        if twice is not None:
            raise ConfigError(
                f"{place}.constants.{twice}: path_pattern states {twice} for each folder, so the constant is never used",
                "remove it, or write `*` in path_pattern",
            )
        if "option" in constants and constants["option"] not in config.options:
            option, meant = constants["option"], _suggest(constants["option"], config.options)
            raise ConfigError(
                f"{place}.constants.option: {option!r} is not one of options{meant}", f"fix {CONFIG_NAME}"
            )
        if any(_reads_all_of(other, adapter) for other in others):
            raise ConfigError(
                f"{place}: a second adapter reads {adapter.file} under {adapter.root}", "keep one of them"
            )
        others.append(adapter)


def _reads_all_of(other: Adapter, adapter: Adapter) -> bool:
    """Return whether an earlier adapter leaves nothing to a later one."""
    same_file = (other.root, other.file) == (adapter.root, adapter.file)
    return same_file and other.path_pattern in (None, adapter.path_pattern)


def _suggest(text: str, known: Sequence[str]) -> str:
    near = did_you_mean(text, known)
    return f"; did you mean {near!r}?" if near else ""
