"""Which folders SealedFolderIOManager refuses to load, and what it says.

Annotations are not postponed, because Dagster reads them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetMaterialization

from registry_pipeline.canonical import parse_utc
from registry_pipeline.dagster.sealed_folder import Origin, seal_value
from registry_pipeline.dagster.sealed_value import encode_value
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.dagster_package.projects import Project, alter_byte, failure_text, reading, returning


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_an_altered_folder_is_refused_with_its_code_and_the_next_step(project: Project) -> None:
    upstream, seen = returning("upstream", "ebb"), list[Any]()
    downstream = reading("downstream", seen)
    alter_byte(project.folder(project.materialize(upstream), "upstream"))

    result = project.materialize(upstream, downstream, only=[downstream])

    assert not result.success
    assert seen == []
    assert "HASH_MISMATCH" in failure_text(result)
    assert "registry-pipeline verify" in failure_text(result)
    assert "then launch a new run (a re-execution reads the same folder)" in failure_text(result)


def test_the_advice_quotes_a_path_with_spaces_for_the_shell(project: Project) -> None:
    project.base_dir = project.base_dir.with_name("our $files")
    upstream, downstream = returning("upstream", "ebb"), reading("downstream", [])
    folder = project.folder(project.materialize(upstream), "upstream")
    alter_byte(folder)

    result = project.materialize(upstream, downstream, only=[downstream])

    assert f"registry-pipeline verify '{folder}'" in failure_text(result)


def test_what_a_finding_expected_and_what_it_got_is_in_the_message(project: Project) -> None:
    upstream, downstream = returning("upstream", "ebb"), reading("downstream", [])
    folder = project.folder(project.materialize(upstream), "upstream")
    folder.rename(folder.with_name("original"))
    folder.symlink_to("original")

    text = failure_text(project.materialize(upstream, downstream, only=[downstream]))

    assert "not a link to it" in text
    assert "(expected a directory, got a symbolic link)" in text


def test_a_folder_that_was_replaced_by_another_sealed_one_is_refused(project: Project, tmp_path: Path) -> None:
    """The other folder has the same name and verifies; only its root hash differs."""
    upstream, downstream = returning("upstream", "ebb"), reading("downstream", [])
    folder = project.folder(project.materialize(upstream), "upstream")
    run_json = json.loads((folder / "run.json").read_bytes())
    started = parse_utc(run_json["created_utc"])
    assert started is not None
    origin = Origin(("upstream",), None, run_json["dagster_run_id"], started)
    other = seal_value(tmp_path / "other", origin, encode_value("flood"))
    folder.rename(tmp_path / "original")
    (tmp_path / "other" / other.reference.folder).rename(folder)

    result = project.materialize(upstream, downstream, only=[downstream])

    assert verify_folder(folder).verdict == "pass"
    assert "the folder was replaced" in failure_text(result)


def test_a_missing_folder_is_refused(project: Project) -> None:
    upstream, downstream = returning("upstream", "ebb"), reading("downstream", [])
    folder = project.folder(project.materialize(upstream), "upstream")
    folder.parent.rename(folder.parent.with_name("elsewhere"))

    text = failure_text(project.materialize(upstream, downstream, only=[downstream]))

    assert "FOLDER_NOT_DIRECTORY" in text
    assert "the folder is missing. Next: restore it, or check base_dir" in text
    assert "link" not in text


@pytest.mark.parametrize("folder", ["../outside", "/etc", "a/../../outside"])
def test_an_event_cannot_lead_out_of_the_folder(project: Project, folder: str) -> None:
    metadata = {"sealed_folder": folder, "ROOT_SHA256": "0" * 64}
    project.instance.report_runless_asset_event(AssetMaterialization("upstream", metadata=metadata))
    downstream = reading("downstream", [])

    result = project.materialize(returning("upstream", 1), downstream, only=[downstream])

    assert "this is not a path below base_dir" in failure_text(result)


def test_an_upstream_that_was_never_materialized_or_by_another_io_manager_is_refused(project: Project) -> None:
    upstream, downstream = returning("upstream", 1), reading("downstream", [])

    never = project.materialize(upstream, downstream, only=[downstream])
    project.instance.report_runless_asset_event(AssetMaterialization("upstream"))
    unsealed = project.materialize(upstream, downstream, only=[downstream])

    assert "was never materialized" in failure_text(never)
    assert "names no sealed folder" in failure_text(unsealed)
