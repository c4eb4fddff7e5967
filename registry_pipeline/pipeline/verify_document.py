"""What `verify` tells: the verdict over many folders and over the pointers (SPEC 2.2, 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import field, replace, value_type

SCHEMA_VERSION: Final = "0.2"
"""Of the document of `verify`; since 0.2 its verdict may be `none`."""


@value_type
class Verification:
    """The verdicts in the order in which the folders were named, and the findings that belong to no one folder.

    Attributes:
        results: The verdict on each folder.
        findings: What belongs to no one folder.
        compared: How much was looked at besides: recorded inputs that were walked, runs of a baseline.
        verified: Whether anything of what the options name exists; an empty repository passes no check.
    """

    results: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    compared: Mapping[str, int] = field(default_factory=dict)
    verified: bool = True

    @property
    def verdict(self) -> Literal["pass", "fail", "none"]:
        """`fail` with any error, `none` where there was nothing to verify, else `pass`."""
        if has_errors(self.all_findings()):
            return "fail"
        return "pass" if self.verified else "none"

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
            **self.compared,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the document of `verify --json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict,
            "results": [verdict.to_json() for verdict in self.results],
            "findings": [finding.to_json() for finding in self.findings],
            "counts": self.counts(),
        }


def verification(
    named: Iterable[Verdict],
    listed: Iterable[Verdict],
    findings: Iterable[Finding],
    *,
    require_sealed: bool,
    marked_bad: Mapping[str, str] | None = None,
    strict: bool = False,
    inputs: Iterable[Finding] = (),
    compared: Mapping[str, int] | None = None,
) -> Verification:
    """Return the verification of the folders that were named, and of those that are merely there.

    A folder without a seal, or with hashes alone, fails where it was named, for then its seal is what was asked about;
    where it is merely there it is listed, unless `require_sealed`. Likewise a run that is marked bad (`marked_bad`: run
    id to reason), unless `strict` (SPEC 2.2). `inputs` are findings at the run.json of runs, judged here or not: they
    fail the run. `findings` may tell again what is wrong with a listed folder; it is told once.
    """
    bad = marked_bad or {}
    results = (
        *(_marked(_demand_seal(verdict), bad, Severity.ERROR) for verdict in named),
        *(
            _marked(_demand_seal(each) if require_sealed else each, bad, Severity.ERROR if strict else Severity.WARNING)
            for each in listed
        ),
    )
    recorded = tuple(inputs)
    results = tuple(_with_inputs(verdict, recorded) for verdict in results)
    told = {each for verdict in results for each in verdict.findings}
    left = tuple(each for each in (*recorded, *findings) if each not in told)
    return Verification(results, left, compared or {})


def _with_inputs(verdict: Verdict, recorded: tuple[Finding, ...]) -> Verdict:
    own = tuple(each for each in recorded if each.path == f"{verdict.path}/run.json")
    if not own:
        return verdict
    findings = sorted_findings((*verdict.findings, *own))
    return replace(verdict, findings=findings, verdict="fail" if verdict.verdict == "pass" else verdict.verdict)


def _marked(verdict: Verdict, marked_bad: Mapping[str, str], severity: Severity) -> Verdict:
    if verdict.run_id not in marked_bad:
        return verdict
    told = finding("RUN_MARKED_BAD", verdict.path, severity=severity, detail=marked_bad[verdict.run_id])
    fails = severity is Severity.ERROR and verdict.verdict == "pass"
    findings = sorted_findings((*verdict.findings, told))
    return replace(verdict, findings=findings, verdict="fail" if fails else verdict.verdict)


def _demand_seal(verdict: Verdict) -> Verdict:
    if verdict.verdict == "partial" and not verdict.errors():  # a list of hashes, all of which hold
        told = finding("PARTIAL", verdict.path, expected=" and ".join(SEAL_FILES), got=f"only {SEAL_FILES[1]}")
        return replace(verdict, findings=sorted_findings((*verdict.findings, told)))
    if verdict.verdict != "unsealed":
        return verdict
    return replace(verdict, findings=tuple(replace(f, severity=Severity.ERROR) for f in verdict.findings))
