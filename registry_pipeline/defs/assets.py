"""The assets that are built, one per registry of the build order, and their blocking checks: seal, schema and rules."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
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
    AssetKey,
    AssetObservation,
    AssetsDefinition,
    AutomationCondition,
    CodeReferencesMetadataValue,
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

from registry_pipeline.config import DagsterTable, Repository
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import event_log, metadata, step_log
from registry_pipeline.defs.code_references import make_code_references
from registry_pipeline.defs.event_log import Materialization
from registry_pipeline.defs.location import Location, location_of
from registry_pipeline.defs.metadata import make_findings_metadata
from registry_pipeline.defs.proposal import POINTERS_ASSET
from registry_pipeline.defs.resources import SEALED_IO, RepositoryResource
from registry_pipeline.defs.sources import list_source_keys
from registry_pipeline.errors import EvidenceError
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.display import list_some, markdown_code, printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline import steps
from registry_pipeline.registries import validation
from registry_pipeline.registries.base.reader import DeferredCall, RegistrySpec
from registry_pipeline.registries.base.seal_build import read_version
from registry_pipeline.registries.base.sealed_input import read_active_run
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun, Verdict

SOURCE_CHECK: Final = "source"
OWNERS: Final = ("team:registry-layer",)
CONTROL_GROUP: Final = "control"
# In a group with other assets, the button that materializes all of them would ask for a partition.
HISTORY_GROUP: Final = "history"
COLLECTIONS_GROUP: Final = "collections"
_RENDER: Final = "registry_pipeline.pipeline.rebuild.render"
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
        "RUN_ROOT_MISSING",
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


def make_registry_asset(
    spec: RegistrySpec, location: Location, settings: DagsterTable, condition: AutomationCondition[Any] | None
) -> AssetsDefinition:
    """Return the asset of a registry, built from its sources and sealed upstreams; the IO manager seals its value.

    The settings say when it is overdue, and the condition when its builds start by themselves.
    """
    hours = settings.freshness_hours
    # If two runs extend a log at once, sealing refuses the second; its retry builds on the first.
    retry = RetryPolicy(max_retries=3) if spec.append_only else None
    key = location.key(spec.registry_id)

    @asset(
        ins={name: AssetIn(location.key(name)) for name in spec.depends_on},
        # The delta log has no pointer: it is extended after the pointers moved.
        deps=list_source_keys(spec, location) if spec.pointer else [location.key(POINTERS_ASSET)],
        check_specs=[AssetCheckSpec(SOURCE_CHECK, asset=key, description=_DESCRIPTIONS[SOURCE_CHECK])],
        io_manager_key=SEALED_IO,
        retry_policy=retry,
        freshness_policy=FreshnessPolicy.time_window(timedelta(hours=hours)) if hours else None,
        automation_condition=condition if spec.pointer else None,
        **make_asset_attributes(spec, location),
    )
    def build_registry(
        context: AssetExecutionContext, repository: ResourceParam[RepositoryResource], **upstream: SealedRun | None
    ) -> Iterator[MaterializeResult[Any]]:
        sealed = {name: run for name, run in upstream.items() if run is not None}
        with as_dagster_failure():
            loaded, run = repository.open_run(context.run.run_id)
            progress = step_log.make_progress_logger(context.log)
            built = steps.build(loaded, run, spec, sealed, on_progress=progress)
            if isinstance(built, Built):
                built = repository.keep_unchanged(context.run.run_id, built)
        step_log.log_findings(context.log, built.findings)
        if isinstance(built, Built):
            files, runs = len(built.inputs.files), len(built.inputs.registries)
            context.log.info("built %d records from %d files and %d sealed runs", built.artifacts.records, files, runs)
            passed = not any(finding.code in _NOT_READ for finding in built.findings)
            source = make_source_result(built.findings, passed=passed, severity=AssetCheckSeverity.WARN)
            version = data_version(built)
            if built.kept is not None:
                known_version = event_log.find_data_version(context.instance, key, built.kept.ref)
                version = version if known_version is None else DataVersion(known_version)
            yield MaterializeResult(value=built, data_version=version, check_results=[source])
        elif spec.append_only:
            # A missing source is no failure. A log that cannot be extended is: somebody has to repair it.
            text = "; ".join(printable(f"{finding.message} -> {finding.hint}") for finding in built.findings)
            raise Failure(text, metadata=make_findings_metadata(built.findings), allow_retries=False)
        else:
            yield _hand_on_active_run(context, loaded, spec, built, run.started)

    return build_registry


def _hand_on_active_run(
    context: AssetExecutionContext, repository: Repository, spec: RegistrySpec, not_built: NotBuilt, now: datetime
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
    handed_on: metadata.Metadata = {"run_id": "none"} | page
    if active is not None:
        handed_on = metadata.make_sealed_metadata(repository, active, now, page)
    key = location_of(repository).key(spec.registry_id)
    context.log_event(AssetObservation(key, metadata=handed_on))
    context.log.info("not built; handed on the active run: %s", step_log.format_run(active))
    # A source that never existed may be left out on purpose. One that is gone or cannot be read may not.
    is_first = pointer_file.read_pointers(repository).active(spec.registry_id) is None and not (
        event_log.read_materializations(context.instance, key, limit=1)
    )
    is_missing = all(finding.code == "CAPTURE_MISSING" for finding in not_built.findings)
    severity = AssetCheckSeverity.WARN if is_first and is_missing else AssetCheckSeverity.ERROR
    if any(finding.code == "CONFIG_REGISTRY_DISABLED" for finding in not_built.findings):
        severity = AssetCheckSeverity.WARN
    source = make_source_result(not_built.findings, passed=False, severity=severity)
    return MaterializeResult(value=not_built, metadata=event_log.NO_MATERIALIZATION, check_results=[source])


def make_source_result(findings: Sequence[Finding], *, passed: bool, severity: AssetCheckSeverity) -> AssetCheckResult:
    """Return the result of the check of the sources, with the first findings and their next steps."""
    # Lists of checks show the description only; it has the first findings with their next steps.
    summary = list_some([step_log.format_finding(finding) for finding in findings], "; ")
    return _make_result(SOURCE_CHECK, findings, {}, passed=passed, severity=severity, summary=summary)


class AssetAttributes(TypedDict):
    """Arguments of `@asset` that come from the catalog."""

    key: AssetKey
    description: str
    group_name: str
    kinds: set[str]
    owners: list[str]
    tags: dict[str, str]
    code_version: str
    metadata: dict[str, CodeReferencesMetadataValue]


def _find_group(spec: RegistrySpec) -> str:
    if spec.partitioned:
        return HISTORY_GROUP
    if spec.kind == "collection":
        return COLLECTIONS_GROUP
    if not spec.pointer:
        return CONTROL_GROUP
    return "captures" if spec.kind == "captured" else "registries"


def make_asset_attributes(spec: RegistrySpec, location: Location) -> AssetAttributes:
    """Return the arguments of `@asset` for a registry."""
    # The report has neither a reader nor a builder.
    calls = [call.path for call in (spec.reader, spec.builder) if isinstance(call, DeferredCall)]
    if not calls and not spec.is_own:
        calls = [_RENDER]
    file_names = (*spec.artifacts, *(pattern for pattern, _ in spec.schemas), *spec.source_paths)
    suffixes = {PurePosixPath(name).suffix.removeprefix(".") for name in file_names}
    description = f"{spec.title}\n\nEach materialization is a sealed run folder, which never changes."
    if spec.pointer:
        description += " The newest run is not always the active one: see `active_registry_pointers`."
    return {
        "key": location.key(spec.registry_id),
        "description": description,
        "group_name": _find_group(spec),
        # Of an own registry a pattern may end in anything, and not every text can be a kind.
        "kinds": {spec.kind, *(suffix for suffix in suffixes if suffix.isalnum() and suffix.isascii())},
        "owners": list(OWNERS),
        "tags": {"registry_pipeline/operation": spec.operation_id} if spec.operation_id else {},
        "code_version": code_version(spec),
        "metadata": make_code_references(*calls) if calls else {},
    }


# Without a code version, Dagster takes each run for a new version.
def code_version(spec: RegistrySpec) -> str:
    """Return the schema version of a registry with the version of this program, as `0.1+1.2.3`."""
    return f"{spec.version}+{read_version()}"


def data_version(built: Built) -> DataVersion:
    """Return the hash of the content without its timestamps."""
    return DataVersion(built.artifacts.content_sha256)


def make_check_specs(spec: RegistrySpec, location: Location, *, note: str = "") -> list[AssetCheckSpec]:
    """Return the specs of the checks of a registry; `note` is added to each description.

    All are blocking, so nothing downstream is built on a failed one.
    """
    return [
        AssetCheckSpec(
            name,
            asset=location.key(spec.registry_id),
            # A check with a name of its own checks the rules of its registry.
            description=_DESCRIPTIONS.get(name, _DESCRIPTIONS["rules"]) + note,
            blocking=True,
        )
        for name in spec.check_names
    ]


def make_registry_checks(spec: RegistrySpec, location: Location) -> AssetChecksDefinition:
    """Return the checks of a registry.

    They check what their own run, or the run that it re-executes, materialized or handed on, else the latest
    materialization. If it has no sealed run, they fail with a warning, which does not block.
    """
    key = location.key(spec.registry_id)

    @multi_asset_check(name=f"check_{spec.registry_id}", specs=make_check_specs(spec, location), can_subset=True)
    def check(
        context: AssetCheckExecutionContext, repository: ResourceParam[RepositoryResource]
    ) -> Iterator[AssetCheckResult]:
        with as_dagster_failure():
            instance, run_id = repository.instance, context.run.run_id
            own = event_log.read_last_output(instance, key, run_id)
            latest = [own] if own is not None else event_log.read_materializations(instance, key, limit=1)
            verdicts = validate_again(context, repository, latest)
        for _, verdict in verdicts:
            step_log.log_verdict(context.log, verdict)
        for name in list_selected_checks(context, spec):
            yield check_result(name, verdicts[0][1]) if verdicts else make_no_run_result(name)

    return check


def validate_again(
    context: AssetCheckExecutionContext, resource: RepositoryResource, materializations: Iterable[Materialization]
) -> list[tuple[Materialization, Verdict]]:
    """Validate sealed runs again, and return each materialization with its verdict; those without a run are left out.

    Raises RefusedError if one is in another repository.
    """
    verdicts = []
    repository = resource.load_in_run(context.run.run_id)
    for materialization in materializations:
        event_log.refuse_other_repository(materialization, repository)
        if materialization.sealed is not None:
            verdicts.append((materialization, validation.validate(repository, materialization.sealed)))
    return verdicts


def list_selected_checks(context: AssetCheckExecutionContext, spec: RegistrySpec) -> list[str]:
    """Return the names of the checks of a registry that a step executes, the seal first: others fail because of it."""
    selected = {key.name for key in context.selected_asset_check_keys}
    return [name for name in spec.check_names if name in selected]


def check_result(name: str, verdict: Verdict) -> AssetCheckResult:
    """Return the result of a check from its part of a verdict. A failed verdict fails at least one check."""
    findings = _select_findings(name, [verdict])
    facts = {
        event_log.ROOT_KEY: verdict.root_sha256 or "none",
        "run_folder": printable(verdict.path),
        "verdict": verdict.verdict,
    }
    return _make_result(name, findings, facts, passed=is_passed(name, verdict))


def check_result_of_many(
    name: str, verdicts: Sequence[Verdict], subject: str, facts: metadata.Metadata
) -> AssetCheckResult:
    """Return the result of one check on many folders; it fails if any of them fails, with the findings of those.

    Its description starts with the subject, and its metadata has the facts.
    """
    failing = [verdict for verdict in verdicts if not is_passed(name, verdict)]
    failing_folders = "\n".join(f"- {markdown_code(verdict.path)}" for verdict in failing)
    counts = {
        "folders": len(verdicts),
        "failing": len(failing),
        "failing_folders": MetadataValue.md(failing_folders or "None."),
    }
    findings = _select_findings(name, failing or verdicts)
    summary = f"{subject}: {_summarize(findings)}"
    return _make_result(name, findings, facts | counts, passed=not failing, summary=summary)


def is_passed(name: str, verdict: Verdict) -> bool:
    """Return whether a check passes by its part of a verdict."""
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
    return AssetCheckResult(
        passed=passed,
        check_name=name,
        severity=severity,
        description=summary or _summarize(findings),
        metadata=facts | {"findings_count": len(findings)} | make_findings_metadata(findings),
    )


def _summarize(findings: Sequence[Finding]) -> str:
    # One message per code; the metadata of a result has all findings.
    messages = {finding.code: finding.message for finding in reversed(findings)}
    return "; ".join(f"{code}: {printable(message)}" for code, message in sorted(messages.items())) or "no findings"


def make_no_run_result(name: str) -> AssetCheckResult:
    """Return the result of a check that has no sealed run to look at: a warning."""
    return AssetCheckResult(
        passed=False,
        check_name=name,
        severity=AssetCheckSeverity.WARN,
        description="the asset has no sealed run: nothing was checked",
    )
