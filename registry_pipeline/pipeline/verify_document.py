"""The document that `verify` prints: the verdicts on many folders, and the verdict on all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, count_findings, has_errors, sorted_findings
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import field, replace, value_type

SCHEMA_VERSION: Final = "0.2"
"""Of the document of `verify`. Since 0.2 the verdict may be `none`."""


@value_type
class Verification:
    """The result of `verify`.

    Attributes:
        results: the verdict on each folder.
        findings: the findings that belong to no single folder.
        compared: what else was checked, with numbers: recorded inputs, runs of a baseline.
        verified: whether anything existed that the options name.
    """

    results: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    compared: Mapping[str, int] = field(default_factory=dict)
    verified: bool = True

    @property
    def verdict(self) -> Literal["pass", "fail", "none"]:
        """`fail` if there is an error, `none` if nothing was verified, otherwise `pass`."""
        if has_errors(self.all_findings()):
            return "fail"
        return "pass" if self.verified else "none"

    def all_findings(self) -> tuple[Finding, ...]:
        """Return the findings of the folders, then the others."""
        return (*(f for verdict in self.results for f in verdict.findings), *self.findings)

    def counts(self) -> dict[str, int]:
        """Return the numbers of folders by verdict and of findings by severity."""
        verdicts = Counter(verdict.verdict for verdict in self.results)
        by_verdict = {name: verdicts[name] for name in ("pass", "fail", "unsealed", "partial")}
        return {"runs": len(self.results)} | by_verdict | count_findings(self.all_findings()) | dict(self.compared)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `verify --json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict,
            "results": [verdict.to_json() for verdict in self.results],
            "findings": [finding.to_json() for finding in self.findings],
            "counts": self.counts(),
        }


def combine_verdicts(
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
    """Return the result for folders that the user named and for folders that `--all` listed.

    A named folder must be sealed and not marked bad. A listed one must be sealed only if `require_sealed`, and may be
    marked bad unless `strict`. `marked_bad` is the reason by run id. `inputs` are findings about recorded inputs: each
    fails the run whose run.json it names.
    """
    bad = marked_bad or {}
    listed_severity = Severity.ERROR if strict else Severity.WARNING
    # Who names a folder asks about its seal. `--all` also lists folders that nobody has sealed yet.
    results = [_mark_bad(_require_seal(verdict), bad, Severity.ERROR) for verdict in named]
    results += [
        _mark_bad(_require_seal(verdict) if require_sealed else verdict, bad, listed_severity) for verdict in listed
    ]
    input_findings = tuple(inputs)
    results = [_add_input_findings(verdict, input_findings) for verdict in results]
    reported = {f for verdict in results for f in verdict.findings}
    # With `--all` a finding of an active run comes twice: from its folder and from its pointer.
    others = tuple(f for f in (*input_findings, *findings) if f not in reported)
    return Verification(tuple(results), others, compared or {})


def _add_input_findings(verdict: Verdict, findings: tuple[Finding, ...]) -> Verdict:
    own = [f for f in findings if f.path == f"{verdict.path}/run.json"]
    return _add_findings(verdict, own, fails=True) if own else verdict


def _mark_bad(verdict: Verdict, marked_bad: Mapping[str, str], severity: Severity) -> Verdict:
    if verdict.run_id not in marked_bad:
        return verdict
    reason = marked_bad[verdict.run_id]
    marked = finding("RUN_MARKED_BAD", verdict.path, severity=severity, detail=reason)
    return _add_findings(verdict, [marked], fails=severity is Severity.ERROR)


def _add_findings(verdict: Verdict, findings: Iterable[Finding], *, fails: bool) -> Verdict:
    # `unsealed` and `partial` stay: they say more than `fail`.
    outcome = "fail" if fails and verdict.verdict == "pass" else verdict.verdict
    return replace(verdict, findings=sorted_findings((*verdict.findings, *findings)), verdict=outcome)


def _require_seal(verdict: Verdict) -> Verdict:
    """Return the verdict with an error if the run is not sealed."""
    if verdict.verdict == "partial" and not verdict.errors():  # a list of hashes, and all of them match
        partial = finding("PARTIAL", verdict.path, expected=" and ".join(SEAL_FILES), got=f"only {SEAL_FILES[1]}")
        return _add_findings(verdict, [partial], fails=False)
    if verdict.verdict != "unsealed":
        return verdict
    return replace(verdict, findings=tuple(replace(f, severity=Severity.ERROR) for f in verdict.findings))
