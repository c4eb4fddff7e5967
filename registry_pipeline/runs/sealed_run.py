"""The values of the pipeline: a built run, a sealed run, a verdict, an activation or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.runs.envelope import CaptureCheck, Inputs
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.values import field, value_type

RunVerdict = Literal["pass", "fail", "unsealed", "partial"]


@value_type
class Artifacts:
    """The result of a builder.

    Attributes:
        records: the number of records in the main artifact.
        content_sha256: the hash of the content without its timestamps (Dagster's data version).
        metrics: numbers for plots.
        files_for: returns the files for a run id, if the content names its own run.
    """

    files: Mapping[str, bytes]
    records: int
    content_sha256: str
    metrics: Mapping[str, int] = field(default_factory=dict)
    files_for: Callable[[str], Mapping[str, bytes]] | None = None

    def sealed_as(self, run_id: str) -> Mapping[str, bytes]:
        """Return the files to seal under a run id."""
        return self.files if self.files_for is None else self.files_for(run_id)


@value_type
class Built:
    """Artifacts and what run.json states about them; `findings` are about the sources.

    `root` is the path of the repository from which all of it was read. It can be sealed in no other one.
    """

    registry_id: str
    artifacts: Artifacts
    inputs: Inputs
    as_of_utc: str
    root: str
    findings: tuple[Finding, ...] = ()
    # The day that it describes, or the member of a collection.
    partition: str | None = None
    coverage: Mapping[str, Any] | None = None
    check: CaptureCheck | None = None
    # The earlier run that says the same: nothing is sealed.
    kept: SealedRun | None = None


@value_type
class NotBuilt:
    """A registry that was not built, with the findings that say why."""

    registry_id: str
    findings: tuple[Finding, ...]


@value_type
class SealedRun:
    """A published run folder; `reused` if it existed before: its content is unchanged, or the step is repeated."""

    registry_id: str
    ref: SealedRef
    inputs: Inputs
    as_of_utc: str
    reused: bool = False


@value_type
class Verdict:
    """The result of checking one folder.

    Attributes:
        verdict: `unsealed` without seal files, `partial` with one of the two.
        pointer_sha256: the hash of the pointer file at the time of the check, if an activation is intended.
        repository_id: the one that the verified run.json states.
    """

    path: str
    run_id: str
    registry_id: str | None
    verdict: RunVerdict
    root_sha256: str | None
    findings: tuple[Finding, ...]
    pointer_sha256: str | None = None
    artifact: str | None = None
    repository_id: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the run verifies and no finding is an error."""
        return self.verdict == "pass"

    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that are errors."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    def to_json(self) -> dict[str, Any]:
        """Return one entry of `results` in the JSON of `verify`."""
        keys = ("path", "run_id", "registry_id", "verdict", "root_sha256")
        return {key: getattr(self, key) for key in keys} | {"findings": [f.to_json() for f in self.findings]}


@value_type
class Activation:
    """A completed change of pointers, and the sealed record of it."""

    action: str
    moves: tuple[Move, ...]
    record: SealedRef
    pointer_sha256: str
    findings: tuple[Finding, ...] = ()
    # The bytes of the record, if it is only planned.
    document: bytes = b""


@value_type
class Refusal:
    """A refused change of pointers, with every reason."""

    findings: tuple[Finding, ...]


@value_type
class SealReport:
    """What the verifier recomputed of one folder, whose name is `run_id`.

    `entries` and `run_json` are empty or None if their files cannot be parsed. `kept` are the bytes of the files that
    the caller requested, exactly those that were hashed.
    """

    path: str
    run_id: str
    verdict: RunVerdict
    root_sha256: str | None
    entries: tuple[ManifestEntry, ...]
    run_json: Mapping[str, Any] | None
    findings: tuple[Finding, ...]
    kept: Mapping[str, bytes] = field(default_factory=dict)
