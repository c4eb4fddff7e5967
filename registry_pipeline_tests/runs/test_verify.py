from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.runs.tree import open_directory
from registry_pipeline.runs.verify import _make_clean_report, _verify_open_folder, main, verify_folder
from registry_pipeline.runs.verify_clean import verify_clean
from registry_pipeline_tests.cases.layout import find_cases
from registry_pipeline_tests.known_answers.make_repo import seal, sha
from registry_pipeline_tests.runs.case_specs import RUN_ID, sealed_files, verify_case, write_tree


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / RUN_ID
    write_tree(folder, sealed_files({"data.jsonl": b"{}\n", "notes/a.md": b"a\n"}))
    return folder


def test_the_caller_is_given_the_bytes_that_were_hashed_and_no_others(sealed: Path) -> None:
    report = verify_folder(sealed, keep=("data.jsonl", "notes/a.md", "absent"))

    assert report.kept == {"data.jsonl": b"{}\n", "notes/a.md": b"a\n"}
    assert report.run_json is not None
    assert report.run_json["run_id"] == report.run_id == RUN_ID
    assert [entry.relpath for entry in report.entries] == ["data.jsonl", "notes/a.md", "run.json"]


def test_findings_name_the_folder_as_the_caller_does(sealed: Path) -> None:
    (sealed / "data.jsonl").unlink()

    report = verify_folder(sealed, display_path=".codex/RUNS/x")

    assert [f.path for f in report.findings] == [".codex/RUNS/x/data.jsonl"]
    assert report.path == ".codex/RUNS/x"


def test_a_folder_may_be_verified_under_its_future_name(sealed: Path) -> None:
    staged = sealed.rename(sealed.parent / f"{RUN_ID}.123.abcd")

    assert verify_folder(staged).verdict == "fail"
    assert verify_folder(staged, expect_run_id=RUN_ID).verdict == "pass"


def test_the_name_of_the_working_directory_counts(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sealed)

    assert verify_folder(Path()).verdict == "pass"


def test_a_link_with_a_slash_behind_it_is_still_a_link(sealed: Path) -> None:
    link = sealed.parent / "link"
    link.symlink_to(sealed)

    assert {f.code for f in verify_folder(f"{link}/").findings} == {"FOLDER_NOT_DIRECTORY"}


@pytest.mark.parametrize("name", ["absent", "nul\0byte", "lone\ud800surrogate", "x" * 5000])
def test_a_name_that_no_folder_has_is_a_finding(tmp_path: Path, name: str) -> None:
    report = verify_folder(f"{tmp_path}/{name}")

    assert [(f.code, f.got) for f in report.findings] == [("FOLDER_NOT_DIRECTORY", "nothing")]


def test_a_directory_that_cannot_be_listed_is_unreadable(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "scandir", refuse)

    assert [(f.code, f.path) for f in verify_folder(sealed, display_path="run").findings] == [("UNREADABLE", "run")]


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    _all_cases(tmp_path)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def _all_cases(root: Path) -> list[tuple[Path, str]]:
    folders = []
    for case in find_cases("seal"):
        scratch = root / case.name
        scratch.mkdir(parents=True)
        verify_case(case, scratch)
        folders.append((scratch / RUN_ID, case.name))
    return folders


def _is_clean(folder: Path, shown: str) -> bool:
    """Return whether the fast path accepts a folder; then the full verification says the same of it, to the letter."""
    descriptor = open_directory(str(folder))
    try:
        clean = verify_clean(descriptor, folder.name, {"data.jsonl"})
        full = _verify_open_folder(descriptor, folder.name, {"data.jsonl"}, FindingCollector(shown))
    finally:
        os.close(descriptor)
    if clean is None:
        return False
    assert _make_clean_report(FindingCollector(shown), folder.name, clean) == full
    assert full.verdict == "pass"
    assert full.findings == ()
    return True


def test_the_fast_path_and_the_full_verification_agree_on_every_case(tmp_path: Path) -> None:
    folders = [
        (folder, shown)
        for folder, shown in _all_cases(tmp_path)
        if folder.is_dir() and not folder.is_symlink() and os.access(folder, os.R_OK)
    ]

    assert sum(_is_clean(folder, shown) for folder, shown in folders) > 1


@pytest.mark.parametrize("order", ["manifest_last", "whole_line", "relpath"])
def test_the_fast_path_accepts_a_folder_without_subfolders_in_every_order(tmp_path: Path, order: str) -> None:
    write_tree(tmp_path / RUN_ID, sealed_files({"data.jsonl": b"{}\n", "zero": b"", "B.md": b"b\n"}, order))

    assert _is_clean(tmp_path / RUN_ID, "shown")


@pytest.mark.parametrize(
    "text",
    [
        {"run_id": "other", "created_utc": "2026-02-01T01:02:03Z"},
        {"run_id": RUN_ID},
        {"run_id": RUN_ID, "created_utc": "2026-02-01"},
        [RUN_ID],
        b'{"run_id": 1, "run_id": 2}',
        b'{"run_id": NaN}',
        b"\xef\xbb\xbf{}",
        b"{",
        b'{"deep": ' + b"[" * 300 + b"]" * 300 + b"}",
    ],
    ids=["run id", "no time", "a day", "an array", "a key twice", "NaN", "a byte order mark", "cut", "deep"],
)
def test_the_fast_path_leaves_an_invalid_run_json_to_the_full_verification(tmp_path: Path, text: object) -> None:
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    write_tree(tmp_path / RUN_ID, seal({"run.json": data, "data.jsonl": b"{}\n"}))

    assert not _is_clean(tmp_path / RUN_ID, "shown")
    assert verify_folder(tmp_path / RUN_ID).verdict == "fail"


def _link_twice(folder: Path) -> None:
    (folder.parent / "second").hardlink_to(folder / "data.jsonl")


def _make_sparse(folder: Path) -> None:
    (folder / "data.jsonl").write_bytes(b"")
    os.truncate(folder / "data.jsonl", 1 << 20)


DAMAGES: Final[dict[str, Callable[[Path], object]]] = {
    "a byte": lambda folder: (folder / "data.jsonl").write_bytes(b"[]\n"),
    "a longer file": lambda folder: (folder / "data.jsonl").write_bytes(b"{}\n\n"),
    "a further file": lambda folder: (folder / "more").write_bytes(b""),
    "a missing file": lambda folder: (folder / "data.jsonl").unlink(),
    "an empty folder": lambda folder: (folder / "empty").mkdir(),
    "a link": lambda folder: (folder / "more").symlink_to("data.jsonl"),
    "a pipe": lambda folder: os.mkfifo(folder / "more"),
    "a second name": _link_twice,
    "holes": _make_sparse,
    "a name in other letters": lambda folder: (folder / "DATA.jsonl").write_bytes(b""),
    "manifest.json": lambda folder: (folder / "manifest.json").write_bytes(b"[]\n"),
    "MANIFEST.sha256": lambda folder: (folder / "MANIFEST.sha256").write_bytes(b"ROOT_SHA256  0\n"),
    "no MANIFEST.sha256": lambda folder: (folder / "MANIFEST.sha256").unlink(),
    "no manifest.json": lambda folder: (folder / "manifest.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_fast_path_leaves_every_damage_to_the_full_verification(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / RUN_ID
    write_tree(folder, sealed_files({"data.jsonl": b"{}\n", "B.md": b"b\n"}))
    assert _is_clean(folder, "shown")

    DAMAGES[damage](folder)

    assert not _is_clean(folder, "shown")
    assert verify_folder(folder).findings


def test_the_fast_path_leaves_a_wrong_manifest_with_right_hashes_to_the_full_verification(tmp_path: Path) -> None:
    files = sealed_files({"data.jsonl": b"{}\n"})
    manifest = files["manifest.json"].replace(b'"bytes": 3,', b'"bytes": 4,')
    lines = files["MANIFEST.sha256"].decode().splitlines()[:-1]
    lines[-1] = f"{sha(manifest)}  manifest.json"
    root = sha(("\n".join(sorted(lines)) + "\n").encode())
    hash_file = "\n".join([*lines, f"ROOT_SHA256  {root}\n"]).encode()
    write_tree(tmp_path / RUN_ID, files | {"manifest.json": manifest, "MANIFEST.sha256": hash_file})

    assert not _is_clean(tmp_path / RUN_ID, "shown")
    assert [f.code for f in verify_folder(tmp_path / RUN_ID).findings] == ["SIZE_MISMATCH"]


def test_exit_codes_distinguish_valid_invalid_missing_and_unreadable(
    sealed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = sealed.parent / "broken"
    write_tree(broken, sealed_files() | {"data.jsonl": b"?"})

    assert main([str(sealed)]) == 0
    assert main([str(sealed), str(broken)]) == 3
    assert main([str(sealed.parent / "absent")]) == 7
    assert main([str(sealed.parent / "absent"), str(broken)]) == 3
    with pytest.raises(SystemExit, match="2"):
        main([])
    capsys.readouterr()


def test_a_line_says_where_what_was_expected_and_what_next(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sealed / "data.jsonl").write_bytes(b"{ }\n")

    main([str(sealed)])

    assert capsys.readouterr().out == (
        f"SEAL_INVALID: SIZE_MISMATCH {sealed}/data.jsonl: the size of the file differs from the manifest"
        " expected 3 got 4 (File content) -> rebuild the run; never edit a sealed run\n"
    )


def test_a_file_name_cannot_write_to_the_terminal(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sealed / "\x1b[2Jevil\n\udcff").write_bytes(b"")

    main([str(sealed)])

    line = capsys.readouterr().out
    assert "\\x1b[2Jevil\\n\\udcff" in line
    assert line.count("\n") == 1
