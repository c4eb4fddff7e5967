"""Reads role packs from the working tree and from git's index, the waivers, and the inputs of a build."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import parse_strict_json, sha256_hex
from registry_pipeline.capture_table import ROLE_ARTIFACT, ROLE_REGISTRY, WAIVERS_PATH, is_reserved_name
from registry_pipeline.config import Repository, Roles
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.read import MAX_BYTES, read_regular_file
from registry_pipeline.findings.codes import CODES, finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.git.process import ask_git
from registry_pipeline.registries.base.reader import BuildInputs, DeferredCall, SourceContext
from registry_pipeline.registries.roles.check import (
    RoleRegistryInputs,
    find_pack_violations,
    make_not_checked,
    make_registry_document,
)
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.report import (
    PublishedPack,
    RoleRegistryViolation,
    as_warning,
    make_violation,
    sort_violations,
)
from registry_pipeline.registries.roles.retired import NO_RETIRED_IDS, RetiredIds, collect_retired_ids
from registry_pipeline.runs.envelope import COMPARISON, InputFile
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import replace, value_type

LINK: Final = b"120000"
REGULAR: Final = (b"100644", b"100755")
# Deferred, because `comparison` imports this module.
_check_capture = DeferredCall("registry_pipeline.registries.roles.comparison.check_capture")


def read_pack_file(path: Path, label: str, top: Path | None = None) -> bytes:
    """Return the bytes of a pack file; `label` is its name in messages. Below `top` no parent folder may be a link.

    Raises:
        NotFoundError: it is missing, a link or no regular file, is too large, or cannot be read.
    """
    try:
        _refuse_links(path, label, top)
        return read_regular_file(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "the file does not exist" if missing else error.strerror or "unknown reason"
        raise NotFoundError(f"{label} cannot be read: {reason}", "set `pack` of [roles] to the path") from None


def _refuse_links(path: Path, label: str, top: Path | None) -> None:
    # Git's history of a link is not the history of the pack.
    parents = [] if top is None else [parent for parent in path.parents if parent.is_relative_to(top) and parent != top]
    for link in (path, *parents):
        if stat.S_ISLNK(os.lstat(link).st_mode):
            reason = "is a link" if link == path else f"is behind the link {link.name}"
            raise NotFoundError(f"{label} {reason}", "replace the link by the file, so that git has its history")


def read_staged_pack(root: Path, path: str, index_file: str | None = None) -> bytes:
    """Return the bytes of the pack in git's index, which the next commit will contain.

    `index_file` is the index that git names to a hook; for `git commit -a` it is not the usual one. Raises as
    `read_pack_file`.
    """
    index = _find_own_index(root, index_file)
    output = ask_git(root, "ls-files", "--stage", "-z", "--", f":(literal){path}", index_file=index)
    if output is None:
        raise NotFoundError("there is no git repository, so nothing is staged", "run the command without --staged")
    entries = [entry.partition(b"\t") for entry in output.split(b"\0") if entry]
    if not entries:
        raise NotFoundError(f"{path} is not in the index", f"`git add {path}`, or set `pack` of [roles] to the path")
    mode, object_id, stage = entries[0][0].split(b" ")
    if len(entries) > 1 or stage != b"0":
        raise NotFoundError(f"{path} is in conflict in the index", "resolve the merge conflict, then `git add` it")
    if mode not in REGULAR:
        kind = "a link" if mode == LINK else "not a file"
        raise NotFoundError(f"the staged {path} is {kind}", "stage the file itself")
    data = ask_git(root, "cat-file", "blob", object_id.decode("ascii")) or b""
    if len(data) > MAX_BYTES:
        raise NotFoundError(f"{path} is larger than {MAX_BYTES >> 20} MiB", "a pack is a text for people to review")
    return data


def _find_own_index(root: Path, index_file: str | None) -> str | None:
    """Return the index file of a hook if it belongs to this checkout, else None."""
    output = ask_git(root, "rev-parse", "--absolute-git-dir") if index_file else None
    if not index_file or output is None:
        return None
    # A hook of another repository may have left its index in the environment.
    git_folder = Path(os.fsdecode(output.removesuffix(b"\n"))).resolve()
    path = Path(index_file).resolve()
    return os.fspath(path) if path.is_relative_to(git_folder) and path.is_file() else None


def read_waivers_file(repository: Repository) -> bytes | None:
    """Return the bytes of the repository's waivers, or None if it has none; raises as `read_pack_file`."""
    try:
        return read_regular_file(repository.path(WAIVERS_PATH))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"{WAIVERS_PATH} cannot be read: {error.strerror or 'unknown reason'}"
        raise NotFoundError(message, "make it readable; until then no waiver is applied") from None


def read_role_registry_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Return the role pack under its own name, with the check of it, and the pack and the waivers as input files.

    Nothing is captured if the pack cannot be read (CAPTURE_MISSING) or has no array `roles` (CAPTURE_MALFORMED).
    """
    path = repository.config.roles.pack
    try:
        data = read_pack_file(repository.path(path), path, repository.root)
    except NotFoundError as error:
        return BuildInputs(None, (), (_make_missing_finding(repository, context, error),))
    files = [InputFile(path, sha256_hex(data))]
    check, retired = None, NO_RETIRED_IDS
    if context.started is not None:
        # `status` names no commit: it builds nothing, and the history of a pack may be long.
        previous, is_build = context.previous.get(ROLE_REGISTRY), context.commit is not None
        check, retired = _check_capture(repository, context.started, data, path, previous, read_history=is_build)
    errors = () if check is None else check.unusable
    if errors:
        first = errors[0]
        location = f"{first.location}: " if first.location else ""
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        detail = f"{location}{first.code} {first.message}{more}"
        return BuildInputs(None, tuple(files), (finding("CAPTURE_MALFORMED", path, detail=detail),))
    inputs = RoleRegistryInputs({path.rpartition("/")[2]: data}, retired)
    try:
        waivers = read_waivers_file(repository)
    except NotFoundError:
        waivers = None  # the check reports it
    if waivers is not None:
        files.append(InputFile(WAIVERS_PATH, sha256_hex(waivers)))
    return BuildInputs(inputs, tuple(files), check=check)


def _make_missing_finding(repository: Repository, context: SourceContext, error: NotFoundError) -> Finding:
    # A repository without roles gets no warning: the default path was never used.
    path = repository.config.roles.pack
    never_existed = not os.path.lexists(repository.path(path)) and ROLE_REGISTRY not in context.previous
    is_default = path == Roles().pack
    severity = Severity.INFO if never_existed and is_default else None
    return finding("CAPTURE_MISSING", path, severity=severity, detail=error.message, key="`pack` of [roles]")


_UNRECORDED = (
    "its run.json does not record what the pack was compared with; "
    "`registry-pipeline build role_registry --force` seals a run that does"
)


@value_type
class SealedCheck:
    """The check of a sealed pack; `pack` is None if the folder contains none."""

    pack: ParsedPack | None
    violations: tuple[RoleRegistryViolation, ...]
    waived: tuple[RoleRegistryViolation, ...] = ()
    # False for a run of a version that kept no record
    recorded: bool = True


def find_sealed_pack(files: Mapping[str, bytes]) -> tuple[str, bytes] | None:
    """Return the name and bytes of the pack, the first file that is not a reserved one; None if there is none."""
    names = sorted(name for name in files if name != ROLE_ARTIFACT and not is_reserved_name(name))
    return (names[0], files[names[0]]) if names else None


def make_comparison_record(
    pack: ParsedPack,
    baselines: Iterable[PublishedPack],
    violations: Sequence[RoleRegistryViolation],
    waived: Iterable[RoleRegistryViolation],
    history: str | None = None,
) -> dict[str, Any]:
    """Return the object `comparison` of run.json; the pack's own violations are in it only if tolerated or waived.

    `history` is the commit through which the history of the pack was read for retired ids.
    """
    own = {violation.fingerprint for violation in find_pack_violations(pack)}
    return {
        "pack": pack.path,
        "baselines": [
            {"source": baseline.source, "commit": baseline.commit, "sha256": baseline.pack.sha256}
            for baseline in baselines
        ],
        "tolerated": sorted(v.fingerprint for v in violations if v.fingerprint in own and _is_tolerated(v.finding)),
        "violations": [v.to_json() for v in violations if v.fingerprint not in own],
        "waived": [v.to_json() for v in waived],
        "history": history,
    }


def _is_tolerated(result: Finding) -> bool:
    return result.severity is Severity.WARNING and CODES[result.code].severity is Severity.ERROR


def check_sealed_run(report: SealReport) -> tuple[Finding, ...]:
    """Return the errors and warnings of a sealed role registry, derived from the files of its folder alone."""
    findings = (violation.finding for violation in read_sealed_check(report).violations)
    # A first publish (RR031) matters on the day of the build, which reports it.
    return tuple(result for result in findings if result.severity is not Severity.INFO)


def read_sealed_check(report: SealReport) -> SealedCheck:
    """Return the check of a sealed pack, derived from the files of its folder alone.

    A folder without a pack is RR030. Without a recorded comparison the only violations are RR036 and RR030 (a warning).
    """
    file = find_sealed_pack(report.kept)
    if file is None:
        return SealedCheck(None, (make_not_checked(report.path, "the run folder contains no role pack"),))
    pack = parse_pack(file[1], f"{report.path}/{file[0]}")
    document = _check_document(report, pack)
    record = (report.run_json or {}).get(COMPARISON)
    if not isinstance(record, dict):
        unrecorded = make_not_checked(pack.path, _UNRECORDED)
        return SealedCheck(pack, (*document, as_warning(unrecorded)), recorded=False)
    waived = _read_recorded_violations(record, "waived", pack.path)
    waived_fingerprints = {violation.fingerprint for violation in waived}
    tolerated = record.get("tolerated")
    tolerated = {text for text in tolerated if isinstance(text, str)} if isinstance(tolerated, list) else set()
    own = [
        as_warning(violation) if violation.fingerprint in tolerated else violation
        for violation in find_pack_violations(pack)
        if violation.fingerprint not in waived_fingerprints
    ]
    violations = sort_violations(own, _read_recorded_violations(record, "violations", pack.path), document)
    return SealedCheck(pack, violations, waived)


def _check_document(report: SealReport, pack: ParsedPack) -> tuple[RoleRegistryViolation, ...]:
    """Return RR036 if ROLE_REGISTRY_v0_1.json differs from what the pack beside it declares.

    Its retired ids are known from what was published before; none of them is declared.
    """
    if pack.snapshot is None:
        return ()
    try:
        document = parse_strict_json(report.kept[ROLE_ARTIFACT])
        retired = RetiredIds.from_json(document)
    except (KeyError, ValueError):
        document, retired = None, NO_RETIRED_IDS
    same = document == make_registry_document(pack, retired)
    if same and retired == collect_retired_ids(pack.snapshot, (), retired):
        return ()
    return (make_violation("RR036", pack.path),)


def _read_recorded_violations(record: Mapping[str, Any], key: str, path: str) -> tuple[RoleRegistryViolation, ...]:
    """Return the violations that run.json records under a key of its comparison.

    Those of the pack get `path`, the path of its sealed copy. Malformed items are skipped: the schema of run.json
    reports them.
    """
    rows = record.get(key)
    violations: list[RoleRegistryViolation] = []
    for row in rows if isinstance(rows, Sequence) and not isinstance(rows, str) else ():
        try:
            violation = RoleRegistryViolation.from_json(row)
        except ValueError:
            continue  # the schema of run.json reports it
        if violation.finding.path == record.get("pack"):
            violation = replace(violation, finding=replace(violation.finding, path=path))
        violations.append(violation)
    return tuple(violations)
