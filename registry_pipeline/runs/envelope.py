"""The run envelope, `run.json`, and what a listing knows of a run folder. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.values import GitState
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import asdict, field, value_type

Role = Literal["upstream", "previous"]
# The key of run.json that contains the recorded check of a captured source.
COMPARISON: Final = "comparison"


@value_type
class InputRegistry:
    """A sealed snapshot that a run was built from; only the role `upstream` counts for consistency."""

    registry_id: str
    role: Role
    ref: SealedRef


@value_type
class InputFile:
    """A file of the repository that a run was built from, with the hash of the content that was read."""

    path: str
    sha256: str


@value_type
class Inputs:
    """All that a run was built from."""

    registries: tuple[InputRegistry, ...] = ()
    files: tuple[InputFile, ...] = ()

    def upstream(self) -> dict[str, SealedRef]:
        """Return the upstream references by registry."""
        return {i.registry_id: i.ref for i in self.registries if i.role == "upstream"}

    def previous(self, registry_id: str) -> SealedRef | None:
        """Return the reference of the previous snapshot of a registry that was an input, or None."""
        return next((i.ref for i in self.registries if i.role == "previous" and i.registry_id == registry_id), None)

    def to_json(self) -> dict[str, Any]:
        """Return the `inputs` object of run.json."""
        return {
            "registries": [
                {"registry_id": i.registry_id, "role": i.role, "sealed_ref": i.ref.to_json()} for i in self.registries
            ],
            "files": [asdict(file) for file in self.files],
        }

    @classmethod
    def from_json(cls, value: Any) -> Inputs:
        """Return the inputs that a run.json states; items of another shape are left out."""
        # The schema of run.json reports such items; here they only must not break the reader.
        if not isinstance(value, dict):
            return cls()
        registries = []
        for item in _select_dicts(value.get("registries")):
            ref, role, name = SealedRef.from_json(item.get("sealed_ref")), item.get("role"), item.get("registry_id")
            if ref is not None and isinstance(name, str) and role in ("upstream", "previous"):
                registries.append(InputRegistry(name, role, ref))
        files = [
            InputFile(item["path"], item["sha256"])
            for item in _select_dicts(value.get("files"))
            if isinstance(item.get("path"), str) and isinstance(item.get("sha256"), str)
        ]
        return cls(tuple(registries), tuple(files))


def _select_dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def stated_repository_id(run_json: Mapping[str, Any] | None) -> str | None:
    """Return the repository_id that a run.json states, or None."""
    value = (run_json or {}).get("repository_id")
    # A value of another type becomes text: it equals no configured id, so the run counts as foreign.
    return value if value is None or isinstance(value, str) else repr(value)


def is_foreign(stated_id: str | None, repository_id: str | None) -> bool:
    """Return whether a run states the id of another repository; False if either id is None."""
    return None not in (stated_id, repository_id) and stated_id != repository_id


@value_type
class BuildContext:
    """The moment of a build, for pure builders: the artifacts describe `as_of`, the run starts at `generated_utc`.

    The run is sealed as `run_id`, unless another folder has that name.
    """

    as_of: datetime
    generated_utc: str
    git: GitState
    run_id: str = ""


@value_type
class CaptureCheck:
    """The check of a captured source.

    `unusable` says why it cannot be captured at all. run.json keeps `record` under `comparison`.
    """

    unusable: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


# How the warning starts in a line of the run registry whose envelope an adapter read.
ADAPTED: Final = "envelope read by adapter "
# How the last warning starts in the line of a run whose folder was removed and that an archive contains.
ARCHIVED: Final = "archived in "


@value_type
class AdaptedBy:
    """The adapter that read the envelope of a run folder without run.json.

    `fields` are its dotted keys in `file` by envelope field, and `found` are those that the file states; `problem` is
    the warning text if the file cannot be read. `path_pattern` distinguishes adapters of one file.
    """

    file: str
    fields: Mapping[str, str]
    problem: str | None
    found: frozenset[str] = frozenset()
    path_pattern: str | None = None


@value_type
class ScannedRun:
    """One run folder as scanned: name and size of each regular file in it, and its envelope, none of it verified.

    `envelope` are the fields of run.json, or those that an adapter found. `run_json_problem` is the warning text if
    run.json cannot be read. MANIFEST.sha256 claims `claimed_root`.
    """

    run_root: str
    run_id: str
    envelope: Mapping[str, Any]
    run_json_problem: str | None
    has_run_json: bool
    has_manifest_sha256: bool
    has_manifest_json: bool
    claimed_root: str | None
    files: tuple[tuple[str, int], ...]
    adapted_by: AdaptedBy | None = None


class RunRow(NamedTuple):
    """The fields of a run registry line that the status table reads; `adapted` if an adapter read its envelope."""

    run_root: str
    run_id: str
    created_utc: str | None
    operation_id: str | None
    git_commit: str | None
    working_tree_state: str | None
    has_run_json: bool
    has_manifest_sha256: bool
    adapted: bool = False

    @property
    def run_key(self) -> str:
        """The key of the line; not kept, because it repeats the run root and the run id."""
        return f"{self.run_root}::{self.run_id}"
