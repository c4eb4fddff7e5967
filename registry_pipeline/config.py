"""The governed repository and `registry-pipeline.toml` (SPEC section 1).

Every key is optional; an unknown key is an error with a suggestion; a path is relative to the repository root,
POSIX, and may not escape it.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from registry_pipeline.errors import ConfigError, NotFoundError

CONFIG_NAME: Final = "registry-pipeline.toml"
REPO_VARIABLE: Final = "REGISTRY_PIPELINE_REPO"
DEFAULT_RUNS: Final = ".codex/RUNS"
POINTERS_SEED: Final = "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"
POINTERS_DEFAULT: Final = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"


def _inside(text: str) -> str:
    parts = PurePosixPath(text).parts
    if not text or text.startswith("/") or "\\" in text or "\0" in text or ".." in parts or not parts:
        raise ValueError("must be a relative POSIX path inside the repository")
    return PurePosixPath(text).as_posix()


RepoPath = Annotated[str, AfterValidator(_inside)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Captured(_Table):
    """A registry without a builder: where its source lies, and the artifact's name and schema (SPEC 3)."""

    source: RepoPath | None = None
    artifact: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")


class Adapter(_Table):
    """How to read run folders whose envelope is not run.json (SPEC 1)."""

    root: RepoPath
    file: str
    run_id: str | None = None
    created_utc: str | None = None
    operation_id: str | None = None
    option: str | None = None
    git_commit: str | None = None


class Roles(_Table):
    """Where the role pack lies and what it is compared with (SPEC 9)."""

    pack: RepoPath = "assets/atelier_rolepack_digital_production_studio_v1.json"
    baseline: str = "main"


class Entries(_Table):
    """Where the YAML registries lie (SPEC 10)."""

    modules: RepoPath = "modules/overview"
    routes: RepoPath = "modules/routes"
    abilities_low: RepoPath = ".system/registry/low-level"
    abilities_high: RepoPath = ".system/registry/high-level"
    hooks: RepoPath = ".system/hooks"
    stages: tuple[str, ...] = ("understand", "plan", "act", "review")


class RunIndex(_Table):
    """Where the run index and the overrides log lie (SPEC 11)."""

    path: RepoPath = "60-REGISTRY/data/run-index.jsonl"
    overrides: RepoPath = "60-REGISTRY/data/overrides-log.jsonl"
    ids: Literal["dash", "ulid"] = "dash"
    song_index: RepoPath | None = None


class Config(_Table):
    """The toml file, parsed; every default is that of SPEC 1."""

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
    stale_days: int = Field(default=2, ge=0)
    history_start: date | None = None
    op_drift: Literal["commit", "paths"] = "commit"


@dataclass(frozen=True, slots=True)
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
        data = place.read_bytes()
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
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{CONFIG_NAME} is not TOML: {error}", "mend the line it names") from None
    if "pointers" not in document and (root / POINTERS_SEED).is_file():
        document["pointers"] = POINTERS_SEED
    try:
        config = Config.model_validate(_tuples(document))
    except ValidationError as error:
        raise ConfigError("; ".join(_told(e) for e in error.errors()), f"mend {CONFIG_NAME}") from None
    return _consistent(config)


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
    for inner in config.run_roots:
        for outer in config.run_roots:
            if inner != outer and PurePosixPath(inner).is_relative_to(outer):
                raise ConfigError(
                    f"the run root {inner!r} lies inside {outer!r}", "name roots that do not contain each other"
                )
    return config


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def _told(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{place}: {error['msg']}"
    near = difflib.get_close_matches(str(error["loc"][-1]), _known_keys(error["loc"][:-1]), n=1)
    return f"unknown key {place}" + (f"; did you mean {near[0]!r}?" if near else "")


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
