"""Pointer files of older tools are read, and their unknown keys stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_pipeline_tests.cli.conftest import NOON, Repository

UNKNOWN_REF = {"run_id": None, "run_root": None, "relpath": None, "manifest_sha256": None}
LOST = {
    "run_id": "2026-01-05__101500__drift_signals_build",
    "run_root": ".codex/RUNS",
    "relpath": "DRIFT_SIGNALS_v0_1.json",
    "manifest_sha256": "5" * 64,
}


def unknown(registry_id: str, notes: str) -> dict[str, Any]:
    return {
        "registry_id": registry_id,
        "active_ref": dict(UNKNOWN_REF),
        "active_ref_known": "unknown",
        "active_asof_utc": "unknown",
        "notes": notes,
        "owner": "governance",
    }


def pointer_file(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "pointer_contract_version": "0.1",
        "description": "Active registry pointers.",
        "mutation_policy": "Pointers are changed by the runbook's step 4 only.",
        "last_updated_utc": "2026-01-05T10:20:00Z",
        "last_updated_phase": "2.2",
        "pointer_schema": {"active_ref": {"run_id": "string|null", "manifest_sha256": "string|null"}},
        "pointers": list(entries),
    }


def write(known: Repository, *entries: dict[str, Any]) -> dict[str, Any]:
    document = pointer_file(*entries)
    known.pointers.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    assert known("init").code == 0
    return document


def findings(known: Repository, *words: str) -> list[dict[str, Any]]:
    return list(json.loads(known(*words, "--json").out)["findings"])


def entries(known: Repository) -> dict[str, dict[str, Any]]:
    return {entry["registry_id"]: entry for entry in json.loads(known.pointers.read_bytes())["pointers"]}


def test_a_reference_of_four_nulls_means_that_nothing_is_active(known: Repository) -> None:
    write(known, unknown("run_registry", "no sealed run yet"))

    result = known("status", "--json")

    assert result.code == 0, result.out
    registry = next(r for r in json.loads(result.out)["registries"] if r["registry_id"] == "run_registry")
    assert registry["active"] is None
    assert [f["code"] for f in findings(known, "verify", "--pointers") if f["severity"] == "error"] == []


def test_a_build_replaces_the_reference_and_keeps_unknown_keys(known: Repository) -> None:
    before = write(known, unknown("run_registry", "no sealed run yet"), unknown("threshold_registry_db", "external"))

    assert known("build").code == 0

    after = json.loads(known.pointers.read_bytes())
    ours = ("pointers", "last_updated_utc")
    assert {k: v for k, v in after.items() if k not in ours} == {k: v for k, v in before.items() if k not in ours}
    assert list(after) == list(before)
    entry = entries(known)["run_registry"]
    assert (entry["active_ref_known"], entry["active_asof_utc"], entry["owner"]) == (True, NOON, "governance")
    assert entry["notes"] == "no sealed run yet"
    assert entries(known)["threshold_registry_db"] == before["pointers"][1]
    assert entries(known)["drift_signals"]["notes"] == "build"


def test_a_run_that_this_clone_lacks_is_reported_once_and_the_build_replaces_it(
    known: Repository,
) -> None:
    entry = unknown("drift_signals", "sealed by hand") | {
        "active_ref": LOST,
        "active_ref_known": True,
        "active_asof_utc": "2026-01-05T10:20:00Z",
    }
    write(known, entry, unknown("run_registry", ""))

    missing = [f for f in findings(known, "status") if LOST["run_id"] in json.dumps(f)]
    assert [f["code"] for f in missing] == ["POINTER_RUN_MISSING"]

    result = known("build", "--json")
    assert result.code == 0, result.out
    assert entries(known)["drift_signals"]["active_ref"]["run_id"] == "2026-03-01__120000__drift_signals_build"
    assert known("verify", "--active", "--chain").code == 0


@pytest.mark.parametrize("known_run", [True, False])
def test_a_seal_file_is_no_payload(known: Repository, known_run: bool) -> None:
    write(known)
    assert known("build").code == 0
    document = json.loads(known.pointers.read_bytes())
    entry = next(e for e in document["pointers"] if e["registry_id"] == "migration_ledger")
    entry["active_ref"]["relpath"] = "MANIFEST.sha256"
    entry["active_ref"]["run_id"] = entry["active_ref"]["run_id"] if known_run else LOST["run_id"]
    known.pointers.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    codes = {f["code"] for f in findings(known, "verify", "--pointers")}

    assert "POINTER_NOT_PAYLOAD" in codes
    assert "POINTER_PATH" not in codes


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"active_ref_known": True, "active_asof_utc": "2026-01-05T10:20:00Z"}, "POINTER_RUN_ID_FORM"),
        ({"active_ref_known": False}, "POINTER_RUN_ID_FORM"),
        ({"active_ref": UNKNOWN_REF | {"run_id": "x"}}, "POINTER_RUN_ROOT"),
        ({"active_asof_utc": "unknown "}, "POINTER_ASOF"),
    ],
)
def test_only_four_nulls_mean_unknown(known: Repository, change: dict[str, Any], code: str) -> None:
    write(known, unknown("run_registry", "") | change)

    assert code in {f["code"] for f in findings(known, "verify", "--pointers")}
