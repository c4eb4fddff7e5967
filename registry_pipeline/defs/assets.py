"""The assets that are built, one per registry of the build order, and their blocking checks: seal, schema and rules."""

from collections.abc import Callable, Iterator, Sequence
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
    AssetsDefinition,
    DagsterInstance,
    DataVersion,
    Failure,
    MaterializeResult,
    MetadataValue,
    RetryPolicy,
    asset,
    multi_asset_check,
)

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.event_log import Materialization
from registry_pipeline.defs.metadata import make_findings_metadata
from registry_pipeline.defs.resources import RepositoryResource, as_dagster_failure
from registry_pipeline.findings.codes import family_of
from registry_pipeline.findings.display import markdown_code, printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.pipeline import steps
from registry_pipeline.registries import validation
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun, Verdict

SEALED_IO: Final = "sealed_io"
OWNERS: Final = ("team:registry-layer",)
# A single group: with several, Dagster's first page shows boxes of groups instead of the graph.
GROUP: Final = "registry_layer"


def make_registry_asset(spec: RegistrySpec) -> AssetsDefinition:
    """Return the asset of a registry, built from its sources and sealed upstreams; the IO manager seals its value."""
    # If two runs extend a log at once, sealing refuses the second; its retry builds on the first.
    retry = RetryPolicy(max_retries=3) if spec.append_only else None

    @asset(
        ins={name: AssetIn(name) for name in spec.depends_on},
        deps=list(spec.after),
        io_manager_key=SEALED_IO,
        retry_policy=retry,
        **make_asset_attributes(spec),
    )
    def build_registry(
        context: AssetExecutionContext, repository: RepositoryResource, **upstream: SealedRun | None
    ) -> MaterializeResult[Any]:
        sealed = {name: run for name, run in upstream.items() if run is not None}
        with as_dagster_failure():
            run = repository.build_run(context.run.run_id)
            built = steps.build(repository.load(), run, spec, sealed)
        if spec.append_only and isinstance(built, NotBuilt):
            # A missing source is no failure. A log that cannot be extended is: somebody has to repair it.
            text = "; ".join(printable(f"{finding.message} -> {finding.hint}") for finding in built.findings)
            raise Failure(text, metadata=make_findings_metadata(built.findings), allow_retries=False)
        return MaterializeResult(value=built, data_version=data_version(built))

    return build_registry


class AssetAttributes(TypedDict):
    """Arguments of `@asset` that come from the catalog."""

    name: str
    description: str
    group_name: str
    kinds: set[str]
    owners: list[str]
    tags: dict[str, str]
    code_version: str


def make_asset_attributes(spec: RegistrySpec) -> AssetAttributes:
    """Return the arguments of `@asset` for a registry."""
    file_names = (*spec.artifacts, *(pattern for pattern, _ in spec.schemas))
    suffixes = {PurePosixPath(name).suffix.removeprefix(".") for name in file_names}
    description = f"{spec.title}\n\nEach materialization is a sealed run folder, which never changes."
    if spec.pointer:
        description += " The newest run is not always the active one: see `active_registry_pointers`."
    return {
        "name": spec.registry_id,
        "description": description,
        "group_name": GROUP,
        "kinds": {spec.kind, *suffixes},
        "owners": list(OWNERS),
        "tags": {"registry_pipeline/operation": spec.operation_id} if spec.operation_id else {},
        "code_version": code_version(spec),
    }


# Without a code version, Dagster takes each run for a new version.
def code_version(spec: RegistrySpec) -> str:
    """Return the schema version of a registry with the version of this program, as `0.1+1.2.3`."""
    return f"{spec.version}+{version('registry-pipeline')}"


def data_version(built: Built | NotBuilt) -> DataVersion:
    """Return the hash of the content without its timestamps, or of the findings if there is no content."""
    if isinstance(built, Built):
        return DataVersion(built.artifacts.content_sha256)
    return DataVersion(sha256_hex(b"".join(json_line(finding.to_json()) for finding in built.findings)))


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
