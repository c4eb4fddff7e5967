"""The one function that decides about a role pack, and the check of a pack that is about to be captured.

`roles check`, the build and `status` call `compare_pack`; a sealed run records its result, from which `verify`,
`activate` and the Dagster checks derive the same verdict. See docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.model.capture_check import CaptureCheck
from registry_pipeline.model.finding import Severity
from registry_pipeline.model.roles import ACTIVE_BASELINE, ROLE_REGISTRY
from registry_pipeline.roles.check import check_against, find_own_violations
from registry_pipeline.roles.pack import ParsedPack, parse_pack
from registry_pipeline.roles.sealed import comparison_record
from registry_pipeline.roles.violation import Published, Violation, lowered, sorted_violations
from registry_pipeline.runbook.reading import read_pointers, run_folder
from registry_pipeline.runbook.role_baselines import Baseline, configured_baseline, find_baseline, with_publishers
from registry_pipeline.runbook.role_violations import FIRST_PUBLISH, not_checked, waive
from registry_pipeline.sources.context import Previous
from registry_pipeline.values import value_type


@value_type
class Comparison:
    """The violations of a pack against all its baselines.

    `baselines` are the packs that it was compared with; `tip` is the commit whose history the first of them has.
    """

    baselines: tuple[Published, ...]
    tip: str | None
    violations: tuple[Violation, ...]


def compare_pack(governed: Governed, pack: ParsedPack, names: Sequence[str], folder: Path) -> Comparison:
    """Compare a pack with each of the named baselines: it passes if it passes against all of them.

    A baseline that cannot be found or read is RR030. A file is looked up in `folder`.
    """
    groups: list[tuple[Violation, ...]] = []
    baselines: list[Published] = []
    tip: str | None = None
    for name in names:
        try:
            baseline = find_baseline(governed, name, pack, folder)
            groups.append(_compare(governed, pack, baseline))
        except (NotFoundError, EvidenceError) as error:
            groups.append(_uncompared(pack, error))
            continue
        tip = tip or baseline.tip
        baselines += [] if baseline.published is None else [baseline.published]
    violations = sorted_violations(*groups)
    if baselines:
        violations = tuple(each for each in violations if each.finding.code != FIRST_PUBLISH)
    return Comparison(tuple(baselines), tip, violations)


def _compare(governed: Governed, pack: ParsedPack, baseline: Baseline) -> tuple[Violation, ...]:
    """Compare, and if something published is violated, compare again knowing which commit published it."""
    violations = check_against(pack, baseline.published)
    wanted = {name for each in violations if each.finding.severity is not Severity.INFO for name in each.ids}
    published = with_publishers(governed, baseline, wanted)
    return violations if published is None else check_against(pack, published)


def _uncompared(pack: ParsedPack, error: NotFoundError | EvidenceError) -> tuple[Violation, ...]:
    """Return RR030 with the pack's own defects: which of them are new is not known, and RR030 fails the check."""
    own = find_own_violations(pack)
    # Nothing can be published of a pack that declares nothing, so its defects are new.
    return (not_checked(pack.path, error), *(own if pack.snapshot is None else map(lowered, own)))


def check_capture(
    governed: Governed, now: datetime, data: bytes, path: str, previous: Previous | None = None
) -> CaptureCheck:
    """Check a pack that is about to be captured: against the usual baseline, and against the active snapshot.

    `previous` is the active snapshot as the build read it, None if none is active or it does not verify.
    """
    pack = parse_pack(data, path)
    if pack.snapshot is None:
        own = (each.finding for each in find_own_violations(pack))
        return CaptureCheck(tuple(each for each in own if each.severity is Severity.ERROR))
    usual = configured_baseline(governed)
    verified = previous is not None and bool(previous.files)
    comparison = compare_pack(governed, pack, _names(usual, active=verified), governed.root)
    ref = None if verified or comparison.baselines else read_pointers(governed).active(ROLE_REGISTRY)
    if ref is not None and run_folder(governed, ref).is_dir():
        # The active snapshot was altered. So this is no first publish, and what was published is not known. One whose
        # folder is absent, as in a clone without the runs, counts as none.
        comparison = compare_pack(governed, pack, _names(usual, active=True), governed.root)
    violations, waived = waive(governed, comparison.violations, now, usual=True)
    record = comparison_record(pack, comparison.baselines, violations, waived)
    return CaptureCheck((), tuple(each.finding for each in violations), record)


def _names(usual: str, *, active: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys((usual, ACTIVE_BASELINE))) if active else (usual,)
