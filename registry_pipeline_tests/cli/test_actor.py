from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from registry_pipeline.cli.actor import ACTOR_VARIABLE, find_actor


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository where git knows no user, and neither does the machine."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.delenv(ACTOR_VARIABLE, raising=False)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_the_actor_is_the_option_then_the_variable_then_git_then_the_login_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "kay")
    assert find_actor(None, root) == "kay"

    subprocess.run(["git", "config", "user.name", "Joan"], cwd=root, check=True)
    assert find_actor(None, root) == "Joan"
    subprocess.run(["git", "config", "user.email", "joan@example.invalid"], cwd=root, check=True)
    monkeypatch.setenv(ACTOR_VARIABLE, "")
    assert find_actor(" ", root) == "Joan <joan@example.invalid>"

    monkeypatch.setenv(ACTOR_VARIABLE, "Ada")
    assert find_actor(None, root) == "Ada"
    assert find_actor("Grace", root) == "Grace"


def test_an_actor_is_named_even_without_a_login_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", unknown)

    assert find_actor(None, root).startswith("uid ")
