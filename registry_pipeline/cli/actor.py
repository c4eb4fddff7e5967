"""Who is acting: the name that an activation record keeps."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from registry_pipeline.sources.git import read_identity

ACTOR_VARIABLE: Final = "REGISTRY_PIPELINE_ACTOR"


def find_actor(told: str | None, root: Path, environ: Mapping[str, str] | None = None) -> str:
    """Return who acts: what was told, else the environment's, else git's `name <email>`, else the login name.

    A login name that the system does not know either is its number: an activation always names somebody.
    """
    variables = os.environ if environ is None else environ
    for name in (told, variables.get(ACTOR_VARIABLE), read_identity(root)):
        if name is not None and name.strip():
            return name.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
