"""The files of a case of `cases/schema` as a sealed run folder that was verified."""

from __future__ import annotations

from registry_pipeline.canonical import parse_strict_json, sha256_hex
from registry_pipeline.registries.base.check_run import find_more_needed_files, find_needed_files
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.values import replace
from registry_pipeline_tests.cases.layout import Case

RUN_FOLDER = ".codex/RUNS/case"


def report_of(case: Case) -> SealReport:
    """Return the report of the verifier, as if the files of the case were sealed."""
    files = case.files()
    run_json = parse_strict_json(files["run.json"])
    report = SealReport(
        path=RUN_FOLDER,
        run_id=run_json["run_id"],
        verdict="pass",
        root_sha256="0" * 64,
        entries=tuple(ManifestEntry(name, len(data), sha256_hex(data)) for name, data in files.items()),
        run_json=run_json,
        findings=(),
    )
    keep = find_needed_files(SHIPPED.registries) | find_more_needed_files(report, SHIPPED.registries)
    return replace(report, kept={name: data for name, data in files.items() if name in keep})
