"""The example project works with our wheel and Dagster alone, and notices one altered byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from registry_pipeline_tests.dagster_package.projects import alter_byte
from registry_pipeline_tests.house.conftest import ROOT, Environment

# A process per step would spend the time of this test on imports.
IN_PROCESS: Final = json.dumps({"execution": {"config": {"in_process": {}}}})
EXECUTE_CHECKS: Final = """
import json
import dagster as dg
from harbour.definitions import defs
definitions = defs()
job = definitions.resolve_implicit_global_asset_job_def()
selection = dg.AssetSelection.all_asset_checks()
with dg.DagsterInstance.get() as instance:
    job = dg.define_asset_job("checks", selection, executor_def=dg.in_process_executor)
    loaded = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("checks")
    result = loaded.execute_in_process(instance=instance, raise_on_error=False)
results = {f"{e.asset_key.to_user_string()}.{e.check_name}": e.passed for e in result.get_asset_check_evaluations()}
print(json.dumps(results))
"""


@pytest.mark.process
def test_the_example_project_seals_verifies_and_refuses(installed: Environment, tmp_path: Path) -> None:
    project = tmp_path / "harbour"
    shutil.copytree(ROOT / "examples/dagster_project", project)
    home = project / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    env = {"DAGSTER_HOME": str(home), "PYTHONPATH": str(project / "src")}

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return installed.run(program, *arguments, cwd=project, env=env)

    def materialize(selection: str) -> subprocess.CompletedProcess[str]:
        words = ("--select", selection, "-m", "harbour.definitions", "--config-json", IN_PROCESS)
        return run("python", "-m", "dagster", "asset", "materialize", *words)

    # (1) Every asset is sealed, and verifies with our command.
    first = materialize("*")
    assert first.returncode == 0, first.stderr
    folders = {path.parent.name: path for path in project.glob("sealed/*/*") if path.parent.name != ".staging"}
    assert sorted(folders) == ["mean_heights", "stations"]
    verified = run("registry-pipeline", "verify", *map(str, folders.values()))
    assert verified.returncode == 0, verified.stdout

    # (2) One altered byte: the load is refused, and the checks are red.
    alter_byte(folders["stations"])
    refused = materialize("mean_heights")
    assert refused.returncode != 0
    assert "HASH_MISMATCH" in refused.stdout + refused.stderr
    checks = run("python", "-c", EXECUTE_CHECKS)
    assert json.loads(checks.stdout) == {
        "mean_heights.seal": True,
        "stations.schema": False,
        "stations.seal": False,
    }, checks.stderr
    assert run("registry-pipeline", "verify", str(folders["stations"])).returncode == 3

    # (3) What is sealed again can be loaded again.
    again = materialize("*")
    assert again.returncode == 0, again.stderr


@pytest.mark.process
def test_dg_lists_the_component_of_an_installed_wheel(installed: Environment, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples/dagster_project", tmp_path / "harbour")
    listed = installed.run(
        "python", "-m", "dagster_dg_cli.cli", "list", "components", "--json", cwd=tmp_path / "harbour"
    )

    assert "registry_pipeline.dagster.RegistryComponent" in listed.stdout, listed.stderr
