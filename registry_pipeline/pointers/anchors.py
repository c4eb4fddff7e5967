"""Anchors: copies of the head where a writer of the repository cannot silently change them, and what they prove.

See "Anchor" in docs/reference/specification.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canonical import is_sha256, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import ConfigError, NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import overwrite_file
from registry_pipeline.files.read import expand_path, read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.tags import create_signed_tag, read_tags
from registry_pipeline.pointers.chain import ChainState, SealedRecord, check_anchor
from registry_pipeline.signing.keys import find_allowed_signers, require_signer
from registry_pipeline.signing.ssh import FIRST_LINE, AllowedSigners
from registry_pipeline.signing.time_stamp import make_request, read_response
from registry_pipeline.values import value_type

TAG_PREFIX: Final = "registry-anchor/"
_REQUEST, _RESPONSE = ".tsq", ".tsr"
_MOST_BYTES: Final = 16 << 20
_LAST_SECOND: Final = 253402300799  # of the year 9999
Kind = Literal["tag", "file", "time_stamp"]


@value_type
class Anchor:
    """A copy of a head: where it is, what it says, and what vouches for it.

    `root_sha256` is None if it says nothing valid; then `problem` says why.
    """

    kind: Kind
    place: str
    run_id: str | None = None
    root_sha256: str | None = None
    # When it was made: as an authority of time stamps says, else as its author claims.
    created_utc: str | None = None
    # The signer, by the file of allowed signers.
    signer: str | None = None
    problem: str | None = None


@value_type
class AnchorCheck:
    """Each anchor with the number of its record in the chain, from 1 on; None if the record is not in it."""

    anchors: tuple[tuple[Anchor, int | None], ...]
    # The length of the chain.
    records: int
    findings: tuple[Finding, ...]

    def covered(self, kind: Kind) -> int:
        """Return up to which record the anchors of a kind cover the chain."""
        return max((number or 0 for anchor, number in self.anchors if anchor.kind == kind), default=0)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the anchors as `verify --json` lists them."""
        keys = ("kind", "place", "run_id", "root_sha256", "created_utc", "signer")
        return [{key: getattr(anchor, key) for key in keys} | {"record": number} for anchor, number in self.anchors]


def list_kinds(repository: Repository) -> tuple[Kind, ...]:
    """Return the kinds of anchors that the toml configures.

    Raises:
        ConfigError: there are none.
    """
    anchors = repository.config.anchors
    stated: dict[Kind, bool] = {
        "tag": anchors.tags,
        "file": anchors.file is not None,
        "time_stamp": anchors.time_stamps is not None,
    }
    kinds = tuple(kind for kind, is_stated in stated.items() if is_stated)
    if not kinds:
        raise ConfigError("[anchors] of registry-pipeline.toml names no place for anchors", "add one: see the how-to")
    return kinds


# Writing.


def write_anchors(repository: Repository, head: SealedRecord, moment: datetime) -> list[str]:
    """Write the head to each configured place that has it not yet; return these places.

    Raises:
        RefusedError: there is no key for a tag, or a place is inside the repository.
        NotFoundError: a program or a folder is missing.
        WriteError: git or the disk refused.
    """
    writers = {"tag": _write_tag, "file": _append_line, "time_stamp": _write_request}
    written = [writers[kind](repository, head, moment) for kind in list_kinds(repository)]
    return [place for place in written if place is not None]


def _write_tag(repository: Repository, head: SealedRecord, _moment: datetime) -> str | None:
    name = f"{TAG_PREFIX}{head.ref.run_id}"
    if any(known == name for known, _ in read_tags(repository.root, TAG_PREFIX)):
        return None
    signer = require_signer(repository)
    text = f"registry-pipeline anchor\n\nroot_sha256 {head.root}\nrecord {head.ref.run_id}\n"
    create_signed_tag(repository.root, name, text, key=signer.key, program=signer.program)
    return name


def _append_line(repository: Repository, head: SealedRecord, moment: datetime) -> str | None:
    path = _find_file(repository)
    try:
        data = read_regular_file(path, _MOST_BYTES)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "check `anchors.file`") from None
    if head.root.encode() in data:
        return None
    line = f"{utc_text(moment)}  {head.root}  {head.ref.run_id}\n"
    overwrite_file(path, data + (b"\n" if data and not data.endswith(b"\n") else b"") + line.encode())
    return str(path)


def _write_request(repository: Repository, head: SealedRecord, _moment: datetime) -> str | None:
    path = _find_time_stamps(repository) / f"{head.ref.run_id}{_REQUEST}"
    if path.exists() or path.with_suffix(_RESPONSE).exists():
        return None
    overwrite_file(path, make_request(head.root))
    return str(path.relative_to(repository.root))


def _find_file(repository: Repository) -> Path:
    """Return the path of the file of anchors; RefusedError if it is inside the repository."""
    path = expand_path(repository.config.anchors.file or "", repository.root).resolve()
    if path.is_relative_to(repository.root):
        raise RefusedError(
            f"`anchors.file` is {path}, inside the repository, where a writer of the chain can rewrite it, too",
            "name a file on another disk or another machine",
        )
    return path


def _find_time_stamps(repository: Repository) -> Path:
    return repository.path(repository.config.anchors.time_stamps or "")


# Reading and checking.


def check_anchors(repository: Repository, chain: ChainState, signers: Path | None = None) -> AnchorCheck:
    """Compare every anchor that is configured with the chain; `signers` is the file of allowed signers, if named.

    A configured kind without an anchor is an error that says that it could not be compared.

    Raises:
        ConfigError: no anchors are configured. NotFoundError: a program, the file of anchors or that of allowed
            signers, or the certificates are missing.
    """
    kinds = list_kinds(repository)
    anchors: list[Anchor] = []
    if "tag" in kinds:
        anchors += _read_tags(repository, find_allowed_signers(repository, signers))
    if "file" in kinds:
        anchors += _read_lines(repository)
    if "time_stamp" in kinds:
        anchors += _read_time_stamps(repository)
    numbers = {record.root: number for number, record in enumerate(chain.records, start=1)}
    findings = [*_make_findings(anchors, chain), *_find_missing(kinds, anchors, repository)]
    numbered = tuple((anchor, numbers.get(anchor.root_sha256 or "")) for anchor in anchors)
    return AnchorCheck(numbered, len(chain.records), sorted_findings(findings))


def _make_findings(anchors: Iterable[Anchor], chain: ChainState) -> Iterator[Finding]:
    for anchor in anchors:
        if anchor.problem is not None:
            yield finding("ANCHOR_INVALID", anchor.place, detail=anchor.problem)
        elif anchor.root_sha256 is not None:
            yield from check_anchor(chain, anchor.root_sha256, anchor.place)


def _find_missing(kinds: Iterable[Kind], anchors: Iterable[Anchor], repository: Repository) -> Iterator[Finding]:
    found = {anchor.kind for anchor in anchors}
    for kind in kinds:
        if kind not in found:
            yield finding("ANCHOR_NONE", repository.config.pointers, kind=kind.replace("_", " "))


def _read_tags(repository: Repository, allowed: AllowedSigners) -> Iterator[Anchor]:
    for name, content in read_tags(repository.root, TAG_PREFIX):
        payload, separator, rest = content.partition(FIRST_LINE)
        fields = dict(line.split(" ", 1) for line in payload.decode("utf-8", "replace").splitlines() if " " in line)
        root, run_id, moment = fields.get("root_sha256", ""), fields.get("record"), _parse_tagger(fields.get("tagger"))
        if not is_sha256(root) or not separator or moment is None:
            yield Anchor("tag", name, problem="it is no signed anchor")
            continue
        checked = allowed.check(payload, separator + rest, moment, namespace="git")
        problem = None if checked.verdict == "good" else f"its signature is {checked.verdict}: {checked.shown}"
        yield Anchor("tag", name, run_id, root, utc_text(moment), checked.principal, problem)


def _parse_tagger(text: str | None) -> datetime | None:
    """Return the time in a line such as `Ada <ada@example.org> 1772366400 +0000`."""
    words = (text or "").split()
    if len(words) < 2 or not words[-2].isdecimal() or len(words[-2]) > 12:
        return None
    return datetime.fromtimestamp(min(int(words[-2]), _LAST_SECOND), UTC)


def _read_lines(repository: Repository) -> Iterator[Anchor]:
    path = _find_file(repository)
    try:
        text = read_regular_file(path, _MOST_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "check `anchors.file`") from None
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        place = f"{path}:{number}"
        if len(fields) != 3 or not is_sha256(fields[1]):
            yield Anchor("file", place, problem="the line is no anchor")
        else:
            yield Anchor("file", place, fields[2], fields[1], fields[0])


def _read_time_stamps(repository: Repository) -> Iterator[Anchor]:
    folder, authorities = _find_time_stamps(repository), _read_authorities(repository)
    for path in sorted(folder.glob(f"*{_RESPONSE}")):
        place = str(path.relative_to(repository.root))
        try:
            stamp = read_response(read_regular_file(path, _MOST_BYTES), authorities)
        except OSError as error:
            stamp = f"it cannot be read: {error.strerror}"
        if isinstance(stamp, str):
            yield Anchor("time_stamp", place, path.stem, problem=stamp)
        else:
            yield Anchor("time_stamp", place, path.stem, stamp.sha256, utc_text(stamp.moment))


def _read_authorities(repository: Repository) -> bytes:
    stated = repository.config.anchors.authorities
    if stated is None:
        advice = "name their PEM file in `anchors.authorities`"
        raise NotFoundError("no certificates say which time stamps count", advice)
    path = repository.path(stated)
    try:
        return read_regular_file(path, _MOST_BYTES)
    except OSError as error:
        advice = "check `anchors.authorities`"
        raise NotFoundError(f"the certificates {path} cannot be read: {error.strerror}", advice) from None
