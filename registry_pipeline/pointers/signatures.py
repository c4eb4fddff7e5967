"""Check the signatures of activation records and of builds: see "Signatures" in docs/reference/specification.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Repository, Signing
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.path_policy import STATEMENT_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, plural, sorted_findings
from registry_pipeline.pointers.chain import RECORD_FILE, SIGNATURE_FILES, ChainState, SealedRecord
from registry_pipeline.pointers.plan import ActivationPlan
from registry_pipeline.registries.base.seal_build import make_statement
from registry_pipeline.runs.archive import verify_runs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.signing.keys import find_allowed_signers
from registry_pipeline.signing.ssh import AllowedSigners, CheckedSignature
from registry_pipeline.values import value_type

if TYPE_CHECKING:
    from registry_pipeline.pointers.find_runs import FoundRun

_EVERY: Final = "*"
# Without a readable time a line of the file counts only if it is always valid.
_NO_TIME: Final = datetime(9999, 1, 1, tzinfo=UTC)
# Files of a run folder that its statement does not list: itself, its signature, and the seal, which lists both.
_NOT_STATED: Final = frozenset((*STATEMENT_FILES, "manifest.json"))


@value_type
class SignatureCheck:
    """What was found: the signers of each record or run that is signed, by path, and the paths of the others."""

    signed: dict[str, tuple[CheckedSignature, ...]]
    unsigned: tuple[str, ...]
    findings: tuple[Finding, ...]

    def joined_with(self, other: SignatureCheck, findings: Iterable[Finding] = ()) -> SignatureCheck:
        """Return what both found, and further findings."""
        joined = sorted_findings((*self.findings, *other.findings, *findings))
        return SignatureCheck(self.signed | other.signed, self.unsigned + other.unsigned, joined)


def is_protected(registry_id: str, policy: Signing) -> bool:
    """Return whether only a signed record may move the pointer of a registry."""
    return _EVERY in policy.registries or registry_id in policy.registries


def check_record_signatures(
    chain: ChainState, records: Iterable[SealedRecord], allowed: AllowedSigners
) -> SignatureCheck:
    """Check every signature of these records of a chain."""
    records, moments = tuple(records), _find_moments(chain)
    signed = {
        r.path: _check_all(allowed, r.document, r.signatures, moments.get(r.root, _NO_TIME))
        for r in records
        if r.signatures
    }
    findings = sorted_findings(f for path, checked in signed.items() for f in _make_findings(path, checked))
    return SignatureCheck(signed, tuple(r.path for r in records if not r.signatures), findings)


def _find_moments(chain: ChainState) -> dict[str, datetime]:
    """Return the time at which the signatures of each record are checked, by the root of the record."""
    # The time of a record without `created_utc` is not signed: anybody could change it.
    stated = {r.root: parse_utc(r.record.created_utc) or _NO_TIME for r in (*chain.records, *chain.voided)}
    # A key that is no longer valid could state an earlier time, but not one before the records that it follows.
    times = [parse_utc(r.created_utc) or _NO_TIME for r in chain.records]
    after = zip(chain.records, accumulate(times, max), strict=True)
    return stated | {r.root: max(stated[r.root], latest) for r, latest in after}


def check_policy(
    repository: Repository, chain: ChainState, signed: Mapping[str, tuple[CheckedSignature, ...]]
) -> Iterator[Finding]:
    """Yield a finding for each active run that was not activated with the signatures that the policy requires.

    `signed` are the signers by the path of their record.
    """
    policy = repository.config.signing
    for registry_id, ref in read_pointers(repository).active_refs().items():
        if not is_protected(registry_id, policy):
            continue
        deciding = _find_deciding(chain, registry_id, ref)
        for path in [r.path for r in deciding] or [repository.config.pointers]:
            checked = signed.get(path, ())
            if not _is_satisfied(policy, checked):
                expected, got = _describe(policy), _list_signers(checked)
                yield finding("SIGNATURE_MISSING", path, expected=expected, got=got, registry=registry_id)


def _find_deciding(chain: ChainState, registry_id: str, ref: SealedRef) -> tuple[SealedRecord, ...]:
    """Return the records that make a run active: the last one that moved the pointer to it, and later voids."""
    moved = [n for n, r in enumerate(chain.records) if any(move.to_ref == ref for move in r.moves_of(registry_id))]
    if not moved:
        return ()
    later = (r for r in chain.records[moved[-1] + 1 :] if r.record.action == "void")
    return (chain.records[moved[-1]], *(r for r in later if is_restored_by(chain, r.record.runs, registry_id, ref)))


def is_restored_by(chain: ChainState, voided: Iterable[SealedRef], registry_id: str, ref: SealedRef) -> bool:
    """Return whether a run may be active only because these records are voided.

    Then one of them moved the pointer away from it, or marked it bad; or it is a void that had taken out such a record,
    or the record that moved the pointer to the run.
    """
    known = {r.root: r for r in (*chain.records, *chain.voided)}
    names, seen = [run.manifest_sha256 for run in voided], set[str]()
    while names:
        root = names.pop()
        record = known.get(root)
        if record is None or root in seen:
            continue
        seen.add(root)
        is_marked_bad = record.record.action == "mark_bad" and ref.run_id in record.run_ids
        if is_marked_bad or record.moves_of(registry_id):
            return True
        names += [run.manifest_sha256 for run in record.record.runs if record.record.action == "void"]
    return False


def find_unsigned_state(repository: Repository, chain: ChainState, head: SealedRecord) -> tuple[Finding, ...]:
    """Return a finding for each protected pointer that would change to an unsigned run with the state of the head.

    Raises:
        NotFoundError: the policy requires a signature, and nothing says who may sign, or ssh-keygen is not installed.
    """
    policy, now = repository.config.signing, read_pointers(repository).active_refs()
    changed = {name: ref for name, ref in head.active.items() if now.get(name) != ref and is_protected(name, policy)}
    deciding = {name: _find_deciding(chain, name, ref) for name, ref in changed.items()}
    records = {r.root: r for found in deciding.values() for r in found if r.signatures}
    # Without a signature nobody needs to be looked up.
    allowed = find_allowed_signers(repository) if records else None
    signed = {} if allowed is None else check_record_signatures(chain, records.values(), allowed).signed
    return tuple(
        finding("ACTIVATE_UNSIGNED", r.path, expected=_describe(policy), got=_list_signers(checked), registry=name)
        for name, found in deciding.items()
        for r in found or (head,)
        if not _is_satisfied(policy, checked := signed.get(r.path, ()))
    )


def check_run_signatures(runs: Iterable[FoundRun], records: Collection[str], allowed: AllowedSigners) -> SignatureCheck:
    """Check the signatures of run folders and of runs in archives, which verify, but not of records of the chain.

    `records` are the roots of the latter. The statement of a build must say what the folder contains.
    """
    signed: dict[str, tuple[CheckedSignature, ...]] = {}
    unsigned: list[str] = []
    findings: list[Finding] = []
    reports = (report for run in runs for report in _verify_again(run) if report.root_sha256 not in records)
    for report in reports:
        path = report.path
        record, signatures = report.kept.get(RECORD_FILE), [report.kept[n] for n in SIGNATURE_FILES if n in report.kept]
        if record is not None and signatures:
            # A record of another chain. What it follows is not known, so only a line without an end counts.
            signed[path] = _check_all(allowed, record, signatures, _NO_TIME)
            findings += _make_findings(path, signed[path])
            continue
        statement, signature = map(report.kept.get, STATEMENT_FILES)
        if statement is None or signature is None:
            unsigned.append(path)
            continue
        # The statement lists run.json by its hash, so the time in it is signed.
        moment = parse_utc(str((report.run_json or {}).get("created_utc"))) or _NO_TIME
        signed[path] = _check_all(allowed, statement, (signature,), moment)
        findings += _make_findings(path, signed[path])
        digests = {entry.relpath: entry.sha256 for entry in report.entries if entry.relpath not in _NOT_STATED}
        if report.verdict != "pass" or statement != make_statement(digests, report.run_id):
            findings.append(finding("SIGNATURE_BAD", path, detail=f"{STATEMENT_FILES[0]} lists other files"))
    return SignatureCheck(signed, tuple(unsigned), sorted_findings(findings))


def _verify_again(run: FoundRun) -> tuple[SealReport, ...]:
    """Return the reports of a run folder, or of each run of an archive, with the files that are or have signatures."""
    keep = (*STATEMENT_FILES, RECORD_FILE, *SIGNATURE_FILES)
    if run.run_root is None:
        # Without a root are what does not verify, and a report about the archive itself.
        return tuple(r for r in verify_runs(run.path, display_path=run.shown, keep=keep) if r.root_sha256 is not None)
    return (verify_folder(run.path, display_path=run.shown, keep=keep),)


def find_missing_signatures(
    repository: Repository, chain: ChainState, plan: ActivationPlan, moment: datetime, registries: Iterable[str]
) -> tuple[Finding, ...]:
    """Return a finding for each of these registries that the change may not move with the signatures that it has.

    A signature that is not permitted at this moment is a finding, too: the sealed record would never verify.

    Raises:
        NotFoundError: the policy requires a signature, and nothing says who may sign, or ssh-keygen is not installed.
    """
    policy = repository.config.signing
    protected = [name for name in registries if is_protected(name, policy)]
    try:
        # Without a signature nobody needs to be looked up.
        allowed = find_allowed_signers(repository) if plan.signatures else None
    except NotFoundError:
        if protected:
            raise
        allowed = None
    # As for the records of a chain.
    times = (parse_utc(r.created_utc) or _NO_TIME for r in chain.records)
    checked = () if allowed is None else _check_all(allowed, plan.document, plan.signatures, max(moment, *times))
    path = repository.config.pointers
    refused = sorted_findings(_make_findings(path, checked))
    if refused or not protected or _is_satisfied(policy, checked):
        return refused
    expected, got = _describe(policy), _list_signers(checked)
    return tuple(finding("ACTIVATE_UNSIGNED", path, expected=expected, got=got, registry=name) for name in protected)


def _check_all(
    allowed: AllowedSigners, document: bytes, signatures: Sequence[bytes], moment: datetime
) -> tuple[CheckedSignature, ...]:
    return tuple(allowed.check(document, signature, moment) for signature in signatures)


def _make_findings(path: str, checked: Iterable[CheckedSignature]) -> Iterator[Finding]:
    for signature in checked:
        if signature.verdict == "bad":
            yield finding("SIGNATURE_BAD", path, detail="it is of other bytes, or no signature")
        elif signature.verdict == "unknown":
            yield finding("SIGNER_NOT_ALLOWED", path, detail=signature.shown)


def _is_satisfied(policy: Signing, checked: Iterable[CheckedSignature]) -> bool:
    """Return whether so many different signers of the policy signed as it wants."""
    signers = {signature.principal for signature in checked if signature.verdict == "good"}
    return len(signers & set(policy.signers) if policy.signers else signers) >= policy.threshold


def _describe(policy: Signing) -> str:
    return f"{plural(policy.threshold, 'signature')} of {', '.join(policy.signers) or 'allowed signers'}"


def _list_signers(checked: Sequence[CheckedSignature]) -> str:
    return ", ".join(signature.shown for signature in checked) or "no signature"
