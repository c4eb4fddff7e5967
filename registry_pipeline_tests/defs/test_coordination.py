"""The registries of entries through Dagster: sealed under their paths, and the blocking check `coordination`."""

from __future__ import annotations

import shutil

import pytest
from dagster import AssetCheckKey, AssetKey

from registry_pipeline.registries.entries.schemas import FAMILY_OF
from registry_pipeline_tests.defs.conftest import DagsterRepo, FirstRebuild, checks_of, page_of, troubles, verdicts_of
from registry_pipeline_tests.entries.harbour import HARBOUR, MATURITY

PASSED = {"seal": True, "schema": True, "coordination": True}
DAMAGES = {
    "module_registry": (
        "modules/overview/instance_registry.yaml",
        "module_type: series",
        "module_type: seris",
        "EN010",
    ),
    "route_registry": ("modules/routes/series.heights.yaml", "path: docs/SERIES.md", "path: docs/GONE.md", "EN021"),
    "ability_registry": (".system/registry/high-level/heights.yaml", "[heights.read]", "[heights.raed]", "EN031"),
    "hook_registry": (".system/hooks/heights_guard.yaml", "stage: act", "stage: acting", "EN042"),
}
"""Registry to file, words, other words, and the code that comes of it; the schemas of the snapshots find no fault."""


def test_every_registry_of_entries_is_sealed_and_passes_coordination(first_rebuild: FirstRebuild) -> None:
    for name in FAMILY_OF:
        assert page_of(first_rebuild.result, name)["state"] == "sealed"
        assert verdicts_of(first_rebuild.result, name) == PASSED
    files = page_of(first_rebuild.result, "ability_registry")["sealed_files"]
    assert ".system/registry/low-level/heights.yaml" in files


@pytest.mark.parametrize("name", FAMILY_OF)
def test_the_check_blocks(first_rebuild: FirstRebuild, name: str) -> None:
    graph = first_rebuild.repo.definitions.resolve_asset_graph()

    assert graph.get_check_spec(AssetCheckKey(AssetKey(name), "coordination")).blocking


@pytest.mark.parametrize(("name", "damage"), DAMAGES.items(), ids=DAMAGES)
def test_a_failure_fails_the_check_alone_and_no_pointer_moves(
    activated: DagsterRepo, name: str, damage: tuple[str, str, str, str]
) -> None:
    path, words, others, code = damage
    place = activated.repository.root / path
    place.write_text(place.read_text().replace(words, others, 1))
    before = activated.active()

    result = activated.materialize(name)

    assert verdicts_of(result, name) == {**PASSED, "coordination": False}
    assert code in (checks_of(result, name)["coordination"].description or "")
    assert activated.skipped()
    assert activated.active() == before


def test_an_overridden_failure_is_a_warning_and_passes(activated: DagsterRepo) -> None:
    path, words, others, _ = DAMAGES["module_registry"]
    place = activated.repository.root / path
    override = "\n    x-override: {codes: [EN010], by: Ada, utc: 2026-03-01T12:00:00Z}"
    place.write_text(place.read_text().replace(words, others + override, 1))

    result = activated.materialize("module_registry")

    assert result.success, troubles(result)
    assert verdicts_of(result, "module_registry") == PASSED
    (evaluation,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "coordination"]
    assert "EN090" in (evaluation.description or "")


def test_entries_in_the_words_of_the_architecture_are_sealed_and_pass(activated: DagsterRepo) -> None:
    root = activated.repository.root
    for folder in ("modules", ".system", "docs"):
        if folder != "docs":
            shutil.rmtree(root / folder)
        shutil.copytree(HARBOUR / folder, root / folder, dirs_exist_ok=True)

    result = activated.materialize(*FAMILY_OF)

    assert result.success, troubles(result)
    assert {name: verdicts_of(result, name) for name in FAMILY_OF} == dict.fromkeys(FAMILY_OF, PASSED)
    assert "| .system/hooks/call_ledger.yaml |" in page_of(result, "hook_registry")["sealed_files"]


def test_a_maturity_that_is_not_configured_fails_the_check(activated: DagsterRepo) -> None:
    path = activated.repository.root / MATURITY
    text = path.read_text()
    path.write_text(text.replace("maturity: IMPLEMENTED", "maturity: IMPLEMENTD", 1))
    assert path.read_text() != text

    result = activated.materialize("module_registry")

    assert verdicts_of(result, "module_registry") == {**PASSED, "coordination": False}
    assert "EN016" in (checks_of(result, "module_registry")["coordination"].description or "")
