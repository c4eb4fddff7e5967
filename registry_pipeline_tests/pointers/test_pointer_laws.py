"""Laws: the parser takes any bytes and any JSON and never raises; what passes the parser passes the schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Config, Repository
from registry_pipeline.pointers.check_pointers import check_pointers
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.pointer_file import parse_pointer_file
from registry_pipeline.runs.reference import PointerFile
from registry_pipeline.schema import check_value

TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(["", "..", "a/b", "\x00", "\ud800", "\n", "unknown"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def mostly(default_path: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(default_path, default_path, default_path, JSON)


REF = st.fixed_dictionaries(
    {
        "run_id": mostly(st.just("2026-03-01__100000__run_registry_build")),
        "run_root": mostly(st.just(".codex/RUNS")),
        "relpath": mostly(st.just("RUN_REGISTRY_v0_1.jsonl")),
        "manifest_sha256": mostly(st.just("1" * 64)),
    }
)
ENTRY = st.fixed_dictionaries(
    {
        "registry_id": mostly(st.sampled_from([*SHIPPED.registries, "weather"])),
        "active_ref": mostly(REF),
        "active_ref_known": mostly(st.sampled_from([True, False, "unknown"])),
        "active_asof_utc": mostly(st.just("2026-03-01T10:00:00Z")),
        "notes": mostly(st.just("")),
    }
)
DOCUMENT = st.fixed_dictionaries(
    {"pointer_contract_version": mostly(st.just("0.1")), "pointers": mostly(st.lists(mostly(ENTRY), max_size=3))},
    optional={"description": JSON, "mutation_policy": JSON, "last_updated_utc": JSON},
)


def check(parsed: PointerFile) -> None:
    check_pointers(
        parsed,
        repository=Repository(Path("/nowhere"), Config()),
        specs=SHIPPED.registries,
        verdict_of=lambda _: None,
        inputs_of=lambda _: None,
        now=datetime(2026, 3, 1, 12, tzinfo=UTC),
        marked_bad={},
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_checked(data: bytes) -> None:
    parsed, _ = parse_pointer_file(data, "pointers.json")
    check(parsed)


@given(JSON | DOCUMENT)
def test_any_json_is_checked_with_printable_findings(document: Any) -> None:
    parsed, findings = parse_pointer_file(json.dumps(document).encode(), "pointers.json")

    for each in findings:
        json.dumps(each.to_json(), ensure_ascii=False).encode()
    check(parsed)


@given(DOCUMENT)
def test_the_schema_accepts_what_the_parser_accepts(document: Any) -> None:
    _, findings = parse_pointer_file(json.dumps(document).encode(), "pointers.json")

    if not findings:
        assert check_value("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", document) == []
