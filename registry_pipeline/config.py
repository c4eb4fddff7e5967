"""The governed repository and `registry-pipeline.toml` (SPEC section 1).

Every key is optional; an unknown key is an error with a suggestion; a path is relative to the repository root,
POSIX, and may not escape it.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.model.captures import capture_problem
from registry_pipeline.model.ids import is_repository_id
from registry_pipeline.model.roles import pack_path_problem
from registry_pipeline.values import value_type

CONFIG_NAME: Final = "registry-pipeline.toml"
REPO_VARIABLE: Final = "REGISTRY_PIPELINE_REPO"
DEFAULT_RUNS: Final = ".codex/RUNS"
POINTERS_SEED: Final = "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"
POINTERS_DEFAULT: Final = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"

_MAX_BYTES: Final = 256 << 10
_MAX_DOTS: Final = 1_000
_MAX_PATH: Final = 4096
_MAX_ERRORS: Final = 10
_MAX_SHOWN: Final = 80


def _inside(text: str) -> str:
    parts = PurePosixPath(text).parts
    if not text or text.startswith("/") or "\\" in text or "\0" in text or ".." in parts or not parts:
        raise ValueError("must be a relative POSIX path inside the repository")
    if len(text) > _MAX_PATH:
        raise ValueError(f"must have at most {_MAX_PATH} characters")
    return PurePosixPath(text).as_posix()


RepoPath = Annotated[str, AfterValidator(_inside)]


def _repository_id(text: str) -> str:
    if not is_repository_id(text):
        raise ValueError("must be 8 to 64 of a-z, 0-9 and `-`, for instance a UUID in lower case")
    return text


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Captured(_Table):
    """What a repository says of a captured registry: where its source lies, the artifact's name, a schema of its own.

    `schema_name` (in the toml `schema`) is a JSON Schema of the repository, by which the source is judged before it is
    captured, beside the shipped one (decision 6).
    """

    source: RepoPath | None = None
    artifact: str | None = None
    schema_name: RepoPath | None = Field(default=None, alias="schema")


def _file_name(text: str) -> str:
    if _inside(text) != PurePosixPath(text).name or text in ("run.json", "manifest.json", "MANIFEST.sha256"):
        raise ValueError("must be the name of a file in the run folder, and none of the seal's own")
    return text


def _keys(text: str) -> str:
    if not all(text.split(".")):
        raise ValueError("must be a key, or keys with dots between them, as in `job.started`")
    return text


FileName = Annotated[str, AfterValidator(_file_name)]
KeyPath = Annotated[str, AfterValidator(_keys)]


class Adapter(_Table):
    """How to read run folders whose envelope is not run.json (SPEC 1; decision 7).

    Under `root`, a folder without a run.json has its envelope in `file`; each field names where the value stands there:
    a key, or keys with dots between them that lead into objects.
    """

    root: RepoPath
    file: FileName
    run_id: KeyPath | None = None
    created_utc: KeyPath | None = None
    operation_id: KeyPath | None = None
    option: KeyPath | None = None
    git_commit: KeyPath | None = None

    def fields(self) -> dict[str, str]:
        """Return what the adapter maps: field of the envelope to keys in the file, in the order of SPEC 4.1."""
        told = {name: getattr(self, name) for name in ("run_id", "created_utc", "option", "operation_id", "git_commit")}
        return {name: keys for name, keys in told.items() if keys is not None}


def _pack(text: str) -> str:
    problem = pack_path_problem(_inside(text))
    if problem is not None:
        raise ValueError(problem)
    return _inside(text)


class Roles(_Table):
    """Where the role pack lies and what it is compared with (SPEC 9)."""

    pack: Annotated[str, AfterValidator(_pack)] = "assets/atelier_rolepack_digital_production_studio_v1.json"
    baseline: Annotated[str, Field(min_length=1)] = "main"


class Entries(_Table):
    """Where the YAML registries lie (SPEC 10)."""

    modules: RepoPath = "modules/overview"
    routes: RepoPath = "modules/routes"
    abilities_low: RepoPath = ".system/registry/low-level"
    abilities_high: RepoPath = ".system/registry/high-level"
    hooks: RepoPath = ".system/hooks"
    stages: tuple[str, ...] = ("understand", "plan", "act", "review")


class RunIndex(_Table):
    """Where the run index and the overrides log lie, and what their records may state (SPEC 11).

    `extra_keys` are keys beyond those of SPEC 11 that a record of either log may have.
    """

    path: RepoPath = "60-REGISTRY/data/run-index.jsonl"
    overrides: RepoPath = "60-REGISTRY/data/overrides-log.jsonl"
    ids: Literal["dash", "ulid"] = "dash"
    song_index: RepoPath | None = None
    extra_keys: tuple[str, ...] = ()


class Config(_Table):
    """The toml file, parsed; every default is that of SPEC 1.

    `repository_id` tells runs of this repository from runs of others (docs/explanation.md, "Runs of another
    repository").
    """

    repository_id: Annotated[str, AfterValidator(_repository_id)] | None = None
    run_roots: tuple[RepoPath, ...] = (DEFAULT_RUNS, "reports/runs", "reports/path1/evidence/runs")
    publish_root: RepoPath = DEFAULT_RUNS
    pointers: RepoPath = POINTERS_DEFAULT
    operations_catalog: tuple[RepoPath, ...] = ("OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md",)
    coverage_matrix: tuple[RepoPath, ...] = ("OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md",)
    options: tuple[str, ...] = ("A", "B", "C", "D", "QA")
    expected_versions: RepoPath = "docs/governance/EXPECTED_VERSIONS_v0_1.json"
    threshold_sources: tuple[RepoPath, ...] = (
        "configs/threshold_packs/state_plane_v0_2_default_v1.json",
        "configs/threshold_packs/c3_regime_trend_v1.json",
        "configs/threshold_packs/c3_example_pack_v1.json",
        "docs/runbooks/option_threshold_registry_runbook.md",
    )
    envelope_standard: RepoPath = "docs/governance/RUN_ENVELOPE_STANDARD_v0_1.md"
    captured: Mapping[str, Captured] = Field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    roles: Roles = Field(default_factory=Roles)
    entries: Entries = Field(default_factory=Entries)
    run_index: RunIndex = Field(default_factory=RunIndex)
    stale_days: int = Field(default=2, ge=0, le=1_000_000)
    # Dagster makes a partition of each day since then, and fails near the last day that Python can count.
    history_start: date | None = Field(default=None, ge=date(1970, 1, 1), le=date(2999, 12, 31))
    op_drift: Literal["commit", "paths"] = "commit"


@value_type
class Governed:
    """One governed repository: its absolute root and its configuration."""

    root: Path
    config: Config

    def path(self, relative: str) -> Path:
        """Return the place of a repository-relative path."""
        return self.root / relative

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
        """The folder beside which staging, caches and the Dagster home lie; none of it is evidence."""
        return self.publish_root.parent

    @property
    def staging_root(self) -> Path:
        """Where folders are staged: on the file system of publish_root, never inside a run root."""
        return self.state_root / ".staging"

    @property
    def dagster_home(self) -> Path:
        """Where `ui` keeps Dagster's own state."""
        return self.state_root / "dagster"


def find_governed(named: Path | None = None, environ: Mapping[str, str] | None = None) -> Governed:
    """Return the governed repository: `named`, else the environment's, else the nearest at or above here.

    Raises:
        NotFoundError: there is none, or the named folder is not one.
        ConfigError: its toml cannot be understood.
    """
    told = (environ if environ is not None else os.environ).get(REPO_VARIABLE)
    if named is None and told:
        named = Path(told)
    if named is not None:
        if not named.is_dir():
            raise NotFoundError(f"{named} is not a folder", "name the governed repository with -C")
        return load_governed(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_NAME).is_file() or (folder / DEFAULT_RUNS).is_dir():
            return load_governed(folder)
    raise NotFoundError(
        f"no governed repository at or above {here}: neither {CONFIG_NAME} nor {DEFAULT_RUNS}",
        "run `registry-pipeline init` in the repository, or name it with -C",
    )


def load_governed(root: Path) -> Governed:
    """Return the repository at `root` with its toml, or with the defaults where it has none.

    Raises:
        ConfigError: the toml cannot be read or understood; the message names the key.
    """
    root = root.resolve()
    place = root / CONFIG_NAME
    try:
        with place.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise ConfigError(f"{CONFIG_NAME} cannot be read: {error.strerror}", "mend the file's permissions") from None
    return Governed(root, parse_config(data, root))


def parse_config(data: bytes, root: Path) -> Config:
    """Return the configuration that a toml text states; `root` decides the default of `pointers`.

    Raises:
        ConfigError: not UTF-8, not TOML, an unknown key, or a value of the wrong kind.
    """
    document = read_toml(data)
    if "pointers" not in document and (root / POINTERS_SEED).is_file():
        document["pointers"] = POINTERS_SEED
    try:
        config = Config.model_validate(_tuples(document))
    except ValidationError as error:
        raise ConfigError(_format_errors(error), f"fix {CONFIG_NAME}") from None
    return _consistent(config)


def read_toml(data: bytes) -> dict[str, Any]:
    """Return the tables of a configuration text, in bounded time whatever the text is.

    Raises:
        ConfigError: too large, not UTF-8, not TOML, nested too deeply, or a number of too many digits.
    """
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
        # Python converts no integer of more than 4300 digits, and tomllib does not say where it stands.
        raise ConfigError(f"{CONFIG_NAME} has an integer of too many digits", "shorten the integer") from None


def _consistent(config: Config) -> Config:
    for name, values in (("run_roots", config.run_roots), ("options", config.options)):
        if not values or len(set(values)) != len(values):
            raise ConfigError(f"{name} must name each of its values once, and at least one", f"mend {CONFIG_NAME}")
    if len(PurePosixPath(config.publish_root).parts) < 2:
        raise ConfigError(
            "publish_root must lie in a folder of its own, as `.codex/RUNS` does", "state is kept beside it"
        )
    if config.publish_root not in config.run_roots:
        raise ConfigError("publish_root must be one of run_roots", f"add {config.publish_root!r} to run_roots")
    roots = set(config.run_roots)
    for inner in config.run_roots:
        outer = next((str(each) for each in PurePosixPath(inner).parents if str(each) in roots), None)
        if outer is not None:
            raise ConfigError(
                f"the run root {inner!r} lies inside {outer!r}", "name roots that do not contain each other"
            )
    _consistent_adapters(config)
    _consistent_captures(config)
    if config.run_index.path == config.run_index.overrides:
        raise ConfigError("run_index.path and run_index.overrides name one file", "give each log a file of its own")
    return config


def _consistent_captures(config: Config) -> None:
    problem = capture_problem({name: (each.source, each.artifact) for name, each in config.captured.items()})
    if problem is not None:
        raise ConfigError(problem, f"mend {CONFIG_NAME}")


def _consistent_adapters(config: Config) -> None:
    taken: set[tuple[str, str]] = set()
    for number, adapter in enumerate(config.adapters):
        place = f"adapters.{number}"
        if adapter.root not in config.run_roots:
            near = difflib.get_close_matches(adapter.root, config.run_roots, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{place}.root: {adapter.root!r} is not one of run_roots{meant}", f"mend {CONFIG_NAME}")
        if not adapter.fields():
            raise ConfigError(
                f"{place} names no field that it reads from {adapter.file}",
                'say where the envelope has it, as in `operation_id = "job.operation"`',
            )
        if (adapter.root, adapter.file) in taken:
            raise ConfigError(
                f"{place}: a second adapter reads {adapter.file} under {adapter.root}", "keep one of them"
            )
        taken.add((adapter.root, adapter.file))


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def _format_errors(errors: ValidationError) -> str:
    """Return the first errors in one line, and how many more there are."""
    more = errors.error_count() - _MAX_ERRORS
    lines = [_format_error(error) for error in errors.errors(include_input=False)[:_MAX_ERRORS]]
    return "; ".join([*lines, f"and {more} more"] if more > 0 else lines)


def _format_error(error: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    shown = key if len(key) <= _MAX_SHOWN else f"{key[:_MAX_SHOWN]}…"
    if error["type"] != "extra_forbidden":
        return f"{shown}: {error['msg']}"
    near = difflib.get_close_matches(str(error["loc"][-1]), _known_keys(error["loc"][:-1]), n=1)
    return f"unknown key {shown}" + (f"; did you mean {near[0]!r}?" if near else "")


def _known_keys(path: Iterable[Any]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "captured": Captured,
        "adapters": Adapter,
        "roles": Roles,
        "entries": Entries,
        "run_index": RunIndex,
    }
    model = next((tables[part] for part in path if part in tables), Config)
    return [field.alias or name for name, field in model.model_fields.items()]
