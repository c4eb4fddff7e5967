"""Check one run folder: the seal report, then run.json and the artifacts against the shipped schemas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.schemas import has_schema, make_schema_validator
from registry_pipeline.registries.base.sealed_input import (
    find_artifacts,
    find_registry,
    is_other_version,
    make_seal_verdict,
)
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.schema import PROBLEM_LIMIT, UNDESCRIBED, FileProblem, check_bytes, check_value
from registry_pipeline.values import replace

ENVELOPE_SCHEMA: Final = "RUN_ENVELOPE_v0_1.schema.json"
"""The schema of run.json of a registry run."""
MAX_FINDINGS_PER_FILE: Final = 20
"""The most findings about one file; one more finding counts the rest."""
_ENVELOPE: Final = "ENVELOPE_INVALID"


def find_needed_files(specs: Mapping[str, RegistrySpec]) -> frozenset[str]:
    """Return the artifact names and patterns with a schema: `verify_folder` must keep their bytes for `check_run`."""
    # An own registry of many files has a pattern for any file; `find_more_needed_files` finds those of its runs.
    rows = (spec for spec in specs.values() if not (spec.is_own and spec.multi_file))
    return frozenset(artifact for spec in rows for artifact, _ in spec.schemas)


def find_more_needed_files(report: SealReport, specs: Mapping[str, RegistrySpec]) -> frozenset[str]:
    """Return the artifacts that `check_run` needs, the report lacks, and whose names are not in the table."""
    relpaths = [entry.relpath for entry in report.entries]
    spec = specs.get(find_registry(report.run_json, relpaths, specs)[0] or "")
    if spec is None:
        return frozenset()
    return frozenset(find_artifacts(spec, relpaths)) - find_needed_files(specs) - report.kept.keys()


def check_run(
    report: SealReport,
    specs: Mapping[str, RegistrySpec],
    *,
    only_seal: bool = False,
    known_lines: Mapping[str, bytes | None] = MappingProxyType({}),
) -> Verdict:
    """Return the verdict of a folder with all findings about its seal, its run.json and its artifacts.

    The report must contain the bytes of `find_needed_files` and `find_more_needed_files`, unless `only_seal` is set. A
    folder that is partial or unsealed, or belongs to no registry, has the findings of its seal only. `known_lines` are
    lines by artifact that are known to satisfy its schema; None is all of them, whose bytes are not needed then.

    Raises:
        ValueError: the report lacks the bytes of an artifact.
    """
    verdict = make_seal_verdict(report, specs)
    registry_id = verdict.registry_id
    if only_seal or registry_id is None or report.verdict not in ("pass", "fail"):
        return verdict
    is_named = (report.run_json or {}).get("registry_id") == registry_id
    more = _check_registry_run(report, registry_id, specs.get(registry_id), known_lines, is_named=is_named)
    findings = sorted_findings((*report.findings, *more))
    return replace(verdict, verdict="fail" if has_errors(findings) else report.verdict, findings=findings)


def _check_registry_run(
    report: SealReport,
    registry_id: str,
    spec: RegistrySpec | None,
    known_lines: Mapping[str, bytes | None],
    *,
    is_named: bool,
) -> Iterator[Finding]:
    # A run that only contains an artifact of a registry never claimed to satisfy the registry's schemas.
    severity = Severity.ERROR if is_named else Severity.WARNING
    if spec is None:
        yield finding("SCHEMA_UNKNOWN", f"{report.path}/run.json", detail=f"the registry {registry_id!r}")
        return
    # (1) run.json
    if report.run_json is not None:
        problems = _check_envelope(report.run_json, report, spec)
        yield from _make_findings(f"{report.path}/run.json", problems, severity)
    # (2) each artifact
    relpaths = [entry.relpath for entry in report.entries]
    artifacts = find_artifacts(spec, relpaths)
    for artifact in artifacts:
        problems = _check_artifact(report, artifact, spec, known_lines.get(artifact, b""))
        yield from _make_findings(f"{report.path}/{artifact}", problems, severity)
    if not is_named:
        return
    # (3) rules of the registry that no schema expresses, and missing artifacts
    if spec.sealed_check is not None and report.verdict == "pass":
        yield from spec.sealed_check(report)
    # A captured file may have a name of the repository's choice: then the row's name is not expected.
    if artifacts and (spec.is_one_capture or not spec.artifacts):
        return
    for expected in spec.artifacts or [pattern for pattern, _ in spec.schemas]:
        if expected in relpaths:
            continue
        other = next((name for name in sorted(relpaths) if is_other_version(name, expected)), None)
        if other is None:
            yield finding("ARTIFACT_MISSING", report.path, expected=expected)
        else:
            yield finding("SCHEMA_UNKNOWN", f"{report.path}/{other}", detail=f"this version of {expected}")


def _make_findings(path: str, problems: Iterable[FileProblem], severity: Severity) -> Iterator[Finding]:
    """Yield findings for the first 20 problems of one file, and one that counts the rest."""
    first = list(islice(problems, PROBLEM_LIMIT))
    for problem in first[:MAX_FINDINGS_PER_FILE]:
        yield finding(problem.code, path, location=problem.location, severity=severity, detail=problem.message)
    rest = len(first) - MAX_FINDINGS_PER_FILE
    if rest > 0:
        # Of JSONL each further invalid line counts as one problem.
        is_exact = len(first) < PROBLEM_LIMIT and not (path.endswith(".jsonl") and first[-1].message == UNDESCRIBED)
        at_least = "" if is_exact else "at least "
        yield finding(first[-1].code, path, severity=severity, detail=f"and {at_least}{rest} more")


def _check_envelope(run_json: Mapping[str, Any], report: SealReport, spec: RegistrySpec) -> Iterator[FileProblem]:
    problems = check_value(ENVELOPE_SCHEMA, run_json)
    for problem in problems:
        yield FileProblem(_ENVELOPE, problem.pointer, problem.message)
    if problems:
        return
    # A schema cannot express that fields agree with each other and with the folder.
    run_id = RunId.parse(run_json["run_id"])
    if run_id is None:
        yield FileProblem(_ENVELOPE, "/run_id", "not a timestamp and a tag")
    else:
        expected = {"created_utc": utc_text(run_id.stamp), "run_type": run_id.tag, "partition": run_id.partition}
        member_id = spec.member_of(run_id)
        if member_id is not None:
            expected |= {"run_type": spec.tag, "partition": member_id}
        for key, value in expected.items():
            if run_json.get(key) != value:
                yield FileProblem(_ENVELOPE, f"/{key}", f"run_id says {value!r}")
    outputs = sorted((*(entry.relpath for entry in report.entries), *SEAL_FILES))
    if report.entries and run_json["outputs"] != outputs:
        differing = sorted(set(outputs) ^ set(run_json["outputs"]))
        names = ", ".join(map(repr, differing[:3]))
        detail = f"not the files of the folder: {names}" if differing else "not sorted"
        yield FileProblem(_ENVELOPE, "/outputs", detail)


def _check_artifact(
    report: SealReport, artifact: str, spec: RegistrySpec, known_lines: bytes | None
) -> Iterator[FileProblem]:
    schema = spec.schema_of(artifact)
    if schema is None or known_lines is None:
        return
    data = report.kept.get(artifact)
    if not has_schema(spec, schema):
        yield FileProblem("SCHEMA_UNKNOWN", "", f"{artifact} ({schema} does not ship)")
    elif data is not None:
        try:
            validate = make_schema_validator(spec, schema)
        except ValueError as error:
            yield FileProblem("SCHEMA_UNKNOWN", "", f"{artifact} ({schema} cannot be used: {error})")
            return
        # Only the problems that become findings are described: that takes most of the time of an invalid file.
        yield from check_bytes(artifact, data, validate, known_lines, MAX_FINDINGS_PER_FILE)
    elif report.verdict == "pass":
        # Bytes are kept for verified files only; a file that is broken has a finding of the seal.
        raise ValueError(f"{artifact} was not kept: verify with keep=find_needed_files(specs) | find_more_needed_files")
