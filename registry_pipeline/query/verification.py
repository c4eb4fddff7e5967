"""What `verify` tells: the verdict over many folders and over the pointers (SPEC 2.2, 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from registry_pipeline.model.finding import Finding, Severity, has_errors
from registry_pipeline.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdicts in the order in which the folders were named, and the findings that belong to no one folder."""

    results: tuple[Verdict, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Tell whether nothing of it is an error."""
        return not has_errors(self.all_findings())

    def all_findings(self) -> tuple[Finding, ...]:
        """Return the findings of the folders, then the others."""
        return (*(f for verdict in self.results for f in verdict.findings), *self.findings)

    def counts(self) -> dict[str, int]:
        """Return how many folders ended how, and how many findings weigh what."""
        verdicts = Counter(verdict.verdict for verdict in self.results)
        weights = Counter(f.severity for f in self.all_findings())
        return {
            "runs": len(self.results),
            "pass": verdicts["pass"],
            "fail": verdicts["fail"],
            "unsealed": verdicts["unsealed"],
            "partial": verdicts["partial"],
            "errors": weights[Severity.ERROR],
            "warnings": weights[Severity.WARNING],
            "infos": weights[Severity.INFO],
        }

    def to_json(self) -> dict[str, Any]:
        """Return the document of `verify --json`."""
        return {
            "verdict": "pass" if self.passed else "fail",
            "results": [verdict.to_json() for verdict in self.results],
            "findings": [finding.to_json() for finding in self.findings],
            "counts": self.counts(),
        }


def verification(
    named: Iterable[Verdict], listed: Iterable[Verdict], findings: Iterable[Finding], *, require_sealed: bool
) -> Verification:
    """Return the verification of the folders that were named, and of those that are merely there.

    A folder without a seal fails where it was named, for then its seal is what was asked about; where it is merely
    there it is listed, unless `require_sealed` (SPEC 2.2). `findings` may tell again what is wrong with a listed
    folder; it is told once.
    """
    results = (
        *(_demand_seal(verdict) for verdict in named),
        *(_demand_seal(verdict) if require_sealed else verdict for verdict in listed),
    )
    told = {finding for verdict in results for finding in verdict.findings}
    return Verification(results, tuple(finding for finding in findings if finding not in told))


def _demand_seal(verdict: Verdict) -> Verdict:
    if verdict.verdict != "unsealed":
        return verdict
    return replace(verdict, findings=tuple(replace(f, severity=Severity.ERROR) for f in verdict.findings))
