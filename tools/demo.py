"""`make demo`: all steps of the pipeline on the example repository, through Dagster, in under two minutes.

Makes the example, runs the rebuild job in process, lets the activation sensor propose and executes what it asks for,
prints `status`, and verifies every run folder. Exits 0 exactly when `verify --all` exits 3 with the findings that were
planted and no others.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from registry_pipeline.cli.commands.ui import prepare_home
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.example.make import ExampleOutcome, make_example

PLANTED: Final = "docs/PLANTED_FINDINGS.json"
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
_EVIDENCE_INVALID: Final = 3

Value = TypeVar("Value")


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--dir", type=Path, default=Path(".demo/example"), help="where the example is made; an earlier one is replaced"
    )
    target: Path = parser.parse_args().dir
    try:
        _make_room(target)
        example = _step("make the example repository", lambda: _example(target))
        print(f"     {example.runs} run folders, {len(example.planted)} of them not as they should be")
        _dagster(example.repository.root, example.repository.dagster_home)
    except RegistryPipelineError as error:
        print(f"demo: {error.message}\n      {error.advice}", file=sys.stderr)
        return error.exit_code
    return _shown(target)


def _step(what: str, work: Callable[[], Value]) -> Value:
    """Do one step with a line before it and its seconds behind it."""
    print(f"==> {what} ...", end="", flush=True)
    began = time.perf_counter()
    value = work()
    print(f" {time.perf_counter() - began:.1f} s", flush=True)
    return value


def _make_room(target: Path) -> None:
    """Remove the example of an earlier demo, and nothing else: `make_example` refuses a folder that is in use."""
    if not (target / PLANTED).is_file():
        return
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(target)


def _example(target: Path) -> ExampleOutcome:
    target.parent.mkdir(parents=True, exist_ok=True)

    def show_progress(done: int, of: int) -> None:
        if sys.stdout.isatty():
            print(f"\r==> make the example repository ... {done}/{of}", end="", flush=True)

    return make_example(target, datetime.now(UTC), on_progress=show_progress)  # noqa: TID251 - an entry point


def _dagster(repository: Path, home: Path) -> None:
    """Run the rebuild job, ask the sensor, execute what it requests, in this process and in a persistent instance."""
    prepare_home(home)
    os.environ["DAGSTER_HOME"] = str(home)
    graph = _step("load the Dagster definitions", lambda: _Graph(repository, home))
    for asset, state in _step("rebuild every registry, and check it", lambda: graph.execute("rebuild_job")):
        print(f"     {asset:<28}{state}")
    requested = _step("ask the activation sensor", graph.ask_sensor)
    print(f"     it asks for {', '.join(requested.run_config['ops']['active_registry_pointers']['config']['runs'])}")
    for asset, state in _step(
        "activate, and render the report", lambda: graph.execute("activate_pointers_job", requested)
    ):
        print(f"     {asset:<28}{state}")
    last = datetime.now(UTC).date() - timedelta(days=1)  # noqa: TID251 - an entry point
    days = _step("backfill the last seven days", lambda: graph.backfill(last - timedelta(days=6), last))
    print(f"     drift_signals_daily         {len(days)} days, {days[0]} to {days[-1]}")


class _Graph:
    """The definitions of the repository with their instance; imported late, since that takes seconds."""

    def __init__(self, repository: Path, home: Path) -> None:
        from dagster import DagsterInstance  # noqa: PLC0415

        from registry_pipeline.defs.build import build_defs  # noqa: PLC0415
        from registry_pipeline.defs.resources import RepositoryResource  # noqa: PLC0415

        self.definitions = build_defs(repository)
        self.instance = DagsterInstance.from_config(str(home))
        self.repository = RepositoryResource(repository, self.instance)

    def execute(self, job: str, requested: Any = None) -> list[tuple[str, str]]:
        """Execute a job; return what each asset's page says."""
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_config=QUIET | ({} if requested is None else {"ops": requested.run_config["ops"]}),
            tags=None if requested is None else requested.tags,
            raise_on_error=False,
        )
        if not result.success:
            failed = [event.step_key for event in result.all_events if event.is_step_failure]
            raise RegistryPipelineError(f"{job} failed in {', '.join(map(str, failed))}", "open the user interface")
        return [(_name(event), _state(event)) for event in result.get_asset_materialization_events()]

    def backfill(self, first: date, last: date) -> list[str]:
        """Seal days of history in one run, as a backfill does; return those that Dagster shows."""
        span = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        result = self.definitions.resolve_job_def("drift_signals_daily_job").execute_in_process(
            instance=self.instance, run_config=QUIET, tags=span, raise_on_error=False
        )
        if not result.success:
            raise RegistryPipelineError("the backfill failed", "open the user interface")
        return [str(event.partition) for event in result.get_asset_materialization_events()]

    def ask_sensor(self) -> Any:
        """Return the run that the activation sensor asks for."""
        from dagster import SensorResult, build_sensor_context  # noqa: PLC0415

        from registry_pipeline.defs.sensors import activation_sensor  # noqa: PLC0415

        with build_sensor_context(instance=self.instance) as context:
            answer = activation_sensor(context, repository=self.repository)
        if not isinstance(answer, SensorResult) or not answer.run_requests:
            raise RegistryPipelineError(f"the sensor asks for nothing: {answer}", "open the user interface")
        return answer.run_requests[0]


def _name(event: Any) -> str:
    return str(event.asset_key.to_user_string())


def _state(event: Any) -> str:
    page = event.materialization.metadata
    if "moved" in page:
        return f"{page['moved'].value} pointers moved, {page['activation_record'].value}"
    if "run_folder" not in page:
        return str(page["state"].value) if "state" in page else "no run"
    return f"{page['run_folder'].value.rsplit('/', 1)[-1]}  ROOT_SHA256 {page['ROOT_SHA256'].value[:12]}"


def _shown(target: Path) -> int:
    """Print the status table, verify everything, and hold the findings against those that were planted."""
    command = [sys.executable, "-m", "registry_pipeline", "-C", str(target)]
    print("==> registry-pipeline status\n", flush=True)
    status = subprocess.run([*command, "status"], check=False)
    print("\n==> registry-pipeline verify --all", flush=True)
    verified = subprocess.run([*command, "verify", "--all", "--json"], check=False, stdout=subprocess.PIPE)
    planted = json.loads((target / PLANTED).read_bytes())["folders"]
    found = _found(verified.stdout)
    expected = {folder["path"]: folder for folder in planted}
    same = verified.returncode == _EVIDENCE_INVALID and found == expected and status.returncode == 0
    for path in sorted(expected.keys() ^ found.keys() | {p for p in expected if found.get(p) != expected[p]}):
        print(f"     NOT AS PLANTED {path}: expected {expected.get(path)}, got {found.get(path)}")
    verdict = "the planted ones and no others" if found == expected else "not the planted ones"
    print(f"     exit {verified.returncode}, findings in {len(found)} folders: {verdict}")
    _farewell(target)
    return 0 if same else 1


def _found(document: bytes) -> dict[str, dict[str, Any]]:
    """Return what `verify` found in each folder with findings, in the form of the planted document."""
    try:
        answer = json.loads(document)
    except ValueError:
        return {"verify": {"verdict": "no JSON"}}
    found = {
        result["path"]: {"path": result["path"], "verdict": result["verdict"], "findings": _sorted(result["findings"])}
        for result in answer["results"]
        if result["findings"] or result["verdict"] != "pass"
    }
    if answer["findings"]:
        found["(of the whole)"] = {"findings": answer["findings"]}
    return found


def _sorted(findings: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"code": code, "path": path} for code, path in sorted((f["code"], f["path"]) for f in findings)]


def _farewell(target: Path) -> None:
    reports = sorted(target.glob(".codex/RUNS/*__system_health_render*/SYSTEM_HEALTH_REPORT_v0_1.md"))
    print(f"\nThe report:  {reports[-1] if reports else 'none'}")
    print(f"The graph:   .venv/bin/registry-pipeline -C {target} ui   (or: make ui)")


if __name__ == "__main__":
    sys.exit(main())
