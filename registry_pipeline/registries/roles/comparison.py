"""The comparison of a role pack with its baselines, at capture and for a sealed run; its waivers and records.

`roles check`, the build and `status` call `compare_pack`. A sealed run records its result; `verify`, `activate` and the
Dagster checks derive the same verdict from it (docs/decisions/0011).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import parse_utc, sha256_hex
from registry_pipeline.capture_table import ACTIVE_BASELINE, ROLE_REGISTRY, WAIVERS_PATH
from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError, EvidenceError, NotFoundError, RefusedError, WriteError
from registry_pipeline.files.lock import refuse_outside
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.git.repository import find_commit
from registry_pipeline.registries.base.reader import Previous
from registry_pipeline.registries.roles.baselines import (
    ActiveIds,
    Baseline,
    add_publishers,
    parse_active_ids,
    read_baseline,
    read_baseline_name,
    read_commit_baseline,
    read_published_packs,
    read_sealed_pack,
)
from registry_pipeline.registries.roles.check import (
    check_against_baseline,
    check_history,
    find_baseline_problems,
    find_pack_violations,
    lower_if_known,
    make_baseline_violations,
    make_not_checked,
)
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, Diagnostic, record_diagnostics
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.read import (
    find_sealed_pack,
    make_comparison_record,
    read_sealed_check,
    read_waivers_file,
)
from registry_pipeline.registries.roles.report import (
    PublishedPack,
    RoleRegistryViolation,
    as_warning,
    make_violations,
    sort_violations,
)
from registry_pipeline.registries.roles.retired import (
    NO_RETIRED_IDS,
    RetiredIds,
    collect_retired_ids,
    find_reused_ids,
    list_declared_ids,
)
from registry_pipeline.registries.roles.snapshot import RoleRegistrySnapshot
from registry_pipeline.registries.roles.waivers import apply_waivers, parse_waivers
from registry_pipeline.runs.envelope import CaptureCheck
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type

NOT_CHECKED: Final = "RR030"


def make_not_checked_for_error(path: str, error: NotFoundError | EvidenceError) -> RoleRegistryViolation:
    """Return the violation RR030 with the message and the advice of an error."""
    return make_not_checked(path, f"{error.message}; {error.advice}" if error.advice else error.message)


def apply_pack_waivers(
    repository: Repository, violations: tuple[RoleRegistryViolation, ...], now: datetime, *, is_usual: bool
) -> tuple[tuple[RoleRegistryViolation, ...], tuple[RoleRegistryViolation, ...]]:
    """Return the violations that remain after the repository's waivers, and the waived ones.

    Problems of the waivers themselves are added to the first; an unused one (RR032) only if `is_usual`. If the file
    cannot be read, nothing is waived, and RR030 is added.
    """
    try:
        data = read_waivers_file(repository)
    except NotFoundError as error:
        return sort_violations(violations, (make_not_checked_for_error(WAIVERS_PATH, error),)), ()
    if data is None:
        return violations, ()
    result = apply_waivers(violations, parse_waivers(data, WAIVERS_PATH), now.date())
    # Waivers are written for the usual comparison, so only that one shows that a waiver is unused.
    remaining = (violation for violation in result.violations if is_usual or violation.finding.code != "RR032")
    return tuple(remaining), result.waived


def record_violations(
    repository: Repository,
    violations: Iterable[RoleRegistryViolation],
    waived: Iterable[RoleRegistryViolation],
    now: datetime,
    *,
    tool: str,
    job_id: str | None = None,
) -> str | None:
    """Record errors and warnings, open and waived, in the diagnostics store; return why that failed, or None."""
    store = repository.state_root / STORE_NAME
    diagnostics = [
        _make_diagnostic(violation, status, tool, job_id)
        for status, group in (("open", violations), ("waived", waived))
        for violation in group
        if violation.finding.severity is not Severity.INFO
    ]
    try:
        refuse_outside(store, repository.root)
        record_diagnostics(store, diagnostics, now)
    except (BusyError, NotFoundError, RefusedError, WriteError) as error:
        # The store is not evidence: a failure changes no verdict.
        return f"not recorded in the diagnostics: {error.message} -> {error.advice}"
    return None


def _make_diagnostic(violation: RoleRegistryViolation, status: str, tool: str, job_id: str | None) -> Diagnostic:
    located = violation.finding
    location = located.path if located.location is None else f"{located.path}:{located.location}"
    return Diagnostic(
        fingerprint=violation.fingerprint,
        message=located.message,
        severity=located.severity.value,
        surface=located.path,
        tool=tool,
        code=located.code,
        tags=violation.ids,
        job_id=job_id,
        locations=tuple(filter(None, (location, violation.baseline_location))),
        status=status,
    )


@value_type
class Comparison:
    """A pack compared with all its baselines; `tip` is the commit whose history contains the first of them."""

    baselines: tuple[PublishedPack, ...]
    tip: str | None
    violations: tuple[RoleRegistryViolation, ...]


def compare_pack(
    repository: Repository, pack: ParsedPack, names: Sequence[str], folder: Path, active: ActiveIds | None = None
) -> Comparison:
    """Return the comparison of a pack with each named baseline; it passes if it passes against all of them.

    A baseline that cannot be found or read is RR030; then errors of the pack itself are warnings. A file is searched in
    `folder`. RR031 (first publish) is left out if any baseline was found. Ids that the `active` snapshot published and
    the baselines lack are not used again.
    """
    groups: list[tuple[RoleRegistryViolation, ...]] = []
    baselines: list[PublishedPack] = []
    tip: str | None = None
    for name in names:
        try:
            baseline = read_baseline(repository, name, pack, folder)
            groups.append(_compare(repository, pack, baseline))
        except (NotFoundError, EvidenceError) as error:
            # Which of the pack's own errors are new is unknown, and RR030 fails the check. But nothing can be
            # published of a pack that declares nothing, so its errors are new.
            own = find_pack_violations(pack)
            own = own if pack.snapshot is None else tuple(map(as_warning, own))
            groups.append((make_not_checked_for_error(pack.path, error), *own))
            continue
        tip = tip or baseline.tip
        baselines += [] if baseline.published is None else [baseline.published]
    if active is not None:
        groups.append(_find_reuses(repository, pack, baselines, tip, active))
    violations = sort_violations(*groups)
    if baselines:
        # A pack with any baseline is no first publish.
        violations = tuple(violation for violation in violations if violation.finding.code != "RR031")
    return Comparison(tuple(baselines), tip, violations)


def _compare(repository: Repository, pack: ParsedPack, baseline: Baseline) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations against one baseline, with the commits that published the ids as far as git shows them."""
    problems = find_baseline_problems(pack, baseline.published)
    # The history is only read for problems: their findings name the commit that published the id.
    ids = {subject_id for problem in problems for subject_id in problem.ids}
    published = add_publishers(repository, baseline, ids) or baseline.published
    return make_baseline_violations(problems, pack, published)


def _find_reuses(
    repository: Repository, pack: ParsedPack, baselines: Sequence[PublishedPack], tip: str | None, active: ActiveIds
) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations of ids that were removed and are used again, as far as the active snapshot knows them."""
    snapshot = pack.snapshot
    if snapshot is None:
        return ()
    # (1) ids that the snapshot retired
    past = [baseline.pack.snapshot for baseline in baselines if baseline.pack.snapshot is not None]
    known = [{problem.identity for problem in find_reused_ids(old, active.retired, "")} for old in past]
    tolerated = set.intersection(*known) if known else set()
    problems = [
        lower_if_known(problem, tolerated) for problem in find_reused_ids(snapshot, active.retired, active.source)
    ]
    violations = make_violations(problems, pack, None)
    # (2) ids that it still declares, because no build without them was valid, and that the branch lacks. The history
    # tells those that were removed from those that the snapshot has from another branch.
    branch = next((old.pack for old in baselines if old.commit is not None), None)
    suspects: set[str] = set()
    if branch is not None and branch.snapshot is not None and branch.data != pack.data:
        suspects = (list_declared_ids(snapshot) & active.declared) - list_declared_ids(branch.snapshot)
    try:
        history = check_history(pack, read_published_packs(repository, tip)) if suspects else ()
    except NotFoundError as error:
        return (*violations, make_not_checked_for_error(pack.path, error))
    return (*violations, *(violation for violation in history if suspects.intersection(violation.ids[-1:])))


def check_capture(
    repository: Repository,
    now: datetime,
    data: bytes,
    path: str,
    previous: Previous | None = None,
    *,
    read_history: bool = False,
) -> tuple[CaptureCheck, RetiredIds]:
    """Check a pack before its capture, against the configured baseline and the active snapshot.

    Also returns the ids that were published and that the pack does not declare: those in the active snapshot, and with
    `read_history` those in git. `previous` is the active snapshot as the build read it, None if none is active or it
    does not verify. A pack without an array `roles` is not compared: only its own errors are returned, as `unusable`.
    """
    pack = parse_pack(data, path)
    if pack.snapshot is None:
        own = (violation.finding for violation in find_pack_violations(pack))
        errors = tuple(result for result in own if result.severity is Severity.ERROR)
        return CaptureCheck(errors), NO_RETIRED_IDS
    # The active snapshot is a baseline too: otherwise a rewritten branch could remove a published role.
    configured = read_baseline_name(repository)
    with_active = tuple(dict.fromkeys((configured, ACTIVE_BASELINE)))
    verified = previous is not None and bool(previous.files)
    active, unread = _parse_previous(repository, previous, path) if previous is not None and verified else (None, ())
    comparison = compare_pack(repository, pack, with_active if verified else (configured,), repository.root, active)
    ref = None if verified or comparison.baselines else read_pointers(repository).active(ROLE_REGISTRY)
    if ref is not None and run_folder(repository, ref).is_dir():
        # The active snapshot does not verify. So this is not a first publish, and the published pack is unknown. A
        # snapshot whose folder is missing, as in a clone without the runs, counts as none.
        comparison = compare_pack(repository, pack, with_active, repository.root)
    retired, history = _collect_retired_ids(repository, pack.snapshot, comparison, previous, active, read_history)
    violations = sort_violations(comparison.violations, unread)
    violations, waived = apply_pack_waivers(repository, violations, now, is_usual=True)
    record = make_comparison_record(pack, comparison.baselines, violations, waived, history)
    return CaptureCheck((), tuple(violation.finding for violation in violations), record), retired


def _parse_previous(
    repository: Repository, previous: Previous, path: str
) -> tuple[ActiveIds | None, tuple[RoleRegistryViolation, ...]]:
    """Return the ids of the active snapshot as the build read it, None and RR030 if it has no valid document."""
    ref = read_pointers(repository).active(ROLE_REGISTRY)
    folder = f"{repository.config.publish_root if ref is None else ref.run_root}/{previous.run_id}"
    try:
        return parse_active_ids(previous.files, read_run_json(repository.path(folder)), folder), ()
    except NotFoundError as error:
        return None, (make_not_checked_for_error(path, error),)


def _collect_retired_ids(
    repository: Repository,
    current: RoleRegistrySnapshot,
    comparison: Comparison,
    previous: Previous | None,
    active: ActiveIds | None,
    read_history: bool,
) -> tuple[RetiredIds, str | None]:
    """Return all retired ids that are known, and the commit through which the history of the pack was read."""
    history = None if active is None else active.history
    past: list[RoleRegistrySnapshot | None] = []
    if read_history:
        try:
            commits = read_published_packs(repository, comparison.tip, history)
            past = [commit.pack.snapshot for commit in commits if commit.pack is not None]
            history = comparison.tip or find_commit(repository.root, "HEAD")
        except NotFoundError:
            pass  # outside git, or in a shallow clone: the next build reads what this one could not
    file = find_sealed_pack(previous.files) if previous is not None and active is not None else None
    if file is not None:
        past.append(parse_pack(file[1], file[0]).snapshot)
    known = NO_RETIRED_IDS if active is None else active.retired
    return collect_retired_ids(current, [snapshot for snapshot in past if snapshot is not None], known), history


def check_role_registry(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of a sealed role registry that its own files do not give, and record all its violations.

    Its own files give the verdict (`check_sealed_run`). Only a run without a recorded comparison is compared here.
    """
    check = read_sealed_check(report)
    if check.pack is None:
        return ()
    run_json = report.run_json or {}
    created = parse_utc(run_json.get("created_utc"))
    violations, waived = check.violations, check.waived
    if not check.recorded:
        violations = _compare_without_record(repository, sealed, report, check.pack)
        if created is not None:
            violations, waived = apply_pack_waivers(repository, violations, created, is_usual=False)
    # `check_sealed_run` reports the errors and warnings of a recorded comparison.
    reported = {Severity.INFO} if check.recorded else set(Severity)
    findings = tuple(violation.finding for violation in violations if violation.finding.severity in reported)
    if created is None:
        return findings
    run_id = run_json.get("dagster_run_id")
    job_id = run_id if isinstance(run_id, str) else None
    tool = "role_registry append_only"
    note = record_violations(repository, violations, waived, created, tool=tool, job_id=job_id)
    return findings if note is None else (*findings, finding("DIAGNOSTICS_NOT_RECORDED", report.path, detail=note))


def _compare_without_record(
    repository: Repository, sealed: SealedRun, report: SealReport, pack: ParsedPack
) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations of a sealed pack whose run.json records no comparison.

    The baselines are the previous snapshot that run.json names, and the pack published before the sealed one, as of
    the run's commit (`_read_git_baseline`). If neither exists, it is a first publish (RR031). A baseline that cannot be
    read is RR030: a warning if another one was compared, else an error and the only result. A baseline without an array
    `roles` is always an error RR030.
    """
    groups: list[tuple[RoleRegistryViolation, ...]] = []
    unknown: list[RoleRegistryViolation] = []
    ref = sealed.inputs.previous(ROLE_REGISTRY)
    if ref is not None:
        try:
            groups.append(check_against_baseline(pack, read_sealed_pack(repository, ref)))
        except (NotFoundError, EvidenceError) as error:
            unknown.append(make_not_checked_for_error(pack.path, error))
    try:
        baseline = _read_git_baseline(repository, sealed, report, pack)
        if baseline is not None or ref is None:
            groups.append(check_against_baseline(pack, baseline))
    except NotFoundError as error:
        unknown.append(make_not_checked_for_error(pack.path, error))
    # For a run of an old version one baseline is enough, but at least one is needed to pass.
    return sort_violations(*groups, map(as_warning, unknown) if groups else unknown)


def _read_git_baseline(
    repository: Repository, sealed: SealedRun, report: SealReport, pack: ParsedPack
) -> PublishedPack | None:
    """Return the pack that was published before the sealed one, as of the commit of the run.

    None if there was none, or if the run names no commit; NotFoundError if git cannot say.
    """
    commit = (report.run_json or {}).get("git_commit")
    if not isinstance(commit, str):
        return None
    # The input file with the pack's bytes has the path that was configured at the time.
    digest = sha256_hex(pack.data)
    path = next((file.path for file in sealed.inputs.files if file.sha256 == digest), repository.config.roles.pack)
    return read_commit_baseline(repository.root, path, commit, pack.data, repository.config.roles.baseline).published
