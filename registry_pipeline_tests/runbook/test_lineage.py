"""`verify --inputs` over real folders: a folder of `cases/inputs` for each way in which a lineage can be broken."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.canon import json_document
from registry_pipeline.config import load_governed
from registry_pipeline.runbook.verification import all_runs, find_run, judge_runs, verify_inputs
from registry_pipeline_tests.runbook.conftest import World
from registry_pipeline_tests.sealed_folders import RUNS, read_json, seal_plainly

CASES = Path(__file__).parents[1] / "cases" / "inputs"


class Folders:
    """A repository of plain sealed runs that name each other as inputs."""

    def __init__(self, root: Path, runs: Mapping[str, list[Any]]) -> None:
        self.root = root
        self.roots: dict[str, str] = {}
        for run_id, inputs in runs.items():
            self.roots[run_id] = seal_plainly(root, run_id, {"data.txt": b"1\n"}, {"inputs": self.inputs(inputs)})

    def inputs(self, told: list[Any]) -> dict[str, Any]:
        named = [each for each in told if "run" in each]
        files = [{"path": each["file"], "sha256": "0" * 64} for each in told if "file" in each]
        return {"registries": [self._named(each) for each in named], "files": files}

    def _named(self, each: Mapping[str, Any]) -> dict[str, Any]:
        ref = {"run_id": each["run"], "run_root": RUNS, "relpath": None, "manifest_sha256": self.roots[each["run"]]}
        ref |= {key: each[key] for key in ref if key in each}
        return {"registry_id": each["registry_id"], "role": each["role"], "sealed_ref": ref}

    def happen(self, what: str, run_id: str, *more: Any) -> None:
        folder = self.root / RUNS / run_id
        if what == "tamper":
            (folder / "data.txt").write_bytes(b"2\n")
        elif what == "unseal":
            (folder / "MANIFEST.sha256").unlink()
            (folder / "manifest.json").unlink()
        elif what == "rewrite":
            document = read_json(folder / "run.json") | {"inputs": self.inputs(more[0])}
            (folder / "run.json").write_bytes(json_document(document))
        elif what == "link":
            folder.rename(self.root / "elsewhere")
            folder.symlink_to(self.root / "elsewhere")
        else:
            shutil.rmtree(folder)
            if what == "reseal":
                seal_plainly(self.root, run_id, {"data.txt": b"2\n"}, {})


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_a_lineage_is_judged_as_expected(case: Path, tmp_path: Path) -> None:
    story, expected = read_json(case / "story.json"), read_json(case / "expected.json")
    folders = Folders(tmp_path, story["runs"])
    for happening in story["then"]:
        folders.happen(*happening)
    governed = load_governed(tmp_path)
    runs = [find_run(governed, run_id) for run_id in story["begin"]]

    lineage = verify_inputs(governed, runs, list(judge_runs(runs)))

    assert [{"code": f.code, "path": f.path} for f in lineage.findings] == expected["findings"]
    assert lineage.walked == expected["walked"]
    assert case.name.startswith("good__") == (expected["findings"] == [])


def test_every_run_of_two_builds_rests_on_sound_inputs(built: World) -> None:
    built.build(minutes=1)
    runs = all_runs(built.governed)

    judged = list(judge_runs(runs))

    lineage = verify_inputs(built.governed, runs, judged)

    recorded = {recorded.ref.run_id for each in judged for recorded in each.inputs.registries}
    assert lineage.findings == ()
    assert lineage.walked == len(recorded) > 0


def test_only_the_runs_that_are_not_judged_yet_are_read(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = all_runs(built.governed)
    judged = list(judge_runs(runs))
    monkeypatch.setattr("registry_pipeline.runbook.verification.verify_folders", None)

    assert verify_inputs(built.governed, runs, judged).findings == ()
