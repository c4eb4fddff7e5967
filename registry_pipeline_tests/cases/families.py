"""The families of cases: what each one calls, and what the name of its cases states.

A family is a row of `FAMILIES`. `run` takes a case and an empty folder, calls the product, and returns a JSON value in
the form of `expected`. `check` fails if the name of a case and its expected result do not agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from registry_pipeline.config import Config, load_repository
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.registries.base.check_run import check_run
from registry_pipeline.registries.base.drift import make_missing_findings
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.reader import BuildInputs, Previous, SourceContext
from registry_pipeline.registries.base.upstream import read_threshold_version
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.delta_log.build import check_delta_log
from registry_pipeline.registries.roles.check import check_against_baseline
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline.registries.run_registry.build import ARTIFACT, build_run_registry, compare_with_previous
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs.pointer_file import parse_pointer_file
from registry_pipeline.schema import check_value
from registry_pipeline.values import asdict
from registry_pipeline_tests.cases.layout import Case
from registry_pipeline_tests.entries.run_cases import run_entries_case
from registry_pipeline_tests.pipeline.delta_scenarios import run_scenario
from registry_pipeline_tests.pipeline.lineage_scenarios import check_lineage
from registry_pipeline_tests.pointers.chain_scenarios import check_scenario
from registry_pipeline_tests.pointers.pointer_store import NOW, POINTERS, check_pointer_file
from registry_pipeline_tests.pointers.sealed_report import RUN_FOLDER, report_of
from registry_pipeline_tests.registries.builder_values import CONTEXT
from registry_pipeline_tests.run_index.run_cases import run_run_index_case
from registry_pipeline_tests.runs.case_specs import verify_case

RUN_ROOTS = (".codex/RUNS", "reports/runs")


class Family(NamedTuple):
    """How the cases of a family are run, and how their names are checked."""

    run: Callable[[Case, Path], Any]
    check: Callable[[Case, Any], None]


def run_case(case: Case, folder: Path) -> Any:
    """Return the result of a case as a JSON value; `folder` is empty and is used as needed."""
    return json.loads(json.dumps(FAMILIES[case.family].run(case, folder)))


def check_case(case: Case) -> None:
    """Fail if the name of a case and its expected result do not agree."""
    FAMILIES[case.family].check(case, case.expected)


def describe(findings: Iterable[Finding], *keys: str) -> list[dict[str, Any]]:
    """Return some keys of each finding."""
    return [{key: finding.to_json()[key] for key in keys} for finding in findings]


def sort_values(values: Iterable[Any]) -> list[Any]:
    """Return JSON values in an order that does not depend on the order in which they are given."""
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True))


def find_codes(value: Any) -> set[str]:
    """Return every code that an expected result contains."""
    if isinstance(value, dict):
        own = {value["code"]} if "code" in value else set(value.get("codes", ()))
        return own.union(*map(find_codes, value.values()))
    return set().union(*map(find_codes, value)) if isinstance(value, list) else set()


# What the names state


def named_by_a_code(case: Case, expected: Any) -> None:
    """A good case has no findings; any other case finds the code that it is named after, among others."""
    codes = find_codes(expected)
    assert codes == set() if case.code in ("good", "pass") else case.code in codes | {"all_at_once"}


def named_by_its_only_code(case: Case, expected: Any) -> None:
    """A good case has no findings; any other case finds the code that it is named after, and no other."""
    assert find_codes(expected) == {case.code} - {"good"}


def named_freely(case: Case, expected: Any) -> None:
    """Fail if nothing is expected; the name states no code."""
    assert expected is not None, case.name


def named_by_an_entry_code(case: Case, expected: Any) -> None:
    """A refused change has an error and changes no file; EN090 is the code of several failures."""
    assert case.code == "good" or case.code in find_codes(expected) | {"EN090"}
    if expected["outcome"] == "refused":
        assert not expected["changed"]
        assert "error" in {finding["severity"] for finding in expected["findings"]}


def named_by_a_run_index_code(case: Case, expected: Any) -> None:
    """A case finds the code that it is named after; a good case may have findings of other codes."""
    assert case.code == "good" or case.code in find_codes(expected)


def named_by_severity_and_code(case: Case, expected: Any) -> None:
    """A seal case is in the folder of its severity: good, warn or bad."""
    severities = {finding["severity"] for finding in expected["findings"]}
    severity, _, _ = case.name.partition("/")
    if severity == "good":
        assert (case.code, expected["verdict"], expected["findings"]) == ("VALID", "pass", [])
    else:
        assert case.code in find_codes(expected)
        assert ("error" in severities) == (severity == "bad")
        assert (expected["verdict"] == "pass") <= (severity == "warn")


# How the cases are run


def run_adapters(case: Case, folder: Path) -> Any:
    """Return the records of the run registry as far as adapters affect them, and the findings of the scan."""
    root = case.write_to(folder) / "input"
    gathered = read_run_registry_inputs(load_repository(root), SourceContext())
    records = [json.loads(line) for line in build_run_registry(gathered.inputs, CONTEXT).files[ARTIFACT].splitlines()]
    assert [check_value("REGISTRY_run_registry_v0_1.schema.json", record) for record in records] == [[]] * len(records)
    keys = ("run_key", "created_utc", "option", "operation_id", "git_commit", "has_run_json", "warnings")
    return {
        "runs": [{key: record[key] for key in keys} for record in records],
        "findings": describe(gathered.findings, "code", "severity", "path", "message", "expected", "got"),
    }


def read_capture(case: Case, folder: Path) -> BuildInputs:
    """Return what the reader of a captured registry returns for a case."""
    case.write_to(folder)
    registry_id = case.arguments["registry_id"]
    previous = {path.name: path.read_bytes() for path in sorted((folder / "previous").glob("*"))}
    reader: Callable[..., BuildInputs] | None = SHIPPED.registries[registry_id].reader
    assert reader is not None
    context = SourceContext(previous={registry_id: Previous("before", previous)} if previous else {})
    return reader(load_repository(folder / "input"), context)


def run_capture(case: Case, folder: Path) -> Any:
    gathered = read_capture(case, folder)
    inputs = gathered.inputs
    return {
        "captured": None if inputs is None else sorted(inputs.files),
        "records": None if inputs is None else inputs.records,
        "inputs": [file.path for file in gathered.files],
        "findings": describe(gathered.findings, "code", "severity", "path", "message"),
    }


def run_documents(case: Case, folder: Path) -> Any:
    """Return the operations and coverage of catalog and matrix documents. All documents are recorded as inputs."""
    names = sorted(case.write_to(folder).iterdir())
    catalogs, matrices = ([path.name for path in names if path.match(f"{kind}_*")] for kind in ("catalog", "matrix"))
    config = Config(operations_catalog=tuple(catalogs), coverage_matrix=tuple(matrices))
    catalog, files = read_operation_catalog(WorkingTree(folder), config)
    assert {file.path for file in files} == {*catalogs, *matrices}
    return {
        "operations": [
            {key: value for key, value in asdict(operation).items() if key != "line"}
            for operation in catalog.operations
        ],
        "coverage": dict(catalog.coverage),
        "findings": sort_values(describe(catalog.findings, "code", "path", "location", "expected", "got")),
    }


def run_versions(case: Case, folder: Path) -> Any:
    """Return the version that the threshold sources state."""
    root = case.write_to(folder) / "input"
    version, files = read_threshold_version(WorkingTree(root), case.arguments["sources"])
    assert all((root / file.path).is_file() for file in files)
    return {"version": version}


def run_delta(case: Case, folder: Path) -> Any:
    """Run a scenario, or check a log against its previous log."""
    if "story" in case.arguments:
        return run_scenario(case.arguments["story"], folder)
    files = case.files()
    findings = check_delta_log(files["log.jsonl"], files.get("previous.jsonl"), path="log", **case.arguments["origin"])
    return describe(findings, "code", "severity", "location")


def run_history(case: Case, _: Path) -> Any:
    """Check the files that git misses, or a run registry against its previous one."""
    arguments, files = case.arguments, case.files()
    if "missing" in arguments:
        return describe(make_missing_findings(arguments["missing"], RUN_ROOTS), "code", "severity", "path")
    left_out, excluded = arguments.get("left_out", {}), arguments.get("excluded", {})
    findings = compare_with_previous(
        files.get("previous.jsonl"),
        files["current.jsonl"],
        RUN_ROOTS,
        explain_missing=lambda run_root, run_id: left_out.get(f"{run_root}/{run_id}"),
        find_exclusion=lambda run_root, run_id: excluded.get(f"{run_root}/{run_id}"),
    )
    return describe(findings, "code", "severity", "path")


def run_pointers(case: Case, _: Path) -> Any:
    parsed, form = parse_pointer_file(case.files().get("pointers.json"), POINTERS)
    checked = check_pointer_file(parsed, NOW, case.arguments.get("repository_id"))
    return {
        "findings": sort_values(describe(sorted_findings([*form, *checked]), "code", "severity", "location")),
        "read": sorted(pointer.registry_id for pointer in parsed.pointers),
    }


def run_roles(case: Case, _: Path) -> Any:
    """Check a pack against the published pack; without one it is the first publication."""
    files = case.files()
    current, path = parse_pack(files["current.json"], "assets/pack.json"), "assets/pack.json"
    baseline = None
    if "baseline.json" in files:
        baseline = PublishedPack(parse_pack(files["baseline.json"], path), f"main:{path}")
    return [
        {
            "code": violation.finding.code,
            "severity": violation.finding.severity.value,
            "ids": list(violation.ids),
            "location": violation.finding.location,
            "baseline_location": violation.baseline_location,
        }
        for violation in check_against_baseline(current, baseline)
    ]


def run_schema(case: Case, _: Path) -> Any:
    verdict = check_run(report_of(case), SHIPPED.registries)
    findings = describe(verdict.findings, "code", "severity", "path", "location")
    for finding in findings:
        finding["path"] = finding["path"].removeprefix(RUN_FOLDER).removeprefix("/")
    return {"registry_id": verdict.registry_id, "verdict": verdict.verdict, "findings": sort_values(findings)}


def run_seal(case: Case, folder: Path) -> Any:
    report = verify_case(case, folder)
    json.dumps([finding.to_json() for finding in report.findings]).encode("ascii")  # any output can print it
    return {"verdict": report.verdict, "findings": describe(report.findings, "code", "severity", "path", "location")}


def run_graph(_: Case, __: Path) -> Any:
    """Return what is meant of the asset graph. Dagster is imported here: no other family needs it."""
    from registry_pipeline.definitions import defs
    from registry_pipeline_tests.defs.graph_picture import picture

    return picture(defs)


FAMILIES = {
    "adapters": Family(run_adapters, named_by_its_only_code),
    "capture": Family(run_capture, named_by_its_only_code),
    "catalog": Family(run_documents, named_freely),
    "chain": Family(lambda case, folder: check_scenario(case.arguments, folder), named_freely),
    "defs": Family(run_graph, named_freely),
    "delta": Family(run_delta, named_by_a_code),
    "entries": Family(run_entries_case, named_by_an_entry_code),
    "history": Family(run_history, named_by_a_code),
    "inputs": Family(lambda case, folder: check_lineage(case.arguments, folder), named_by_a_code),
    "matrix": Family(run_documents, named_freely),
    "pointers": Family(run_pointers, named_by_a_code),
    "roles": Family(run_roles, named_by_a_code),
    "run_index": Family(run_run_index_case, named_by_a_run_index_code),
    "schema": Family(run_schema, named_by_a_code),
    "seal": Family(run_seal, named_by_severity_and_code),
    "versions": Family(run_versions, named_freely),
}
