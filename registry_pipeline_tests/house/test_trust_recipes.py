"""The recipes of docs/explanation/trust.md, run as they are printed, on a sealed folder and on damaged ones."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.known_answers.make_repo import seal
from registry_pipeline_tests.runs.case_specs import RUN_ID, write_tree

PAGE = Path(__file__).parents[2] / "docs/explanation/trust.md"
_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (?P<damage>[^|]+) \| (?P<alone>pass|FAIL) \| (?P<recipe>pass|FAIL)", re.MULTILINE)
RECIPES = dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))
FILES = {"data.jsonl": b'{"n":1}\n', "notes/a b.md": b"# A\n", "notes/\u00e4.md": b"\n", "same": b"", "too": b""}

pytestmark = pytest.mark.process


def _write_sealed(folder: Path, order: str = "relpath") -> Path:
    document = {"run_id": RUN_ID, "created_utc": "2026-02-01T01:02:03Z"}
    write_tree(folder, seal({"run.json": json.dumps(document, indent=2).encode() + b"\n", **FILES}, order))
    return folder


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return _write_sealed(tmp_path / RUN_ID)


def _run_recipe(language: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = {"bash": "bash", "python": sys.executable}[language]
    script = folder.parent / "recipe"
    script.write_text(RECIPES[language], encoding="utf-8")
    return subprocess.run([program, script, folder], capture_output=True, text=True, check=False)


def _run_sha256sum(folder: Path) -> int:
    command = ["sha256sum", "--check", "--quiet", "MANIFEST.sha256"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def _read_lines(folder: Path) -> list[str]:
    return (folder / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines(keepends=True)[:-1]


def _write_lines(folder: Path, lines: list[str], last: str | None = None) -> None:
    root = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    last = f"ROOT_SHA256  {root}\n" if last is None else last
    (folder / "MANIFEST.sha256").write_text("".join([*lines, last]), encoding="utf-8")


def _hash_line(folder: Path, relpath: str) -> str:
    return f"{hashlib.sha256((folder / relpath).read_bytes()).hexdigest()}  {relpath}\n"


def _replace_lines(folder: Path, *relpaths: str, last: str | None = None) -> None:
    """Write the lines of some files again, or remove those of missing files; by default with the right root."""
    kept = [line for line in _read_lines(folder) if line[66:-1] not in relpaths]
    new = [_hash_line(folder, relpath) for relpath in relpaths if (folder / relpath).exists()]
    _write_lines(folder, [*kept, *new], last)


def _add_file(folder: Path) -> None:
    (folder / "extra").write_bytes(b"x")


def _remove_file_and_line(folder: Path) -> None:
    (folder / "data.jsonl").unlink()
    _replace_lines(folder, "data.jsonl")


def _change_file_and_line(folder: Path) -> None:
    last = (folder / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines(keepends=True)[-1]
    (folder / "data.jsonl").write_bytes(b"{}\n")
    _replace_lines(folder, "data.jsonl", last=last)


def _change_root(folder: Path) -> None:
    _write_lines(folder, _read_lines(folder), f"ROOT_SHA256  {'0' * 64}\n")


def _link_file(folder: Path) -> None:
    (folder / "data.jsonl").rename(folder.parent / "copy")
    (folder / "data.jsonl").symlink_to(folder.parent / "copy")


def _rename(folder: Path) -> Path:
    return folder.rename(folder.with_name("renamed"))


def _change_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    entries = json.loads(path.read_bytes())
    entries[0]["sha256"] = "0" * 64
    path.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    _replace_lines(folder, "manifest.json")


def _seal_again(folder: Path) -> None:
    (folder / "data.jsonl").write_bytes(b"{}\n")
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    write_tree(folder, seal({name: data for name, data in files.items() if not name.lower().startswith("manifest.")}))


# By the first cell of a row of the page; a damage that moves the folder returns its path.
DAMAGE: dict[str, Callable[[Path], Path | None]] = {
    "a file was added": _add_file,
    "a file and its line were removed": _remove_file_and_line,
    "a file and its line were changed": _change_file_and_line,
    "the root was changed or removed": _change_root,
    "a file was replaced by a link to a copy": _link_file,
    "an empty folder was added": lambda folder: (folder / "empty").mkdir(),
    "the folder was renamed": _rename,
    "`manifest.json` was changed, and MANIFEST.sha256 made again": _change_manifest,
    "everything was sealed again": _seal_again,
}
ROWS = {match["damage"]: (match["alone"], match["recipe"]) for match in _ROW.finditer(PAGE.read_text(encoding="utf-8"))}


def test_each_row_of_the_page_has_a_damage() -> None:
    assert set(ROWS) == set(DAMAGE)
    assert set(RECIPES) == {"bash", "python"}


@pytest.mark.parametrize("language", RECIPES)
@pytest.mark.parametrize("order", ["relpath", "manifest_last", "whole_line"])
def test_a_recipe_prints_the_root_of_a_sealed_folder(language: str, order: str, tmp_path: Path) -> None:
    folder = _write_sealed(tmp_path / RUN_ID, order)
    report = verify_folder(folder)

    done = _run_recipe(language, folder)

    assert (done.returncode, done.stderr, report.verdict) == (0, "", "pass")
    assert done.stdout.split() == ["ROOT_SHA256", report.root_sha256]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damage_is_seen_as_the_page_says(damage: str, sealed: Path) -> None:
    root = verify_folder(sealed).root_sha256
    folder = DAMAGE[damage](sealed) or sealed
    alone, recipe = ROWS[damage]

    assert (_run_sha256sum(folder) == 0) == (alone == "pass")
    for language in RECIPES:
        done = _run_recipe(language, folder)
        assert (done.returncode == 0) == (recipe == "pass"), done.stdout
        assert str(root) not in done.stdout
    assert (verify_folder(folder).verdict == "pass") == (recipe == "pass")


@pytest.mark.parametrize("language", RECIPES)
@pytest.mark.parametrize("relpath", ["data.jsonl", "run.json", "manifest.json", "notes/a b.md"])
def test_a_changed_byte_fails_a_recipe(language: str, relpath: str, sealed: Path) -> None:
    (sealed / relpath).write_bytes((sealed / relpath).read_bytes() + b" ")

    assert _run_recipe(language, sealed).returncode != 0


def test_a_malformed_line_passes_sha256sum_unless_strict(sealed: Path) -> None:
    _write_lines(sealed, _read_lines(sealed), "something else\n")

    assert _run_sha256sum(sealed) == 0
    assert all(_run_recipe(language, sealed).returncode != 0 for language in RECIPES)
