"""The blocking checks of every sealed asset: seal, schema and rules."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    DagsterInstance,
    MetadataValue,
    multi_asset_check,
)

from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.event_log import Materialization
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


def make_blocking_checks(
    spec: RegistrySpec,
    find_materializations: Callable[[DagsterInstance, str], Sequence[Materialization]],
    format_result: Callable[[str, Sequence[Verdict]], AssetCheckResult],
    *,
    note: str = "",
) -> AssetChecksDefinition:
    """Return the checks of a registry. All are blocking, so nothing downstream is built on a failed one.

    They validate the sealed runs again; materializations without one are left out. If none is left, the checks pass.

    Args:
        spec: the registry.
        find_materializations: returns what a Dagster run checks, by its id.
        format_result: returns the result of one check from the verdicts on the sealed runs.
        note: is added to each description.
    """
    specs = [
        AssetCheckSpec(
            name,
            asset=spec.registry_id,
            # A check with a name of its own checks the rules of its registry.
            description=_DESCRIPTIONS.get(name, _DESCRIPTIONS["rules"]) + note,
            blocking=True,
        )
        for name in spec.check_names
    ]

    @multi_asset_check(name=f"check_{spec.registry_id}", specs=specs, can_subset=True)
    def check(context: AssetCheckExecutionContext, repository: RepositoryResource) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            materializations = find_materializations(repository.instance, context.run.run_id)
            loaded = repository.load()
            verdicts = [validation.validate(loaded, m.sealed) for m in materializations if m.sealed is not None]
        selected = {key.name for key in context.selected_asset_check_keys}
        for name in spec.check_names:
            if name in selected:
                yield format_result(name, verdicts) if verdicts else _make_no_run_result(name)

    return check


def make_registry_checks(spec: RegistrySpec) -> AssetChecksDefinition:
    """Return the checks of a registry.

    They check the materialization of their own run or of the run that it re-executes, else the latest one.
    """

    def find_materializations(instance: DagsterInstance, run_id: str) -> Sequence[Materialization]:
        own = event_log.read_run_materializations(instance, spec.registry_id, run_id)[-1:]
        return own or event_log.read_materializations(instance, spec.registry_id, limit=1)

    return make_blocking_checks(spec, find_materializations, lambda name, verdicts: check_result(name, verdicts[0]))


def check_result(name: str, verdict: Verdict) -> AssetCheckResult:
    """Return the result of a check from its part of a verdict. A failed verdict fails at least one check."""
    findings = _select_findings(name, [verdict])
    facts = {
        event_log.ROOT_KEY: verdict.root_sha256 or "none",
        "run_folder": printable(verdict.path),
        "verdict": verdict.verdict,
    }
    return _make_result(name, findings, facts, passed=_is_passed(name, verdict))


def check_result_of_many(name: str, verdicts: Sequence[Verdict]) -> AssetCheckResult:
    """Return the result of one check on many folders; it fails if any of them fails, with the findings of those."""
    failing = [verdict for verdict in verdicts if not _is_passed(name, verdict)]
    failing_folders = "\n".join(f"- {markdown_code(verdict.path)}" for verdict in failing)
    facts = {
        "folders": len(verdicts),
        "failing": len(failing),
        "failing_folders": MetadataValue.md(failing_folders or "None."),
    }
    return _make_result(name, _select_findings(name, failing or verdicts), facts, passed=not failing)


def _is_passed(name: str, verdict: Verdict) -> bool:
    # A failed verdict without an error (a folder that is not sealed) fails the check of the seal.
    unexplained = name == "seal" and not verdict.passed and not verdict.errors()
    return not unexplained and all(f.severity is not Severity.ERROR for f in _select_findings(name, [verdict]))


def _select_findings(name: str, verdicts: Sequence[Verdict]) -> list[Finding]:
    # Every family but seal and schema belongs to the registry's own rules.
    findings = [(family_of(finding), finding) for verdict in verdicts for finding in verdict.findings]
    if name in ("seal", "schema"):
        return [finding for family, finding in findings if family == name]
    return [finding for family, finding in findings if family not in ("seal", "schema")]


def _make_result(name: str, findings: list[Finding], facts: dict[str, Any], *, passed: bool) -> AssetCheckResult:
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
            "findings": MetadataValue.md(metadata.format_findings(findings) or "None."),
        },
    )


def _make_no_run_result(name: str) -> AssetCheckResult:
    return AssetCheckResult(passed=True, check_name=name, description="the asset has no sealed run: nothing to check")
