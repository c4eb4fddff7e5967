from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import built, built_repository, home, known, plain, plain_repository, seen
from registry_pipeline_tests.signing.keys import Key, make_key

__all__ = ["built", "built_repository", "home", "known", "plain", "plain_repository", "seen"]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    """The keys of Alice and Bob, who may sign, and of Mallory, who may not."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("alice", "bob", "mallory")}


@pytest.fixture
def signers(keys: dict[str, Key], tmp_path: Path) -> Path:
    """A file of allowed signers with the keys of Alice and Bob."""
    path = tmp_path / "allowed_signers"
    path.write_text(keys["alice"].line() + keys["bob"].line(), "utf-8")
    return path


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the agent and the key of the developer out of the tests."""
    for name in ("SSH_AUTH_SOCK", "REGISTRY_PIPELINE_SIGNING_KEY"):
        if name in os.environ:
            monkeypatch.delenv(name)
