from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from registry_pipeline.config import Config, Repository
from registry_pipeline.runs import scan
from registry_pipeline.runs.envelope import ScannedRun
from registry_pipeline.runs.scan import read_run_folders, visit_run_folders

ROOT = ".codex/RUNS"


def put(root: Path, relpath: str, data: bytes = b"") -> Path:
    path = root / ROOT / relpath
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def only_run(root: Path) -> ScannedRun:
    (run,) = read_run_folders(Repository(root, Config()), [ROOT]).runs
    return run


def test_missing_run_roots_are_skipped(tmp_path: Path) -> None:
    scan = read_run_folders(Repository(tmp_path, Config()), [ROOT, "reports/runs"])

    assert scan.runs == ()
    assert scan.findings == ()


def test_only_direct_child_directories_are_runs_and_dot_directories_are(tmp_path: Path) -> None:
    put(tmp_path, "stray.txt")
    put(tmp_path, ".hidden/a.txt", b"abc")
    put(tmp_path, "b/sub/run.json", b"{}")

    runs = read_run_folders(Repository(tmp_path, Config()), [ROOT]).runs

    assert [run.run_id for run in runs] == [".hidden", "b"]
    assert runs[0].files == (("a.txt", 3),)
    assert runs[1].files == ()


def test_a_linked_run_folder_is_skipped_with_a_finding(tmp_path: Path) -> None:
    real = put(tmp_path, "real/run.json", b"{}").parent
    (real.parent / "link").symlink_to(real)
    (real.parent / "dangling").symlink_to("nowhere")
    (real.parent / "to_file").symlink_to(real / "run.json")

    scan = read_run_folders(Repository(tmp_path, Config()), [ROOT])

    assert [run.run_id for run in scan.runs] == ["real"]
    assert [(f.code, f.path) for f in scan.findings] == [("RUN_FOLDER_LINK", f"{ROOT}/link")]


def test_linked_files_do_not_count_as_files(tmp_path: Path) -> None:
    target = put(tmp_path, "r/real.txt", b"{}")
    for name in ("run.json", "manifest.json", "MANIFEST.sha256"):
        target.with_name(name).symlink_to(target)

    run = only_run(tmp_path)

    assert (run.has_run_json, run.has_manifest_json, run.has_manifest_sha256) == (False, False, False)
    assert run.run_json_problem == "missing run.json"
    assert run.files == (("real.txt", 2),)


def test_a_pipe_named_run_json_neither_hangs_nor_counts(tmp_path: Path) -> None:
    folder = put(tmp_path, "r/a.txt").parent
    os.mkfifo(folder / "run.json")

    assert only_run(tmp_path).run_json_problem == "missing run.json"


def test_a_pipe_that_takes_the_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "run.json"
    os.mkfifo(pipe)

    _, size, problem = scan._read_document(str(pipe), "run.json")

    assert (size, problem) == (0, "[Errno 22] Not a regular file: 'run.json'")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{}", None),
        (b"null", None),
        (b'{"a": NaN, "a": 1}', None),
        (b"[]\n", "run.json top-level is not an object"),
        (b'"text"', "run.json top-level is not an object"),
        (b"0", "run.json top-level is not an object"),
        (b"false", "run.json top-level is not an object"),
        (b"", "Failed to parse run.json: Expecting value: line 1 column 1 (char 0)"),
        (
            b'{"run_id": "x", ',
            "Failed to parse run.json: Expecting property name enclosed in double quotes: line 1 column 17 (char 16)",
        ),
        (b"{}x", "Failed to parse run.json: Extra data: line 1 column 3 (char 2)"),
        (
            b"\xef\xbb\xbf{}",
            "Failed to parse run.json: Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
        ),
        (
            b"{\xff}",
            "Failed to parse run.json: 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte",
        ),
        (
            "{}".encode("utf-16"),
            "Failed to parse run.json: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (
            b"{\r\n\rx}",
            "Failed to parse run.json: Expecting property name enclosed in double quotes: line 3 column 1 (char 3)",
        ),
    ],
)
def test_the_text_of_a_broken_run_json_is_pythons_own(tmp_path: Path, data: bytes, problem: str | None) -> None:
    path = put(tmp_path, "r/run.json", data)

    run = only_run(tmp_path)

    assert run.has_run_json
    assert run.run_json_problem == problem
    if problem is not None and "Failed" in problem:
        with pytest.raises(ValueError) as caught, path.open(encoding="utf-8") as file:  # noqa: PT011 - its text is compared
            json.load(file)
        assert problem == f"Failed to parse run.json: {caught.value}"


def test_deep_nesting_and_huge_numbers_are_reported_and_do_not_crash(tmp_path: Path) -> None:
    put(tmp_path, "deep/run.json", b"[" * 200_000)
    put(tmp_path, "digits/run.json", b"1" * 5_000)

    problems = [run.run_json_problem or "" for run in read_run_folders(Repository(tmp_path, Config()), [ROOT]).runs]

    assert "recursion" in problems[0]
    assert "4300 digits" in problems[1]


def test_a_run_json_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path, "r/run.json")
    os.truncate(path, (64 << 20) + 1)

    run = only_run(tmp_path)

    assert run.run_json_problem == "Failed to parse run.json: larger than 64 MiB"
    assert run.files == (("run.json", (64 << 20) + 1),)


@pytest.mark.parametrize(
    ("text", "root"),
    [
        (b"ROOT_SHA256  aa\n", "aa"),
        (b"ROOT_SHA256  aa\nROOT_SHA256  bb\n", "aa"),
        (b"ROOT_SHA256\nROOT_SHA256 one two\r\n", "two"),
        (b"XROOT_SHA256 aa\nROOT_SHA2567 bb\n  ROOT_SHA256 cc", "cc"),
        (b"aa  a ROOT_SHA256\n", None),
        (b"", None),
        (b"\xff\nROOT_SHA256 aa\n", None),
    ],
)
def test_the_claimed_root_is_the_first_that_is_stated(tmp_path: Path, text: bytes, root: str | None) -> None:
    put(tmp_path, "r/MANIFEST.sha256", text)

    assert only_run(tmp_path).claimed_root == root


def test_files_are_sorted_by_code_point_whatever_their_names(tmp_path: Path) -> None:
    folder = put(tmp_path, "r/Z").parent
    for name in ("a", "é", "😀", "\uffee"):
        (folder / name).touch()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()

    assert [name for name, _ in only_run(tmp_path).files] == ["Z", "a", "é", "\udcff", "\uffee", "😀"]


def test_a_finding_about_a_folder_with_undecodable_name_can_be_printed(tmp_path: Path) -> None:
    real = put(tmp_path, "real/a").parent
    Path(os.fsdecode(os.fsencode(real.parent) + b"/\xff")).symlink_to(real)

    (found,) = read_run_folders(Repository(tmp_path, Config()), [ROOT]).findings

    assert found.path.encode("utf-8") == rf"{ROOT}/\xff".encode()


def test_folders_of_the_own_build_run_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "sealed/run.json", b"{}")
    put(tmp_path, "first_try/run.json", b'{"dagster_run_id": "d1"}')
    put(tmp_path, "other/run.json", b'{"dagster_run_id": "d2"}')

    runs: list[str] = []

    visit_run_folders(
        Repository(tmp_path, Config()),
        [ROOT],
        lambda run, *_: runs.append(run.run_id),
        skip=lambda _path, _root, _names: ["sealed"],
        exclude_dagster_run="d1",
    )

    assert runs == ["other"]


def test_a_run_root_that_is_a_file_is_a_finding(tmp_path: Path) -> None:
    put(tmp_path, "file")

    scan = read_run_folders(Repository(tmp_path, Config()), [f"{ROOT}/file"])

    assert [(f.code, f.path) for f in scan.findings] == [("RUN_ROOT_UNREADABLE", f"{ROOT}/file")]


def test_what_cannot_be_listed_is_a_finding_and_the_rest_is_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions do not stop the superuser, so the refusal is made by hand."""
    put(tmp_path, "a/run.json", b"{}")
    put(tmp_path, "b/run.json", b"{}")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    scan = read_run_folders(Repository(tmp_path, Config()), [ROOT])

    assert [run.run_id for run in scan.runs] == ["b"]
    assert [(f.code, f.path) for f in scan.findings] == [("RUN_FOLDER_UNREADABLE", f"{ROOT}/a")]
    assert str(tmp_path) not in scan.findings[0].message


def test_a_run_json_that_cannot_be_opened_is_reported_without_the_repository_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/run.json", b"{}")

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)

    assert only_run(tmp_path).run_json_problem == ("Failed to parse run.json: [Errno 13] Permission denied: 'run.json'")


def test_progress_is_reported_and_ends_with_the_total(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / ROOT / f"r{number:03}").mkdir(parents=True)
    counts: list[int] = []

    visit_run_folders(Repository(tmp_path, Config()), [ROOT], lambda *_: None, on_progress=counts.append)

    assert counts == [256, 512, 600]


def test_a_scan_leaves_access_nothing_changed(tmp_path: Path) -> None:
    path = put(tmp_path, "r/run.json", b"{}")
    before = [(p, p.stat().st_mtime_ns) for p in sorted(tmp_path.rglob("*"))]

    only_run(tmp_path)

    assert before == [(p, p.stat().st_mtime_ns) for p in sorted(tmp_path.rglob("*"))]
    assert path.read_bytes() == b"{}"


def test_a_read_error_keeps_the_words_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "r/run.json", b"{}")

    def fail(*_: object, **__: object) -> bytes:
        raise OSError(errno.EREMOTEIO, "Remote I/O error", str(path))

    monkeypatch.setattr(scan, "read_file_with_status", fail)

    assert scan._read_document(str(path), "run.json")[1:] == (2, "[Errno 121] Remote I/O error: 'run.json'")
