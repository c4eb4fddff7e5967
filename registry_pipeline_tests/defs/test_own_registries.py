"""A repository's own registries in Dagster: asset, source, blocking checks, activation, and a page with columns."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from registry_pipeline.config import load_repository
from registry_pipeline.defs.build import build_defs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline_tests.defs.conftest import CHECK_NAMES, DagsterRepo, page_of, troubles, verdicts_of
from registry_pipeline_tests.own_registries import (
    PRICES,
    TABLES,
    configure,
    installed_package,
    write_own_sources,
    write_prices,
)

NAMES = ("my_prices", "price_sheets", "price_bands")


def verdicts_of_own(repo: DagsterRepo, registry_id: str) -> dict[str, bool]:
    return {name: repo.check(registry_id, name).passed for name in CHECK_NAMES}


@pytest.fixture
def shop(known_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    """A repository with two own registries and a package, in Dagster; nothing is built."""
    root = tmp_path / "shop"
    shutil.copytree(known_repository, root, symlinks=True)
    (root / "registry-pipeline.toml").touch()
    write_own_sources(root)
    configure(root, TABLES, first='registry_packages = ["price-bands"]')
    with installed_package(tmp_path / "installed"), DagsterInstance.ephemeral() as instance:
        yield DagsterRepo(load_repository(root), instance, build_defs(root))


def test_each_is_an_asset_with_its_source_its_upstreams_and_the_three_checks(shop: DagsterRepo) -> None:
    graph = shop.definitions.resolve_asset_graph()

    for name in NAMES:
        checks = {key.name for key in graph.asset_check_keys if key.asset_key == AssetKey(name)}
        assert checks >= {*CHECK_NAMES, "source", "active"}
    parents = {name: {key.to_user_string() for key in graph.get(AssetKey(name)).parent_keys} for name in NAMES}
    assert parents == {
        "my_prices": {"sources/registries/my_prices"},
        "price_sheets": {"sources/registries/price_sheets", "my_prices"},
        "price_bands": {"my_prices"},
    }


def test_a_rebuild_checks_them_and_the_sensor_activates_them(shop: DagsterRepo) -> None:
    result = shop.rebuild()

    assert result.success, troubles(result)
    for name in NAMES:
        assert verdicts_of_own(shop, name) == dict.fromkeys(CHECK_NAMES, True)
    assert page_of(result, "my_prices")["dagster/row_count"] == 2
    assert "sku" in str(page_of(result, "my_prices")["columns"])
    activated = shop.execute_request(shop.requested())
    assert activated.success, troubles(activated)
    pointers = read_pointers(load_repository(shop.repository.root))
    assert all(pointers.active(name) is not None for name in NAMES)


def test_the_source_is_observed_and_a_change_is_a_new_data_version(shop: DagsterRepo) -> None:
    def observe() -> str:
        result = shop.rebuild()
        (event,) = [
            e.asset_observation_data.asset_observation
            for e in result.all_events
            if e.is_asset_observation and e.asset_key == AssetKey(["sources", "registries", "my_prices"])
        ]
        return str(event.data_version)

    first = observe()
    write_prices(shop.repository.root, apple=7)

    assert observe() != first


def test_a_source_that_is_gone_fails_the_check_of_the_source_and_the_others_are_built(shop: DagsterRepo) -> None:
    (shop.repository.root / PRICES).unlink()

    result = shop.rebuild()

    assert not shop.check("my_prices", "source").passed
    assert verdicts_of(result, "run_registry") == dict.fromkeys(CHECK_NAMES, True)


def test_a_misdeclared_registry_does_not_stop_the_code_location(shop: DagsterRepo) -> None:
    configure(shop.repository.root, '[registries.broken]\nsources = ["a.json"]\nschema = "schemas/none.json"\n')

    definitions = build_defs(shop.repository.root)

    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert set(NAMES) <= keys
    assert "broken" not in keys
    assert "CONFIG_REGISTRY_INVALID" in (definitions.metadata or {})
