"""Law: the verifier and a second, simple verifier report the same of every folder.

Drawn are a good folder and a few steps that may spoil it: the steps of the seal cases, on any file, with any value.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.runs.case_specs import (
    FAULTS,
    RUN_ID,
    STEPS,
    sealed_files,
    verify_case,
    write_tree,
)
from registry_pipeline_tests.runs.plain_reading import Findings, read_plainly

# What these cases need is the real verifier's own: a fault of the system, or its limit on what is gone through.
OUT_OF_REACH = (
    "FILE_CHANGED_WHILE_READING__",
    "UNREADABLE__",
    "MANIFEST_SHAPE__million",
    "HASHFILE_LINE_FORM__million",
)
CASES = [
    case
    for case in find_cases("seal")
    if not case.folder.name.startswith(OUT_OF_REACH)
    and "pack" not in [step["op"] for step in case.arguments.get("steps", ())]  # archives: test_archive.py
]


def config_key(report: SealReport) -> tuple[str, Findings]:
    """Return what is compared of a report: verdict, and code and relpath of each finding."""
    return report.verdict, {(f.code, f.path.removeprefix(report.path).removeprefix("/")) for f in report.findings}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_both_verifiers_report_the_same_for_every_case(case: Case, tmp_path: Path) -> None:
    report = verify_case(case, tmp_path)
    folder = tmp_path / report.run_id

    assert read_plainly(folder) == config_key(report)


NAMES = ["data.jsonl", "notes/readme.md", "run.json", "manifest.json", "MANIFEST.sha256", "notes", "extra", "d/e/f"]
NAME = st.sampled_from(NAMES)
FILE = st.sampled_from(NAMES[:5])
ODD_PATHS = st.sampled_from(
    [
        *(
            "DATA.jsonl",
            "Notes/x",
            "data.jsonl/x",
            "a  b",
            "é",
            "e\u0301",
            "/etc",
            "../x",
            "a//b",
            "nul.txt",
            "x.",
            " x",
        ),
        *("a:b", "Root_sha256", "manifest.json", "x" * 256, "\ud800", "a\u202eb", "a\nb", "straße", "STRASSE", "", "~"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["relpath", "bytes", "x"]), inner),
    max_leaves=6,
)
HASHES = st.sampled_from(["0" * 64, "A" * 64, "a" * 63, None, 1])
SIZES = st.sampled_from([0, 1, 8, 16, -1, True, 1.0, "8", 2**53, 2**53 - 1])
ENTRY = st.fixed_dictionaries(
    {}, optional={"relpath": ODD_PATHS | JSON, "bytes": SIZES, "sha256": HASHES, "size": st.just(1)}
)


def _step(op: str, **words: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"op": st.just(op), **words})


DOCUMENTS = st.sampled_from(["", "\ufeff{}", '{"a":1,"a":2}', '{"a":NaN}', "[1e999]", "[]\n", "null"])
LINE_ENDS = st.sampled_from(["\r\n", "\r", "", "\n\n"])
WORDS = st.sampled_from(["  ", "ROOT_SHA256", "manifest.json", '"bytes"', "a"])
OTHER_WORDS = st.sampled_from([" ", "x", "\t", "data.jsonl"])
BOOL = st.booleans()
LINES = st.builds(
    "{}  {}{}".format,
    st.sampled_from(["0" * 64, "f" * 64, "ROOT_SHA256", "x"]),
    NAME,
    st.sampled_from(["\n", "\r\n", ""]),
)
BYTES = st.binary(max_size=60).map(bytes.hex)
STEP = st.one_of(
    _step("write", path=NAME, hex=BYTES),
    _step("write", path=FILE, text=JSON.map(json.dumps)),
    _step("write", path=FILE, text=DOCUMENTS),
    _step("append", path=FILE, text=LINES),
    _step("flip", path=FILE, at=st.integers(0, 400)),
    _step("delete", path=NAME),
    _step("mkdir", path=NAME),
    _step("fifo", path=NAME),
    _step("link", path=NAME, to=NAME),
    _step("hardlink", path=NAME),
    _step("nest", depth=st.sampled_from([1, 64, 65, 66])),
    _step("truncate", path=FILE, size=st.integers(-3, 600)),
    _step("convert", path=FILE, old=st.just("\n"), new=LINE_ENDS, times=st.sampled_from([1, -1])),
    _step("convert", path=FILE, old=WORDS, new=OTHER_WORDS),
    _step("edit_manifest", at=st.none() | st.integers(0, 2), values=ENTRY, ascii_only=BOOL, sort_keys=BOOL),
    _step("edit_manifest", document=JSON | st.lists(ENTRY, max_size=3)),
    _step("reorder", lines=st.lists(st.integers(0, 4), min_size=1, max_size=6)),
    _step("rename_folder", to=st.sampled_from(["other", "2026-02-01__010203__op-a02"])),
    _step("reseal"),
    _step("list_hashes", mark=st.sampled_from([" ", "*"]), prefix=st.sampled_from(["", "./", "././", "/"])),
)  # fmt: skip


def _spoil(folder: Path, steps: list[dict[str, Any]]) -> Path:
    """Take the steps that can be taken: what an earlier one removed, a later one cannot spoil."""
    for step in steps:
        words = {key: value for key, value in step.items() if key != "op"}
        if any((folder / name).is_fifo() for name in (words.get("path", ""), "manifest.json", "MANIFEST.sha256")):
            continue  # to open it would be to wait
        try:
            folder = STEPS[step["op"]](folder, **words) or folder
        except (OSError, IndexError, KeyError, TypeError, ValueError, AttributeError):
            event(f"{step['op']} could not be taken")
    return folder


@given(
    order=st.sampled_from(["manifest_last", "whole_line", "relpath"]),
    extra=st.dictionaries(st.sampled_from(["a.txt", "é", "B/c", "zz", "notes/x y"]), st.binary(max_size=9), max_size=3),
    steps=st.lists(STEP, max_size=4),
)
@example(  # a list of which no path may be looked at is a list all the same
    order="manifest_last",
    extra={},
    steps=[{"op": "list_hashes", "mark": " ", "prefix": "././"}, {"op": "hardlink", "path": "run.json"}],
)
@examples(150)
def test_both_verifiers_report_the_same_for_any_folder(
    order: str, extra: dict[str, bytes], steps: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN_ID
        write_tree(folder, sealed_files({"data.jsonl": b"1\r\n2\n", "notes/readme.md": b"# A\n", **extra}, order))
        folder = _spoil(folder, steps)
        verdict, findings = config_key(verify_folder(folder, display_path="RUN"))
        event(f"verdict {verdict}")

        assert read_plainly(folder) == (verdict, findings)


@pytest.mark.parametrize("name", ["plain_reading.py", "plain_json.py", "plain_list.py", "plain_paths.py"])
def test_the_plain_reading_does_not_lean_on_the_program(name: str) -> None:
    source = (Path(__file__).parent / name).read_text(encoding="utf-8")

    assert re.findall(r"^\s*(?:from|import) registry_pipeline\b", source, re.MULTILINE) == []


def test_every_fault_of_the_system_is_left_to_the_cases() -> None:
    assert set(FAULTS).isdisjoint(STEPS)
