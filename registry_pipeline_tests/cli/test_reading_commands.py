"""The commands that only read: status, log, show, explain, registries."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from registry_pipeline.findings.codes import CODES
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.cli.conftest import Repository, call, environment

RUN_REGISTRY = "2026-03-01__120000__run_registry_build"


def test_status_shows_the_active_run_and_its_actor_for_each_registry(seen: Repository) -> None:
    document = seen("status", "--json").document("status")

    by_id = {row["registry_id"]: row for row in document["registries"]}
    assert set(by_id) == set(SHIPPED.registries) - {"pointer_activation"}
    row = by_id["run_registry"]
    assert row["active"] | {"manifest_sha256": ""} == {
        "run_id": RUN_REGISTRY,
        "run_root": ".codex/RUNS",
        "manifest_sha256": "",
        "activated_utc": "2026-03-01T12:00:00Z",
        "actor": "Ada",
        "reason": "build",
    }
    assert (row["seal"], row["schema"], row["age_days"]) == ("pass", "pass", 0)
    assert (row["newest_run_id"], row["newest_not_active_because"]) == (RUN_REGISTRY, None)


def test_status_counts_runs_by_root_and_operations_by_state(seen: Repository) -> None:
    document = seen("status", "--json").document("status")

    assert (
        document["runs"]["total"]
        == sum(document["runs"]["by_root"].values())
        == sum(document["runs"]["by_seal"].values())
    )
    assert document["runs"]["by_root"]["reports/runs"] == 2
    assert document["operations"]["total"] == 20
    assert document["repository"]["working_tree_state"] == "dirty"


def test_age_is_in_full_days_of_the_given_clock(seen: Repository) -> None:
    document = seen("status", "--json", now="2026-03-09T11:59:59Z").document("status")

    assert {row["age_days"] for row in document["registries"] if row["active"]} == {7}


def test_status_fails_on_request(seen: Repository) -> None:
    assert seen("status").code == 0
    assert seen("status", "--fail-on", "drift").code == 4
    assert seen("status", "--fail-on", "coverage,warning").code == 4
    assert seen("status", "--fail-on", "warning").code == 0


def test_status_says_why_a_registry_that_was_built_alone_is_not_active(built: Repository) -> None:
    assert built("build", "run_registry", "--only", "--force", now="2026-03-02T12:00:00Z").code == 0

    result = built("status", "--json", now="2026-03-02T12:00:00Z")

    rows = {row["registry_id"]: row for row in result.document("status")["registries"]}
    row = rows["run_registry"]
    assert result.code == 0
    assert row["active"]["run_id"] == RUN_REGISTRY
    assert row["newest_run_id"] == "2026-03-02__120000__run_registry_build"
    assert "got 2026-03-01__120000__run_registry_build" in row["newest_not_active_because"]
    assert row["next_command"] == "registry-pipeline build run_registry"
    assert row["next_command"] in built("status").out


def test_status_exits_3_when_an_active_run_was_altered(built: Repository) -> None:
    built.tamper(RUN_REGISTRY, "RUN_REGISTRY_v0_1.jsonl")

    result = built("status", "--json")

    document = result.document("status")
    row = next(r for r in document["registries"] if r["registry_id"] == "run_registry")
    assert (result.code, row["seal"], document["health_state"]) == (3, "fail", "DEGRADED_BLOCKING")
    assert "HASH_MISMATCH" in {f["code"] for f in document["findings"]}


def test_an_active_run_without_a_folder_is_missing(built: Repository) -> None:
    shutil.rmtree(built.runs / RUN_REGISTRY)

    result = built("status", "--json")

    row = next(r for r in result.document("status")["registries"] if r["registry_id"] == "run_registry")
    assert (result.code, row["seal"], row["age_days"]) == (3, "missing", None)


def test_log_lists_activations_and_builds_the_newest_first(seen: Repository) -> None:
    document = seen("log", "--json").document("log")

    kinds = [(r["kind"], r.get("action"), r["registry_id"]) for r in document["records"]]
    assert kinds[:3] == [
        ("activation", "activate", None),
        ("activation", "init", None),
        ("build", None, "system_health_report"),
    ]
    assert [kind for kind in kinds if kind[2] == "op_status_table"] == [("build", None, "op_status_table")]
    assert all(r["root_sha256"] for r in document["records"])
    stamps = [r["created_utc"] for r in document["records"]]
    assert stamps == sorted(stamps, reverse=True)


def test_log_of_one_registry_lists_only_that_registry(seen: Repository) -> None:
    document = seen("log", "drift_signals", "--limit", "0", "--json").document("log")

    assert {r["registry_id"] for r in document["records"] if r["kind"] == "build"} == {"drift_signals"}
    assert [r["action"] for r in document["records"] if r["kind"] == "activation"] == ["activate"]
    assert "activate by Ada: build" in seen("log", "drift_signals").out


def test_log_is_limited_by_its_option(seen: Repository) -> None:
    assert seen("log", "--limit", "2", "--json").document("log")["count"] == 2


def test_show_prints_envelope_seal_inputs_files_and_activations(seen: Repository) -> None:
    result = seen("show", "2026-03-01__120000__drift", "--json")

    document = result.document("show")
    assert (result.code, document["verdict"], document["active_for"]) == (0, "pass", ["drift_signals"])
    assert document["run"]["registry_id"] == "drift_signals"
    assert {i["registry_id"] for i in document["inputs"]["registries"] if i["role"] == "upstream"} == {
        "run_registry",
        "op_status_table",
        "expected_versions",
    }
    assert "DRIFT_SIGNALS_v0_1.json" in {file["relpath"] for file in document["files"]}
    assert [a["action"] for a in document["activations"]] == ["activate"]
    assert "by Ada: build" in seen("show", "2026-03-01__120000__drift").out


def test_show_takes_a_path_outside_of_any_repository(seen: Repository, tmp_path: Path, home: Path) -> None:
    shutil.copytree(seen.runs / RUN_REGISTRY, tmp_path / RUN_REGISTRY)

    result = call("show", f"./{RUN_REGISTRY}", "--json", cwd=tmp_path, env=environment(home))

    assert (result.code, result.document("show")["activations"]) == (0, [])


def test_show_of_an_unsealed_run_exits_3_and_of_none_7(seen: Repository) -> None:
    assert seen("show", "legacy").code == 3
    result = seen("show", "nobody")
    assert (result.code, "no run is named 'nobody'" in result.err) == (7, True)


@pytest.mark.parametrize("word", ["HASH_MISMATCH", "hash_mismatch"])
def test_explain_prints_the_row_of_a_code(seen: Repository, word: str) -> None:
    document = seen("explain", word, "--json").document("explain")

    assert [row["code"] for row in document["codes"]] == ["HASH_MISMATCH"]
    assert "never edit a sealed run" in seen("explain", word).out


def test_explain_lists_every_code_and_suggests_a_similar_one(seen: Repository) -> None:
    document = seen("explain", "--json").document("explain")
    unknown = seen("explain", "HASHMISMATCH")

    assert [row["code"] for row in document["codes"]] == list(CODES)
    assert (unknown.code, "did you mean HASH_MISMATCH?" in unknown.err) == (7, True)


def test_registries_are_the_rows_of_the_catalog(seen: Repository) -> None:
    document = seen("registries", "--json").document("registries")

    assert [row["registry_id"] for row in document["registries"]] == list(SHIPPED.registries)
    assert all(row["pointer"] or row["excluded_because"] for row in document["registries"])
    assert "an external database" in seen("registries").out


def test_reading_commands_change_nothing(built: Repository) -> None:
    before = built.files()

    for words in (("status",), ("log",), ("show", "latest"), ("registries",), ("verify", "--all"), ("explain",)):
        built(*words)

    assert before == built.files()


def test_names_from_run_folders_never_reach_the_terminal_raw(built: Repository) -> None:
    (built.runs / "evil\x1b[2J\n\u202ename").mkdir()

    for words in (("verify", "--all"), ("verify", "--all", "--format", "github"), ("status",), ("log",)):
        result = built(*words)
        assert not any(c in result.out + result.err for c in ("\x1b", "\u202e"))
    assert "evil\\x1b[2J\\n\\u202ename" in built("verify", "--all").out
    assert json.loads(built("verify", "--all", "--json").out)
