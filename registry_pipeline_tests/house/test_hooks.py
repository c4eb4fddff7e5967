"""The hook that is offered to other repositories, and the command that it runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from registry_pipeline.cli.group import PROGRAM
from registry_pipeline_tests.command_line import environment, run_command
from registry_pipeline_tests.registries.repositories import commit, git, repository, write
from registry_pipeline_tests.role_packs import DRIFTED, GROWN, PACK, SMALL

ROOT = Path(__file__).parents[2]


def hooks() -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = YAML(typ="safe").load(
        (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    )
    return document


def test_every_hook_is_complete_and_reads_the_index_itself() -> None:
    for hook in hooks():
        assert hook["id"].startswith(PROGRAM)
        assert {"name", "description", "entry", "language"} <= hook.keys()
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("python", False, True)


@pytest.mark.parametrize(("staged", "code"), [(GROWN, 0), (DRIFTED, 3), (None, 7)], ids=["grown", "drifted", "removed"])
def test_the_entry_lets_a_commit_through_or_not(tmp_path: Path, staged: str | None, code: int) -> None:
    (hook,) = hooks()
    program, *words = shlex.split(hook["entry"])
    root = repository(tmp_path / "r")
    commit(root, {"registry-pipeline.toml": "", PACK: SMALL})
    if staged is None:
        (root / PACK).unlink()
    else:
        write(root, {PACK: staged})
    git(root, "add", "-A")

    result = run_command(*words, cwd=root, env=environment(tmp_path))

    assert (program, result.code) == (PROGRAM, code)
    assert PACK in result.out
