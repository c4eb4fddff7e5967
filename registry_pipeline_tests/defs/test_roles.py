"""The role registry through Dagster: its page, its check `append_only`, and drift that blocks."""

from __future__ import annotations

import pytest
from dagster import AssetCheckKey, AssetKey

from registry_pipeline.capture_table import ROLE_REGISTRY
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, read_diagnostics, read_events
from registry_pipeline_tests.defs.conftest import (
    DagsterRepo,
    FirstRebuild,
    codes_of,
    handed_on,
    page_of,
    troubles,
    verdicts_of,
)
from registry_pipeline_tests.role_packs import DRIFTED, GROWN, PACK, SHRUNK

PASSED = {"seal": True, "schema": True, "append_only": True}


def rewrite(repo: DagsterRepo, text: str) -> None:
    repo.repository.path(PACK).write_text(text)


def test_its_own_check_blocks_and_describes_itself(first_rebuild: FirstRebuild) -> None:
    graph = first_rebuild.repo.definitions.resolve_asset_graph()
    check = graph.get_check_spec(AssetCheckKey(AssetKey(ROLE_REGISTRY), "append_only"))

    assert check.blocking
    assert "published" in (check.description or "")
    assert verdicts_of(first_rebuild.result, ROLE_REGISTRY) == PASSED


def test_its_page_shows_roles_and_contracts_as_numbers(first_rebuild: FirstRebuild) -> None:
    page = page_of(first_rebuild.result, ROLE_REGISTRY)

    assert (page["dagster/row_count"], page["roles"], page["contracts"]) == (2, 2, 4)
    assert "atelier_rolepack_digital_production_studio" in page["sealed_files"]
    assert "ROLE_REGISTRY_v0_1.json" in page["sealed_files"]
    assert '"surface_sha256"' in page["preview"]


def test_a_pack_that_grew_is_proposed_and_activated(activated: DagsterRepo) -> None:
    rewrite(activated, GROWN)

    result = activated.materialize(ROLE_REGISTRY)

    assert verdicts_of(result, ROLE_REGISTRY) == PASSED
    assert set(activated.asked_for()) == {ROLE_REGISTRY}
    assert activated.execute_request(activated.requested()).success
    assert activated.active()[ROLE_REGISTRY].run_id == page_of(result, ROLE_REGISTRY)["run_id"]


@pytest.mark.parametrize(("text", "code"), [(DRIFTED, "RR003"), (SHRUNK, "RR001")])
def test_a_pack_with_violations_fails_the_check_and_the_pointer_stays(
    activated: DagsterRepo, text: str, code: str
) -> None:
    before = activated.repository.pointer_path.read_bytes()
    rewrite(activated, text)

    result = activated.materialize(ROLE_REGISTRY)

    assert not result.success
    assert verdicts_of(result, ROLE_REGISTRY) == PASSED | {"append_only": False}
    (check,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "append_only"]
    assert code in codes_of(check.metadata)
    assert "check append_only failed" in activated.skipped()
    assert activated.repository.pointer_path.read_bytes() == before


def test_violations_of_the_check_are_recorded_with_their_dagster_run(activated: DagsterRepo) -> None:
    rewrite(activated, DRIFTED)

    runs = [activated.materialize(ROLE_REGISTRY).run_id for _ in range(2)]

    store = activated.repository.state_root / STORE_NAME
    (row,) = read_diagnostics(store)
    assert (row["code"], row["count"], row["job_id"], row["link_confidence"]) == ("RR003", 2, runs[1], "direct")
    assert {event["job_id"] for event in read_events(store)} == set(runs)


def test_an_unusable_store_changes_no_check(activated: DagsterRepo) -> None:
    (activated.repository.state_root / STORE_NAME).write_text("no database")
    rewrite(activated, DRIFTED)
    failing = activated.materialize(ROLE_REGISTRY)
    rewrite(activated, GROWN)
    passing = activated.materialize(ROLE_REGISTRY)

    assert verdicts_of(failing, ROLE_REGISTRY) == PASSED | {"append_only": False}
    assert verdicts_of(passing, ROLE_REGISTRY) == PASSED
    assert passing.success, troubles(passing)


@pytest.mark.parametrize(("text", "code"), [(None, "CAPTURE_MISSING"), ("[", "CAPTURE_MALFORMED")])
def test_a_missing_or_unreadable_pack_returns_the_active_snapshot(
    activated: DagsterRepo, text: str | None, code: str
) -> None:
    active = activated.active()[ROLE_REGISTRY]
    activated.repository.path(PACK).unlink() if text is None else rewrite(activated, text)

    result = activated.materialize(ROLE_REGISTRY)

    page = handed_on(result, ROLE_REGISTRY)
    assert result.success, troubles(result)
    assert (page["state"], page["run_id"]) == ("not built", active.run_id)
    assert code in [row["code"] for row in page["findings"]]
    assert verdicts_of(result, ROLE_REGISTRY) == PASSED


def test_an_unchanged_pack_is_checked_again_and_makes_no_folder(activated: DagsterRepo) -> None:
    before = activated.folders()

    result = activated.materialize(ROLE_REGISTRY)

    assert activated.folders() == before
    assert page_of(result, ROLE_REGISTRY)["state"] == "unchanged"
    assert verdicts_of(result, ROLE_REGISTRY) == PASSED
