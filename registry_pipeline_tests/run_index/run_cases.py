"""Cases of the run index: two logs, what is done with them, and the result.

A case has `run-index.jsonl` or `overrides-log.jsonl`, or both, which are checked. `append.jsonl` and
`append-overrides.jsonl` are appended, `baseline.jsonl` is an earlier state of the run index, `other.jsonl` is merged
with it, `runlog.md` is finished. The arguments are `now`, `machine` and `baseline`, and what is too long to be stored:
`long_line` and `long_notes` are the lengths of a line that is added to the run index and of a note in the run log.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.append import AppendResult, parse_batch
from registry_pipeline.registries.run_index.check import check_append_only
from registry_pipeline.registries.run_index.log_file import overrides_log, run_index_log
from registry_pipeline.registries.run_index.merge import merge_files
from registry_pipeline.registries.run_index.service import (
    append_to_log,
    check_log,
    finish_run,
)
from registry_pipeline_tests.cases.layout import Case

DATA = "60-REGISTRY/data"
NOW = parse_utc("2026-03-01T12:00:00Z")


def run_run_index_case(case: Case, folder: Path) -> dict[str, Any]:
    """Return what comes of each thing that is done with the logs of a case."""
    return play(case.write_to(folder / "case"), case.arguments, folder / "repository")


def play(case: Path, arguments: dict[str, Any], root: Path) -> dict[str, Any]:
    """Do with a copy of the logs what the files of the case ask for, and return what came of it."""
    repository = _set_up(case, arguments, root)
    assert NOW is not None
    now = parse_utc(arguments.get("now")) or NOW
    machine = arguments.get("machine")
    log, overrides = run_index_log(repository), overrides_log(repository)
    outcome: dict[str, Any] = {}
    if (case / "append.jsonl").exists():
        records, findings = parse_batch(log, (case / "append.jsonl").read_bytes(), "append.jsonl")
        done = AppendResult(findings=findings, refused=True)
        if records and not any(each.severity == "error" for each in findings):
            done = append_to_log(repository, log, records, machine_id=machine, now=now)
        outcome["append"] = _appended(done, root)
    if (case / "append-overrides.jsonl").exists():
        data = (case / "append-overrides.jsonl").read_bytes()
        records, findings = parse_batch(overrides, data, "append-overrides.jsonl")
        done = AppendResult(findings=findings, refused=True)
        if records and not any(each.severity == "error" for each in findings):
            done = append_to_log(repository, overrides, records, machine_id=machine, now=now)
        outcome["append_overrides"] = _appended(done, root)
    if (case / "runlog.md").exists():
        done = finish_run(repository, root / "runlog.md", corrects=(), machine_id=machine, now=now)
        outcome["finish"] = _appended(done, root)
    if (case / "other.jsonl").exists():
        outcome["merge"] = _merged(repository, root)
    if (case / "baseline.jsonl").exists():
        before = (case / "baseline.jsonl").read_bytes()
        outcome["baseline"] = _told(check_append_only(log, before, log.path.read_bytes(), "baseline"), root)
    if log.path.exists():
        checked = check_log(repository, log, baseline=arguments.get("baseline"), machine_id=machine, now=now)
        outcome["run_index"] = _told(checked.findings, root)
    if overrides.path.exists():
        checked = check_log(repository, overrides, baseline=None, machine_id=machine, now=now)
        outcome["overrides"] = _told(checked.findings, root)
    return outcome


def _set_up(case: Path, arguments: dict[str, Any], root: Path) -> Repository:
    (root / DATA).mkdir(parents=True)
    for name in ("run-index.jsonl", "overrides-log.jsonl"):
        if (case / name).exists():
            shutil.copyfile(case / name, root / DATA / name)
    for name in ("song-index.jsonl", "registry-pipeline.toml", "other.jsonl", "runlog.md"):
        if (case / name).exists():
            shutil.copyfile(case / name, root / name)
    if "long_line" in arguments:
        with (root / DATA / "run-index.jsonl").open("ab") as file:
            file.write(b'{"notes":"' + b"x" * int(arguments["long_line"]) + b'"}\n')
    if "long_notes" in arguments:
        fields = (root / "runlog.md").read_text("utf-8")
        (root / "runlog.md").write_text(
            fields.replace("---\n", f"---\nnotes: {'x' * int(arguments['long_notes'])}\n", 1)
        )
    return load_repository(root)


def _appended(done: AppendResult, root: Path) -> dict[str, Any]:
    beside = sorted(path.name for path in (root / DATA).iterdir() if ".torn-" in path.name)
    return {
        "refused": done.refused,
        "added": len(done.added),
        "repeated": len(done.repeated),
        "findings": _told(done.findings, root),
        "set_aside": beside,
    }


def _merged(repository: Repository, root: Path) -> dict[str, Any]:
    log = run_index_log(repository)
    done = merge_files(log, log.path, root / "other.jsonl", root / "merged.jsonl")
    data = done.data
    runs = [] if data is None else [json.loads(line)["run_id"] for line in data.splitlines()]
    return {"runs": runs, "findings": _told(done.findings, root)}


def _told(findings: Iterable[Finding], root: Path) -> list[dict[str, str | None]]:
    return [
        {
            "code": finding.code,
            "severity": finding.severity.value,
            "path": finding.path.replace(f"{root}/", ""),
            "location": finding.location,
            "message": finding.message,
        }
        for finding in findings
    ]
