"""What the readers of captured registries return, in addition to the cases of `cases/capture`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.capture_table import CAPTURES
from registry_pipeline.config import load_repository
from registry_pipeline.files import read as files_read
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.captured.read import read_fingerprint_index_inputs, read_threshold_packs_inputs
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.envelope import InputFile
from registry_pipeline_tests.cases.families import read_capture
from registry_pipeline_tests.cases.layout import Case, find_good_cases

PACKS = "configs/threshold_packs"
DERIVED = "artifacts/derived_validation"


def read(root: Path, registry_id: str) -> BuildInputs:
    reader: Callable[..., BuildInputs] | None = SHIPPED.registries[registry_id].reader
    assert reader is not None
    return reader(load_repository(root), SourceContext())


@pytest.mark.parametrize("case", find_good_cases("capture"), ids=lambda case: case.id)
def test_what_is_captured_are_the_bytes_as_they_are(case: Case, tmp_path: Path) -> None:
    gathered = read_capture(case, tmp_path)

    recorded = {file.sha256 for file in gathered.files}
    assert {sha256_hex(data) for data in gathered.inputs.files.values()} <= recorded
    for file in gathered.files:
        assert file == InputFile(file.path, sha256_hex((tmp_path / "input" / file.path).read_bytes()))


def packs(root: Path, *names: str) -> Path:
    folder = root / PACKS
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b'{"lookback": 12}\n')
    return folder


def left_out(gathered: BuildInputs) -> dict[str, str]:
    assert {f.code for f in gathered.findings} <= {"CAPTURE_LEFT_OUT"}
    return {f.path.rpartition("/")[2]: f.message for f in gathered.findings}


def test_paths_that_are_no_regular_files_are_left_out_and_reported(tmp_path: Path) -> None:
    folder = packs(tmp_path, "a.json")
    (tmp_path / "secret.json").write_bytes(b'{"secret": true}\n')
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")

    gathered = read(tmp_path, "threshold_packs_file")

    assert list(gathered.inputs.files) == ["a.json"]
    assert left_out(gathered) == {
        "folder.json": "not captured: a folder",
        "link.json": "not captured: a link",
        "pipe.json": "not captured: not a regular file",
    }
    assert [file.path for file in gathered.files] == [f"{PACKS}/a.json"]


def test_of_two_names_that_differ_in_case_alone_one_is_left_out_and_its_hash_recorded(tmp_path: Path) -> None:
    folder = packs(tmp_path, "Surge.json")
    (folder / "surge.json").write_bytes(b'{"lookback": 13}\n')

    gathered = read(tmp_path, "threshold_packs_file")

    assert list(gathered.inputs.files) == ["Surge.json"]
    assert left_out(gathered) == {"surge.json": "not captured: its name differs from Surge.json only in case"}
    assert InputFile(f"{PACKS}/surge.json", sha256_hex(b'{"lookback": 13}\n')) in gathered.files


def test_a_name_that_cannot_be_sealed_is_left_out_and_can_be_reported(tmp_path: Path) -> None:
    folder = packs(tmp_path, "a.json", "con.json", "two\nlines.json")
    Path(os.fsdecode(os.fsencode(folder) + b"/b\xff.json")).write_bytes(b"{}")

    gathered = read(tmp_path, "threshold_packs_file")

    assert list(gathered.inputs.files) == ["a.json"]
    assert len(left_out(gathered)) == 3
    for found in gathered.findings:
        found.path.encode()
    assert sorted(file.path for file in gathered.files) == [f"{PACKS}/a.json", f"{PACKS}/con.json"]


def test_a_schema_beside_the_packs_is_left_out_and_recorded_once(tmp_path: Path) -> None:
    folder = packs(tmp_path, "a.json")
    (folder / "limits.schema.json").write_bytes(b'{"required": ["lookback"]}\n')
    (tmp_path / "registry-pipeline.toml").write_text(
        f'[captured.threshold_packs_file]\nschema = "{PACKS}/limits.schema.json"\n'
    )

    gathered = read(tmp_path, "threshold_packs_file")

    assert list(left_out(gathered)) == ["limits.schema.json"]
    assert [file.path for file in gathered.files] == [f"{PACKS}/limits.schema.json", f"{PACKS}/a.json"]


def test_a_link_is_not_what_latest_names(tmp_path: Path) -> None:
    (tmp_path / DERIVED / "one").mkdir(parents=True)
    (tmp_path / DERIVED / "one/derived_validation_report.json").write_bytes(b'{"run_id": "one", "status": "PASS"}\n')
    (tmp_path / DERIVED / "two").symlink_to("one")
    (tmp_path / DERIVED / "LATEST.txt").write_text("two\n")

    gathered = read(tmp_path, "derived_validation_reports")

    assert gathered.inputs is None
    assert [f.message for f in gathered.findings] == ["LATEST.txt does not name a folder beside it: 'two' is a link"]


def test_latest_is_recorded_as_an_input_and_chooses_the_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / DERIVED / name).mkdir(parents=True)
        report = {"run_id": name, "status": "PASS"}
        (tmp_path / DERIVED / name / "derived_validation_report.json").write_text(json.dumps(report))
    (tmp_path / DERIVED / "LATEST.txt").write_text("one\n")

    gathered = read(tmp_path, "derived_validation_reports")

    assert json.loads(gathered.inputs.files["derived_validation_report.json"])["run_id"] == "one"
    assert gathered.files[0] == InputFile(f"{DERIVED}/LATEST.txt", sha256_hex(b"one\n"))


def test_a_file_that_is_too_large_is_reported_and_not_read_completely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_read, "MAX_BYTES", 1 << 20)
    folder = packs(tmp_path, "a.json")
    with (folder / "huge.json").open("wb") as huge:
        huge.truncate(1 << 40)

    gathered = read_threshold_packs_inputs(load_repository(tmp_path), SourceContext())

    assert gathered.inputs is None
    assert [(f.code, f.path) for f in gathered.findings] == [("CAPTURE_MISSING", f"{PACKS}/huge.json")]


def test_every_problem_is_counted_and_the_first_is_reported(tmp_path: Path) -> None:
    source = tmp_path / str(CAPTURES["fingerprint_index"].source)
    source.parent.mkdir(parents=True)
    source.write_bytes(b"fingerprint_id,symbol\n" + b",A\n" * 50)

    gathered = read_fingerprint_index_inputs(load_repository(tmp_path), SourceContext())

    assert gathered.findings[0].message == (
        "the source is malformed: line 2 /fingerprint_id: '' is shorter than 1 characters (and 49 more)"
    )
