"""Where documents are read from: the working tree, or a commit; one interface, so that readers need not know which."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from registry_pipeline.sources.files import read_regular_file
from registry_pipeline.values import value_type


class Tree(Protocol):
    """The files of a governed repository, named by their paths relative to its root."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file.

        Raises:
            OSError: it is missing, unreadable, not a regular file, or too large.
        """
        ...

    def is_file(self, path: str) -> bool:
        """Tell whether there is a regular file."""
        ...

    def is_folder(self, path: str) -> bool:
        """Tell whether there is a folder."""
        ...

    def files_under(self, folder: str) -> list[str]:
        """Return the paths of the files at any depth under a folder, sorted; none where there is no folder.

        A name that is not printable UTF-8 is left out: it could not be written into run.json as an input.
        """
        ...


@value_type
class WorkingTree:
    """The files as they lie on the disk."""

    root: Path

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file, links followed."""
        return read_regular_file(self.root / path)

    def is_file(self, path: str) -> bool:
        """Tell whether there is a regular file, links followed."""
        return (self.root / path).is_file()

    def is_folder(self, path: str) -> bool:
        """Tell whether there is a folder, links followed."""
        return (self.root / path).is_dir()

    def files_under(self, folder: str) -> list[str]:
        """Return the paths of the files at any depth under a folder, sorted."""
        found = [
            Path(place, name).relative_to(self.root).as_posix()
            for place, _, names in os.walk(self.root / folder)
            for name in names
            if Path(place, name).is_file()
        ]
        return sorted(path for path in found if path.isprintable())
