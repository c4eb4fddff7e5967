"""Check the signatures of activation records and of builds: see "Signatures" in docs/reference/specification.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Repository, Signing
from registry_pipeline.files.path_policy import STATEMENT_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, plural, sorted_findings
from registry_pipeline.pointers.chain import ChainState, SealedRecord
from registry_pipeline.pointers.plan import ActivationPlan
from registry_pipeline.registries.base.seal_build import make_statement
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.signing.keys import find_allowed_signers
from registry_pipeline.signing.ssh import AllowedSigners, CheckedSignature
from registry_pipeline.values import value_type

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


def check_record_signatures(records: Iterable[SealedRecord], allowed: AllowedSigners) -> SignatureCheck:
    """Check every signature of activation records."""
    records = tuple(records)
    signed = {r.path: _check_all(allowed, r.document, r.signatures, r.created_utc) for r in records if r.signatures}
    findings = sorted_findings(f for path, checked in signed.items() for f in _make_findings(path, checked))
    return SignatureCheck(signed, tuple(r.path for r in records if not r.signatures), findings)


def check_policy(
    repository: Repository, chain: ChainState, signed: Mapping[str, tuple[CheckedSignature, ...]]
) -> Iterator[Finding]:
    """Yield a finding for each active run that was not activated with the signatures that the policy wants.

    `signed` are the signers by the path of their record.
    """
    policy = repository.config.signing
    for registry_id, ref in read_pointers(repository).active_refs().items():
        if not is_protected(registry_id, policy):
            continue
        # A run can be activated twice. The last record that did so counts.
        moved = [r for r in chain.records if any(move.to_ref == ref for move in r.moves_of(registry_id))]
        checked = signed.get(moved[-1].path, ()) if moved else ()
        if not _is_satisfied(policy, checked):
            path = moved[-1].path if moved else repository.config.pointers
            expected, got = _describe(policy), _list_signers(checked)
            yield finding("SIGNATURE_MISSING", path, expected=expected, got=got, registry=registry_id)


def check_build_signatures(repository: Repository, paths: Iterable[str], allowed: AllowedSigners) -> SignatureCheck:
    """Check the signatures of runs, and that their statements say what the folders contain; the paths are verified."""
    signed: dict[str, tuple[CheckedSignature, ...]] = {}
    unsigned: list[str] = []
    findings: list[Finding] = []
    for path in paths:
        report = verify_folder(repository.path(path), display_path=path, keep=STATEMENT_FILES)
        statement, signature = map(report.kept.get, STATEMENT_FILES)
        if statement is None or signature is None:
            unsigned.append(path)
            continue
        created = str((report.run_json or {}).get("created_utc"))
        signed[path] = _check_all(allowed, statement, (signature,), created)
        findings += _make_findings(path, signed[path])
        digests = {entry.relpath: entry.sha256 for entry in report.entries if entry.relpath not in _NOT_STATED}
        if report.verdict != "pass" or statement != make_statement(digests, report.run_id):
            findings.append(finding("SIGNATURE_BAD", path, detail=f"{STATEMENT_FILES[0]} lists other files"))
    return SignatureCheck(signed, tuple(unsigned), sorted_findings(findings))


def find_missing_signatures(repository: Repository, plan: ActivationPlan, moment: datetime) -> tuple[Finding, ...]:
    """Return a finding for each registry that the change may not move with the signatures that it has.

    Raises:
        NotFoundError: the policy needs a signature, and nothing says who may sign, or ssh-keygen is not installed.
    """
    policy = repository.config.signing
    protected = [move.registry_id for move in plan.moves if is_protected(move.registry_id, policy)]
    if not protected:
        return ()
    # Without a signature nobody needs to be looked up.
    allowed = find_allowed_signers(repository) if plan.signatures else None
    checked = () if allowed is None else tuple(allowed.check(plan.document, s, moment) for s in plan.signatures)
    if _is_satisfied(policy, checked):
        return ()
    expected, got = _describe(policy), _list_signers(checked)
    path = repository.config.pointers
    return tuple(finding("ACTIVATE_UNSIGNED", path, expected=expected, got=got, registry=name) for name in protected)


def _check_all(
    allowed: AllowedSigners, document: bytes, signatures: Sequence[bytes], created_utc: str
) -> tuple[CheckedSignature, ...]:
    moment = parse_utc(created_utc) or _NO_TIME
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
