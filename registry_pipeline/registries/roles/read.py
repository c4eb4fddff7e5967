"""Role packs as they lie on the disk and in the index, and the capture of the pack in force (SPEC 3 and 9).

What git published is the business of `published_packs`. A pack is a regular file that no link leads to: behind a link
stands a text that the history of the pack does not hold.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.capture_table import ROLE_REGISTRY, WAIVERS_PATH
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.read import MAX_BYTES, read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.git.process import ask_git
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext
from registry_pipeline.registries.base.values import CapturedInputs
from registry_pipeline.runs.envelope import InputFile

LINK: Final = b"120000"
REGULAR: Final = (b"100644", b"100755")


def read_pack_file(place: Path, shown: str, top: Path | None = None) -> bytes:
    """Return the bytes of a pack; below `top` no folder on the way to it may be a link either.

    Raises:
        NotFoundError: it is missing, a link or behind one, no regular file, unreadable, or too large.
    """
    try:
        _refuse_links(place, shown, top)
        return read_regular_file(place)
    except OSError as error:
        reason = (
            "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or "no reason given"
        )
        raise NotFoundError(f"{shown} cannot be read: {reason}", "name the pack by `pack` of [roles]") from None


def _refuse_links(place: Path, shown: str, top: Path | None) -> None:
    inner = [] if top is None else [parent for parent in place.parents if parent.is_relative_to(top) and parent != top]
    for each in (place, *inner):
        if stat.S_ISLNK(os.lstat(each).st_mode):
            where = "is a link" if each == place else f"lies behind the link {each.name}"
            raise NotFoundError(f"{shown} {where}", "put the file itself there, so that its history is the pack's")


def read_staged_pack(root: Path, path: str, index_file: str | None = None) -> bytes:
    """Return the pack as it stands in the index: what the next commit will hold.

    `index_file` is the index that git names to a hook, which for `git commit -a` is not the checkout's own.

    Raises:
        NotFoundError: it is not in the index, in conflict, a link, or too large; or there is no git repository.
    """
    index = _own_index(root, index_file)
    answer = ask_git(root, "ls-files", "--stage", "-z", "--", f":(literal){path}", index_file=index)
    if answer is None:
        raise NotFoundError("there is no git repository here, so nothing is staged", "leave --staged out")
    entries = [entry.partition(b"\t") for entry in answer.split(b"\0") if entry]
    if not entries:
        raise NotFoundError(f"{path} is not in the index", f"`git add {path}`, or name the pack by `pack` of [roles]")
    mode, object_id, stage = entries[0][0].split(b" ")
    if len(entries) > 1 or stage != b"0":
        raise NotFoundError(f"{path} is in conflict in the index", "settle the merge, then `git add` it")
    if mode not in REGULAR:
        raise NotFoundError(f"{path} is staged as {'a link' if mode == LINK else 'no file'}", "stage the file itself")
    data = ask_git(root, "cat-file", "blob", object_id.decode("ascii")) or b""
    if len(data) > MAX_BYTES:
        raise NotFoundError(f"{path} is larger than {MAX_BYTES >> 20} MiB", "a pack is text that people review")
    return data


def _own_index(root: Path, named: str | None) -> str | None:
    """Return the index that a hook was told of, where it belongs to this checkout and not to another."""
    answer = ask_git(root, "rev-parse", "--absolute-git-dir") if named else None
    if not named or answer is None:
        return None
    folder = Path(os.fsdecode(answer.removesuffix(b"\n"))).resolve()
    place = Path(named).resolve()
    return os.fspath(place) if place.is_relative_to(folder) and place.is_file() else None


def read_waivers_file(repository: Repository) -> bytes | None:
    """Return the bytes of the repository's waivers, None where it has none.

    Raises:
        NotFoundError: the file is there and cannot be read.
    """
    try:
        return read_regular_file(repository.path(WAIVERS_PATH))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"{WAIVERS_PATH} cannot be read: {error.strerror or 'no reason given'}"
        raise NotFoundError(message, "mend it; without it no waiver holds") from None


def read_role_registry_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the role pack under its own name; one of which no role can be read stays on the active snapshot."""
    path = repository.config.roles.pack
    try:
        data = read_pack_file(repository.path(path), path, repository.root)
    except NotFoundError as error:
        return BuildInputs(None, (), (_missing(repository, context, error),))
    files = (InputFile(path, sha256_hex(data)),)
    check_source = context.checks.get(ROLE_REGISTRY)
    check = None if check_source is None else check_source(data, path, context.previous.get(ROLE_REGISTRY))
    problems = () if check is None else check.unusable
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        place = f"{problems[0].location}: " if problems[0].location else ""
        detail = f"{place}{problems[0].code} {problems[0].message}{more}"
        return BuildInputs(None, files, (finding("CAPTURE_MALFORMED", path, detail=detail),))
    inputs = CapturedInputs({path.rpartition("/")[2]: data})
    return BuildInputs(inputs, (*files, *_waivers_read(repository)), check=check)


def _missing(repository: Repository, context: SourceContext, error: NotFoundError) -> Finding:
    """Return what is told of a pack that cannot be read; one that nobody named and that never was is no warning."""
    path = repository.config.roles.pack
    never = not os.path.lexists(repository.path(path)) and ROLE_REGISTRY not in context.previous
    is_default = path == type(repository.config.roles)().pack
    severity = Severity.INFO if never and is_default else None
    return finding("CAPTURE_MISSING", path, severity=severity, detail=error.message, key="`pack` of [roles]")


def _waivers_read(repository: Repository) -> tuple[InputFile, ...]:
    try:
        data = read_waivers_file(repository)
    except NotFoundError:
        return ()
    return () if data is None else (InputFile(WAIVERS_PATH, sha256_hex(data)),)
