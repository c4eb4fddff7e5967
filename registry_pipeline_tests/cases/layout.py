"""The layout of a case folder: a base, the changes of the case, and the expected result.

A case is a folder with a `case.json` below `cases/<family>/`. Its keys, all but `expected` optional:

| key | content |
|---|---|
| about | why the case exists |
| base | the folder under `<family>/_base/` whose files the case starts from |
| remove | files of the base that the case does not have |
| edit | by file, pairs [old text, new text]; the old text occurs once in the file, and "" is the end of the file |
| write | by file, the content of a short text file |
| arguments | what the family's function is called with, beside the files |
| expected | the result, in the form that the family returns it |

Files under `overlay/` replace files of the base or are added to it. Use it for bytes that are not UTF-8 and for texts
that are too long for `case.json`. A text is a string, or a list: a string of a list is one line, and
`{"repeat": text, "times": number}` is a text repeated without line ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent
CASE_FILE = "case.json"
OVERLAY = "overlay"
BASES = "_base"
KEYS = ("about", "base", "remove", "edit", "write", "arguments", "expected")
LINE_WIDTH = 110


class Case(NamedTuple):
    """A case: its family, and its folder relative to the family's."""

    family: str
    name: str

    @property
    def folder(self) -> Path:
        return ROOT / self.family / self.name

    @property
    def id(self) -> str:
        """Return the name in test ids: `good/VALID__holes` is `good-VALID__holes`."""
        return self.name.replace("/", "-")

    @property
    def code(self) -> str:
        """Return the part of the name that states a code, or `good`."""
        return self.folder.name.split("__")[0]

    @property
    def document(self) -> dict[str, Any]:
        """Return the content of case.json; a caller may change it."""
        document: dict[str, Any] = json.loads((self.folder / CASE_FILE).read_bytes())
        return document

    @property
    def arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = self.document.get("arguments", {})
        return arguments

    @property
    def expected(self) -> Any:
        return self.document["expected"]

    def files(self) -> dict[str, bytes]:
        """Return the case's files by path: those of the base with the case's changes."""
        return dict(_files_of(self))

    def write_to(self, folder: Path) -> Path:
        """Write the case's files into a folder, which need not exist, and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in self.files().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    def write_expected(self, expected: Any) -> None:
        """Replace the expected result in case.json."""
        text = format_json(self.document | {"expected": expected})
        (self.folder / CASE_FILE).write_text(text + "\n", encoding="utf-8")


class LayoutError(Exception):
    """A case folder does not follow the layout."""


def find_families() -> list[str]:
    """Return the names of the families: the folders that contain a case."""
    return sorted({path.relative_to(ROOT).parts[0] for path in ROOT.glob(f"*/**/{CASE_FILE}")})


@cache
def find_cases(family: str) -> tuple[Case, ...]:
    """Return all cases of a family, sorted by name."""
    folder = ROOT / family
    paths = (path.parent.relative_to(folder) for path in folder.glob(f"**/{CASE_FILE}"))
    return tuple(sorted(Case(family, path.as_posix()) for path in paths if not {BASES, OVERLAY} & set(path.parts)))


def find_good_cases(family: str) -> list[Case]:
    """Return the cases of a family without findings."""
    return [case for case in find_cases(family) if case.code in ("good", "pass")]


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by relative path; no files if there is no folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@cache
def read_base(family: str, base: str) -> dict[str, bytes]:
    """Return the files of a base by path."""
    files = read_folder(ROOT / family / BASES / base)
    if not files:
        raise LayoutError(f"{family}/{BASES}/{base}: there is no such base, or it has no files")
    return files


@cache
def _files_of(case: Case) -> dict[str, bytes]:
    document = case.document
    if unknown := set(document) - set(KEYS):
        raise LayoutError(f"{case.family}/{case.name}/{CASE_FILE}: unknown keys {sorted(unknown)}")
    base = read_base(case.family, document["base"]) if "base" in document else {}
    try:
        return _apply_changes(base, document, read_folder(case.folder / OVERLAY))
    except LayoutError as error:
        raise LayoutError(f"{case.family}/{case.name}/{CASE_FILE}: {error}") from None


def _apply_changes(base: dict[str, bytes], document: dict[str, Any], overlay: dict[str, bytes]) -> dict[str, bytes]:
    files = dict(base)
    for path in document.get("remove", ()):
        if path not in files:
            raise LayoutError(f"remove: the base has no file {path}")
        del files[path]
    for path, edits in document.get("edit", {}).items():
        if path not in files:
            raise LayoutError(f"edit: the base has no file {path}")
        files[path] = apply_edits(files[path], edits)
    files |= {path: to_text(text).encode() for path, text in document.get("write", {}).items()} | overlay
    for path in {*document.get("edit", ()), *document.get("write", ()), *overlay} & set(base):
        if files[path] == base[path]:
            raise LayoutError(f"{path} is the same as in the base: remove it from the case")
    return dict(sorted(files.items()))


def apply_edits(data: bytes, edits: Iterable[tuple[Any, Any]]) -> bytes:
    """Return a text with each old text replaced by its new one, in order."""
    text = data.decode()
    for old, new in edits:
        if old == "":
            text += to_text(new)
            continue
        if text.count(to_text(old)) != 1:
            raise LayoutError(f"edit: this text must occur once: {to_text(old)!r}")
        text = text.replace(to_text(old), to_text(new))
    return text.encode()


def to_text(value: Any) -> str:
    """Return the text that a string, a list of lines or a repetition describes."""
    if isinstance(value, str):
        return value
    return "".join(
        line + "\n" if isinstance(line, str) else to_text(line["repeat"]) * int(line["times"]) for line in value
    )


def format_json(value: Any, indent: str = "", prefix: int = 0) -> str:
    """Return JSON where an array or object that fits takes one line."""
    line = json.dumps(value)
    if len(indent) + prefix + len(line) < LINE_WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        keys = [json.dumps(key) + ": " for key in value]
        items = [key + format_json(item, inner, len(key)) for key, item in zip(keys, value.values(), strict=True)]
    else:
        items = [format_json(item, inner) for item in value]
    start, end = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{start}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{end}"
