"""Anchors: copies of the head where a writer of the repository cannot silently change them, and what they prove.

See "Anchor" in docs/reference/specification.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canonical import is_sha256, parse_utc, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import ConfigError, NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import append_line, create_file, refuse_missing_folder
from registry_pipeline.files.read import expand_path, read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.git.repository import read_top_level
from registry_pipeline.git.tags import create_signed_tag, parse_annotated_tag, read_tags
from registry_pipeline.pointers.chain import ChainState, SealedRecord, check_anchor
from registry_pipeline.runs.reference import RunId
from registry_pipeline.signing.keys import find_allowed_signers, require_signer
from registry_pipeline.signing.ssh import FIRST_LINE, AllowedSigners
from registry_pipeline.signing.time_stamp import make_request, read_response
from registry_pipeline.values import value_type

TAG_PREFIX: Final = "registry-anchor/"
_FIELDS: Final = ("root_sha256", "record")
_REQUEST, _RESPONSE = ".tsq", ".tsr"
_MOST_BYTES: Final = 16 << 20
_TITLE: Final = "registry-pipeline anchor"
"""The first line of the message of a tag that is an anchor."""
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
    """Each anchor with the number of the record that it covers, from 1 on.

    The number is None if the anchor is invalid, or the chain has no such record.
    """

    # The kinds that the toml configures.
    kinds: tuple[Kind, ...]
    anchors: tuple[tuple[Anchor, int | None], ...]
    # Requests for time stamps without an answer.
    waiting: tuple[str, ...]
    # The length of the chain.
    records: int
    findings: tuple[Finding, ...]

    def covered(self, kind: Kind) -> int:
        """Return up to which record the anchors of a kind cover the chain."""
        return _find_covered(self.anchors, kind)

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


def write_anchors(
    repository: Repository, chain: ChainState, head: SealedRecord, moment: datetime, *, accept_voided: bool = False
) -> list[str]:
    """Write the head to each configured place that has it not yet; return these places.

    Raises:
        RefusedError: there is no key for a tag, a place is inside the repository, or an older tag or line contradicts
            the chain; with `accept_voided` the voided record of one does not.
        NotFoundError: a program or a folder is missing.
        WriteError: git or the disk refused.
    """
    writers = {"tag": _write_tag, "file": _append_line, "time_stamp": _write_request}
    kinds = list_kinds(repository)
    _refuse_contradicted_chain(repository, chain, kinds, accept_voided=accept_voided)
    written = [writers[kind](repository, head, moment) for kind in kinds]
    return [place for place in written if place is not None]


def _refuse_contradicted_chain(
    repository: Repository, chain: ChainState, kinds: Collection[Kind], *, accept_voided: bool
) -> None:
    """Raise RefusedError if a tag or a line names a record that is not in effect; a newer one would cover that up."""
    # Whether a tag is signed makes no difference: nothing is concluded from it but to look.
    anchors = _read_tags_and_lines(repository, kinds, None)
    superseded = _find_superseded(_number(anchors, chain), chain)
    accepted = {"ANCHOR_INVALID", "ANCHOR_VOIDED"} if accept_voided else {"ANCHOR_INVALID"}
    for found in (each for anchor in anchors for each in _check_anchor(anchor, chain, superseded)):
        if found.severity is Severity.ERROR and found.code not in accepted:
            raise RefusedError(
                f"{found.path}: {found.message}; no anchor was written",
                "run `registry-pipeline verify --chain --anchors`; if a record was rightly voided, add --accept-voided",
            )


def _write_tag(repository: Repository, head: SealedRecord, _moment: datetime) -> str | None:
    name = f"{TAG_PREFIX}{head.ref.run_id}"
    if any(known == name for known, _ in read_tags(repository.root, TAG_PREFIX)):
        return None
    signer = require_signer(repository)
    text = f"{_TITLE}\n\nroot_sha256 {head.root}\nrecord {head.ref.run_id}\n"
    create_signed_tag(repository.root, name, text, key=signer.key, program=signer.program)
    return name


def _append_line(repository: Repository, head: SealedRecord, moment: datetime) -> str | None:
    path = _find_file(repository)
    data = _read_file(path)
    if any(anchor.root_sha256 == head.root for anchor in _parse_lines(path, data)):
        return None
    line = f"{utc_text(moment)}  {head.root}  {head.ref.run_id}\n"
    append_line(path, (b"\n" if data and not data.endswith(b"\n") else b"") + line.encode())
    return str(path)


def _write_request(repository: Repository, head: SealedRecord, _moment: datetime) -> str | None:
    path = _find_time_stamps(repository) / f"{head.ref.run_id}{_REQUEST}"
    if path.exists() or path.with_suffix(_RESPONSE).exists():
        return None
    refuse_missing_folder(path)
    create_file(path, make_request(head.root))
    return str(path.relative_to(repository.root))


def _find_file(repository: Repository) -> Path:
    """Return the path of the file of anchors; RefusedError if it is in the repository or in the checkout around it."""
    path = expand_path(repository.config.anchors.file or "", repository.root).resolve()
    for folder in (repository.root, read_top_level(repository.root)):
        if folder is not None and path.is_relative_to(folder.resolve()):
            raise RefusedError(
                f"`anchors.file` is {path}, inside {folder}, where a writer of the chain can rewrite it, too",
                "name a file on another disk or another machine",
            )
    return path


def _find_time_stamps(repository: Repository) -> Path:
    return repository.path(repository.config.anchors.time_stamps or "")


# Reading and checking.


def check_anchors(
    repository: Repository, chain: ChainState, signers: Path | None = None, authorities: Path | None = None
) -> AnchorCheck:
    """Compare every anchor that is configured with the chain.

    `signers` is the file of allowed signers, `authorities` that of certificates, if another one is named than the toml
    names. A configured kind that covers no record is an error.

    Raises:
        ConfigError: no anchors are configured. NotFoundError: a program, the file of anchors or that of allowed
            signers, or the certificates are missing.
    """
    kinds = list_kinds(repository)
    allowed = find_allowed_signers(repository, signers) if "tag" in kinds else None
    anchors = _read_tags_and_lines(repository, kinds, allowed)
    if "time_stamp" in kinds:
        anchors += _read_time_stamps(repository, authorities)
    numbered = _number(anchors, chain)
    superseded = _find_superseded(numbered, chain)
    by_anchor = [(anchor, _check_anchor(anchor, chain, superseded)) for anchor in anchors]
    findings = [each for _, found in by_anchor for each in found]
    # Where no anchor of a kind has an error that says why the kind covers nothing.
    invalid = {anchor.kind for anchor, found in by_anchor if has_errors(found)}
    uncovered = [kind for kind in kinds if _find_covered(numbered, kind) == 0 and kind not in invalid]
    findings += [finding("ANCHOR_NONE", repository.config.pointers, kind=kind.replace("_", " ")) for kind in uncovered]
    waiting = _find_waiting(repository) if "time_stamp" in kinds else ()
    return AnchorCheck(kinds, numbered, waiting, len(chain.records), sorted_findings(findings))


def _check_anchor(anchor: Anchor, chain: ChainState, superseded: Collection[str]) -> tuple[Finding, ...]:
    if anchor.problem is not None or anchor.root_sha256 is None:
        return (finding("ANCHOR_INVALID", anchor.place, detail=anchor.problem or "it states no hash"),)
    if anchor.root_sha256 in superseded:
        return (finding("ANCHOR_SUPERSEDED", anchor.place, got=anchor.run_id),)
    return check_anchor(chain, anchor.root_sha256, anchor.place)


_Numbered = tuple[tuple[Anchor, int | None], ...]


def _number(anchors: Iterable[Anchor], chain: ChainState) -> _Numbered:
    """Return each anchor with the number of its record, from 1 on; None if it is invalid or the chain has none."""
    numbers = {record.root: number for number, record in enumerate(chain.records, start=1)}
    return tuple((anchor, None if anchor.problem else numbers.get(anchor.root_sha256 or "")) for anchor in anchors)


def _find_covered(numbered: _Numbered, *kinds: Kind) -> int:
    return max((number or 0 for anchor, number in numbered if anchor.kind in kinds), default=0)


def _find_superseded(numbered: _Numbered, chain: ChainState) -> frozenset[str]:
    """Return the roots of the voided records whose void is covered by a tag or a line of the file."""
    # Everybody can have a time stamp made. A tag has an allowed signer, and the file is out of reach.
    covered = chain.records[: _find_covered(numbered, "tag", "file")]
    voided = {run.manifest_sha256 for r in covered if r.record.action == "void" for run in r.record.runs}
    return frozenset(voided.difference(r.root for r in chain.records))


def _find_waiting(repository: Repository) -> tuple[str, ...]:
    """Return the requests for time stamps that have no answer."""
    requests = sorted(_find_time_stamps(repository).glob(f"*{_REQUEST}"))
    unanswered = (path for path in requests if not path.with_suffix(_RESPONSE).exists())
    return tuple(str(path.relative_to(repository.root)) for path in unanswered)


def _read_tags_and_lines(
    repository: Repository, kinds: Collection[Kind], allowed: AllowedSigners | None
) -> list[Anchor]:
    """Return the anchors of these kinds; without allowed signers no signature of a tag is checked."""
    anchors = list(_read_tags(repository, allowed)) if "tag" in kinds else []
    if "file" in kinds:
        path = _find_file(repository)
        anchors += _parse_lines(path, _read_file(path))
    return anchors


def _read_tags(repository: Repository, allowed: AllowedSigners | None) -> Iterator[Anchor]:
    """Yield each tag; without allowed signers its signature is not checked."""
    permitted = repository.config.signing.signers
    for name, content in read_tags(repository.root, TAG_PREFIX):
        # The last signature is the one of the tag, as for git: what is before it is signed, a block of a message, too.
        payload, separator, rest = content.rpartition(b"\n" + FIRST_LINE)
        payload += b"\n"
        tag = parse_annotated_tag(payload)
        title, *lines = [""] if tag is None else tag.message.split("\n")
        stated = [[line.removeprefix(f"{key} ") for line in lines if line.startswith(f"{key} ")] for key in _FIELDS]
        if not separator or tag is None or tag.name != name or title != _TITLE or [len(v) for v in stated] != [1, 1]:
            yield Anchor("tag", name, problem="it is no signed anchor")
            continue
        (root,), (run_id,) = stated
        if not is_sha256(root):
            yield Anchor("tag", name, problem="it states no hash")
            continue
        if allowed is None:
            yield Anchor("tag", name, run_id, root, utc_text(tag.moment))
            continue
        checked = allowed.check(payload, separator[1:] + rest, tag.moment, namespace="git")
        problem = None if checked.verdict == "good" else f"its signature is {checked.verdict}: {checked.shown}"
        if problem is None and permitted and checked.principal not in permitted:
            problem = f"it is signed by {checked.shown}, who is none of `signing.signers`"
        yield Anchor("tag", name, run_id, root, utc_text(tag.moment), checked.principal, problem)


def _read_file(path: Path) -> bytes:
    """Return the content of the file of anchors, b"" if there is none yet."""
    try:
        return read_regular_file(path, _MOST_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "check `anchors.file`") from None


def _parse_lines(path: Path, data: bytes) -> Iterator[Anchor]:
    for number, line in enumerate(data.decode("utf-8", "replace").removesuffix("\n").split("\n"), start=1):
        place, fields = f"{path}:{number}", line.split()
        if len(fields) == 3 and parse_utc(fields[0]) and is_sha256(fields[1]) and RunId.parse(fields[2]):
            yield Anchor("file", place, fields[2], fields[1], fields[0])
        elif data:
            yield Anchor("file", place, problem="the line is no anchor")


def _read_time_stamps(repository: Repository, named: Path | None) -> Iterator[Anchor]:
    folder, authorities = _find_time_stamps(repository), _read_authorities(repository, named)
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


def _read_authorities(repository: Repository, named: Path | None) -> bytes:
    stated = repository.config.anchors.authorities
    if named is None and stated is None:
        advice = "name their PEM file with --authorities, or in `anchors.authorities`"
        raise NotFoundError("no certificates say which time stamps count", advice)
    path = named or expand_path(stated or "", repository.root)
    try:
        return read_regular_file(path, _MOST_BYTES)
    except OSError as error:
        advice = "check the path and its permissions"
        raise NotFoundError(f"the certificates {path} cannot be read: {error.strerror}", advice) from None
