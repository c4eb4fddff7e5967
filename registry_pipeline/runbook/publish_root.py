"""publish_root must be a real folder: behind a link, runs would be sealed in a place that no verifier looks at."""

from __future__ import annotations

from pathlib import PurePosixPath

from registry_pipeline.config import Governed
from registry_pipeline.errors import RefusedError
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding


def find_linked_folder(governed: Governed) -> str | None:
    """Return the first folder on the path of publish_root that is a symbolic link, relative to the repository."""
    path = PurePosixPath(governed.config.publish_root)
    folders = [*reversed(path.parents), path]
    return next((str(folder) for folder in folders if governed.path(str(folder)).is_symlink()), None)


def refuse_linked_publish_root(governed: Governed) -> None:
    """Refuse to write where publish_root is a link or lies behind one.

    Raises:
        RefusedError: it does (exit 5).
    """
    link = find_linked_folder(governed)
    if link is not None:
        raise RefusedError(
            f"publish_root is {governed.config.publish_root}, and {link} is a symbolic link; nothing was written",
            f"replace {link} with the folder that it points to, or set publish_root to a folder without links",
        )


def check_publish_root(governed: Governed) -> tuple[Finding, ...]:
    """Return a finding where publish_root is a link or lies behind one; reading goes on."""
    link = find_linked_folder(governed)
    return () if link is None else (finding("CONFIG_PUBLISH_ROOT_LINK", link, detail=governed.config.publish_root),)
