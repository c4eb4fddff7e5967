"""Verify sealed run folders from their bytes.

The verifier trusts no cached verdict, mode or timestamp. It shares only the hash function and the path policy with the
writer, so that a mistake of the writer is found here. Rules: docs/reference/specification.md, "Verification".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.collector import FindingCollector, encodable
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity, has_errors
from registry_pipeline.runs.check_manifest import ManifestResult, check_manifest, check_run_json
from registry_pipeline.runs.hash_file import check_hash_file, check_sha256sum_file
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.sealed_run import RunVerdict, SealReport
from registry_pipeline.runs.tree import Tree, check_line_ends, describe_kind, open_directory
from registry_pipeline.runs.verify_clean import CleanFolder, verify_clean


def verify_folder(
    path: Path | str,
    *,
    display_path: str | None = None,
    expect_run_id: str | None = None,
    keep: Collection[str] = (),
) -> SealReport:
    """Verify one folder and return every finding; invalid evidence never raises.

    Findings name `display_path` if it is given. `expect_run_id` is the name that the folder will have, if it is not yet
    its name. `keep` are relpaths of files whose hashed bytes the report contains.
    """
    # With a slash at its end a link would be followed.
    text = os.fspath(path).rstrip("/") or "/"
    collector = FindingCollector(text if display_path is None else display_path)
    name = _find_name(text) if expect_run_id is None else expect_run_id
    try:
        folder = open_directory(text)
    except (OSError, ValueError) as error:
        kind = describe_kind(text)
        if isinstance(error, OSError) and kind == "a directory":
            collector.add("UNREADABLE", detail=error.strerror)
        else:
            collector.add("FOLDER_NOT_DIRECTORY", expected="a directory", got=kind)
        return _make_empty_report(collector, name, "fail")
    try:
        clean = verify_clean(folder, name, keep)
        if clean is not None:
            return _make_clean_report(collector, name, clean)
        return _verify_open_folder(folder, name, keep, collector)
    except OSError as error:
        collector.add("UNREADABLE", detail=error.strerror)
        return _make_empty_report(collector, name, "fail")
    finally:
        os.close(folder)


def _find_name(path: str) -> str:
    """Return the name of a folder; that of a relative path may be in the path of the working directory."""
    name = path.rpartition("/")[2]
    return os.path.basename(os.path.abspath(path)) if name in ("", ".", "..") else name  # noqa: PTH100, PTH119 -- pathlib leaves `..` as it is


def _make_empty_report(collector: FindingCollector, name: str, verdict: RunVerdict) -> SealReport:
    return SealReport(collector.shown, encodable(name), verdict, None, (), None, collector.findings())


def _make_clean_report(collector: FindingCollector, name: str, clean: CleanFolder) -> SealReport:
    entries = tuple([ManifestEntry(name, size, digest) for name, size, digest in clean.files])
    return SealReport(
        collector.shown, encodable(name), "pass", clean.root_sha256, entries, clean.run_json, (), clean.kept
    )


def _verify_open_folder(folder: int, name: str, keep: Collection[str], collector: FindingCollector) -> SealReport:
    # (1) The folder is a real directory and can be listed.
    tree = Tree(folder, collector, keep)
    # (2) Seal files: without any it is unsealed; with one it is partial and is checked as far as possible.
    seal_files = [seal_file for seal_file in SEAL_FILES if seal_file in tree.top]
    if not seal_files:
        collector.add("UNSEALED")
        return _make_empty_report(collector, name, "unsealed")
    if seal_files == ["MANIFEST.sha256"]:
        list_findings = check_sha256sum_file(folder, collector.shown)
        if list_findings is not None:
            list_verdict: RunVerdict = "fail" if has_errors(list_findings) else "partial"
            return SealReport(collector.shown, encodable(name), list_verdict, None, (), None, list_findings)
    if len(seal_files) < len(SEAL_FILES):
        collector.add("PARTIAL", expected=" and ".join(SEAL_FILES), got=f"only {seal_files[0]}")
    # (3) manifest.json: strict JSON, shape, order, canonical text, path policy
    manifest_json = tree.read_document("manifest.json", "MANIFEST_JSON")
    manifest = None if manifest_json is None else check_manifest(manifest_json, collector)
    # (4) every file of the tree, compared with its entry; listed files that the tree lacks
    tree.compare(manifest)
    # (5) run.json, from the bytes that step 4 hashed
    run_json = _check_run_json(tree, name, manifest, collector)
    # (6) MANIFEST.sha256: text, lines, agreement with manifest.json; the root, recomputed
    root = _check_hash_file(tree, manifest_json, manifest, collector)
    findings = collector.findings()
    verdict: RunVerdict = "fail" if has_errors(findings) else "pass"
    return SealReport(
        path=collector.shown,
        run_id=encodable(name),
        verdict=verdict if len(seal_files) == len(SEAL_FILES) else "partial",
        root_sha256=root,
        entries=() if manifest is None else tuple(manifest.by_path.values()),
        run_json=run_json,
        findings=findings,
        kept={relpath: data for relpath, data in tree.kept.items() if relpath in keep},
    )


def _check_run_json(
    tree: Tree, name: str, manifest: ManifestResult | None, collector: FindingCollector
) -> Mapping[str, Any] | None:
    """Return the object of run.json; None if it was not read or is not an object. Report what is invalid."""
    if manifest is not None and "run.json" not in manifest.listed_paths:
        collector.add("RUN_JSON_NOT_SEALED", "run.json")
    if "run.json" not in tree.top:
        collector.add("RUN_JSON_MISSING", "run.json")
    elif not tree.top["run.json"].is_file(follow_symlinks=False):
        collector.add("RUN_JSON_NOT_REGULAR", "run.json", expected="a regular file")
    data = tree.kept.get("run.json")
    return None if data is None else check_run_json(data, name, collector)


def _check_hash_file(
    tree: Tree, manifest_json: bytes | None, manifest: ManifestResult | None, collector: FindingCollector
) -> str | None:
    """Return the recomputed root, or None if there is no usable MANIFEST.sha256."""
    data = tree.read_document("MANIFEST.sha256", "MANIFEST_SHA256")
    if data is None:
        return None
    digest = None if manifest_json is None else sha256_hex(manifest_json)
    root, listed_digest = check_hash_file(data, manifest, digest, collector)
    if manifest_json is not None and listed_digest is not None:
        check_line_ends(manifest_json, listed_digest, "manifest.json", collector)
    return root


def _format_finding(finding: Finding) -> str:
    label = CODES[finding.code].prefix if finding.severity is Severity.ERROR else finding.severity.value.upper()
    comparison = "".join(
        f" {name} {value}" for name, value in (("expected", finding.expected), ("got", finding.got)) if value
    )
    text = f"{label}: {finding.code} {finding.path}: {finding.message}{comparison} ({finding.clause}) -> {finding.hint}"
    return printable(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify and print the named folders; return 3 if one is invalid, else 7 if one cannot be read, else 0."""
    import argparse  # noqa: PLC0415 - this program only, not the commands

    parser = argparse.ArgumentParser(
        prog="python -m registry_pipeline.seal.verify", description="Verify sealed run folders."
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    folders = parser.parse_args(arguments).folders
    exit_codes = {0, *(print_report(verify_folder(folder)) for folder in folders)}
    return next(code for code in (3, 7, 0) if code in exit_codes)


def print_report(report: SealReport) -> int:
    """Print the findings of a named folder, or its root; return 3 if it is invalid, 7 if it cannot be read, else 0."""
    print_findings(report.findings)
    if report.verdict == "pass":
        sys.stdout.write(printable(f"SEAL_VALID: {report.path} ROOT_SHA256 {report.root_sha256}") + "\n")
        return 0
    errors = {f.code for f in report.findings if f.severity is Severity.ERROR}
    is_missing = "FOLDER_NOT_DIRECTORY" in errors and not os.path.lexists(report.path)
    return 7 if is_missing or errors in ({"UNREADABLE"}, {"ARCHIVE_NOT_UNPACKED"}) else 3


def print_findings(findings: Iterable[Finding]) -> None:
    """Print one line for each finding."""
    sys.stdout.writelines(f"{_format_finding(finding)}\n" for finding in findings)
