from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.known_answers import make_repo

EXPECTED = Path(make_repo.__file__).parent / "expected"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("known") / "repo"
    make_repo.main(str(root))
    return root


def test_every_folder_that_older_tools_sealed_is_valid_and_has_the_root_that_they_wrote(repository: Path) -> None:
    lines = (EXPECTED / "RUN_REGISTRY_v0_1.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    sealed = {run["run_path"]: run["manifest_root_sha256"] for run in runs if run["has_manifest_json"]}

    reports = [verify_folder(repository / path, display_path=path) for path in sealed]

    assert [(r.verdict, r.findings) for r in reports] == [("pass", ())] * 17
    assert {r.path: r.root_sha256 for r in reports} == sealed


def test_folders_with_one_seal_file_are_partial_and_with_none_unsealed(repository: Path) -> None:
    lines = (EXPECTED / "RUN_REGISTRY_v0_1.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    rest = {run["run_path"]: run["has_manifest_sha256"] for run in runs if not run["has_manifest_json"]}

    reports = [verify_folder(repository / path, display_path=path) for path in rest]

    assert {r.path: r.verdict for r in reports} == {p: "partial" if one else "unsealed" for p, one in rest.items()}


@pytest.mark.parametrize("order", ["manifest_last", "whole_line", "relpath"])
def test_the_seal_has_the_bytes_of_the_older_tools_up_to_the_order_of_lines(order: str) -> None:
    files = {"run.json": b"{}\n", "a.txt": b"", "Z/b.txt": b"b", "é.txt": b"e", "zz.txt": b"1"}
    known = make_repo.seal(files, order)

    made = build_manifest(make_entry(path, data) for path, data in files.items())

    assert made.manifest_json == known["manifest.json"]
    assert sorted(made.hash_file.splitlines()) == sorted(known["MANIFEST.sha256"].splitlines())
    assert (made.hash_file == known["MANIFEST.sha256"]) == (order == "relpath")


def test_the_seal_of_a_fixed_folder_is_the_one_worked_out_by_hand() -> None:
    made = build_manifest([make_entry("run.json", b"{}\n")])

    # printf '{}\n' | sha256sum; the manifest likewise; then: printf '%s\n' LINES | LC_ALL=C sort | sha256sum
    assert made.hash_file.decode().splitlines() == [
        "94fba5d8bd53b7faf493198aefc8b8589c9e11831bebc53af121bb4677844083  manifest.json",
        "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356  run.json",
        "ROOT_SHA256  2b1db05e0d04faa9d0ce2c4e0b6571f226f4e876b9f4df6ab307362cb7868ce7",
    ]
