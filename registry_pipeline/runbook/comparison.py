"""Two sealed runs side by side, both verified on read (SPEC 4.5 and 8, `diff`)."""

from __future__ import annotations

from collections.abc import Sequence

from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import ConfigError, EvidenceError, NotFoundError
from registry_pipeline.model.attribution import main_artifact, registry_of
from registry_pipeline.model.delta import changed_paths
from registry_pipeline.model.verdict import SealReport
from registry_pipeline.query.diff import ArtifactDiff, RunDiff, Side, comparable_paths, compare_artifact
from registry_pipeline.query.listing import dated_runs, list_run_folders
from registry_pipeline.runbook.reading import read_pointers, run_folder, spec_of
from registry_pipeline.runbook.verification import FoundRun
from registry_pipeline.seal.verify import verify_folder


def compare_runs(before: FoundRun, after: FoundRun) -> RunDiff:
    """Return what leads from one run to another of the same registry.

    Raises:
        EvidenceError: one of them does not verify; it is named.
        ConfigError: they belong to different registries, so that nothing leads from one to the other.
    """
    sides = tuple(_verified(found) for found in (before, after))
    names = tuple(_registry_of(report) for report in sides)
    if names[0] != names[1]:
        told = [f"{side.run_id} is of {name or 'no registry'}" for side, name in zip(sides, names, strict=True)]
        raise ConfigError(" and ".join(told), "compare two runs of one registry")
    paths = comparable_paths(*sides)
    old, new = (verify_folder(found.path, shown=found.shown, keep=paths).kept for found in (before, after))
    keys = _record_keys(names[0], [entry.relpath for entry in sides[1].entries])
    return RunDiff(
        registry_id=names[0],
        before=Side(before.shown, before.run_id, sides[0].root_sha256 or ""),
        after=Side(after.shown, after.run_id, sides[1].root_sha256 or ""),
        paths=changed_paths(sides[0].entries, sides[1].entries),
        artifacts=tuple(_compared(path, old.get(path), new.get(path), keys.get(path, ())) for path in paths),
    )


def _record_keys(registry_id: str | None, relpaths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the record key by artifact name, the registry's own whatever its artifact is called."""
    keys = {spec.relpath: spec.record_key for spec in REGISTRIES.values() if spec.relpath and spec.record_key}
    spec = REGISTRIES.get(registry_id or "")
    main = None if spec is None else main_artifact(spec, relpaths)
    return keys | ({main: spec.record_key} if spec is not None and main is not None and spec.record_key else {})


def _verified(found: FoundRun) -> SealReport:
    report = verify_folder(found.path, shown=found.shown)
    if report.verdict != "pass":
        codes = ", ".join(sorted({f.code for f in report.findings}))
        message = f"{found.shown} does not verify ({codes}); what it holds is not compared"
        raise EvidenceError(message, f"see `registry-pipeline verify {found.run_id}`")
    return report


def _registry_of(report: SealReport) -> str | None:
    return registry_of(report.run_json, (entry.relpath for entry in report.entries), REGISTRIES)[0]


def _compared(path: str, before: bytes | None, after: bytes | None, key: Sequence[str]) -> ArtifactDiff:
    if before is None or after is None:
        raise EvidenceError(f"{path} changed while it was read", "run it again")
    return compare_artifact(path, before, after, key)


def registry_of_run(found: FoundRun) -> str | None:
    """Return the registry that a run belongs to, None for a run of none.

    Raises:
        EvidenceError: it does not verify.
    """
    return _registry_of(_verified(found))


def counterpart(governed: Governed, found: FoundRun, registry_id: str) -> FoundRun:
    """Return what a run is compared with where nothing else is named.

    That is the active run of its registry; for the active run itself, or where none is active, the sealed run of its
    registry that its name stands next behind.

    Raises:
        NotFoundError: there is none.
    """
    ref = read_pointers(governed).active(registry_id)
    if ref is not None and ref.run_id != found.run_id and run_folder(governed, ref).is_dir():
        return _found(governed, ref.run_root, ref.run_id)
    listing = list_run_folders(governed.root, governed.config.run_roots)
    older = [
        folder
        for _, folder in dated_runs(listing, {spec_of(registry_id).tag or registry_id})
        if folder.run_id < found.run_id and folder.seal == "sealed"
    ]
    if not older:
        raise NotFoundError(f"no run of {registry_id} precedes {found.run_id}", "name the run to compare it with")
    return _found(governed, older[-1].run_root, older[-1].run_id)


def _found(governed: Governed, run_root: str, run_id: str) -> FoundRun:
    return FoundRun(governed.path(run_root) / run_id, f"{run_root}/{run_id}", run_root, run_id)
