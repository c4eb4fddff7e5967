"""The instance file and the workspace file that ship, read by the installed Dagster."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import yaml
from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.config import PoolGranularity
from dagster._core.scheduler.instigation import TickStatus

from registry_pipeline.cli.commands.ui import WORKSPACE, find_instance_file

CHECKOUT = Path(__file__).parent.parent.parent


def test_dagster_accepts_the_instance_file_and_its_switches(tmp_path: Path) -> None:
    shutil.copyfile(find_instance_file(), tmp_path / "dagster.yaml")

    with DagsterInstance.from_config(str(tmp_path)) as instance:
        pools = instance.get_concurrency_config().pool_config
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.freshness_enabled
        assert instance.get_tick_retention_settings(InstigatorType.SENSOR)[TickStatus.SKIPPED] == 7
        assert (pools.default_pool_limit, pools.pool_granularity) == (1, PoolGranularity.RUN)


def test_dg_ui_and_dagsters_own_programs_give_the_code_location_the_same_name() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]

    for workspace in ((CHECKOUT / "workspace.yaml").read_text(encoding="utf-8"), WORKSPACE):
        loaded = yaml.safe_load(workspace)["load_from"][0]["python_module"]
        assert loaded["location_name"] == project["code_location_name"]
        assert loaded["module_name"] == project["code_location_target_module"]
