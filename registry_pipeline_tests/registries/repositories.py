"""Small git repositories for tests: `commit(root, {"a.txt": "1"})`, the same id everywhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.invalid",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.invalid",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(root: Path, *arguments: str, at: str = "2026-01-01T00:00:00Z") -> str:
    """Run git in a folder, as nobody in particular, at a fixed time."""
    env = {**os.environ, **_WHO, "GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    done = subprocess.run(["git", *arguments], cwd=root, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write text files under a root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def repository(root: Path) -> Path:
    """Make an empty repository at a folder that may exist."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", "main")
    return root


def commit(root: Path, files: Mapping[str, str], at: str = "2026-01-01T00:00:00Z") -> str:
    """Write files, commit all, and return the commit's id."""
    write(root, files)
    git(root, "add", "-A", at=at)
    git(root, "commit", "-q", "--allow-empty", "-m", "x", at=at)
    return git(root, "rev-parse", "HEAD")
