"""The run envelope, `run.json` (SPEC 4.7), and what it says a run was built from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.values import GitState
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import field, value_type

Role = Literal["upstream", "previous"]


@value_type
class InputRegistry:
    """A sealed snapshot that a run was built from; only `upstream` counts in the closure of SPEC 5."""

    registry_id: str
    role: Role
    ref: SealedRef


@value_type
class InputFile:
    """A file of the governed repository that a run was built from, by the content that was read."""

    path: str
    sha256: str


@value_type
class Inputs:
    """All that a run was built from."""

    registries: tuple[InputRegistry, ...] = ()
    files: tuple[InputFile, ...] = ()

    def upstream(self) -> dict[str, SealedRef]:
        """Return the upstream refs by registry."""
        return {i.registry_id: i.ref for i in self.registries if i.role == "upstream"}

    def previous(self, registry_id: str) -> SealedRef | None:
        """Return the ref that was fed back from a registry, or None."""
        return next((i.ref for i in self.registries if i.role == "previous" and i.registry_id == registry_id), None)

    def to_json(self) -> dict[str, Any]:
        """Return the `inputs` object of run.json."""
        return {
            "registries": [
                {"registry_id": i.registry_id, "role": i.role, "sealed_ref": i.ref.to_json()} for i in self.registries
            ],
            "files": [{"path": f.path, "sha256": f.sha256} for f in self.files],
        }

    @classmethod
    def from_json(cls, value: Any) -> Inputs:
        """Return the inputs that a run.json states; what has not their shape is left out (the schema judges it)."""
        if not isinstance(value, dict):
            return cls()
        registries = []
        for item in _dicts(value.get("registries")):
            ref, role, name = SealedRef.from_json(item.get("sealed_ref")), item.get("role"), item.get("registry_id")
            if ref is not None and isinstance(name, str) and role in ("upstream", "previous"):
                registries.append(InputRegistry(name, role, ref))
        files = [
            InputFile(item["path"], item["sha256"])
            for item in _dicts(value.get("files"))
            if isinstance(item.get("path"), str) and isinstance(item.get("sha256"), str)
        ]
        return cls(tuple(registries), tuple(files))


def stated_repository_id(run_json: Mapping[str, Any] | None) -> str | None:
    """Return the repository_id that a run.json states, None where it states none.

    A value of another type is returned as text. It equals no configured id, so such a run counts as foreign.
    """
    value = (run_json or {}).get("repository_id")
    return value if value is None or isinstance(value, str) else repr(value)


def is_foreign(stated_id: str | None, repository_id: str | None) -> bool:
    """Return whether a run states another repository_id than its repository has; False where either has none."""
    return None not in (stated_id, repository_id) and stated_id != repository_id


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


@value_type
class RunEnvelope:
    """What run.json of a registry run says, keys in the order of SPEC 4.7."""

    run_id: str
    created_utc: str
    run_type: str
    registry_id: str
    option: str
    operation_id: str
    git: GitState
    as_of_utc: str
    partition: str | None
    inputs: Inputs
    outputs: tuple[str, ...]
    builder_name: str
    builder_version: str
    dagster_run_id: str | None
    source_operation_id: str | None = None
    coverage: Mapping[str, Any] | None = None
    comparison: Mapping[str, Any] | None = None
    repository_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document; a key that is optional is absent where there is nothing to say."""
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "created_utc": self.created_utc,
            "run_type": self.run_type,
            "registry_id": self.registry_id,
            "option": self.option,
            "operation_id": self.operation_id,
            "git_commit": self.git.commit,
            "working_tree_state": self.git.working_tree_state,
        }
        if self.repository_id is not None:
            document["repository_id"] = self.repository_id
        document["as_of_utc"] = self.as_of_utc
        if self.partition is not None:
            document["partition"] = self.partition
        document |= {
            "inputs": self.inputs.to_json(),
            "outputs": list(self.outputs),
            "builder": {"name": self.builder_name, "version": self.builder_version},
        }
        optional = {
            "dagster_run_id": self.dagster_run_id,
            "source_operation_id": self.source_operation_id,
            "coverage": None if self.coverage is None else dict(self.coverage),
            COMPARISON: None if self.comparison is None else dict(self.comparison),
        }
        return document | {key: value for key, value in optional.items() if value is not None}


@value_type
class BuildContext:
    """What a pure builder knows of its moment: the instant described, the git state, and the run id.

    `run_id` is the one under which the run will be sealed if no other folder has it.
    """

    as_of: datetime
    generated_utc: str
    git: GitState
    run_id: str = ""


COMPARISON: Final = "comparison"
"""The key of run.json under which a run records its check."""


@value_type
class CaptureCheck:
    """What a check found in a source.

    Attributes:
        unusable: why the source cannot be captured at all; empty where it can.
        findings: everything that the check found, with the severities that decide.
        record: what run.json keeps of the check under `comparison`.
    """

    unusable: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
