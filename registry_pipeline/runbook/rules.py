"""What a registry promises beyond its shape (SPEC 4): the rules of step 3 that look at what came before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final

from registry_pipeline.config import Governed
from registry_pipeline.model.capture_check import CaptureCheck
from registry_pipeline.model.delta import DELTA_LOG
from registry_pipeline.model.finding import Finding
from registry_pipeline.model.refs import SealedRef
from registry_pipeline.model.roles import ROLE_REGISTRY
from registry_pipeline.model.verdict import SealedRun, SealReport
from registry_pipeline.runbook.reading import read_report, read_sealed, run_folder, spec_of
from registry_pipeline.runbook.role_check import check_capture
from registry_pipeline.runbook.role_snapshots import check_role_registry
from registry_pipeline.runbook.run_index import OVERRIDES_LOG, RUN_INDEX, judge_overrides_log, judge_run_index
from registry_pipeline.sources.context import Previous
from registry_pipeline.sources.run_folders import read_why_left_out
from registry_pipeline.validate.delta_log import check_delta_log
from registry_pipeline.validate.history import check_history


def check_rules(governed: Governed, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return how a run whose seal holds breaks the rules of its own registry; most registries have none."""
    judge = _RULES.get(sealed.registry_id)
    return () if judge is None or report.verdict != "pass" else judge(governed, sealed, report)


def _history(governed: Governed, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    rows = report.kept.get(spec_of("run_registry").artifact)
    if rows is None:
        return ()
    previous = sealed.inputs.previous("run_registry")
    before: bytes | None = None
    if previous is not None and run_folder(governed, previous).is_dir():
        before = read_sealed(governed, spec_of("run_registry"), previous).kept[spec_of("run_registry").artifact]
    return check_history(
        before,
        rows,
        governed.config.run_roots,
        lister=f"the run registry {'' if previous is None else previous.run_id}",
        why_left_out=partial(read_why_left_out, governed.root),
    )


def _growth(governed: Governed, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Judge a delta log against its previous one; one that was altered since proves nothing, and is told as such."""
    log = report.kept.get(spec_of(DELTA_LOG).artifact)
    if log is None:
        return ()
    previous = sealed.inputs.previous(DELTA_LOG)
    created_utc = (report.run_json or {}).get("created_utc")
    return check_delta_log(
        log,
        None if previous is None else _sound_artifact(governed, previous),
        path=f"{report.path}/{spec_of(DELTA_LOG).artifact}",
        run_id=report.run_id,
        created_utc=str(created_utc),
        previous_run_id=None if previous is None else previous.run_id,
    )


def _sound_artifact(governed: Governed, ref: SealedRef) -> bytes | None:
    artifact = spec_of(DELTA_LOG).artifact
    report = read_report(governed, ref, (artifact,))
    sound = report.verdict == "pass" and report.root_sha256 == ref.manifest_sha256
    return report.kept.get(artifact) if sound else None


def _coordination(governed: Governed, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    from registry_pipeline.runbook.entries import check_coordination  # noqa: PLC0415 - its room is wide; few verbs need it

    return check_coordination(governed, sealed, report)


_RULES: Final[Mapping[str, Callable[[Governed, SealedRun, SealReport], tuple[Finding, ...]]]] = MappingProxyType(
    {
        "run_registry": _history,
        DELTA_LOG: _growth,
        ROLE_REGISTRY: check_role_registry,
        RUN_INDEX: judge_run_index,
        OVERRIDES_LOG: judge_overrides_log,
        "module_registry": _coordination,
        "route_registry": _coordination,
        "ability_registry": _coordination,
        "hook_registry": _coordination,
    }
)
"""The rules of each registry that has any; a report holds the bytes of the run's artifacts."""


def capture_checks(
    governed: Governed, now: datetime
) -> Mapping[str, Callable[[bytes, str, Previous | None], CaptureCheck]]:
    """Return the checks of sources that more than a schema decides about, by registry; `now` decides about waivers."""
    return {ROLE_REGISTRY: partial(check_capture, governed, now)}
