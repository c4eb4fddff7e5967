"""Attest a sealed run: an in-toto Statement v1 with SLSA provenance, in a signed DSSE envelope (`attest`).

Every field of the provenance is one that run.json states: see "Attestations" in docs/reference/specification.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from registry_pipeline.canonical import is_sha256, json_line, parse_utc
from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.collector import encodable
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pipeline.verify import combine_verdicts
from registry_pipeline.pointers.find_runs import FoundRun, find_in_run_root
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.check_run import check_run
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.validation import verify_with_artifacts
from registry_pipeline.runs.envelope import Inputs, is_foreign, stated_repository_id
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.signing.dsse import EnvelopeSigner
from registry_pipeline.values import value_type

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://slsa.dev/provenance/v1"
_BUILD_TYPE: Final = "urn:registry-pipeline:build-type:run:v0.1"
_BUILDER: Final = "urn:registry-pipeline:builder:"
# The fields of run.json that say what was to be built, and those that the program added.
_EXTERNAL: Final = (
    "run_type",
    "registry_id",
    "option",
    "operation_id",
    "as_of_utc",
    "partition",
    "source_operation_id",
)
_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_INTERNAL: Final = ("repository_id", "dagster_run_id")


@value_type
class Attestation:
    """The signed envelope of a run; None if the run does not verify, and `findings` say why."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    envelope: Mapping[str, Any] | None


def attest_run(repository: Repository, found: FoundRun, signer: EnvelopeSigner) -> Attestation:
    """Verify a run as `verify RUN` does, and sign a statement of its files and of how it was built.

    Raises:
        RefusedError: it is not in a run root, or it states the id of another repository.
    """
    run = find_in_run_root(repository, found)
    specs = catalog_of(repository).registries
    report = verify_with_artifacts(run.path, run.shown, specs)
    chain = read_chain_state(repository)
    checked = combine_verdicts(
        [check_run(report, specs)],
        (),
        # The mark of a bad run may be what is missing from an invalid chain.
        chain.findings if chain.refuses else (),
        require_sealed=True,
        marked_bad=chain.marked_bad,
    )
    verdict, findings = checked.results[0], checked.all_findings()
    if checked.verdict != "pass":
        return Attestation(verdict, findings, None)
    stated, own = stated_repository_id(report.run_json), repository.config.repository_id
    if is_foreign(stated, own):
        # Who signs vouches for the build, and it was another repository that built this run.
        raise RefusedError(f"{run.shown} was built in the repository {stated}, not in {own}", "attest it there")
    return Attestation(verdict, findings, signer.sign(PAYLOAD_TYPE, json_line(make_statement(report)).rstrip(b"\n")))


def make_statement(report: SealReport) -> dict[str, Any]:
    """Return the in-toto Statement of a verified run: its files, and their SLSA provenance."""
    subjects = [(report.run_id, report.root_sha256)]
    subjects += [(f"{report.run_id}/{entry.relpath}", entry.sha256) for entry in report.entries]
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects],
        "predicateType": _PREDICATE,
        "predicate": _make_provenance(report.run_id, report.run_json or {}),
    }


def _make_provenance(run_id: str, run_json: Mapping[str, Any]) -> dict[str, Any]:
    external: dict[str, Any] = _select_texts(run_json, _EXTERNAL)
    # Only registry runs and recorded runs say what their times are; other tools may mean the end.
    times = {"startedOn": run_json.get("created_utc")} if "registry_id" in run_json else {}
    execution = run_json.get("execution")
    if isinstance(execution, dict):
        command = execution.get("command")
        if isinstance(command, list) and all(isinstance(word, str) for word in command):
            external["command"] = [encodable(word) for word in command]
        times = {"startedOn": execution.get("started_utc"), "finishedOn": execution.get("ended_utc")}
    builder = run_json.get("builder")
    stated = _select_texts(builder, ("name", "version")) if isinstance(builder, dict) else {}
    name, version = stated.get("name"), stated.get("version")
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": _select_texts(run_json, _INTERNAL),
            "resolvedDependencies": list(_list_dependencies(run_json)),
        },
        "runDetails": {
            # An id is required.
            "builder": {"id": f"{_BUILDER}{quote(name or 'unknown', safe='')}"}
            | ({"version": {name: version}} if name and version else {}),
            "metadata": {"invocationId": run_id} | {key: at for key, at in times.items() if parse_utc(at) is not None},
        },
    }


def _list_dependencies(run_json: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the commit, the runs and the files that a run was built from, as far as run.json states their hashes."""
    commit = run_json.get("git_commit")
    # Another object than a commit id would be no `gitCommit`, which is SHA-1 or SHA-256.
    if isinstance(commit, str) and len(commit) in (40, 64) and set(commit) <= _HEX_DIGITS:
        # Of a dirty tree the commit is not all that was read.
        state = _select_texts(run_json, ("working_tree_state",))
        yield {"name": "commit", "digest": {"gitCommit": commit}} | ({"annotations": state} if state else {})
    inputs = Inputs.from_json(run_json.get("inputs"))
    for item in inputs.registries:
        if is_sha256(item.ref.manifest_sha256):
            yield {
                "name": encodable(item.ref.run_id),
                "digest": {"sha256": item.ref.manifest_sha256},
                "annotations": {"registry_id": encodable(item.registry_id), "role": item.role},
            }
    for file in inputs.files:
        if is_sha256(file.sha256):
            yield {"name": encodable(file.path), "digest": {"sha256": file.sha256}}


def _select_texts(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, str]:
    """Return the values that are texts and not empty, by key."""
    return {key: encodable(value) for key in keys if isinstance(value := values.get(key), str) and value}
