"""The blocking checks of every sealed asset: seal, schema, rules.

Holds a factory that tells a Verdict as three check results. Keeps out judging: `runbook.validate` does. May import
`runbook`, `catalog`, the other files of this room and Dagster.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    multi_asset_check,
)

from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.resources import GovernedRepository, as_dagster_failure
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.display import markdown_code, printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.sealed_run import SealedRun, Verdict

_DESCRIPTIONS: Final = {
    "seal": "The folder is complete and every byte is the one that was sealed (SPEC 2.2).",
    "schema": "Envelope and artifacts are what the shipped schemas say, and recorded inputs are there (SPEC 2.3).",
    "rules": "What this registry promises beyond its shape, such as that no run disappears (SPEC 4).",
    "append_only": "Nothing that was published is gone or changed: against the active snapshot and git (SPEC 9, 11).",
    "coordination": "The entries of all registries agree with each other (SPEC 10).",
}


def description(name: str) -> str:
    """Return what a check looks at; one that is neither the seal's nor the schemas' is the registry's own."""
    return _DESCRIPTIONS.get(name, _DESCRIPTIONS["rules"])


def registry_checks(spec: RegistrySpec) -> AssetChecksDefinition:
    """Return the checks of a registry: all block, so that nothing downstream is built on what fails."""
    specs = [
        AssetCheckSpec(name, asset=spec.registry_id, description=description(name), blocking=True)
        for name in spec.check_names
    ]

    @multi_asset_check(name=f"check_{spec.registry_id}", specs=specs, can_subset=True)
    def check_registry(context: AssetCheckExecutionContext, governed: GovernedRepository) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            sealed = _judged_run(governed, spec.registry_id, context.run.run_id)
            verdict = None if sealed is None else registries_validation.validate(governed.governed(), sealed)
        for name in spec.check_names:
            if any(key.name == name for key in context.selected_asset_check_keys):
                yield _nothing_to_judge(name) if verdict is None else check_result(name, verdict)

    return check_registry


def _judged_run(resource: GovernedRepository, registry_id: str, dagster_run_id: str) -> SealedRun | None:
    """Return the folder of this run's materialization or of the run that it re-executes, else of the latest."""
    made = event_log.materialized_in(resource.instance, registry_id, dagster_run_id)
    if made is None:
        made = next(iter(event_log.materializations(resource.instance, registry_id, limit=1)), None)
    return None if made is None else made.sealed


def check_result(name: str, verdict: Verdict) -> AssetCheckResult:
    """Return one check's share of a verdict; a verdict that did not pass fails at least one of the three."""
    findings = [finding for finding in verdict.findings if _belongs_to(finding, name)]
    failed = any(finding.severity is Severity.ERROR for finding in findings)
    if name == "seal":
        failed = failed or (not verdict.passed and not verdict.errors())
    return AssetCheckResult(
        passed=not failed,
        check_name=name,
        severity=AssetCheckSeverity.ERROR,
        description=_sentence(findings),
        metadata={
            event_log.ROOT_KEY: verdict.root_sha256 or "none",
            "run_folder": printable(verdict.path),
            "verdict": verdict.verdict,
            "findings_count": len(findings),
            "findings": MetadataValue.md(metadata.findings_text(findings) or "None."),
        },
    )


def check_result_of_many(name: str, verdicts: Sequence[Verdict]) -> AssetCheckResult:
    """Return one check's share of the verdicts on many folders; it fails where any of them fails."""
    if not verdicts:
        return _nothing_to_judge(name)
    each = [(verdict, check_result(name, verdict)) for verdict in verdicts]
    failing = [verdict for verdict, result in each if not result.passed]
    findings = [
        finding for verdict in failing or verdicts for finding in verdict.findings if _belongs_to(finding, name)
    ]
    return AssetCheckResult(
        passed=not failing,
        check_name=name,
        severity=AssetCheckSeverity.ERROR,
        description=_sentence(findings),
        metadata={
            "folders": len(verdicts),
            "failing": len(failing),
            "failing_folders": MetadataValue.md(
                "\n".join(f"- {markdown_code(verdict.path)}" for verdict in failing) or "None."
            ),
            "findings_count": len(findings),
            "findings": MetadataValue.md(metadata.findings_text(findings) or "None."),
        },
    )


def _sentence(findings: list[Finding]) -> str:
    """Return each code with one of its messages; all of them stand in the metadata."""
    told = {finding.code: finding.message for finding in reversed(findings)}
    return "; ".join(f"{code}: {printable(message)}" for code, message in sorted(told.items())) or "nothing found"


def _belongs_to(finding: Finding, name: str) -> bool:
    """Tell whether a check tells a finding; all but those of seal and schema are of the registry's own rules."""
    family = family_of(finding)
    return family == name if name in ("seal", "schema") else family not in ("seal", "schema")


def _nothing_to_judge(name: str) -> AssetCheckResult:
    return AssetCheckResult(passed=True, check_name=name, description="the asset has no sealed run: nothing to judge")
