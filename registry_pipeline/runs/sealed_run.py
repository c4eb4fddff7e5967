"""What the walk hands on: built artifacts, sealed runs, verdicts, activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal

from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.runs.envelope import CaptureCheck, Inputs
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.reference import Move, SealedRef
from registry_pipeline.values import field, value_type

RunVerdict = Literal["pass", "fail", "unsealed", "partial"]


@value_type
class Artifacts:
    """What a builder returns.

    `files` maps relpath to bytes; `records` counts the records of the main artifact; `content_sha256` is the hash
    of the content without its timestamps (Dagster's data version); `metrics` are numbers worth a plot. Content that
    names the run which it was made in has `files_for`: `files` are those of the run id in the builder's context.
    """

    files: Mapping[str, bytes]
    records: int
    content_sha256: str
    metrics: Mapping[str, int] = field(default_factory=dict)
    files_for: Callable[[str], Mapping[str, bytes]] | None = None

    def sealed_as(self, run_id: str) -> Mapping[str, bytes]:
        """Return the files as they are sealed under a run id."""
        return self.files if self.files_for is None else self.files_for(run_id)


@value_type
class Built:
    """Artifacts with all that their envelope must say: what they were built from, and findings about sources.

    `partition` is the day that a snapshot of history describes; `coverage` what a log says of every registry (SPEC
    4.5). `check` is the check of a source against what was published before; run.json records it.
    """

    registry_id: str
    artifacts: Artifacts
    inputs: Inputs
    as_of_utc: str
    findings: tuple[Finding, ...] = ()
    partition: date | None = None
    coverage: Mapping[str, Any] | None = None
    check: CaptureCheck | None = None


@value_type
class NotBuilt:
    """A registry whose source is missing or malformed: nothing new, and the findings that say why."""

    registry_id: str
    findings: tuple[Finding, ...]


@value_type
class SealedRun:
    """A run folder that exists, complete; `reused` if an earlier try of the same step had made it."""

    registry_id: str
    ref: SealedRef
    inputs: Inputs
    as_of_utc: str
    reused: bool = False


@value_type
class Verdict:
    """The judgement of one folder, bound to the root hash that was recomputed.

    `root_sha256` is None where no root could be recomputed; `verdict` is `unsealed` without any seal file and
    `partial` with some. `pointer_sha256` is the hash of the pointer file at the time of the judgement, where one is
    meant for activation (SPEC 5). `artifact` is the main artifact by the name that the folder gives it, None where
    there is none. `repository_id` is what run.json states, read together with the bytes that give the root.
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
        """Tell whether the run may be activated: it verifies, and no finding is an error."""
        return self.verdict == "pass"

    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that made it fail."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    def to_json(self) -> dict[str, Any]:
        """Return one entry of `results` in the JSON of `verify` (SPEC 6)."""
        return {
            "path": self.path,
            "run_id": self.run_id,
            "registry_id": self.registry_id,
            "verdict": self.verdict,
            "root_sha256": self.root_sha256,
            "findings": [f.to_json() for f in self.findings],
        }


@value_type
class Activation:
    """Pointers that moved, and the sealed record that says so."""

    action: str
    moves: tuple[Move, ...]
    record: SealedRef
    pointer_sha256: str
    findings: tuple[Finding, ...] = ()


@value_type
class Refusal:
    """Pointers that did not move, and every reason why."""

    findings: tuple[Finding, ...]


@value_type
class SealReport:
    """What the verifier recomputed of one folder (SPEC 2.2).

    `path` is how the folder was named by the caller, `run_id` the folder's name. `entries` are those of
    manifest.json and `run_json` its parsed object, each empty or None where it could not be parsed. `kept` holds the
    bytes of the files that the caller asked for, exactly those that were hashed.
    """

    path: str
    run_id: str
    verdict: RunVerdict
    root_sha256: str | None
    entries: tuple[ManifestEntry, ...]
    run_json: Mapping[str, Any] | None
    findings: tuple[Finding, ...]
    kept: Mapping[str, bytes] = field(default_factory=dict)
