"""The blocking checks of every sealed asset: seal, schema and rules."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

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
from registry_pipeline.defs.resources import RepositoryResource, as_dagster_failure
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.display import markdown_code, printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries import validation
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.sealed_run import Verdict

_DESCRIPTIONS: Final = {
    "seal": "The folder is complete, and every byte is as it was sealed.",
    "schema": "Envelope and artifacts match the shipped schemas, and the recorded inputs exist.",
    "rules": "The rules of this registry, for example that no run disappears.",
    "append_only": "Nothing published was removed or changed, compared with the active run and git.",
    "coordination": "The entries of all registries are consistent with each other.",
}


def description(name: str) -> str:
    """Return the description of a check; one with an unknown name checks the rules of its registry."""
    return _DESCRIPTIONS.get(name, _DESCRIPTIONS["rules"])


def registry_checks(spec: RegistrySpec) -> AssetChecksDefinition:
    """Return the checks of a registry. All are blocking, so nothing downstream is built on a failed one."""
    specs = [
        AssetCheckSpec(name, asset=spec.registry_id, description=description(name), blocking=True)
        for name in spec.check_names
    ]

    @multi_asset_check(name=f"check_{spec.registry_id}", specs=specs, can_subset=True)
    def check_registry(
        context: AssetCheckExecutionContext, repository: RepositoryResource
    ) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            # The run's own materialization or that of the run that it re-executes, else the latest one.
            instance, registry_id = repository.instance, spec.registry_id
            materialization = event_log.materialized_in(instance, registry_id, context.run.run_id) or next(
                iter(event_log.materializations(instance, registry_id, limit=1)), None
            )
            sealed = None if materialization is None else materialization.sealed
            verdict = None if sealed is None else validation.validate(repository.load(), sealed)
        for name in spec.check_names:
            if any(key.name == name for key in context.selected_asset_check_keys):
                yield _no_run_result(name) if verdict is None else check_result(name, verdict)

    return check_registry


def check_result(name: str, verdict: Verdict) -> AssetCheckResult:
    """Return the part of a verdict that belongs to one check. A failed verdict fails at least one check."""
    findings = _findings_of_check(name, [verdict])
    facts = {
        event_log.ROOT_KEY: verdict.root_sha256 or "none",
        "run_folder": printable(verdict.path),
        "verdict": verdict.verdict,
    }
    return _result(name, findings, facts, passed=_is_passed(name, verdict))


def check_result_of_many(name: str, verdicts: Sequence[Verdict]) -> AssetCheckResult:
    """Return the result of one check on many folders; it fails if any of them fails."""
    if not verdicts:
        return _no_run_result(name)
    failing = [verdict for verdict in verdicts if not _is_passed(name, verdict)]
    failing_folders = "\n".join(f"- {markdown_code(verdict.path)}" for verdict in failing)
    facts = {
        "folders": len(verdicts),
        "failing": len(failing),
        "failing_folders": MetadataValue.md(failing_folders or "None."),
    }
    return _result(name, _findings_of_check(name, failing or verdicts), facts, passed=not failing)


def _is_passed(name: str, verdict: Verdict) -> bool:
    # A failed verdict without an error (a folder that is not sealed) fails the check of the seal.
    unexplained = name == "seal" and not verdict.passed and not verdict.errors()
    return not unexplained and all(f.severity is not Severity.ERROR for f in _findings_of_check(name, [verdict]))


def _findings_of_check(name: str, verdicts: Sequence[Verdict]) -> list[Finding]:
    # Every family but seal and schema belongs to the registry's own rules.
    findings = [(family_of(finding), finding) for verdict in verdicts for finding in verdict.findings]
    if name in ("seal", "schema"):
        return [finding for family, finding in findings if family == name]
    return [finding for family, finding in findings if family not in ("seal", "schema")]


def _result(name: str, findings: list[Finding], facts: dict[str, Any], *, passed: bool) -> AssetCheckResult:
    # The description has one message per code; the metadata has all findings.
    messages = {finding.code: finding.message for finding in reversed(findings)}
    summary = "; ".join(f"{code}: {printable(message)}" for code, message in sorted(messages.items()))
    return AssetCheckResult(
        passed=passed,
        check_name=name,
        severity=AssetCheckSeverity.ERROR,
        description=summary or "no findings",
        metadata=facts
        | {
            "findings_count": len(findings),
            "findings": MetadataValue.md(metadata.findings_text(findings) or "None."),
        },
    )


def _no_run_result(name: str) -> AssetCheckResult:
    return AssetCheckResult(passed=True, check_name=name, description="the asset has no sealed run: nothing to check")
