"""Every module, package and test that a document or a settings file names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "registry_pipeline"
TESTS = ROOT / "registry_pipeline_tests"
# Names are relative to one of these folders. A file name without a folder may be anywhere below them.
BASES = (ROOT, PRODUCT, PRODUCT / "registries", TESTS)
# `roles`, `entries` and `run_index` are also tables of the toml, so their dotted names are options; so are the names
# of `registries.<registry_id>`.
PACKAGES = r"cases|cli|defs|files|findings|git|pipeline|pointers|registries(?!\.<)|runs|seal|yaml"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "pyproject.toml", ROOT / "Makefile")
    # In the page of schemas dotted names are fields of documents; the page of older scripts names those.
    if "governance" not in path.parts and path.name not in ("schemas.md", "replace-the-older-scripts.md")
)
_SESSION = re.compile(r"^```console\n.*?^```$", re.MULTILINE | re.DOTALL)
_NAMES = (
    re.compile(r"(?<![\w/.<>*-])((?!jobs/|scripts/)[\w/.<>*-]+\.py)\b"),  # folders of users
    re.compile(rf"`((?:registry_pipeline(?:_tests)?|{PACKAGES})(?:[./][\w<>]+)+)/?`"),
)


def find_names(page: str) -> set[str]:
    text = _SESSION.sub("", (ROOT / page).read_text(encoding="utf-8"))
    return {name for pattern in _NAMES for name in pattern.findall(text)}


def exists(name: str) -> bool:
    path = re.sub(r"<\w+>", "*", name if name.endswith(".py") or "/" in name else name.replace(".", "/"))
    if "/" not in path and path.endswith(".py"):
        return any(
            next(ROOT.glob(f"{folder}/**/{path}"), None) for folder in ("registry_pipeline*", "tools", "benchmarks")
        )
    return any(next(base.glob(path + end), None) for base in BASES for end in ("", ".py"))


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_test_that_a_page_names_exists(page: str) -> None:
    assert [name for name in sorted(find_names(page)) if not exists(name)] == []


def test_a_name_that_no_longer_exists_is_found() -> None:
    names = (
        "pointers.plan",
        "registries/<name>/read.py",
        "test_cases.py",
        "pointers.no_such_module",
        "no_such_file.py",
    )

    assert [name for name in names if not exists(name)] == ["pointers.no_such_module", "no_such_file.py"]
