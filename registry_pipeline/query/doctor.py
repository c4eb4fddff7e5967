"""What `doctor` tells: conditions around the evidence that no verdict is about, and what was mended (SPEC 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from registry_pipeline.config import CONFIG_NAME, Governed
from registry_pipeline.errors import NotFoundError
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding, sorted_findings
from registry_pipeline.model.layer import layer_ignores
from registry_pipeline.seal.staging import stale_stagings
from registry_pipeline.sources.git import read_ignored, read_text_attributes
from registry_pipeline.sources.history import read_default_branch
from registry_pipeline.values import value_type

UNREADABLE: Final = "CONFIG_GIT_UNREADABLE"
_KEEPS_LINE_ENDS: Final = "unset"


@value_type
class Mended:
    """One thing that `doctor --fix` did: the code of what it mended, where, and what it did."""

    code: str
    path: str
    done: str

    def to_json(self) -> dict[str, str]:
        """Return one entry of `mended`."""
        return {"code": self.code, "path": self.path, "done": self.done}


@value_type
class DoctorDocument:
    """What was mended, what was refused and why, and every finding that holds now."""

    mended: tuple[Mended, ...]
    refused: tuple[Finding, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `doctor --json`."""
        return {
            "mended": [each.to_json() for each in self.mended],
            "refused": [each.to_json() for each in self.refused],
            "findings": [each.to_json() for each in self.findings],
        }


def examine(governed: Governed, leftovers: Mapping[str, Path]) -> tuple[Finding, ...]:
    """Return the findings on staging and what git is asked, and one for each of `leftovers` (code to file) there is."""
    told: list[Finding] = [
        finding("DOCTOR_STAGING_LEFTOVER", _shown(governed, left.path))
        for left in stale_stagings(governed.staging_root)
    ]
    told += [finding(code, _shown(governed, path)) for code, path in leftovers.items() if path.is_file()]
    try:
        told += [*_line_ends(governed), *_not_ignored(governed), *_without_days(governed)]
    except NotFoundError as error:
        told.append(finding(UNREADABLE, ".git", detail=error.message))
    return sorted_findings(told)


def _line_ends(governed: Governed) -> Iterator[Finding]:
    """Yield what git may convert: a sealed file, wherever it will lie, and the pointer file."""
    config = governed.config
    sealed = f"{config.publish_root}/RUN/manifest.json"
    attributes = read_text_attributes(governed.root, (sealed, config.pointers)) or {}
    for path, shown in ((sealed, config.publish_root), (config.pointers, config.pointers)):
        if attributes.get(path, _KEEPS_LINE_ENDS) != _KEEPS_LINE_ENDS:
            yield finding("DOCTOR_LINE_ENDS", shown, detail=attributes[path])


def _not_ignored(governed: Governed) -> Iterable[Finding]:
    config = governed.config
    lines = layer_ignores(config.publish_root, config.pointers, track_runs=True)
    # Git refuses a path beyond a link, which is a finding of its own.
    state = [path for line in lines if not _is_beyond_link(governed.root, path := line.strip("/"))]
    ignored = read_ignored(governed.root, state)
    return [] if ignored is None else [finding("DOCTOR_NOT_IGNORED", path) for path in state if path not in ignored]


def _is_beyond_link(root: Path, path: str) -> bool:
    return any((root / folder).is_symlink() for folder in PurePosixPath(path).parents)


def _without_days(governed: Governed) -> Iterator[Finding]:
    """Yield that a repository with commits does not say when its history begins."""
    if governed.config.history_start is None and read_default_branch(governed.root) is not None:
        yield finding("CONFIG_HISTORY_START", CONFIG_NAME)


def _shown(governed: Governed, path: Path) -> str:
    return path.relative_to(governed.root).as_posix()
