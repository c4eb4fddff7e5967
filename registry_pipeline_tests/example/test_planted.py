"""The verifier finds exactly the planted defects, and the documents have the expected content."""

import itertools
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.example.adapter_runs import RIG_OPERATIONS, RIG_ROOT
from registry_pipeline.example.history import PLANTED_PATH
from registry_pipeline.example.make import describe_example, describe_runs, write_commits, write_plain_run
from registry_pipeline.example.schedule import LineOrder, seal_as_older_tools
from registry_pipeline.example.sources import OPERATIONS
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.pipeline.init import LAYER_OPERATIONS
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.example.conftest import Written

pytestmark = pytest.mark.process
LEDGER = "schema/applied_migrations.json"
VALIDATIONS = "artifacts/derived_validation"


@pytest.fixture(scope="module")
def reports(written: Written) -> dict[str, SealReport]:
    paths = [
        f"{root}/{name.name}"
        for root in (".codex/RUNS", "reports/runs", RIG_ROOT)
        for name in (written.root / root).iterdir()
    ]
    return {path: verify_folder(written.root / path, display_path=path) for path in paths}


def test_the_verifier_finds_what_is_planted_and_nothing_else(written: Written, reports: dict[str, SealReport]) -> None:
    found = {
        path: (report.verdict, sorted((finding.code, finding.path) for finding in report.findings))
        for path, report in reports.items()
        if report.verdict != "pass" or report.findings
    }

    planted = {folder.path: (folder.verdict, list(folder.findings)) for folder in written.example.planted}
    assert found == planted


@pytest.mark.parametrize(("seed", "now"), [(2, "2025-03-01T00:30:00Z"), (31, "2028-02-29T23:59:59Z")])
def test_the_planted_findings_are_right_for_another_seed_and_time(tmp_path: Path, seed: int, now: str) -> None:
    example = describe_example(seed, datetime.fromisoformat(now))
    root = tmp_path / "tides"
    found = {}
    for run in describe_runs(example, write_commits(root, example)):
        if run.seal == "ours":
            continue
        write_plain_run(root, run)
        path = f"{run.run_root}/{run.run_id}"
        report = verify_folder(root / path, display_path=path)
        if report.verdict != "pass" or report.findings:
            found[path] = (report.verdict, sorted((finding.code, finding.path) for finding in report.findings))

    assert found == {folder.path: (folder.verdict, list(folder.findings)) for folder in example.planted}


def test_the_planted_document_is_committed(written: Written) -> None:
    document = json.loads((written.root / PLANTED_PATH).read_bytes())

    assert document["folders"] == [folder.to_json() for folder in written.example.planted]


def test_a_valid_folder_passes_whatever_tool_sealed_it(written: Written, reports: dict[str, SealReport]) -> None:
    sound = [run for run in written.runs if run.defect is None]
    verdicts = Counter((run.seal, reports[f"{run.run_root}/{run.run_id}"].verdict) for run in sound)

    assert {seal for seal, _ in verdicts} == {"ours", "relpath", "manifest_last", "whole_line"}
    assert {verdict for _, verdict in verdicts} == {"pass"}


@pytest.mark.parametrize("order", ["relpath", "manifest_last", "whole_line"])
def test_the_three_line_orders_differ_in_nothing_but_order(order: LineOrder) -> None:
    files = {"z.txt": b"1", "a/b.txt": b"2", "run.json": b"{}\n"}
    base = seal_as_older_tools(files, "relpath")
    other = seal_as_older_tools(files, order)

    assert sorted(other["MANIFEST.sha256"].splitlines()) == sorted(base["MANIFEST.sha256"].splitlines())
    names = [line[66:] for line in other["MANIFEST.sha256"].decode().splitlines()[:-1]]
    assert (
        names
        == {
            "relpath": ["a/b.txt", "manifest.json", "run.json", "z.txt"],
            "manifest_last": ["a/b.txt", "run.json", "z.txt", "manifest.json"],
            "whole_line": [line[66:] for line in sorted(base["MANIFEST.sha256"].decode().splitlines()[:-1])],
        }[order]
    )


def test_the_documents_give_thirty_operations_the_layers_eleven_and_the_rigs_two(written: Written) -> None:
    catalog, _ = read_operation_catalog(WorkingTree(written.root), load_repository(written.root).config)
    every: tuple[Any, ...] = (*OPERATIONS, *LAYER_OPERATIONS, *RIG_OPERATIONS)
    levels = {o.operation_id: o.level for o in every}

    assert catalog.findings == ()
    assert {o.operation_id: o.name for o in catalog.operations} == {o.operation_id: o.name for o in every}
    assert len(catalog.operations) == 43
    assert catalog.coverage == {name: level for name, level in levels.items() if level}
    assert {o.option for o in catalog.operations} == {"A", "B", "C", "D", "QA"}


def test_the_toml_names_only_documents_that_exist(written: Written) -> None:
    config = load_repository(written.root).config
    named = (
        *config.operations_catalog,
        *config.coverage_matrix,
        *config.threshold_sources,
        config.expected_versions,
        config.envelope_standard,
    )

    assert [path for path in named if not (written.root / path).is_file()] == []
    assert config.history_start == written.example.commits[0].at.date()


def test_bound_executables_exist_and_compile(written: Written) -> None:
    catalog, _ = read_operation_catalog(WorkingTree(written.root), load_repository(written.root).config)
    bound = {name for operation in catalog.operations for name in operation.executables}
    scripts = {f"{operation.script} --station all" for operation in RIG_OPERATIONS}

    assert bound == {operation.executable for operation in OPERATIONS} | scripts
    assert all((written.root / name.split()[0]).is_file() for name in scripts)
    for name in bound - scripts:
        compile((written.root / name).read_text(encoding="utf-8"), name, "exec")


def test_one_flipped_byte_in_a_valid_folder_is_found(tmp_path: Path, written: Written) -> None:
    run = next(run for run in written.runs if run.seal == "whole_line" and run.defect is None)
    write_plain_run(tmp_path, run)
    place = tmp_path / run.run_root / run.run_id / "result.json"
    place.write_bytes(place.read_bytes().swapcase())

    assert verify_folder(place.parent).verdict == "fail"


def test_every_captured_registry_has_a_source_that_can_be_captured(written: Written) -> None:
    repository = load_repository(written.root)
    captured = {
        name: row for name, row in SHIPPED.registries.items() if row.kind == "captured" and row.reader is not None
    }

    gathered = {
        name: row.reader(repository, SourceContext()) for name, row in captured.items() if row.reader is not None
    }

    assert {name: each.findings for name, each in gathered.items()} == dict.fromkeys(captured, ())
    assert {name: len(each.inputs.files) for name, each in gathered.items()} == {
        "expected_versions": 1,
        "migration_ledger": 1,
        "threshold_packs_file": 2,
        "fingerprint_index": 1,
        "derived_validation_reports": 3,
        "module_registry": 4,
        "route_registry": 1,
        "ability_registry": 2,
        "hook_registry": 1,
        "overrides_log": 1,
        "run_index": 1,
        "role_registry": 1,
    }
    assert gathered["fingerprint_index"].inputs.records == 18


def test_the_ledger_of_migrations_only_grows_from_commit_to_commit(written: Written) -> None:
    texts = [commit.files[LEDGER] for commit in written.example.commits if LEDGER in commit.files]
    ledgers = [json.loads(text)["migrations"] for text in texts]

    assert [len(ledger) for ledger in ledgers] == [2, 3, 4]
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(ledgers))


def test_of_two_validations_latest_names_the_later_one(written: Written) -> None:
    folders = sorted(path.name for path in (written.root / VALIDATIONS).iterdir() if path.is_dir())
    reports = {
        name: json.loads((written.root / VALIDATIONS / name / "derived_validation_report.json").read_bytes())
        for name in folders
    }

    latest = (written.root / VALIDATIONS / "LATEST.txt").read_text().strip()

    assert len(folders) == 2
    assert latest == max(reports, key=lambda name: str(reports[name]["end_date"]))
