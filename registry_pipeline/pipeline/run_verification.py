"""Verify the run folders of one shard and seal the verdicts; summarize the verdicts of all shards.

Every byte is read, and nothing is taken over from the verdict before. The rules are those of `verify --all`.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from registry_pipeline.canonical import (
    StrictJsonError,
    json_document,
    parse_strict_json,
    parse_utc,
    sha256_hex,
    utc_text,
)
from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.files.cache_file import hash_program
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.findings.finding import Finding, Severity, has_errors, plural, sorted_findings
from registry_pipeline.pipeline.verify import Verification, check_paths, combine_verdicts
from registry_pipeline.pointers.find_runs import FoundRun, list_all_runs, list_archived_runs
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.seal_build import BuildRun, read_version
from registry_pipeline.registries.base.shard_names import VERDICTS_TAG, Shard, find_month, is_shard_run
from registry_pipeline.registries.base.shard_runs import ShardRun, find_newest_runs, read_shard_run, seal_shard_run
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.run_registry.archives import list_archives, read_archived_runs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import find_missing_run_roots
from registry_pipeline.values import value_type

ARTIFACT: Final = "RUN_VERDICTS_v0_1.json"
ARCHIVES: Final = Shard("archives", "all")
"""The shard of the archives that the toml names: each is verified as a whole."""
_SCHEMA_VERSION: Final = "0.1"
# New folders of a shard are verified after a day: not each of them is a reason to read all others again.
_NEW_FOLDERS: Final = timedelta(days=1)
_INCOMPLETE: Final = frozenset(
    {"VERDICT_MISSING", "VERDICT_OLD", "SHARD_INVALID", "RUN_ROOT_MISSING", "ARCHIVE_MISSING"}
)
# From the best to the worst.
_VERDICTS: Final[tuple[str, ...]] = ("pass", "unsealed", "partial", "fail")


@value_type
class Verdicts:
    """The sealed verdicts of a shard: by name of each folder, or by path of each archive, with all findings."""

    verified: datetime
    rules_version: str
    verdicts: Mapping[str, str]
    findings: tuple[Finding, ...]


def list_verified_shards(repository: Repository) -> dict[Shard, list[FoundRun]]:
    """Return by shard what `verify --all` verifies; NotFoundError if a run root cannot be listed."""
    shards: dict[Shard, list[FoundRun]] = {}
    for run in list_all_runs(repository):
        shards.setdefault(Shard(run.run_root or "", find_month(run.run_id)), []).append(run)
    archives = list_archived_runs(repository)
    if archives:
        shards[ARCHIVES] = archives
    return dict(sorted(shards.items()))


def _find_name(run: FoundRun) -> str:
    # An archive is in no run root, and its name alone is not unique.
    return run.shown if run.run_root is None else run.run_id


def verify_shard(
    repository: Repository, run: BuildRun, shard: Shard, *, before_sealing: Callable[[], object] = lambda: None
) -> tuple[SealedRef, Verification]:
    """Verify everything in a shard, and seal the verdicts; `before_sealing` may refuse by raising.

    Raises:
        RefusedError: the shard has no run folder. Others as `seal_shard_run` and `list_verified_shards`.
    """
    found = list_verified_shards(repository).get(shard)
    if found is None:
        raise RefusedError(f"the shard {shard} has no run folder to verify", "launch the other partitions")
    results = [tuple(checked.verdict for checked in part) for part in check_paths(found, repository)]
    verification = combine_verdicts(
        (),
        itertools.chain.from_iterable(results),
        list_archives(repository)[1] if shard == ARCHIVES else (),
        require_sealed=False,
        marked_bad=read_chain_state(repository, from_checkpoint=True).marked_bad,
    )
    combined = iter(verification.results)
    verdicts = {
        _find_name(subject): _summarize([verdict.verdict for verdict in itertools.islice(combined, len(part))])
        for subject, part in zip(found, results, strict=True)
    }
    findings = verification.all_findings()
    document = {
        "schema_version": _SCHEMA_VERSION,
        "shard": str(shard),
        "verified_utc": utc_text(run.started),
        "rules_version": make_rules_version(repository),
        "verdict": verification.verdict,
        "counts": verification.counts(),
        "codes": dict(sorted(Counter(f.code for f in findings).items())),
        "verdicts": verdicts,
        "findings": [f.to_json() for f in findings],
    }
    artifacts = {ARTIFACT: json_document(document)}
    ref = seal_shard_run(repository, run, VERDICTS_TAG, shard, artifacts, before_sealing)
    return ref, verification


def make_rules_version(repository: Repository) -> str:
    """Return the version of this program with a hash of its files, and of the registries of the repository's own."""
    # Not only the number: it is the same for every commit. Rows of packages have functions, so their ids are hashed.
    config = repository.config
    files = [*config.registry_components, *(row.schema for row in config.registries.values())]
    contents = [_hash_file(repository, path) for path in files]
    ids = [(spec.registry_id, spec.version) for spec in catalog_of(repository).registries.values()]
    own = repr((sorted(config.registries.items()), config.registry_packages, contents, ids))
    return f"{read_version()}+{hash_program()[:12]}.{sha256_hex(own.encode())[:12]}"


def _hash_file(repository: Repository, path: str) -> str:
    try:
        return sha256_hex(read_regular_file(repository.path(path)))
    except OSError:
        return "unreadable"


def _summarize(verdicts: Sequence[str]) -> str:
    """Return the worst verdict that occurs: an archive has many runs."""
    return max(verdicts, key=_VERDICTS.index)


def _read_verdicts(repository: Repository, now: datetime) -> dict[Shard, tuple[ShardRun, Verdicts | None]]:
    """Return the newest run of each shard with its verdicts, None if it cannot be used."""
    newest = find_newest_runs(repository, VERDICTS_TAG, (*repository.config.run_roots, ARCHIVES.run_root), now)
    runs = {shard: read_shard_run(repository, VERDICTS_TAG, shard, newest[shard], [ARTIFACT]) for shard in newest}
    return {
        shard: (run, None if run.problem is not None else _parse(run.files[ARTIFACT])) for shard, run in runs.items()
    }


def _parse(data: bytes) -> Verdicts | None:
    """Return the verdicts of an artifact, or None if it has another form."""
    try:
        document: Mapping[str, Any] = parse_strict_json(data)
        verified, verdicts = parse_utc(document["verified_utc"]), document["verdicts"]
        if document["schema_version"] != _SCHEMA_VERSION or verified is None or not isinstance(verdicts, dict):
            return None
        if not all(verdict in _VERDICTS for verdict in verdicts.values()):
            return None
        findings = tuple(Finding.from_json(item) for item in document["findings"])
        return Verdicts(verified, str(document["rules_version"]), verdicts, findings)
    except (StrictJsonError, ValueError, TypeError, KeyError):
        return None


@value_type
class ShardVerification:
    """The newest verdicts of a shard as they are now.

    Attributes:
        subjects: the folders and archives that exist; none if all that have a verdict were removed.
        new: the folders without a verdict, apart from new runs of shards.
        removed: the names that have a verdict, and neither exist nor are in an archive.
        expired: why the verdicts do not count, "" if they do.
    """

    shard: Shard
    subjects: tuple[FoundRun, ...]
    run: ShardRun | None
    verdicts: Verdicts | None
    new: tuple[str, ...]
    removed: tuple[str, ...]
    expired: str

    def explain_pending(self, now: datetime, limit: timedelta) -> str:
        """Return why the shard must be verified now, or "": before the limit is reached, while others wait."""
        if self.verdicts is None or self.expired:
            return self.expired
        age = now - self.verdicts.verified
        if age >= limit / 2:
            return f"half of the limit of {format_hours(limit)} is over"
        if age < min(_NEW_FOLDERS, limit / 2):
            return ""
        if self.new:
            return f"{plural(len(self.new), 'folder')} new"
        return "an error may have been repaired" if has_errors(self.verdicts.findings) else ""


def list_shard_verifications(repository: Repository, now: datetime) -> list[ShardVerification]:
    """Return the state of each shard at a moment, also of one that has only verdicts.

    NotFoundError if a run root cannot be listed.
    """
    limit = timedelta(hours=repository.config.dagster.verified_hours)
    rules = make_rules_version(repository)
    shards = list_verified_shards(repository)
    read = _read_verdicts(repository, now)
    archived = read_archived_runs(repository).runs
    states = []
    for shard in sorted(shards.keys() | read.keys()):
        subjects = shards.get(shard, [])
        run, verdicts = read.get(shard, (None, None))
        known: Collection[str] = () if verdicts is None else verdicts.verdicts.keys()
        names = set(map(_find_name, subjects))
        new = [name for name in map(_find_name, subjects) if name not in known and not is_shard_run(name)]
        removed = [
            name
            for name in known
            if name not in names and (shard.run_root, name) not in archived and not _exists(repository, shard, name)
        ]
        counts = bool(subjects) and (run is not None or bool(new))
        expired = _explain_expired(run, verdicts, rules, now, limit) if counts else ""
        states.append(ShardVerification(shard, tuple(subjects), run, verdicts, tuple(new), tuple(removed), expired))
    return states


def _exists(repository: Repository, shard: Shard, name: str) -> bool:
    # A folder without a seal that `exclude` has matched since is no longer verified, and yet not removed.
    path = name if shard == ARCHIVES else f"{shard.run_root}/{name}"
    return os.path.lexists(repository.root / path)


def _explain_expired(
    run: ShardRun | None, verdicts: Verdicts | None, rules: str, now: datetime, limit: timedelta
) -> str:
    if run is None:
        return "it was never verified"
    if verdicts is None:
        return f"its verdicts cannot be used: {run.problem or f'{ARTIFACT} has another form'}"
    if verdicts.rules_version != rules:
        return f"version {verdicts.rules_version} of the rules gave the verdicts, and this is version {rules}"
    age = now - verdicts.verified
    if age > limit or age < -_NEW_FOLDERS:
        return f"the verdicts are of {utc_text(verdicts.verified)}, and the limit is {format_hours(limit)}"
    return ""


def format_hours(limit: timedelta) -> str:
    """Return a limit in hours, as the toml states it."""
    return plural(int(limit / timedelta(hours=1)), "hour")


@value_type
class VerificationSummary:
    """What all verdicts say together.

    Attributes:
        folders: the number of run folders and archives that exist.
        by_verdict: the number of those with a verdict, by verdict.
        oldest: the time of the oldest verdicts; None without any.
    """

    shards: int
    folders: int
    by_verdict: Mapping[str, int]
    oldest: datetime | None
    findings: tuple[Finding, ...]

    @property
    def is_complete(self) -> bool:
        """Whether each folder has a verdict that counts, a sealed one exists, and no run root or archive is missing."""
        missing = any(finding.code in _INCOMPLETE for finding in self.findings)
        return not missing and any(self.by_verdict.get(name) for name in ("pass", "fail"))

    @property
    def passed(self) -> bool:
        """Whether all verdicts are complete and without an error."""
        return self.is_complete and not has_errors(self.findings) and not self.by_verdict.get("fail")


def summarize_verification(repository: Repository, now: datetime) -> VerificationSummary:
    """Return whether every folder has one verdict that is younger than the limit, and the findings of all verdicts.

    Runs of shards that are newer than the verdicts of their own shard are verified here: no other run could contain
    their verdict without being such a run itself. NotFoundError if a run root cannot be listed.
    """
    states = list_shard_verifications(repository, now)
    findings: list[Finding] = []
    counts: Counter[str] = Counter()
    unverified: list[FoundRun] = []
    for state in states:
        verdicts = {} if state.verdicts is None else state.verdicts.verdicts
        findings += _find_missing(state)
        findings += () if state.verdicts is None else state.verdicts.findings
        for subject in state.subjects:
            name = _find_name(subject)
            if name in verdicts:
                counts[verdicts[name]] += 1
            elif is_shard_run(name):
                unverified.append(subject)
    findings += find_missing_run_roots(repository)
    # Those that the verdict on the archives has, too, are not repeated.
    findings += (found for found in list_archives(repository)[1] if found not in findings)
    results = [checked.verdict for part in check_paths(unverified, repository) for checked in part]
    verification = combine_verdicts((), results, (), require_sealed=True)
    counts.update(verdict.verdict for verdict in verification.results)
    times = [state.verdicts.verified for state in states if state.verdicts is not None]
    return VerificationSummary(
        sum(bool(state.subjects) for state in states),
        sum(len(state.subjects) for state in states),
        counts,
        min(times, default=None),
        sorted_findings([*findings, *verification.all_findings()]),
    )


def _find_missing(state: ShardVerification) -> Iterable[Finding]:
    key = str(state.shard)
    if state.removed:
        names = printable(list_some(state.removed, ", "))
        yield finding("VERDICT_WITHOUT_RUN", key, detail=f"{plural(len(state.removed), 'verdict')} ({names})")
    if state.run is None:
        # A month may have nothing but runs of shards, which are verified otherwise.
        if state.new:
            yield finding("VERDICT_MISSING", key, detail=plural(len(state.new), "folder"))
    elif state.verdicts is None:
        yield finding("SHARD_INVALID", state.run.ref.path, shard=key, detail=state.run.problem or "it has another form")
    elif state.expired:
        yield finding("VERDICT_OLD", key, detail=state.expired)
    if state.verdicts is not None and state.new:
        names = printable(list_some(state.new, ", "))
        detail = f"{plural(len(state.new), 'folder')} ({names})"
        yield finding("VERDICT_MISSING", key, severity=Severity.WARNING, detail=detail)
