"""One run folder judged: its seal, then its envelope and its artifacts (SPEC 2.3).

The seal report comes from `seal.verify`; here its verified bytes meet the shipped schemas. A run is asked for as much
as it claims to be: one whose run.json names a registry for all of it, one that merely holds a registry's artifact is
only warned about, any other run is asked for its seal alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.registries.base.claims import artifacts_in, is_other_version, main_artifact, registry_of
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import stated_repository_id
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.schema import PROBLEM_LIMIT, check_bytes, check_value, has_schema, shipped_validator
from registry_pipeline.values import value_type

ENVELOPE_SCHEMA: Final = "RUN_ENVELOPE_v0_1.schema.json"
"""The schema of run.json of a registry run (SPEC 4.7)."""
TOLD_OF_ONE_FILE: Final = 20
"""So many faults of one file become findings; one more finding counts the rest."""
_CODES: Final = {"unparsable": "SCHEMA_UNPARSABLE", "violation": "SCHEMA_VIOLATION"}


@value_type
class _Fault:
    """What is wrong at one place of one file, before it is told as a finding."""

    code: str
    location: str
    detail: str


def needed_files(specs: Mapping[str, RegistrySpec]) -> frozenset[str]:
    """Return the names known beforehand whose verified bytes `check_run` judges: what `verify_folder` must keep."""
    return frozenset(artifact for spec in specs.values() for artifact, _ in spec.schemas)


def more_needed_files(report: SealReport, specs: Mapping[str, RegistrySpec]) -> frozenset[str]:
    """Return the names that only the folder itself knows and whose bytes `check_run` judges too.

    Where there are any, the folder is verified once more with these kept, and the second report is the one to judge.
    """
    relpaths = [entry.relpath for entry in report.entries]
    spec = specs.get(registry_of(report.run_json, relpaths, specs)[0] or "")
    named = () if spec is None else artifacts_in(spec, relpaths)
    return frozenset(named) - needed_files(specs)


def check_run(report: SealReport, specs: Mapping[str, RegistrySpec], *, only_seal: bool = False) -> Verdict:
    """Return the verdict of a folder: the findings of its seal, and unless `only_seal` of envelope and artifacts.

    A run that names a registry with a `sealed_check` is judged by that check, too.

    Args:
        report: What the verifier recomputed, with the bytes of `needed_files(specs)` and `more_needed_files` kept.
        specs: The registry table.
        only_seal: Judge the seal alone.

    Raises:
        ValueError: the seal verifies and yet a file to judge was not kept (a bug of the caller).
    """
    relpaths = [entry.relpath for entry in report.entries]
    registry_id, named = registry_of(report.run_json, relpaths, specs)
    findings = list(report.findings)
    if not only_seal and registry_id is not None and report.verdict in ("pass", "fail"):
        findings += _check_registry_run(report, registry_id, specs.get(registry_id), named=named)
    told = sorted_findings(findings)
    verdict = "fail" if report.verdict == "pass" and has_errors(told) else report.verdict
    spec = specs.get(registry_id or "")
    main = None if spec is None else main_artifact(spec, relpaths)
    return Verdict(
        path=report.path,
        run_id=report.run_id,
        registry_id=registry_id,
        verdict=verdict,
        root_sha256=report.root_sha256,
        findings=told,
        artifact=main,
        repository_id=stated_repository_id(report.run_json),
    )


def _check_registry_run(
    report: SealReport, registry_id: str, spec: RegistrySpec | None, *, named: bool
) -> Iterator[Finding]:
    severity = Severity.ERROR if named else Severity.WARNING
    if spec is None:
        yield finding("SCHEMA_UNKNOWN", f"{report.path}/run.json", detail=f"the registry {registry_id!r}")
        return
    if report.run_json is not None:
        yield from _told(f"{report.path}/run.json", _envelope_faults(report.run_json, report), severity)
    held = [entry.relpath for entry in report.entries]
    artifacts = artifacts_in(spec, held)
    for artifact in artifacts:
        yield from _told(f"{report.path}/{artifact}", _artifact_faults(report, spec, artifact), severity)
    if named and spec.sealed_check is not None and report.verdict == "pass":
        yield from spec.sealed_check(report)
    if named:
        yield from (_missing(report.path, each, held) for each in _expected(spec, artifacts) if each not in held)


def _expected(spec: RegistrySpec, artifacts: Collection[str]) -> tuple[str, ...]:
    """Return what a run must hold: its row's artifacts, or whatever bears another name in their stead."""
    if artifacts and (spec.is_one_capture or not spec.artifacts):
        return ()
    return spec.artifacts or tuple(pattern for pattern, _ in spec.schemas)


def _missing(path: str, artifact: str, held: Iterable[str]) -> Finding:
    """Tell an artifact of a version that we do not know from one that is not there."""
    other = next((name for name in sorted(held) if is_other_version(name, artifact)), None)
    if other is not None:
        return finding("SCHEMA_UNKNOWN", f"{path}/{other}", detail=f"this version of {artifact}")
    return finding("ARTIFACT_MISSING", path, expected=artifact)


def _told(path: str, faults: Iterable[_Fault], severity: Severity) -> Iterator[Finding]:
    """Tell the first faults of one file; count the others, as far as `PROBLEM_LIMIT`."""
    found = list(islice(faults, PROBLEM_LIMIT))
    for fault in found[:TOLD_OF_ONE_FILE]:
        yield finding(fault.code, path, location=fault.location, severity=severity, detail=fault.detail)
    left = len(found) - TOLD_OF_ONE_FILE
    if left > 0:
        least = "at least " if len(found) == PROBLEM_LIMIT else ""
        yield finding(found[-1].code, path, severity=severity, detail=f"and {least}{left} more")


def _envelope_faults(run_json: Mapping[str, Any], report: SealReport) -> Iterator[_Fault]:
    problems = check_value(ENVELOPE_SCHEMA, run_json)
    for problem in problems:
        yield _Fault("ENVELOPE_INVALID", problem.pointer, problem.message)
    if problems:
        return
    # What a schema cannot say: fields that must agree with each other and with the folder (SPEC 4.7).
    run_id = RunId.parse(run_json["run_id"])
    if run_id is None:
        yield _Fault("ENVELOPE_INVALID", "/run_id", "not a moment and a tag")
    else:
        expected = {"created_utc": utc_text(run_id.stamp), "run_type": run_id.tag, "partition": run_id.partition}
        for key, value in expected.items():
            if run_json.get(key) != value:
                yield _Fault("ENVELOPE_INVALID", f"/{key}", f"run_id says {value!r}")
    outputs = sorted((*(entry.relpath for entry in report.entries), *SEAL_FILES))
    if report.entries and run_json["outputs"] != outputs:
        odd = sorted(set(outputs) ^ set(run_json["outputs"]))
        detail = f"not the files of the folder: {', '.join(map(repr, odd[:3]))}" if odd else "not sorted"
        yield _Fault("ENVELOPE_INVALID", "/outputs", detail)


def _artifact_faults(report: SealReport, spec: RegistrySpec, artifact: str) -> Iterator[_Fault]:
    schema = spec.schema_of(artifact)
    if schema is None:
        return
    if not has_schema(schema):
        yield _Fault("SCHEMA_UNKNOWN", "", f"{artifact} ({schema} does not ship)")
        return
    data = report.kept.get(artifact)
    if data is not None:
        for problem in check_bytes(artifact, data, shipped_validator(schema)):
            yield _Fault(_CODES[problem.kind], problem.place, problem.message)
    elif report.verdict == "pass":
        raise ValueError(f"{artifact} was not kept: verify with keep=needed_files(specs), then more_needed_files")
