"""Who makes a change, for its record."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Final

from registry_pipeline.git.repository import read_git_user

ACTOR_VARIABLE: Final = "REGISTRY_PIPELINE_ACTOR"


def find_actor(actor: str | None, root: Path) -> str:
    """Return the first that is not blank of `actor`, the environment variable, git's identity, login name, user id."""
    for name in (actor, os.environ.get(ACTOR_VARIABLE), read_git_user(root)):
        if name is not None and name.strip():
            return name.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
