"""RegistryComponent makes a sealed, checked asset from the YAML of a `dg` project."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, Definitions
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

from registry_pipeline.dagster import CsvTable, RegistryComponent
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.dagster_package.projects import QUIET, check_results, failure_text

# Dagster's own, about what it uses itself to load the components of a project.
pytestmark = pytest.mark.filterwarnings("ignore:.*currently in (beta|preview)", "ignore:`parse_obj_as` is deprecated")
SCHEMA = {"type": "array", "items": {"type": "object", "required": ["station"]}}


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    with create_defs_folder_sandbox() as folder:
        yield folder


@contextmanager
def build(sandbox: DefsFolderSandbox, **components: dict[str, Any]) -> Iterator[Definitions]:
    """Yield the definitions of components with these attributes; JSON is YAML."""
    for name, attributes in components.items():
        folder = sandbox.defs_folder_path / name
        folder.mkdir()
        document = {"type": "registry_pipeline.dagster.RegistryComponent", "attributes": attributes}
        (folder / "defs.yaml").write_text(json.dumps(document), encoding="utf-8")
        (folder / "tides.csv").write_text("station,height\nCuxhaven,3.1\n", encoding="utf-8")
        (folder / "tides.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    with sandbox.build_all_defs() as definitions:
        yield definitions


def materialize(definitions: Definitions, *names: str) -> Any:
    job = definitions.resolve_implicit_global_asset_job_def()
    keys = [AssetKey.from_user_string(name) for name in names]
    with DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            instance=instance, run_config=QUIET, raise_on_error=False, asset_selection=keys or None
        )


ATTRIBUTES = {"name": "tides", "source": "tides.csv", "format": "csv", "schema_file": "tides.schema.json"}


def test_a_file_becomes_a_sealed_checked_asset(sandbox: DefsFolderSandbox) -> None:
    with build(sandbox, tides=ATTRIBUTES) as definitions:
        result = materialize(definitions)

        assert result.success
        assert check_results(result) == {"seal": (True, "no problems"), "schema": (True, "no problems")}
        assert result.asset_value("tides") == CsvTable(("station", "height"), (("Cuxhaven", "3.1"),))
    (folder,) = (sandbox.project_root / "sealed" / "tides").iterdir()
    assert verify_folder(folder).verdict == "pass"


def test_the_attributes_are_those_of_the_asset(sandbox: DefsFolderSandbox) -> None:
    attributes = ATTRIBUTES | {"name": "sea/tides", "group": "sea", "description": "Ebb.", "freshness_hours": 36}
    with build(sandbox, tides=attributes) as definitions:
        (spec,) = definitions.resolve_all_asset_specs()

    assert spec.key == AssetKey(["sea", "tides"])
    assert (spec.group_name, spec.description) == ("sea", "Ebb.")
    assert spec.freshness_policy is not None
    assert spec.freshness_policy.fail_window.to_timedelta().total_seconds() == 36 * 3600  # type: ignore[attr-defined]


def test_two_components_have_an_io_manager_each(sandbox: DefsFolderSandbox) -> None:
    other = ATTRIBUTES | {"name": "storms", "base_dir": "elsewhere"}
    with build(sandbox, tides=ATTRIBUTES, storms=other) as definitions:
        assert materialize(definitions).success

    assert (sandbox.project_root / "elsewhere" / "storms").is_dir()
    assert (sandbox.project_root / "sealed" / "tides").is_dir()


@pytest.mark.parametrize("other", ["sea-tides", "sea.tides", "sea_tides", "_tides", "1tides"])
def test_names_that_are_not_identifiers_have_an_io_manager_of_their_own(sandbox: DefsFolderSandbox, other: str) -> None:
    first, second = ATTRIBUTES | {"name": "sea/tides"}, ATTRIBUTES | {"name": other, "base_dir": "elsewhere"}
    with build(sandbox, first=first, second=second) as definitions:
        assert materialize(definitions).success

    assert (sandbox.project_root / "sealed" / "sea" / "tides").is_dir()
    assert (sandbox.project_root / "elsewhere" / other).is_dir()


def test_the_resource_key_of_a_component_is_stable(sandbox: DefsFolderSandbox) -> None:
    with build(sandbox, first=ATTRIBUTES, second=ATTRIBUTES | {"name": "sea/tides"}) as definitions:
        assert set(definitions.resources or {}) == {"tides_sealed_io", "asset_sea_tides_e93969b5_sealed_io"}


def test_a_function_gives_the_value(sandbox: DefsFolderSandbox) -> None:
    (sandbox.defs_folder_path / "harbour.py").write_text("def read():\n    return {'open': True}\n", encoding="utf-8")
    function = f"{sandbox.project_name}.defs.harbour.read"
    with build(sandbox, tides={"name": "tides", "function": function}) as definitions:
        result = materialize(definitions)

        assert result.asset_value("tides") == {"open": True}
        assert set(check_results(result)) == {"seal"}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"name": "tides"}, "give either `source` or `function`"),
        (ATTRIBUTES | {"function": "os.getcwd"}, "give either `source` or `function`"),
        ({"name": "tides", "function": "no_such_module.read"}, "cannot be imported"),
        ({"name": "tides", "function": "read"}, "cannot be imported"),
        ({"name": "tides", "function": ".x.y"}, "the function .x.y cannot be imported"),
        ({"name": "tides", "function": "os.sep"}, "os.sep is not a function but of the type str"),
        ({"name": "tides", "function": "os.getcwd", "format": "csv"}, "`format` is that of a source"),
        ({"name": "tides", "source": "tides.csv", "schema_file": "tides.schema.json"}, "bytes match no schema"),
        (ATTRIBUTES | {"format": "bytes"}, "bytes match no schema"),
        (ATTRIBUTES | {"name": "tides/"}, "is not a name"),
        (ATTRIBUTES | {"name": "/tides"}, "is not a name"),
        (ATTRIBUTES | {"name": "high tides"}, "is not a name"),
        (ATTRIBUTES | {"schema_file": "missing.json"}, "cannot be used"),
        (ATTRIBUTES | {"format": "parquet"}, "format"),
        (ATTRIBUTES | {"colour": "red"}, "colour"),
        (ATTRIBUTES | {"freshness_hours": 0}, "freshness_hours"),
        (ATTRIBUTES | {"freshness_hours": 0.01}, "freshness_hours"),
        (ATTRIBUTES | {"freshness_hours": 10**300}, "freshness_hours"),
    ],
)
def test_attributes_that_make_no_asset_are_refused(
    sandbox: DefsFolderSandbox, attributes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Exception, match="tides") as refused, build(sandbox, tides=attributes):
        pass

    # Dagster says which component it is, and raises from the error that says why.
    assert reason in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("missing.csv", None, "cannot be read"),
        ("bad.csv", 'a\n"', "is not csv: line 2: "),
        ("bad.csv", "a,b\n1,2\n3\n", "is not csv: line 3: expected 2 cells, got 1"),
        ("bad.csv", "a,a\n", "is not csv: line 1: columns 1 and 2 of the header have the same name: 'a'"),
    ],
)
def test_a_source_that_cannot_be_used_fails_with_its_path(
    sandbox: DefsFolderSandbox, name: str, text: str | None, reason: str
) -> None:
    with build(sandbox, tides=ATTRIBUTES | {"source": name}) as definitions:
        if text is not None:
            (sandbox.defs_folder_path / "tides" / name).write_text(text, encoding="utf-8")
        result = materialize(definitions)

    assert not result.success
    assert reason in failure_text(result)
    assert name in failure_text(result)


def test_a_value_that_does_not_match_the_schema_fails_the_run(sandbox: DefsFolderSandbox) -> None:
    with build(sandbox, tides=ATTRIBUTES) as definitions:
        (sandbox.defs_folder_path / "tides" / "tides.csv").write_text("port\nHusum\n", encoding="utf-8")
        result = materialize(definitions)

    assert not result.success
    assert check_results(result)["schema"] == (False, "/0: missing keys: station")


def test_dg_finds_the_component_by_the_entry_point() -> None:
    import tomllib

    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    entry_points = tomllib.loads(text)["project"]["entry-points"]["dagster_dg_cli.registry_modules"]

    assert list(entry_points.values()) == ["registry_pipeline.dagster"]
    assert RegistryComponent.__module__.startswith("registry_pipeline.dagster.")
