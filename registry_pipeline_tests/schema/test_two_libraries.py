"""Law: the fast validator and the reference validator agree on every document, valid or mutated."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from registry_pipeline.canonical import parse_strict_csv
from registry_pipeline.schema import read_schema
from registry_pipeline_tests.cases.layout import find_good_cases

SCHEMAS = {
    "RUN_REGISTRY_v0_1.jsonl": "REGISTRY_run_registry_v0_1.schema.json",
    "OPERATION_STATUS_TABLE_v0_1.json": "REGISTRY_op_status_table_v0_1.schema.json",
    "OPERATION_STATUS_TABLE_v0_1.meta.json": "REGISTRY_op_status_table_meta_v0_1.schema.json",
    "DRIFT_SIGNALS_v0_1.json": "REGISTRY_drift_signals_v0_1.schema.json",
    "EXPECTED_VERSIONS_v0_1_snapshot.json": "REGISTRY_expected_versions_v0_1.schema.json",
    "applied_migrations_snapshot.json": "REGISTRY_migration_ledger_v0_1.schema.json",
    "fingerprint_index_snapshot.csv": "REGISTRY_fingerprint_index_v0_1.schema.json",
    "derived_validation_report.json": "REGISTRY_derived_validation_reports_v0_1.schema.json",
    "SYSTEM_HEALTH_SUMMARY_v0_1.json": "REGISTRY_system_health_report_v0_1.schema.json",
    "POINTER_ACTIVATION_v0_1.json": "REGISTRY_pointer_activation_v0_1.schema.json",
    "POINTERS_AFTER.json": "ACTIVE_REGISTRY_POINTERS_v0_1.schema.json",
    "run.json": "RUN_ENVELOPE_v0_1.schema.json",
}
VALIDATORS = {
    name: (jsonschema_rs.Draft202012Validator(dict(read_schema(name))), Draft202012Validator(dict(read_schema(name))))
    for name in SCHEMAS.values()
}
ODD = st.sampled_from(
    [None, True, False, 0, 1, -1, 1.0, 0.5, 10**30, "", "x", "\n", "C3", "0.1", "unknown", [], [None], {}, {"x": 1}]
)


def documents() -> list[tuple[str, Any]]:
    found = []
    for case in find_good_cases("schema"):
        if case.name == "good__not_a_registry_run":
            continue
        for artifact, data in case.files().items():
            schema = SCHEMAS.get(artifact)
            if schema is None:
                continue
            if artifact.endswith(".csv"):
                (_, names), *rows = parse_strict_csv(data)
                found += [(schema, dict(zip(names, cells, strict=True))) for _, cells in rows]
                continue
            texts = data.splitlines() if artifact.endswith(".jsonl") else [data]
            found += [(schema, json.loads(text)) for text in texts]
    return found


DOCUMENTS = documents()


def places(node: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value inside a document."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    return [pair for key in keys for pair in [(node, key), *places(node[key])]]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    schema, document = draw(st.sampled_from(DOCUMENTS))
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 3))):
        found = places(document)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "remove", "add", "newline", "repeat"])):
            case "remove":
                del container[key]
            case "add" if isinstance(container, dict):
                container[draw(st.sampled_from(["x", "partition", "notes"]))] = copy.deepcopy(draw(ODD))
            case "newline" if isinstance(container[key], str):
                container[key] += "\n"
            case "repeat" if isinstance(container, list):
                container.append(container[key])
            case _:
                container[key] = copy.deepcopy(draw(ODD))
    return schema, document


def test_every_good_document_is_valid_for_both() -> None:
    assert {schema for schema, _ in DOCUMENTS} == set(SCHEMAS.values())
    for schema, document in DOCUMENTS:
        fast, reference = VALIDATORS[schema]

        assert fast.is_valid(document)
        assert reference.is_valid(document)


@given(mutated())
def test_both_say_the_same_of_a_mutated_document(case: tuple[str, Any]) -> None:
    schema, document = case
    fast, reference = VALIDATORS[schema]

    assert fast.is_valid(document) == reference.is_valid(document)
