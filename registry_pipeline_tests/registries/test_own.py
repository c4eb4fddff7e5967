"""The catalog of a repository with registries of its own: its order, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Config, OwnRegistry, Repository
from registry_pipeline.registries.base.capture import find_matches
from registry_pipeline.registries.catalog import SHIPPED, Catalog, catalog_of
from registry_pipeline_tests.laws import examples

NAMES: Final = ("alpha", "beta", "delta_x", "gamma", "omega")
UPSTREAM: Final = ("run_registry", "governance_scorecard", "expected_versions")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "any.schema.json").write_text("{}", encoding="utf-8")
    return folder


@st.composite
def described(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Return what each registry depends on: any of the shipped ones, and of the others, also in a circle."""
    others = st.lists(st.sampled_from([*NAMES, *UPSTREAM]), max_size=3, unique=True)
    return {name: tuple(draw(others)) for name in NAMES}


def make_catalog(root: Path, depends_on: dict[str, tuple[str, ...]]) -> Catalog:
    tables = {
        name: OwnRegistry(sources=(f"{name}.json",), schema="any.schema.json", depends_on=names)
        for name, names in depends_on.items()
    }
    return catalog_of(Repository(root, Config(registries=tables)))


@examples(60)
@given(described(), st.permutations(NAMES))
def test_any_order_of_the_tables_gives_the_same_catalog(
    root: Path, depends_on: dict[str, tuple[str, ...]], names: list[str]
) -> None:
    catalog = make_catalog(root, depends_on)
    other = make_catalog(root, {name: depends_on[name] for name in names})

    assert list(catalog.registries) == list(other.registries)
    assert catalog.findings == other.findings


@examples(60)
@given(described())
def test_each_registry_comes_after_what_it_depends_on_and_the_shipped_order_stays(
    root: Path, depends_on: dict[str, tuple[str, ...]]
) -> None:
    catalog = make_catalog(root, depends_on)
    order = [spec.registry_id for spec in catalog.build_order]

    for spec in catalog.build_order:
        assert all(order.index(name) < order.index(spec.registry_id) for name in (*spec.depends_on, *spec.after))
    assert [name for name in order if name not in NAMES] == [spec.registry_id for spec in SHIPPED.build_order]
    assert order[-1] == "registry_delta_log"
    assert len(set(NAMES) - set(order)) == len(catalog.findings)


@examples(60)
@given(described())
def test_what_is_left_out_is_in_a_circle_or_depends_on_one(root: Path, depends_on: dict[str, tuple[str, ...]]) -> None:
    catalog = make_catalog(root, depends_on)

    def reaches_a_circle(name: str, path: tuple[str, ...]) -> bool:
        return name in path or any(reaches_a_circle(other, (*path, name)) for other in depends_on.get(name, ()))

    assert {name for name in NAMES if name not in catalog.registries} == {
        name for name in NAMES if reaches_a_circle(name, ())
    }


def test_a_repository_without_own_registries_has_the_shipped_catalog(root: Path) -> None:
    assert catalog_of(Repository(root, Config())) is SHIPPED
    assert catalog_of(None) is SHIPPED


def test_the_catalog_is_made_once_for_a_repository(root: Path) -> None:
    repository = Repository(root, Config(registries={"a": OwnRegistry(sources=("a.json",), schema="any.schema.json")}))

    assert catalog_of(repository) is catalog_of(repository)


FILES: Final = (
    "a.json",
    "data/b.json",
    "data/x/c.json",
    "data/x/y/d.csv",
    ".hidden/e.json",
    "data/.f.json",
    "runs/r/g.json",
)


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("a.json", ["a.json"]),
        ("*.json", ["a.json"]),
        ("data/*.json", ["data/b.json"]),
        ("data/*/*.json", ["data/x/c.json"]),
        ("data/**", ["data/b.json", "data/x/c.json", "data/x/y/d.csv"]),
        ("**/*.json", ["a.json", "data/b.json", "data/x/c.json"]),
        ("**/**/*.csv", ["data/x/y/d.csv"]),
        ("**/x/*", ["data/x/c.json"]),
        ("data/[a-c].json", ["data/b.json"]),
        (".hidden/*", [".hidden/e.json"]),
        ("runs/*/*.json", []),
        ("linked/*.json", []),
        ("nothing/*", []),
    ],
)
def test_a_glob_matches_these_files(tmp_path: Path, pattern: str, paths: list[str]) -> None:
    for path in FILES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "linked").symlink_to("data")
    repository = Repository(tmp_path, Config(run_roots=("runs",), publish_root="runs"))

    assert list(find_matches(repository, pattern).paths) == paths


def test_a_glob_of_many_stars_ends_soon_in_a_deep_tree(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(60):
        folder /= "d"
        folder.mkdir()
    (folder / "a.json").touch()

    found = find_matches(Repository(tmp_path, Config()), "/".join(["**"] * 20 + ["*.json"]))

    assert len(found.paths) == 1
