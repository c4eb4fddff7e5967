"""The program `registry-verify.pyz`: verify run folders, archives and repositories with Python alone.

`tools/standalone.py` packs it with the modules that it imports. It calls the verifier and the checks of the pointers
that `registry-pipeline verify --all` calls. JSON Schema needs a library, so schemas are not checked; it says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from registry_pipeline.canonical import is_sha256
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.codes import COULD_NOT_CHECK, finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity, plural, sorted_findings
from registry_pipeline.pointers.activated_runs import check_activated_runs
from registry_pipeline.pointers.chain import check_anchor
from registry_pipeline.pointers.check_pointers import check_pointers
from registry_pipeline.pointers.find_runs import list_all_runs
from registry_pipeline.pointers.state import read_pointer_state
from registry_pipeline.registries.base.sealed_input import make_seal_verdict
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.archive import verify_run
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import parse_pointer_file
from registry_pipeline.runs.verify import print_findings, print_report, verify_folder

_PROGRAM: Final = "registry-verify.pyz"
_NEVER_CHECKED: Final = ("schemas of run.json and artifacts", "rules of the registries", "recorded inputs", "git")
_ONLY_IN_A_REPOSITORY: Final = ("pointer file", "activation chain", "marks of bad runs")


def main(arguments: Sequence[str] | None = None, *, version: str = "(not packed)") -> int:
    """Verify and print what the arguments name; return 3 if anything is invalid, else 7 if anything was not checked.

    A usage or configuration error is 2, another failure the code of its exception.
    """
    import argparse  # noqa: PLC0415 - as in `runs.verify`

    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Verify the seals of run folders, or a repository: seals, pointer file and activation chain.",
        epilog=f"Not checked: {', '.join(_NEVER_CHECKED)}. Exit codes: 0 valid, 2 usage, 3 invalid, 7 not checked.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a run folder, or one packed as .tar.gz, .tgz or .tar")
    parser.add_argument("--repository", metavar="DIR", type=Path, help="every run folder, the pointer file, the chain")
    parser.add_argument("--expect", metavar="HASH", help="with --repository: what `registry-pipeline anchor` printed")
    parser.add_argument("--version", action="version", version=f"registry-verify {version}")
    options = parser.parse_args(arguments)
    if bool(options.paths) == (options.repository is not None):
        parser.error("name either run folders, or one repository with --repository DIR")
    if options.expect is not None and (options.repository is None or not is_sha256(options.expect)):
        parser.error("--expect needs --repository and 64 lower-case hexadecimal digits")
    for stream in (sys.stdout, sys.stderr):
        # A name that the encoding of the terminal lacks is escaped instead of ending the program.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _verify(options.paths, options.repository, options.expect)
    except RegistryPipelineError as error:
        sys.stderr.write(printable(f"error: {error.message} -> {error.advice}") + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python would report at its end that stdout cannot be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        sys.stderr.write(printable(f"error: {error}") + "\n")
        return 1


def _verify(paths: Sequence[str], root: Path | None, anchor: str | None) -> int:
    """Verify and print the paths, or else the repository at `root`."""
    if root is not None:
        code = _verify_repository(find_repository(root), anchor)
    else:
        code = max({print_report(verify_run(path)) for path in paths}, key=(0, 7, 3).index)
    not_checked = (*_NEVER_CHECKED, *(_ONLY_IN_A_REPOSITORY if root is None else ()))
    sys.stdout.write(f"NOT_CHECKED: {', '.join(not_checked)}\n")
    sys.stdout.flush()
    return code


def _verify_repository(repository: Repository, anchor: str | None) -> int:
    """Verify and print a repository: 3 if a finding is an error, 7 if nothing is sealed or was checked, else 0."""
    # (1) The pointer file and the chain of one moment, then every run folder: what they name exists by now.
    state = read_pointer_state(repository)
    chain = state.chain
    pointers, malformed = parse_pointer_file(state.pointers, repository.config.pointers)
    reports = {run.shown: verify_folder(run.path, display_path=run.shown) for run in list_all_runs(repository)}
    # (2) Check the pointers against the runs, and the runs against the chain.
    verdicts = {path: make_seal_verdict(report, SHIPPED.registries) for path, report in reports.items()}
    findings = [found for report in reports.values() if report.verdict != "unsealed" for found in report.findings]
    findings += malformed
    findings += check_pointers(
        pointers,
        repository=repository,
        specs=SHIPPED.registries,
        verdict_of=lambda ref: verdicts.get(ref.path),
        inputs_of=lambda ref: Inputs.from_json((reports[ref.path].run_json or {}).get("inputs")),
        now=datetime.now(UTC),  # noqa: TID251 - this is a command line
        marked_bad=chain.marked_bad,
        accepted_foreign=chain.accepted_foreign(repository.config.repository_id),
    )
    findings += (*chain.findings, *check_activated_runs(repository, chain))
    findings += (
        finding("RUN_MARKED_BAD", report.path, severity=Severity.WARNING, detail=chain.marked_bad[report.run_id])
        for report in reports.values()
        if report.run_id in chain.marked_bad
    )
    if anchor is not None:
        findings += check_anchor(chain, anchor, repository.config.pointers)
    # (3) Print the findings and the result.
    unique = sorted_findings(dict.fromkeys(findings))
    print_findings(unique)
    sealed = sum(report.verdict == "pass" for report in reports.values())
    code = _find_exit_code(unique, is_empty=not (sealed or pointers.active_refs() or chain.records))
    word = {0: "REPOSITORY_VALID", 3: "REPOSITORY_INVALID", 7: "REPOSITORY_NOT_CHECKED"}[code]
    counts = (
        f"{plural(len(reports), 'run folder')}, {sealed} sealed and valid, "
        f"{plural(len(pointers.active_refs()), 'active run')}, {plural(len(chain.records), 'activation record')}"
    )
    last = "" if chain.head is None else f", the last with ROOT_SHA256 {chain.head.root}"
    sys.stdout.write(printable(f"{word}: {repository.root} {counts}{last}") + "\n")
    return code


def _find_exit_code(findings: Sequence[Finding], *, is_empty: bool) -> int:
    errors = {found.code for found in findings if found.severity is Severity.ERROR}
    if errors - COULD_NOT_CHECK:
        return 3
    return 7 if errors or is_empty else 0


if __name__ == "__main__":
    sys.exit(main())
