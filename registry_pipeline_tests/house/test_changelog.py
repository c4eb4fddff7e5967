"""CHANGELOG.md has the form of Keep a Changelog 1.1.0, and its newest version is the version of the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHANGES = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_VERSION = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")


def find_problems(text: str, version: str) -> list[str]:
    """Return what is wrong with the headings of a changelog of the package's version."""
    headings = re.findall(r"^(#{2,}) (.+)$", text, re.MULTILINE)
    versions = [title for level, title in headings if level == "##"]
    if versions[:1] == ["[Unreleased]"]:
        del versions[0]
    problems = [f"not a version with its date: {title}" for title in versions if not _VERSION.fullmatch(title)]
    numbers = [tuple(map(int, found[:3])) for found in _VERSION.findall(text)]
    if numbers != sorted(numbers, reverse=True):
        problems.append("versions are not in order, the newest first")
    if [".".join(map(str, number)) for number in numbers[:1]] != [version]:
        problems.append(f"the newest version is not {version}, the version in pyproject.toml")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        if kinds != [kind for kind in CHANGES if kind in kinds]:
            problems.append(f"not sections of Keep a Changelog in their order, each once: {', '.join(kinds)}")
    return problems + [f"deeper than a section: {title}" for level, title in headings if len(level) > 3]


def test_the_changelog_has_its_form_and_starts_with_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    assert find_problems((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version) == []


def test_each_departure_from_the_form_is_found() -> None:
    good = "## [Unreleased]\n\n## [0.2.0] - 2026-11-23\n\n### Added\n\n### Fixed\n\n## [0.1.0] - 2026-11-22\n"

    assert find_problems(good, "0.2.0") == []
    assert find_problems(good, "0.3.0") == ["the newest version is not 0.3.0, the version in pyproject.toml"]
    for old, new in (
        ("### Added", "### Speed"),
        ("### Fixed", "### Added"),
        ("### Fixed", "### Added\n\n### Fixed"),
        ("### Fixed", "### Fixed\n\n#### Details"),
        (" - 2026-11-22", " - unreleased"),
        ("2026-11-22", "2026-13-22"),
        ("[0.1.0]", "[0.3.0]"),
    ):
        assert len(find_problems(good.replace(old, new), "0.2.0")) >= 1, new
