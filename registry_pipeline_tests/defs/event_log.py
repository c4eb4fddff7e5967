"""What tests read in Dagster's event log and report to it."""

from __future__ import annotations

from dagster import AssetCheckEvaluation, AssetMaterialization, MetadataValue
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from registry_pipeline.defs import event_log
from registry_pipeline.defs.event_log import ROOT_KEY, SEALED_KEY, Materialization, sealed_to_json
from registry_pipeline.registries import catalog
from registry_pipeline_tests.defs.conftest import DagsterRepo


def newest(repo: DagsterRepo, registry_id: str) -> Materialization:
    return event_log.read_materializations(repo.instance, repo.location.key(registry_id), 1)[0]


def repeat(repo: DagsterRepo, made: Materialization) -> Materialization:
    """Report the same folder as a further materialization, on which no check has run."""
    assert made.sealed is not None
    page = {SEALED_KEY: MetadataValue.json(sealed_to_json(repo.repository, made.sealed))}
    repo.instance.report_runless_asset_event(AssetMaterialization(made.key, metadata=page))
    return newest(repo, made.registry_id)


def record_check(repo: DagsterRepo, made: Materialization, *, storage_id: int, root: str, passed: bool = True) -> None:
    """Report every check of a registry with the target and the root that are given."""
    for name in catalog.SHIPPED.spec_of(made.registry_id).check_names:
        target = AssetCheckEvaluationTargetMaterializationData(storage_id=storage_id, run_id="", timestamp=0.0)
        evaluation = AssetCheckEvaluation(
            asset_key=made.key,
            check_name=name,
            passed=passed,
            metadata={ROOT_KEY: MetadataValue.text(root)},
            target_materialization_data=target,
        )
        repo.instance.report_runless_asset_event(evaluation)
