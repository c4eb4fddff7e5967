"""Law: the verifier ends for any folder, in little memory and with limited output."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry_pipeline.findings.collector import MAX_OF_A_CODE
from registry_pipeline.runs import tree as runs_tree
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.known_answers.make_repo import seal
from registry_pipeline_tests.runs.case_specs import RUN_ID, sealed_files, verify_case, write_tree

CHECKOUT = Path(__file__).parents[2]
# A case takes milliseconds. So long a wait is a hang on any machine, however busy.
SECONDS = "120"


def test_there_are_many_cases() -> None:
    assert len(find_cases("seal")) >= 110
    assert len(find_cases("pointers")) >= 24


@pytest.mark.process
def test_no_case_hangs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "registry_pipeline_tests.runs.watchdog", str(tmp_path), SECONDS],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [case.name for case in find_cases("seal")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / RUN_ID


def test_a_duplicate_key_among_many_is_found_in_linear_time(folder: Path) -> None:
    many = ",".join(f'"k{number}":0' for number in range(200_000))
    write_tree(folder, seal({"run.json": f'{{{many},"k199999":1}}'.encode()}))

    assert [f.code for f in verify_folder(folder).findings] == ["RUN_JSON_DUPLICATE_KEY"]


def test_a_thousand_findings_of_a_code_are_reported_and_the_others_counted(folder: Path) -> None:
    write_tree(folder, sealed_files() | {f"x{number}": b"" for number in range(MAX_OF_A_CODE + 5)})

    report = verify_folder(folder, display_path="RUN")

    assert {f.code for f in report.findings} == {"UNLISTED_FILE"}
    assert len(report.findings) == MAX_OF_A_CODE + 1
    assert [(f.path, f.message) for f in report.findings if f.path == "RUN"] == [
        ("RUN", "and 5 more findings of this code")
    ]


def test_every_code_is_reported_however_many_findings_another_has(folder: Path) -> None:
    files = sealed_files() | {f"x{number}": b"" for number in range(MAX_OF_A_CODE + 5)}
    write_tree(folder, files | {"data.jsonl": b"?" * len(files["data.jsonl"])})

    assert {f.code for f in verify_folder(folder).findings} == {"UNLISTED_FILE", "HASH_MISMATCH"}


def test_an_array_of_no_entries_is_not_gone_through(folder: Path) -> None:
    write_tree(folder, sealed_files() | {"manifest.json": json.dumps([{}] * 200_000).encode()})

    shape = [f for f in verify_folder(folder).findings if f.code == "MANIFEST_SHAPE"]

    assert [f.message for f in shape] == ["manifest.json: most of its 200000 items are not entries"]


def _hollow(folder: Path, sizes: dict[str, int]) -> list[tuple[str, str]]:
    """Return code and relpath of each finding about a folder whose files are one hole each."""
    files = seal({**{name: bytes(size) for name, size in sizes.items()}, "run.json": sealed_files()["run.json"]})
    write_tree(folder, {name: data for name, data in files.items() if name not in sizes})
    for name, size in sizes.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
    report = verify_folder(folder, display_path="RUN")
    return [(f.code, f.path) for f in report.findings]


def test_holes_are_hashed_up_to_a_limit_per_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_tree, "MAX_HOLE_BYTES", 5 * 2**20)

    findings = _hollow(folder, {"a": 2**21, "b": 2**21, "c": 2**21, "d": 2**19})

    assert findings == [("FILE_SPARSE", "RUN/c")]


def test_what_is_refused_is_not_kept_in_memory_either(tmp_path: Path) -> None:
    report = verify_case(Case("seal", "bad/FILE_SPARSE__terabyte"), tmp_path)

    again = verify_folder(tmp_path / RUN_ID, keep=("data.jsonl",))
    assert {f.code for f in again.findings} == {f.code for f in report.findings} == {"FILE_SPARSE"}
    assert again.kept == {}


def test_a_hole_with_data_behind_it_counts_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_tree, "MAX_HOLE_BYTES", 2**20)
    data = bytes(2**20) + b"x" * 2**20 + bytes(2**20)
    write_tree(folder, {**seal({"data": data, "run.json": sealed_files()["run.json"]}), "data": b""})
    with (folder / "data").open("wb") as file:
        file.seek(2**20)
        file.write(b"x" * 2**20)
        file.truncate(len(data))

    assert [f.code for f in verify_folder(folder).findings] == ["FILE_SPARSE"]
    monkeypatch.setattr(runs_tree, "MAX_HOLE_BYTES", 2**21)
    assert verify_folder(folder).verdict == "pass"


def test_a_file_system_that_knows_no_holes_is_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.lseek

    def unknowing(file: int, at: int, whence: int) -> int:
        if whence == os.SEEK_SET:
            return real(file, at, whence)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(runs_tree, "MAX_HOLE_BYTES", 0)
    monkeypatch.setattr(os, "lseek", unknowing)

    assert _hollow(folder, {"a": 2**20}) == []
