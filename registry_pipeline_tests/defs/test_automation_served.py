"""Conditions of assets under a real daemon: what it starts is checked, so that it can be activated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_pipeline.config import CONFIG_NAME, load_repository
from registry_pipeline.runs import pointer_file
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Machine, until

pytestmark = [pytest.mark.process, pytest.mark.soak]

# The daemon builds a run's checks from the graph by rules of its own, so only a real one shows what it starts.
PACK = "assets/atelier_rolepack_digital_production_studio_v1.json"
ROLES = "role_registry"
TAGS = "query Tags($id: ID!) {runOrError(runId: $id) {... on Run {tags {key value}}}}"


def test_a_changed_source_is_built_checked_and_activated_without_a_launch(
    known_repository: Path, tmp_path: Path
) -> None:
    root = tmp_path / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    with (root / CONFIG_NAME).open("a") as config:
        config.write('[dagster]\nrebuild = "eager"\n')
    machine = Machine(load_repository(root))
    served = machine.served

    def read_active() -> str | None:
        ref = pointer_file.read_pointers(served.repository).active(ROLES)
        return None if ref is None else ref.run_id

    try:
        machine.start(machine.web)
        until("the webserver", machine.answers, START_SECONDS)
        machine.start(machine.daemon)
        assert served.wait_for_end("rebuild_job", served.launch("rebuild_job")) == "SUCCESS"
        first = until("the first activation", read_active, WORK_SECONDS)
        pack = root / PACK
        pack.write_bytes(pack.read_bytes() + b"\n")
        # As the daemon does every five minutes.
        observed = served.launch("__ASSET_JOB", assets=["sources/roles/pack"])
        assert served.wait_for_end("__ASSET_JOB", observed) == "SUCCESS"

        until("the activation of the change", lambda: read_active() != first or None, WORK_SECONDS)

        newest = served.newest(ROLES)
        assert newest is not None
        run = served.graphql(TAGS, id=newest["runId"])["runOrError"]
        assert {"key": "dagster/sensor_name", "value": "automation_sensor"} in run["tags"]
    finally:
        machine.stop()
        make_removable(root)
