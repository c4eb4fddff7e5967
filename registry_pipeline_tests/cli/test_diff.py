"""`diff` on the command line: what two rebuilds changed, as text and as a document."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import Repository, call, environment
from registry_pipeline_tests.copies import make_removable

LATER = "2026-03-02T12:00:00Z"
OLD, NEW = (f"2026-03-0{day}__120000__op_status_table_build" for day in (1, 2))


@pytest.fixture
def example(tmp_path: Path, home: Path) -> Iterator[Repository]:
    """The example repository, built once."""
    root = tmp_path / "example"
    made = call("example", str(root), "--now", "2026-03-01T00:00:00Z", cwd=tmp_path, env=environment(home))
    assert made.code == 0, made.err
    repository = Repository(root, home)
    assert repository("build", now="2026-03-01T12:00:00Z").code == 0
    yield repository
    make_removable(tmp_path)


def test_it_explains_what_two_rebuilds_changed(example: Repository) -> None:
    matrix = next((example.root / "docs").rglob("ENFORCEMENT_COVERAGE_MATRIX_*.md"))
    text = matrix.read_text(encoding="utf-8")
    matrix.write_text(re.sub(r"(\| OP-A01 \|.*\| )C[2-5]", r"\1C1", text), encoding="utf-8")
    assert matrix.read_text(encoding="utf-8") != text
    assert example("build", now=LATER).code == 0

    table = example("diff", "active~1", "active", "--registry", "op_status_table", "--json").document("diff")
    runs = example("diff", "active~1", "active", "--registry", "run_registry", "--own", "--json").document("diff")
    text = example("diff", "active", "--registry", "op_status_table").out

    main = next(a for a in table["artifacts"] if a["relpath"] == "OPERATION_STATUS_TABLE_v0_1.json")
    changes = {change["key"]["operation_id"]: change["fields"] for change in main["changed"]}
    level = next(field for field in changes["OP-A01"] if field["field"] == "/coverage_level")
    assert (main["key"], level["change"], level["after"]) == (["operation_id"], "changed", "C1")
    assert (main["added"], main["removed"]) == ([], [])
    grown = runs["artifacts"][0]
    assert grown["key"] == ["run_key"]
    assert {record["run_id"] for record in grown["added"]} > {OLD}
    assert grown["removed"] == []
    assert f'{json.dumps(level["before"])} -> "C1"' in text
    assert "~ OP-A01" in text


def test_in_text_long_lists_are_cut_and_a_line_says_so(example: Repository) -> None:
    example("build", now=LATER)

    text = example("diff", "active", "--registry", "op_status_table").out

    assert "more; --json shows all" in text
    assert "OPERATION_STATUS_TABLE_v0_1.json by operation_id: 0 added, 0 removed" in text


def test_without_a_second_run_the_older_of_the_two_comes_first(built: Repository) -> None:
    first = built.active("run_registry")
    built("build", "run_registry", "--only", "--force", now=LATER)

    newest = built("diff", "2026-03-02", "--json").document("diff")
    oldest = built("diff", "2026-01-10", "--json").document("diff")
    active = built("diff", "active", "--registry", "run_registry", "--json").document("diff")

    assert (newest["before"]["run_id"], newest["after"]["run_id"]) == (first, "2026-03-02__120000__run_registry_build")
    assert (oldest["before"]["run_id"], oldest["after"]["run_id"]) == ("2026-01-10__101010__run_registry_build", first)
    assert (active["before"]["run_id"], active["after"]["run_id"]) == ("2026-01-14__101010__run_registry_build", first)


def test_the_named_run_selects_the_registry_of_active(seen: Repository) -> None:
    document = seen("diff", "active", "2026-01-14", "--json").document("diff")

    assert document["registry_id"] == "run_registry"
    assert document["before"]["run_id"] == seen.active("run_registry")
    assert document["after"]["run_id"].startswith("2026-01-14")


def test_added_and_removed_paths_are_listed(seen: Repository) -> None:
    document = seen("diff", "2026-01-12", "2026-01-14", "--json").document("diff")
    text = seen("diff", "2026-01-14", "2026-01-12").out

    assert document["paths"] == {
        "added": ["RUN_REGISTRY_v0_1.schema.json"],
        "removed": [],
        "modified": ["RUN_REGISTRY_v0_1.jsonl", "run.json"],
    }
    assert "files: 0 added, 1 removed, 2 changed" in text
    assert "- RUN_REGISTRY_v0_1.schema.json" in text


def test_a_run_compared_with_itself_is_identical(seen: Repository) -> None:
    result = seen("diff", "2026-01-12", "2026-01-12")

    assert result.code == 0
    assert "all files are identical" in result.out


@pytest.mark.parametrize(
    "tampered", ["2026-01-12__101010__run_registry_build", "2026-01-14__101010__run_registry_build"]
)
def test_a_side_that_does_not_verify_is_named(known: Repository, tampered: str) -> None:
    known.tamper(tampered, "RUN_REGISTRY_v0_1.jsonl")

    result = known("diff", "2026-01-12", "2026-01-14")
    document = known("diff", "2026-01-12", "2026-01-14", "--json")

    assert (result.code, result.out) == (3, "")
    assert f"{tampered} does not verify (HASH_MISMATCH)" in result.err
    assert json.loads(document.out)["error"]["exit_code"] == 3


def test_an_unsealed_side_is_not_compared(seen: Repository) -> None:
    assert seen("diff", "2026-02-05", "2026-02-06").code == 3


def test_runs_of_different_registries_are_not_compared(seen: Repository) -> None:
    result = seen("diff", "2026-01-12", "2026-01-13")

    assert result.code == 2
    assert "2026-01-12__101010__run_registry_build is of run_registry" in result.err
    assert "2026-01-13__101010__drift_signals_build is of drift_signals" in result.err


def test_runs_that_cannot_be_compared_are_reported(known: Repository) -> None:
    alone = known("diff", "2026-02-01")
    first = known("diff", "2026-01-20")

    assert (alone.code, "belongs to no registry" in alone.err) == (2, True)
    assert known("diff", "active").code == 7
    assert known("diff", "nothing").code == 7
    assert first.code == 7
    assert "no run of migration_ledger is older than" in first.err


def test_runs_without_a_registry_and_paths_outside_a_repository_are_compared(seen: Repository, tmp_path: Path) -> None:
    names = [next(p for p in sorted(seen.runs.iterdir()) if p.name.startswith(f"2026-02-0{n}")) for n in (1, 2)]
    copies = [shutil.copytree(path, tmp_path / path.name) for path in names]

    inside = seen("diff", *(path.name for path in names), "--json").document("diff")
    outside = call("diff", *map(str, copies), "--json", cwd=tmp_path, env=environment(seen.home)).document("diff")

    assert inside["registry_id"] is None
    assert outside["artifacts"] == inside["artifacts"]
    assert outside["before"]["path"] == str(copies[0])
    assert [a["kind"] for a in inside["artifacts"]] == ["records", "bytes"]
