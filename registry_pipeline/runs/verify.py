"""Judges a sealed folder from its bytes (SPEC 2.2), as if nobody had ever judged it before.

The verifier is kept apart from the writer on purpose: a mistake of the writer must not be repeated by its judge. The
two share the hash function and the path policy, and nothing that was remembered (no mode, time or cached verdict).

The steps, in the order of the table of SPEC 2.2:

1. The folder is a real directory and can be listed.
2. Which of the two seal files stand in it: with neither it is `unsealed`, which is told and nothing else; with one it
   is `partial`, and what can be judged still is. A mere list of hashes is judged by `hash_list`.
3. manifest.json: strict JSON, shape, order, canonical text, and the path policy for every entry.
4. The tree: every file once, by descriptors, compared with its entry; size first, then the hash; stat before and after.
5. run.json: what the seal asks of it, from the bytes that step 4 hashed.
6. What the manifest lists and the tree lacks.
7. MANIFEST.sha256: text, lines, agreement with manifest.json both ways, order.
8. ROOT_SHA256 is recomputed.

Nothing stops at the first finding. Left to the caller: the envelope and schema of a registry run (`validate`), the
inputs that run.json names, and whether a warning or an unsealed folder should count as a failure.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.collector import FindingCollector, encodable
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity, has_errors
from registry_pipeline.runs.check_hash_file import check_hash_file
from registry_pipeline.runs.check_manifest import ManifestResult, check_manifest, check_run_json
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.sealed_run import RunVerdict, SealReport
from registry_pipeline.runs.sha256sum_file import check_sha256sum_file
from registry_pipeline.runs.tree import Tree, check_line_ends, kind_of, open_directory, read_names

if TYPE_CHECKING:
    from concurrent.futures import Future


def verify_folder(
    path: Path | str,
    *,
    shown: str | None = None,
    expect_run_id: str | None = None,
    keep: Collection[str] = (),
) -> SealReport:
    """Verify one folder and return everything that is wrong with it; bad evidence never raises.

    `shown` is how findings name the folder (default: `path`). `expect_run_id` is the name that the folder will have
    (default: the name that it has). `keep` are relpaths whose bytes the caller wants: exactly those that were hashed.
    """
    # With a slash at its end a link would be followed.
    text = os.fspath(path).rstrip("/") or "/"
    told = FindingCollector(text if shown is None else shown)
    name = os.path.basename(os.path.abspath(text)) if expect_run_id is None else expect_run_id  # noqa: PTH100, PTH119 -- pathlib leaves `..` as it is
    try:
        folder = open_directory(text)
    except (OSError, ValueError) as error:
        _tell_unopened(text, error, told)
        return _report(told, name, "fail")
    try:
        return _verify_open(folder, name, keep, told)
    except OSError as error:
        told.tell("UNREADABLE", detail=error.strerror)
        return _report(told, name, "fail")
    finally:
        os.close(folder)


def _tell_unopened(path: str, error: Exception, told: FindingCollector) -> None:
    kind = kind_of(path)
    if isinstance(error, OSError) and kind == "a directory":
        told.tell("UNREADABLE", detail=error.strerror)
    else:
        told.tell("FOLDER_NOT_DIRECTORY", expected="a directory", got=kind)


def _report(told: FindingCollector, name: str, verdict: RunVerdict) -> SealReport:
    return SealReport(told.shown, encodable(name), verdict, None, (), None, told.findings())


def _verify_open(folder: int, name: str, keep: Collection[str], told: FindingCollector) -> SealReport:
    # Step 1, second half
    entries = read_names(folder)
    # Step 2
    top = {entry.name: entry for entry in entries}
    sealed = [seal_file for seal_file in SEAL_FILES if seal_file in top]
    if not sealed:
        told.tell("UNSEALED")
        return _report(told, name, "unsealed")
    of_list = check_sha256sum_file(folder, entries, told.shown) if sealed == ["MANIFEST.sha256"] else None
    if of_list is not None:
        found: RunVerdict = "fail" if has_errors(of_list) else "partial"
        return SealReport(told.shown, encodable(name), found, None, (), None, of_list)
    if len(sealed) < len(SEAL_FILES):
        told.tell("PARTIAL", expected=" and ".join(SEAL_FILES), got=f"only {sealed[0]}")
    # Step 3
    tree = Tree(told, keep)
    manifest_json = _read_seal_file(folder, "manifest.json", "MANIFEST_JSON", top, tree, told)
    manifest = None if manifest_json is None else check_manifest(manifest_json, told)
    # Step 4
    tree.expect(manifest)
    tree.walk(folder, entries)
    # Step 5
    run_json = _judge_run_json(tree.kept.get("run.json"), name, top, manifest, told)
    # Step 6
    if manifest is not None:
        unvisited = tuple(tree.unvisited)
        for relpath in manifest.listed - tree.seen:
            if not relpath.startswith(unvisited):
                told.tell("FILE_MISSING", relpath)
    # Steps 7 and 8
    root = _judge_hash_file(folder, top, tree, manifest_json, manifest, told)
    findings = told.findings()
    verdict: RunVerdict = "fail" if has_errors(findings) else "pass"
    return SealReport(
        path=told.shown,
        run_id=encodable(name),
        verdict=verdict if len(sealed) == len(SEAL_FILES) else "partial",
        root_sha256=root,
        entries=() if manifest is None else tuple(manifest.entries.values()),
        run_json=run_json,
        findings=findings,
        kept={relpath: data for relpath, data in tree.kept.items() if relpath in keep},
    )


def _read_seal_file(
    folder: int, name: str, family: str, top: Mapping[str, os.DirEntry[str]], tree: Tree, told: FindingCollector
) -> bytes | None:
    if name not in top:
        told.tell(f"{family}_MISSING", name)
        return None
    if not top[name].is_file(follow_symlinks=False):
        told.tell(f"{family}_NOT_REGULAR", name, expected="a regular file", got=kind_of(name, folder))
        return None
    return tree.read_document(folder, name, family)


def _judge_run_json(
    data: bytes | None,
    name: str,
    top: Mapping[str, os.DirEntry[str]],
    manifest: ManifestResult | None,
    told: FindingCollector,
) -> Mapping[str, Any] | None:
    if manifest is not None and "run.json" not in manifest.listed:
        told.tell("RUN_JSON_NOT_SEALED", "run.json")
    if "run.json" not in top:
        told.tell("RUN_JSON_MISSING", "run.json")
    elif not top["run.json"].is_file(follow_symlinks=False):
        told.tell("RUN_JSON_NOT_REGULAR", "run.json", expected="a regular file")
    return None if data is None else check_run_json(data, name, told)


def _judge_hash_file(
    folder: int,
    top: Mapping[str, os.DirEntry[str]],
    tree: Tree,
    manifest_json: bytes | None,
    manifest: ManifestResult | None,
    told: FindingCollector,
) -> str | None:
    data = _read_seal_file(folder, "MANIFEST.sha256", "MANIFEST_SHA256", top, tree, told)
    if data is None:
        return None
    judged = check_hash_file(data, manifest, None if manifest_json is None else sha256_hex(manifest_json), told)
    if manifest_json is not None and judged.manifest_sha256 is not None:
        check_line_ends(manifest_json, judged.manifest_sha256, "manifest.json", told)
    return judged.root_sha256


def verify_folders(
    paths: Sequence[tuple[Path | str, str]],
    *,
    jobs: int = 1,
    keep: Collection[str] | Callable[[str], Collection[str]] = (),
    on_done: Callable[[int], None] | None = None,
) -> Generator[SealReport, None, None]:
    """Verify many folders, given with the name that findings show, and yield the reports in the order of `paths`.

    With `jobs` above 1 so many processes share the work (threads would wait for one another: most of the time of a
    small folder is spent in the interpreter); the reports are the same. `keep` may be a function of the shown name.
    `on_done` is called with the number of folders done so far, after each.
    """
    work = ((os.fspath(path), shown, keep(shown) if callable(keep) else keep) for path, shown in paths)
    if jobs > 1 and len(paths) > 1:
        reports = _in_processes(work, jobs, min(_CHUNK_OF_FOLDERS, -(-len(paths) // jobs)))
    else:
        reports = (_verify_one(one) for one in work)
    for done, report in enumerate(reports, 1):
        if on_done is not None:
            on_done(done)
        yield report


_CHUNK_OF_FOLDERS: Final = 64
_Work = tuple[str, str, Collection[str]]


def _verify_one(work: _Work) -> SealReport:
    path, shown, keep = work
    return verify_folder(path, shown=shown, keep=keep)


def _verify_chunk(chunk: Sequence[_Work]) -> list[tuple[Any, ...]]:
    return [_packed(_verify_one(work)) for work in chunk]


def _packed(report: SealReport) -> tuple[Any, ...]:
    """Flatten a report for another process: pickled as an object each entry would cost twice as much."""
    entries = [(entry.relpath, entry.bytes, entry.sha256) for entry in report.entries]
    return (
        (report.path, report.run_id, report.verdict, report.root_sha256),
        entries,
        (report.run_json, report.findings, report.kept),
    )


def _unpacked(packed: tuple[Any, ...]) -> SealReport:
    (path, run_id, verdict, root), entries, (run_json, findings, kept) = packed
    whole = tuple([ManifestEntry(*entry) for entry in entries])
    return SealReport(path, run_id, verdict, root, whole, run_json, findings, kept)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and its objects alone: to collect among them would copy every page of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()


def _in_processes(work: Iterator[_Work], jobs: int, size: int) -> Iterator[SealReport]:
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - few folders are verified in this process
    from multiprocessing import get_context  # noqa: PLC0415

    # A fork of a process with threads may inherit a lock that nobody will ever release.
    context = get_context("fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn")
    pool = ProcessPoolExecutor(jobs, context, _begin)
    waiting: deque[Future[list[tuple[Any, ...]]]] = deque()
    try:
        while chunk := list(islice(work, size)):
            waiting.append(pool.submit(_verify_chunk, chunk))
            # So many chunks ahead keep every process busy, and no more reports than these wait in memory.
            if len(waiting) > 2 * jobs:
                yield from map(_unpacked, waiting.popleft().result())
        while waiting:
            yield from map(_unpacked, waiting.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)


def _line(finding: Finding) -> str:
    word = CODES[finding.code].prefix if finding.severity is Severity.ERROR else finding.severity.value.upper()
    compared = "".join(
        f" {word} {value}" for word, value in (("expected", finding.expected), ("got", finding.got)) if value
    )
    text = f"{word}: {finding.code} {finding.path}: {finding.message}{compared} ({finding.clause}) -> {finding.hint}"
    return printable(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the folders named on the command line; return the exit code of SPEC 6: 0, 2 (usage), 3 or 7.

    7 is for a folder that is not there or of which nothing is known but that it could not be read.
    """
    import argparse  # noqa: PLC0415 - this program only, not the commands

    parser = argparse.ArgumentParser(
        prog="python -m registry_pipeline.seal.verify", description="Verify sealed run folders."
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    named = parser.parse_args(arguments).folders
    exit_codes = {0}
    for report in verify_folders([(folder, folder) for folder in named]):
        errors = {f.code for f in report.findings if f.severity is Severity.ERROR}
        absent = "FOLDER_NOT_DIRECTORY" in errors and not os.path.lexists(report.path)
        exit_codes.add(7 if absent or errors == {"UNREADABLE"} else 0 if report.verdict == "pass" else 3)
        sys.stdout.writelines(_line(finding) + "\n" for finding in report.findings)
        if report.verdict == "pass":
            sys.stdout.write(printable(f"SEAL_VALID: {report.path} ROOT_SHA256 {report.root_sha256}") + "\n")
    return next(code for code in (3, 7, 0) if code in exit_codes)
