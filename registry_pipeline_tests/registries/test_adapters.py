"""Adapters that read run folders of other tools, beside the cases of cases/adapters."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from registry_pipeline.config import Adapter, Config, Repository
from registry_pipeline.findings.codes import CODES
from registry_pipeline.registries.base.upstream import parse_run_rows
from registry_pipeline.runs.envelope import ScannedRun
from registry_pipeline.runs.envelope_file import parse_adapted_file
from registry_pipeline.runs.scan import read_run_folders
from registry_pipeline_tests.cases.layout import find_cases

RIG = Adapter(root="runs", file="meta.json", created_utc="start", operation_id="job", run_id="run")


def test_every_code_of_adapters_has_a_case() -> None:
    codes = {code for code in CODES if code.startswith("ADAPTER_")}

    assert {case.code for case in find_cases("adapters")} == {"good"} | codes


def adapted(root: Path, data: bytes | None = None) -> ScannedRun:
    folder = root / "runs" / "r"
    folder.mkdir(parents=True, exist_ok=True)
    if data is not None:
        (folder / "meta.json").write_bytes(data)
    (run,) = read_run_folders(Repository(root, Config()), ["runs"], adapters=[RIG]).runs
    return run


def test_a_pipe_or_a_link_in_the_files_place_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / "runs" / "r" / "meta.json"
    place.parent.mkdir(parents=True)
    os.mkfifo(place)

    assert adapted(tmp_path).adapted_by is None
    place.unlink()
    place.symlink_to("/dev/zero")
    assert adapted(tmp_path).adapted_by is None
    assert adapted(tmp_path).run_json_problem == "missing run.json"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[" * 200_000, "Failed to parse meta.json: maximum recursion depth exceeded"),
        (b"1" * 5_000, "Failed to parse meta.json: Exceeds the limit (4300 digits)"),
        (b'{"job": \xff}', "Failed to parse meta.json: 'utf-8' codec can't decode byte 0xff"),
        ("{}".encode("utf-16"), "Failed to parse meta.json: 'utf-8' codec can't decode byte 0xff"),
        (b"\0", "Failed to parse meta.json: Expecting value"),
        (b"7", "meta.json top-level is not an object"),
    ],
)
def test_garbage_is_a_warning_in_its_line_and_does_not_crash(tmp_path: Path, data: bytes, problem: str) -> None:
    run = adapted(tmp_path, data)

    assert run.envelope == {}
    assert run.adapted_by is not None
    assert (run.adapted_by.problem or "").startswith(problem)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    adapted(tmp_path, b"{}")
    os.truncate(tmp_path / "runs/r/meta.json", (64 << 20) + 1)

    run = adapted(tmp_path)

    assert run.adapted_by is not None
    assert run.adapted_by.problem == "Failed to parse meta.json: larger than 64 MiB"
    assert run.files[0][1] == (64 << 20) + 1


def test_deep_objects_are_looked_into_as_far_as_the_keys_lead(tmp_path: Path) -> None:
    keys = ".".join("a" * 900)
    text = '{"a":' * 900 + '"OP-A01"' + "}" * 900
    adapter = Adapter(root="runs", file="meta.json", operation_id=keys)

    envelope, _ = parse_adapted_file(text.encode(), adapter)

    assert envelope == {"operation_id": "OP-A01"}


def test_undecodable_names_can_be_reported(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/runs/\xff"))
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"run": "\udcfe", "start": "s", "job": "j"}))

    (found,) = read_run_folders(Repository(tmp_path, Config()), ["runs"], adapters=[RIG]).findings

    assert (found.path, found.expected, found.got) == (r"runs/\xff/meta.json", r"\xff", r"\udcfe")
    json.dumps(found.to_json()).encode("ascii")


def test_rows_of_adapted_lines_are_known_by_their_warning() -> None:
    record = {
        "run_key": "runs::r",
        "run_root": "runs",
        "run_id": "r",
        "created_utc": None,
        "operation_id": "OP-A01",
        "git_commit": None,
        "working_tree_state": None,
        "has_run_json": False,
        "has_manifest_sha256": False,
    }

    rows = parse_run_rows(
        b"".join(
            json.dumps({**record, "warnings": warnings}).encode() + b"\n"
            for warnings in (["missing run.json", "envelope read by adapter meta.json"], ["missing run.json"], None)
        )
    )

    assert [row.adapted for row in rows] == [True, False, False]
