"""Scenarios of run folders and delta logs, in steps: the `scenario` of cases in `cases/delta`.

A scenario makes a plain repository folder and seals, logs, alters; then one more log is built, and its findings and new
lines are compared with the case. The steps are the methods of `Scenario`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import json_document
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.steps import build
from registry_pipeline.pointers import rollback as pointers_rollback
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.registries.base.delta import DELTA_LOG, LOG_FILE, DeltaEdge, parse_delta_log
from registry_pipeline.registries.base.seal_build import BuildRun, start_build_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.reference import SealedRef, empty_pointer_file, pointer_file_bytes
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun
from registry_pipeline_tests.copies import flip_byte, make_removable
from registry_pipeline_tests.sealed_folders import RUNS, seal_plainly

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = SHIPPED.spec_of(DELTA_LOG)


@dataclass
class Scenario:
    """A repository in the making; every method is a step."""

    repository: Repository
    minutes: int = 0

    @classmethod
    def begin(cls, root: Path) -> Scenario:
        root.mkdir()
        initialize(root, track_runs=None, now=NOON)
        return cls(load_repository(root))

    def folder(self, run_id: str) -> Path:
        places = (self.repository.path(root) / run_id for root in self.repository.config.run_roots)
        return next(place for place in places if place.exists())

    def run(self, dagster_run_id: str | None = None) -> BuildRun:
        return start_build_run(self.repository, NOON + timedelta(minutes=self.minutes), dagster_run_id)

    def seal(self, run_id: str, files: Mapping[str, str], envelope: Mapping[str, Any] | None = None) -> None:
        """Seal a folder, of a registry where its envelope or the names of its files say so."""
        seal_plainly(self.repository.root, run_id, {k: v.encode() for k, v in files.items()}, envelope or {})

    def read(self) -> Built | NotBuilt:
        """Build a log without sealing it."""
        return build(self.repository, self.run(), SPEC, {})

    def log(self) -> SealedRun:
        """Build, seal and validate a log, a minute after the one before."""
        self.minutes += 1
        built = self.read()
        assert isinstance(built, Built), built.findings
        sealed = steps.seal(self.repository, self.run(), SPEC, built)
        verdict = validate(self.repository, sealed)
        assert verdict.passed, verdict.findings
        return sealed

    def tamper(self, run_id: str, file: str) -> None:
        """Flip a byte of a sealed file."""
        flip_byte(self.folder(run_id) / file)

    def rewrite(self, run_id: str, file: str, old: str, new: str) -> None:
        """Replace text in a sealed file, whatever its seal says."""
        path = self.folder(run_id) / file
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))

    def lose(self, run_id: str, file: str = "") -> None:
        """Remove a folder, or one of its files."""
        folder = self.folder(run_id)
        folder.chmod(0o755)
        if file:
            (folder / file).unlink()
        else:
            shutil.rmtree(folder)

    def hide(self, run_id: str) -> None:
        """Take a folder out of the run roots, as if another clone had it."""
        folder, elsewhere = self.folder(run_id), self.repository.root / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        folder.chmod(0o755)
        folder.rename(elsewhere / run_id)

    def arrive(self, run_id: str) -> None:
        """Bring a hidden folder back, as an import or a merge does."""
        (self.repository.root / "elsewhere" / run_id).rename(self.repository.publish_root / run_id)

    def forge(self, run_id: str) -> None:
        """Seal a log again with the same run.json and another first line."""
        folder = self.folder(run_id)
        log = (folder / LOG_FILE).read_text(encoding="utf-8").replace('"added":2', '"added":3', 1)
        envelope = json.loads((folder / "run.json").read_bytes())
        self.lose(run_id)
        self.seal(run_id, {LOG_FILE: log}, envelope)

    def copy(self, run_id: str, run_root: str) -> None:
        """Copy a folder into another run root."""
        shutil.copytree(self.folder(run_id), self.repository.path(run_root) / run_id)

    def mark_bad(self, run_id: str) -> None:
        """Mark a run bad."""
        self.minutes += 1
        found = find_run(self.repository, run_id)
        assert pointers_rollback.mark_bad(self.repository, self.run(), found, actor="Ada", reason="a test") is not None

    def point(self, registry_id: str, run_id: str, root: str, known: Any = True) -> None:
        """Write a pointer file that names a run."""
        file = empty_pointer_file("2026-03-01T12:00:00Z")
        ref = SealedRef(run_id, RUNS, None, root)
        entry = {"registry_id": registry_id, "active_ref": ref.to_json(), "active_ref_known": known}
        document = json.loads(pointer_file_bytes(file)) | {
            "pointers": [entry | {"active_asof_utc": "2026-03-01T12:00:00Z", "notes": ""}]
        }
        self.repository.pointer_path.write_bytes(json_document(document))

    def run_steps(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Do the steps: each names its method and its arguments."""
        for step in steps:
            words = dict(step)
            getattr(self, words.pop("do"))(**words)


def run_scenario(steps: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    """Return what the log is that is built after the steps. It must pass its validation when it is sealed."""
    scenario = Scenario.begin(folder / "repository")
    try:
        scenario.run_steps(steps)
        scenario.minutes += 1
        built = scenario.read()
        if isinstance(built, Built):
            scenario.minutes -= 1
            scenario.log()
        return outcome(built)
    finally:
        make_removable(folder)


def outcome(built: Built | NotBuilt) -> dict[str, Any]:
    """Return what a case expects of the log that its scenario ends with."""
    named = built.inputs.previous(DELTA_LOG) if isinstance(built, Built) else None
    return {
        "built": isinstance(built, Built),
        "previous": None if named is None else named.run_id,
        "findings": [{"code": f.code, "severity": f.severity.value, "path": f.path} for f in built.findings],
        "appended": [_told(edge) for edge in _appended(built)] if isinstance(built, Built) else [],
    }


def _appended(built: Built) -> list[DeltaEdge]:
    edges = list(parse_delta_log(built.artifacts.files[LOG_FILE]))
    return edges[len(edges) - built.artifacts.metrics["edges_added"] :]


def _told(edge: DeltaEdge) -> dict[str, Any]:
    return {
        "registry_id": edge.registry_id,
        "from": None if edge.from_ref is None else edge.from_ref.run_id,
        "to": edge.to_ref.run_id,
        "basis": edge.basis,
        "added": list(edge.paths.added),
        "removed": list(edge.paths.removed),
        "modified": list(edge.paths.modified),
    }
