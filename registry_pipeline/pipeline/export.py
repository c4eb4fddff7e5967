"""Pack run folders into a verified archive (`export`). No run folder is changed or deleted."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Repository
from registry_pipeline.errors import DurabilityError, NotFoundError, PublishError, RefusedError
from registry_pipeline.files.atomic_write import refuse_missing_folder
from registry_pipeline.files.durable import advise_on_write_error, make_folders, rename_noreplace, sync_path
from registry_pipeline.files.read import hash_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.pipeline.needed_runs import NeededRuns
from registry_pipeline.pipeline.verify import check_runs
from registry_pipeline.pointers.find_runs import FoundRun, find_in_run_root, list_all_runs
from registry_pipeline.registries.base.seal_build import refuse_linked_publish_root
from registry_pipeline.runs.archive_writer import write_archive
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.scan import find_seal_state
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.runs.writer import make_staging_folder
from registry_pipeline.values import asdict, value_type

# What is done with each run: "verify" before and "read back" after the archive is written, with a number of runs.
OnStep = Callable[[str, int], Callable[[int], None]]
_NOT_SEALED: Final = "it is not sealed"
_INVALID: Final = "it does not verify"
_NO_TIME: Final = "its run.json states no time"


@value_type
class Selection:
    """The runs to export, the number of those that were left out by reason, and what refuses the export.

    `all_or_none` says that the user named each run: then one that does not verify refuses the export.
    """

    runs: tuple[FoundRun, ...]
    left_out: Mapping[str, int]
    findings: tuple[Finding, ...] = ()
    all_or_none: bool = False


@value_type
class ExportedRun:
    """One run of the archive; `path` is its folder, relative to the repository."""

    path: str
    run_id: str
    root_sha256: str


@value_type
class Export:
    """What was exported, and why runs were not; without an archive the findings refuse all of it.

    Attributes:
        path: the archive as the user named it; None if nothing was written.
        bytes: the size of the archive, and its hash.
        left_out: the number of runs by the reason why they were not selected.
    """

    path: str | None
    bytes: int
    sha256: str | None
    runs: tuple[ExportedRun, ...]
    left_out: Mapping[str, int]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `export --json`."""
        return {
            "archive": self.path,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "runs": [asdict(run) for run in self.runs],
            "left_out": [{"reason": reason, "runs": number} for reason, number in sorted(self.left_out.items())],
            "findings": [item.to_json() for item in self.findings],
        }


def select_old_runs(repository: Repository, before: datetime, registries: Collection[str]) -> Selection:
    """Return the sealed runs that state a time before `before`, and belong to one of `registries` if there are any.

    Left out are runs that must stay folders (`NeededRuns`), and runs without a seal.

    Raises:
        RefusedError: it is not known which runs are needed. NotFoundError: a run root cannot be listed.
    """
    needed = NeededRuns(repository)
    runs: list[FoundRun] = []
    left_out: Counter[str] = Counter()
    for run in list_all_runs(repository):
        run_json = read_run_json(Path(run.path)) or {}
        if registries and run_json.get("registry_id") not in registries:
            continue
        created = parse_utc(run_json.get("created_utc"))
        if created is not None and created >= before:
            continue
        reason = needed.explain(run.run_root or "", run.run_id, run_json)
        if find_seal_state(os.path.dirname(run.path), run.run_id) != "sealed":  # noqa: PTH120 - thousands of text paths
            reason = _NOT_SEALED
        elif created is None:
            reason = _NO_TIME
        if reason is None:
            runs.append(run)
        else:
            left_out[reason] += 1
    return Selection(tuple(runs), left_out)


def select_named_runs(repository: Repository, found: Iterable[FoundRun]) -> Selection:
    """Return the named runs; each that must stay a folder is a finding.

    Raises:
        RefusedError: a path is not that of a folder in a run root, or it is not known which runs are needed.
    """
    needed = NeededRuns(repository)
    findings: list[Finding] = []
    runs = [find_in_run_root(repository, run) for run in found]
    for run in runs:
        reason = needed.explain(run.run_root or "", run.run_id, read_run_json(Path(run.path)) or {})
        if reason is not None:
            findings.append(finding("EXPORT_RUN_NEEDED", run.shown, detail=reason))
    return Selection(
        tuple(sorted(set(runs), key=lambda run: run.shown)), {}, sorted_findings(findings), all_or_none=True
    )


def export_runs(
    repository: Repository, selection: Selection, target: Path, *, jobs: int = 1, on_step: OnStep
) -> Export:
    """Write the selected runs into a new archive at `target`, complete or not at all.

    Every folder is verified before, and the finished archive is read back and verified before it gets its name. A
    folder that does not verify is left out, with its findings. If it was named, nothing is written.

    Raises:
        NotFoundError: no run is selected, or the folder of the archive does not exist.
        RefusedError: the archive exists, or cannot be renamed to its place.
        PublishError: the disk refused it, or the finished archive does not verify. DurabilityError: the disk did not
            confirm the new name.
    """
    refuse_linked_publish_root(repository)
    _refuse_target(repository, target)
    if not selection.runs:
        raise NotFoundError("there is no run to export", "nothing was written; see --older-than and --registry")
    # (1) Verify every folder.
    set_done = on_step("verifying", len(selection.runs))
    checked = list(check_runs(selection.runs, repository, jobs=jobs, only_seal=True, on_done=set_done))
    refused = {result.verdict.path: _refuse_unverified(result.verdict) for result in checked}
    findings = sorted_findings([*selection.findings, *(item for items in refused.values() for item in items)])
    verdicts = [result.verdict for result in checked if not refused[result.verdict.path]]
    left_out = dict(selection.left_out)
    if findings and not selection.all_or_none:
        left_out[_INVALID] = len(checked) - len(verdicts)
    if (findings and selection.all_or_none) or not verdicts:
        return Export(None, 0, None, (), left_out, findings)
    runs = tuple(ExportedRun(verdict.path, verdict.run_id, verdict.root_sha256 or "") for verdict in verdicts)
    staging = ""
    try:
        # (2) Write the archive beside the other staged folders, where `doctor` finds what a killed process left.
        make_folders(repository.staging_root)
        staging = make_staging_folder(repository.staging_root, "export")
        staged = Path(staging, target.name)
        write_archive(staged, repository.root, [run.path for run in runs])
        # (3) Read it back: it must give the same runs with the same roots.
        _refuse_other_archive(staged, runs, on_step("reading back", 1))
        size, digest = staged.stat().st_size, hash_regular_file(staged)
        # (4) Give it its name, which replaces nothing.
        _publish(staged, target)
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror or error}; nothing was exported"
        raise PublishError(message, advise_on_write_error(error, target.parent)) from error
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)
    return Export(str(target), size, digest, runs, left_out, findings)


def _refuse_target(repository: Repository, target: Path) -> None:
    refuse_missing_folder(target)
    if os.path.lexists(target):
        raise RefusedError(f"{target} exists; an archive is never replaced", "name another file")
    folder = next(path for path in (repository.staging_root, *repository.staging_root.parents) if path.is_dir())
    if target.parent.stat().st_dev != folder.stat().st_dev:
        advice = "export to a file there, copy it, and verify the copy with `registry-pipeline verify`"
        raise RefusedError(f"{target.parent} is not on the file system of {repository.config.publish_root}", advice)


def _refuse_unverified(verdict: Verdict) -> tuple[Finding, ...]:
    """Return why a folder is not exported: its errors, or that it is not sealed."""
    if verdict.passed:
        return ()
    return verdict.errors() or (finding("EXPORT_NOT_SEALED", verdict.path, detail=verdict.verdict),)


def _refuse_other_archive(staged: Path, runs: Sequence[ExportedRun], set_done: Callable[[int], None]) -> None:
    """Raise PublishError unless an archive verifies and contains exactly these runs."""
    archive = FoundRun(str(staged), "", None, staged.name)
    verdicts = [result.verdict for result in check_runs([archive], None, only_seal=True, on_done=set_done)]
    # An archive of one run has its path, one of several the path in it below its own.
    paths = [runs[0].path] if len(verdicts) == 1 else [verdict.path.removeprefix("/") for verdict in verdicts]
    read = [
        ExportedRun(path, verdict.run_id, (verdict.root_sha256 or "") if verdict.passed else "")
        for path, verdict in zip(paths, verdicts, strict=True)
    ]
    if sorted(read, key=lambda run: run.path) != sorted(runs, key=lambda run: run.path):
        codes = sorted({error.code for verdict in verdicts for error in verdict.errors()})
        reason = ", ".join(codes) or "a folder changed while it was read"
        raise PublishError(
            f"the finished archive does not verify: {reason}; nothing was exported",
            "free some space in TMPDIR, check the disk, or export fewer runs; then export again",
        )


def _publish(staged: Path, target: Path) -> None:
    try:
        rename_noreplace(str(staged), str(target))
    except FileExistsError:
        raise RefusedError(f"{target} exists; an archive is never replaced", "name another file") from None
    except OSError as error:
        if error.errno == errno.EXDEV:
            advice = "export to a file beside the run roots, copy it, and verify the copy"
            raise RefusedError(f"{target} is on another file system; nothing was exported", advice) from None
        raise
    try:
        sync_path(target.parent)
    except OSError as error:
        message = f"{target.name} is written and verified, but the disk did not confirm its name: {error.strerror}"
        raise DurabilityError(message, "check the disk, then verify the archive") from None
