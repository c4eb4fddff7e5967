"""The assets that are built, one per registry of the build order, and their blocking checks: seal, schema and rules."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any, Final, TypedDict

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetIn,
    AssetObservation,
    AssetsDefinition,
    DagsterInstance,
    DataVersion,
    Failure,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    RetryPolicy,
    asset,
    multi_asset_check,
)

from registry_pipeline.config import Repository
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.event_log import Materialization
from registry_pipeline.defs.metadata import make_findings_metadata
from registry_pipeline.defs.resources import SEALED_IO, RepositoryResource
from registry_pipeline.errors import EvidenceError
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.display import markdown_code, printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline import steps
from registry_pipeline.registries import validation
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.sealed_input import read_active_run
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun, Verdict

SOURCE_CHECK: Final = "source"
OWNERS: Final = ("team:registry-layer",)
GROUP: Final = "registry_layer"
# Findings with which a registry is built, but not from everything that it should be built from.
_NOT_READ: Final = frozenset(
    {
        "CAPTURE_LEFT_OUT",
        "CATALOG_MALFORMED",
        "CATALOG_MISSING",
        "DELTA_SNAPSHOT_NOT_VERIFIED",
        "POINTER_FOREIGN",
        "POINTER_RUN_MISSING",
        "POINTER_SEAL_INVALID",
        "RUN_FOLDER_UNREADABLE",
        "RUN_ROOT_UNREADABLE",
    }
)
_DESCRIPTIONS: Final = {
    "seal": "The folder is complete, and every byte is as it was sealed.",
    "schema": "Envelope and artifacts match the shipped schemas, and the recorded inputs exist.",
    "rules": "The rules of this registry, for example that no run disappears.",
    "append_only": "Nothing published was removed or changed, compared with the active run and git.",
    "coordination": "The entries of all registries are consistent with each other.",
    SOURCE_CHECK: "Everything from which the registry is built was found and could be read.",
}


def make_registry_asset(spec: RegistrySpec, freshness_hours: int) -> AssetsDefinition:
    """Return the asset of a registry, built from its sources and sealed upstreams; the IO manager seals its value.

    It is overdue if nothing was materialized for `freshness_hours`, 0 for never.
    """
    # If two runs extend a log at once, sealing refuses the second; its retry builds on the first.
    retry = RetryPolicy(max_retries=3) if spec.append_only else None

    @asset(
        ins={name: AssetIn(name) for name in spec.depends_on},
        deps=list(spec.after),
        check_specs=[AssetCheckSpec(SOURCE_CHECK, asset=spec.registry_id, description=_DESCRIPTIONS[SOURCE_CHECK])],
        io_manager_key=SEALED_IO,
        retry_policy=retry,
        freshness_policy=FreshnessPolicy.time_window(timedelta(hours=freshness_hours)) if freshness_hours else None,
        **make_asset_attributes(spec),
    )
    def build_registry(
        context: AssetExecutionContext, repository: ResourceParam[RepositoryResource], **upstream: SealedRun | None
    ) -> Iterator[MaterializeResult[Any]]:
        sealed = {name: run for name, run in upstream.items() if run is not None}
        with as_dagster_failure():
            loaded = repository.load_in_run(context.run.run_id)
            built = steps.build(loaded, repository.build_run(context.run.run_id), spec, sealed)
        if isinstance(built, Built):
            passed = not any(finding.code in _NOT_READ for finding in built.findings)
            source = _make_source_result(built.findings, passed=passed, severity=AssetCheckSeverity.WARN)
            yield MaterializeResult(value=built, data_version=data_version(built), check_results=[source])
        elif spec.append_only:
            # A missing source is no failure. A log that cannot be extended is: somebody has to repair it.
            text = "; ".join(printable(f"{finding.message} -> {finding.hint}") for finding in built.findings)
            raise Failure(text, metadata=make_findings_metadata(built.findings), allow_retries=False)
        else:
            yield _hand_on_active_run(context, loaded, spec, built)

    return build_registry


def _hand_on_active_run(
    context: AssetExecutionContext, repository: Repository, spec: RegistrySpec, not_built: NotBuilt
) -> MaterializeResult[Any]:
    """Return what a registry that cannot be built hands on: its active run, and a failed check of its source.

    It is not materialized, so that it does not look fresh; an observation names the run that was handed on.
    """
    # Without an output, Dagster would skip every step downstream.
    try:
        active = read_active_run(repository, spec)
    except EvidenceError:
        active = None
    page = {"state": "not built"} | make_findings_metadata(not_built.findings)
    handed_on = {"run_id": "none"} | page if active is None else metadata.make_sealed_metadata(repository, active, page)
    context.log_event(AssetObservation(spec.registry_id, metadata=handed_on))
    # A source that never existed may be left out on purpose. One that is gone or cannot be read may not.
    is_first = pointer_file.read_pointers(repository).active(spec.registry_id) is None and not (
        event_log.read_materializations(context.instance, spec.registry_id, limit=1)
    )
    is_missing = all(finding.code == "CAPTURE_MISSING" for finding in not_built.findings)
    severity = AssetCheckSeverity.WARN if is_first and is_missing else AssetCheckSeverity.ERROR
    source = _make_source_result(not_built.findings, passed=False, severity=severity)
    return MaterializeResult(value=not_built, metadata=event_log.NO_MATERIALIZATION, check_results=[source])


def _make_source_result(findings: Sequence[Finding], *, passed: bool, severity: AssetCheckSeverity) -> AssetCheckResult:
    # The page shows the description at once, and the findings behind a link.
    lines = [f"{f.code}: {f.path}: {f.message}. Next: {f.hint}" for f in findings]
    summary = printable(metadata.list_some(lines, "; "))
    return _make_result(SOURCE_CHECK, findings, {}, passed=passed, severity=severity, summary=summary)


class AssetAttributes(TypedDict):
    """Arguments of `@asset` that come from the catalog."""

    name: str
    description: str
    group_name: str
    kinds: set[str]
    owners: list[str]
    tags: dict[str, str]
    code_version: str


def make_asset_attributes(spec: RegistrySpec, *, group: str = GROUP) -> AssetAttributes:
    """Return the arguments of `@asset` for a registry."""
    file_names = (*spec.artifacts, *(pattern for pattern, _ in spec.schemas))
    suffixes = {PurePosixPath(name).suffix.removeprefix(".") for name in file_names}
    description = f"{spec.title}\n\nEach materialization is a sealed run folder, which never changes."
    if spec.pointer:
        description += " The newest run is not always the active one: see `active_registry_pointers`."
    return {
        "name": spec.registry_id,
        "description": description,
        "group_name": group,
        "kinds": {spec.kind, *suffixes},
        "owners": list(OWNERS),
        "tags": {"registry_pipeline/operation": spec.operation_id} if spec.operation_id else {},
        "code_version": code_version(spec),
    }


# Without a code version, Dagster takes each run for a new version.
def code_version(spec: RegistrySpec) -> str:
    """Return the schema version of a registry with the version of this program, as `0.1+1.2.3`."""
    return f"{spec.version}+{version('registry-pipeline')}"


def data_version(built: Built) -> DataVersion:
    """Return the hash of the content without its timestamps."""
    return DataVersion(built.artifacts.content_sha256)


def make_blocking_checks(
    spec: RegistrySpec,
    find_materializations: Callable[[DagsterInstance, str], Sequence[Materialization]],
    format_result: Callable[[str, Sequence[Verdict]], AssetCheckResult],
    *,
    note: str = "",
) -> AssetChecksDefinition:
    """Return the checks of a registry. All are blocking, so nothing downstream is built on a failed one.

    They validate the sealed runs again; materializations without one are left out. If none is left, nothing was
    checked: the checks fail with a warning, which does not block.

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
    def check(
        context: AssetCheckExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            materializations = find_materializations(repository.instance, context.run.run_id)
            loaded = repository.load_in_run(context.run.run_id)
            for materialization in materializations:
                event_log.refuse_other_repository(materialization, loaded)
            verdicts = [validation.validate(loaded, m.sealed) for m in materializations if m.sealed is not None]
        selected = {key.name for key in context.selected_asset_check_keys}
        for name in spec.check_names:
            if name in selected:
                yield format_result(name, verdicts) if verdicts else _make_no_run_result(name)

    return check


def make_registry_checks(spec: RegistrySpec) -> AssetChecksDefinition:
    """Return the checks of a registry.

    They check what their own run, or the run that it re-executes, materialized or handed on, else the latest
    materialization.
    """

    def find_materializations(instance: DagsterInstance, run_id: str) -> Sequence[Materialization]:
        own = event_log.read_last_output(instance, spec.registry_id, run_id)
        return [own] if own is not None else event_log.read_materializations(instance, spec.registry_id, limit=1)

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


def _make_result(
    name: str,
    findings: Sequence[Finding],
    facts: dict[str, Any],
    *,
    passed: bool,
    severity: AssetCheckSeverity = AssetCheckSeverity.ERROR,
    summary: str | None = None,
) -> AssetCheckResult:
    # By default the description has one message per code; the metadata has all findings.
    if summary is None:
        messages = {finding.code: finding.message for finding in reversed(findings)}
        summary = "; ".join(f"{code}: {printable(message)}" for code, message in sorted(messages.items()))
    return AssetCheckResult(
        passed=passed,
        check_name=name,
        severity=severity,
        description=summary or "no findings",
        metadata=facts
        | {
            "findings_count": len(findings),
            "findings": MetadataValue.md(metadata.format_findings(findings) or "None."),
        },
    )


def _make_no_run_result(name: str) -> AssetCheckResult:
    return AssetCheckResult(
        passed=False,
        check_name=name,
        severity=AssetCheckSeverity.WARN,
        description="the asset has no sealed run: nothing was checked",
    )
