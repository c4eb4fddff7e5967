"""The delta log on the command line: two heads, a tampered log, a late arrival, and no changes."""

from __future__ import annotations

import json
import shutil
from typing import Any

from registry_pipeline_tests.cli.conftest import CommandResult, Repository

LOG = "2026-03-01__120000__registry_delta_log_build"
FILE = "REGISTRY_DELTA_LOG_v0_1.jsonl"


def at(minute: int) -> str:
    return f"2026-03-02T12:{minute:02d}:00Z"


def build(repository: Repository, minute: int, *words: str) -> CommandResult:
    return repository("build", "registry_delta_log", *words, "--json", now=at(minute))


def delta_codes(result: CommandResult) -> dict[str, str]:
    return {f["code"]: f["path"] for f in result.document("build")["findings"] if f["code"].startswith("DELTA_")}


def edges(repository: Repository, run_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (repository.runs / run_id / FILE).read_bytes().splitlines()]


def test_a_build_lists_the_log_and_moves_no_pointer_for_it(built: Repository) -> None:
    result = built("build", "--json", now=at(0))

    row = result.document("build")["built"][-1]
    assert result.code == 0
    assert (row["registry_id"], row["relpath"], row["activated"]) == ("registry_delta_log", FILE, False)
    assert row["records"] == len(edges(built, row["run_id"])) > len(edges(built, LOG))
    assert FILE.encode() not in built.pointers.read_bytes()


def test_without_changes_the_log_stays_the_same_unless_forced(built: Repository) -> None:
    same, forced = build(built, 0), build(built, 1, "--force")

    assert [row["reused"] for row in same.document("build")["built"]] == [True]
    assert same.document("build")["built"][0]["run_id"] == LOG
    assert [row["run_id"] for row in forced.document("build")["built"]] == [LOG.replace("01__120000", "02__120100")]
    assert (same.code, forced.code) == (0, 0)


def test_a_tampered_log_is_refused_and_marking_it_bad_continues_the_previous_one(built: Repository) -> None:
    grown = built("build", "--json", now=at(0)).document("build")["built"][-1]["run_id"]
    built.tamper(grown, FILE)

    refused = build(built, 1)
    marked = built("mark-bad", grown, "--reason", "altered", now=at(2))
    repaired = build(built, 3)

    assert refused.code == 3
    assert delta_codes(refused) == {"DELTA_HEAD_NOT_VERIFIED": f".codex/RUNS/{grown}"}
    assert refused.document("build")["not_built"] == ["registry_delta_log"]
    assert marked.code == 0, marked.err
    assert repaired.code == 0
    now = repaired.document("build")["built"][0]["run_id"]
    assert edges(built, now)[: len(edges(built, LOG))] == edges(built, LOG)


def test_other_registries_are_built_and_activated_when_the_log_is_refused(built: Repository) -> None:
    built.tamper(LOG, FILE)

    result = built("build", now=at(0))

    assert result.code == 3
    assert "DELTA_INVALID: DELTA_HEAD_NOT_VERIFIED" in result.out
    assert f"mark-bad {LOG} --reason TEXT" in result.out
    assert built.active("run_registry").startswith("2026-03-02")


def test_two_heads_are_a_finding_until_one_is_marked_bad(built: Repository) -> None:
    one = build(built, 0, "--force").document("build")["built"][0]["run_id"]
    folder, aside = built.runs / one, built.root / "aside"
    folder.chmod(0o755)
    shutil.move(folder, aside)
    two = build(built, 1, "--force").document("build")["built"][0]["run_id"]
    shutil.move(aside, folder)

    refused = build(built, 2)
    built("mark-bad", one, "--reason", "the other one goes on", now=at(3))
    settled = build(built, 4, "--force")

    assert refused.code == 3
    assert delta_codes(refused) == {"DELTA_TWO_HEADS": f".codex/RUNS/{two}"}
    assert (settled.code, delta_codes(settled)) == (0, {})
    envelope = json.loads((built.runs / settled.document("build")["built"][0]["run_id"] / "run.json").read_bytes())
    named = {i["registry_id"]: i["sealed_ref"]["run_id"] for i in envelope["inputs"]["registries"]}
    assert named["registry_delta_log"] == two


def test_a_run_that_arrives_late_gets_an_edge_from_the_last_one_and_a_warning(built: Repository) -> None:
    late = "2026-01-12__101010__run_registry_build"
    folder, aside = built.runs / late, built.root / "aside"
    shutil.move(folder, aside)
    (built.runs / LOG).chmod(0o755)
    shutil.rmtree(built.runs / LOG)
    build(built, 1)
    shutil.move(aside, folder)

    result = build(built, 2)

    assert result.code == 0
    assert delta_codes(result) == {"DELTA_LATE": f".codex/RUNS/{late}"}
    edge = edges(built, result.document("build")["built"][0]["run_id"])[-1]
    assert edge["to_ref"]["run_id"] == late
    assert edge["from_ref"]["run_id"] == built.active("run_registry")


def test_mark_bad_accepts_a_log_without_its_hash_file(built: Repository) -> None:
    folder = built.runs / LOG
    folder.chmod(0o755)
    (folder / "MANIFEST.sha256").unlink()

    refused, marked, rebuilt = build(built, 0), built("mark-bad", LOG, "--reason", "x", now=at(1)), build(built, 2)

    assert delta_codes(refused) == {"DELTA_HEAD_NOT_VERIFIED": f".codex/RUNS/{LOG}"}
    assert (refused.code, marked.code, rebuilt.code) == (3, 0, 0)
    assert edges(built, rebuilt.document("build")["built"][0]["run_id"])[0]["from_ref"] is None
