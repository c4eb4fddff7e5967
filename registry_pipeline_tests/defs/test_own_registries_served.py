"""A repository's own registry under a real webserver and daemon: launched, checked, activated and shown by GraphQL."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_pipeline.config import CONFIG_NAME, load_repository
from registry_pipeline.runs import pointer_file
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.conftest import CHECK_NAMES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Machine, until
from registry_pipeline_tests.own_registries import TABLES, configure, write_own_sources

# `make soak` runs it: it starts a webserver and a daemon for one more repository.
pytestmark = [pytest.mark.process, pytest.mark.soak]

NODE = """query Node($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      groupName description dependencyKeys {path}
      assetChecksOrError {... on AssetChecks {checks {name blocking executionForLatestMaterialization {status}}}}
    }
  }
}"""


def test_an_own_registry_is_an_asset_like_any_other(known_repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    shutil.copytree(known_repository, root, symlinks=True)
    (root / CONFIG_NAME).touch()
    write_own_sources(root)
    configure(root, TABLES)
    machine = Machine(load_repository(root))
    served = machine.served
    try:
        machine.start(machine.web)
        until("the webserver", machine.answers, START_SECONDS)
        machine.start(machine.daemon)
        assert served.wait_for_end("rebuild_job", served.launch("rebuild_job")) == "SUCCESS"
        until(
            "the activation",
            lambda: pointer_file.read_pointers(served.repository).active("my_prices"),
            WORK_SECONDS,
        )

        node = served.graphql(NODE, key={"path": ["my_prices"]})["assetNodeOrError"]
        newest = served.newest("my_prices")

        assert node["groupName"] == "captures"
        assert node["description"].startswith("What the shop charges.")
        assert node["dependencyKeys"] == [{"path": ["sources", "registries", "my_prices"]}]
        checks = {check["name"]: check for check in node["assetChecksOrError"]["checks"]}
        assert {name for name, check in checks.items() if check["blocking"]} == set(CHECK_NAMES)
        assert {checks[name]["executionForLatestMaterialization"]["status"] for name in CHECK_NAMES} == {"SUCCEEDED"}
        assert newest is not None
        assert {"sealed", "columns"} <= {entry["label"] for entry in newest["metadataEntries"]}
    finally:
        machine.stop()
        make_removable(root)
