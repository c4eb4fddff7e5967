"""Scenarios of `cases/inputs`: sealed runs that name each other as inputs, and what happens to them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import json_document
from registry_pipeline.config import load_repository
from registry_pipeline.pipeline.verify import check_runs, verify_inputs
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline_tests.sealed_folders import RUNS, read_json, seal_plainly


class Folders:
    """A repository of plain sealed runs that name each other as inputs."""

    def __init__(self, root: Path, runs: Mapping[str, list[Any]]) -> None:
        self.root = root
        self.roots: dict[str, str] = {}
        for run_id, inputs in runs.items():
            self.roots[run_id] = seal_plainly(root, run_id, {"data.txt": b"1\n"}, {"inputs": self.inputs(inputs)})

    def inputs(self, input_specs: list[Any]) -> dict[str, Any]:
        named = [each for each in input_specs if "run" in each]
        files = [{"path": each["file"], "sha256": "0" * 64} for each in input_specs if "file" in each]
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


def check_lineage(scenario: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Return what `verify --inputs` finds of the runs named by `begin`, and how many inputs it follows."""
    folders = Folders(root, scenario["runs"])
    for happening in scenario["then"]:
        folders.happen(*happening)
    repository = load_repository(root)
    runs = [find_run(repository, run_id) for run_id in scenario["begin"]]
    lineage = verify_inputs(repository, runs, list(check_runs(runs, None)))
    return {
        "walked": lineage.walked,
        "findings": [{"code": finding.code, "path": finding.path} for finding in lineage.findings],
    }
