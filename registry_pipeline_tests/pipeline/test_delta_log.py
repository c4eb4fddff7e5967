"""The delta log in the walk: behind the others of its build run, continued, proven, and quiet where nothing is new."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.pipeline.rebuild import BuiltRow, rebuild
from registry_pipeline.pipeline.steps import build, keep_unchanged, seal
from registry_pipeline.registries.base.delta import DELTA_LOG, LOG_FILE, DeltaEdge, parse_delta_log
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope_file import read_entries_for_root, read_stated_root
from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Built, SealedRun
from registry_pipeline.schema import check_value
from registry_pipeline_tests.captured_sources import INDEX
from registry_pipeline_tests.pipeline.conftest import World
from registry_pipeline_tests.pipeline.delta_scenarios import Scenario

SPEC = SHIPPED.registries[DELTA_LOG]


def log_row(world: World, minutes: int, *registries: str, force: bool = False) -> BuiltRow:
    run = world.run(minutes)
    outcome = rebuild(world.repository, run, registries, force=force, actor="Ada", reason="a test")
    return next(row for row in outcome.built if row.registry_id == DELTA_LOG)


def sealed(row: BuiltRow) -> SealedRun:
    assert row.run is not None
    assert row.verdict is not None
    assert row.verdict.passed, row.verdict.findings
    return row.run


def edges(world: World, run: SealedRun) -> list[DeltaEdge]:
    return list(parse_delta_log((world.runs / run.ref.run_id / LOG_FILE).read_bytes()))


def envelope(world: World, run: SealedRun) -> Any:
    return json.loads((world.runs / run.ref.run_id / "run.json").read_bytes())


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return Scenario.begin(tmp_path / "repository")


def test_it_is_built_after_every_eligible_registry() -> None:
    assert SHIPPED.build_order[-1] is SPEC
    assert set(SPEC.after) == {row.registry_id for row in SHIPPED.build_order if row.delta}
    assert SHIPPED.spec_of("run_registry") in SHIPPED.build_order[:-1]


def test_every_row_that_is_not_logged_says_why() -> None:
    for name, row in SHIPPED.registries.items():
        assert row.delta or row.excluded_because, name


def test_it_sees_the_folders_of_its_own_build_run(world: World) -> None:
    outcome = world.build()

    made = {
        row.run.ref.run_id for row in outcome.built if row.run is not None and SHIPPED.registries[row.registry_id].delta
    }
    log = sealed(outcome.built[-1])
    assert made <= {edge.to_ref.run_id for edge in edges(world, log)}
    assert not outcome.built[-1].activated
    assert outcome.waiting is False


def test_a_registry_built_alone_is_logged_by_the_next_log(built: World) -> None:
    alone = built.build("run_registry", minutes=1, only=True)

    later = log_row(built, 2, DELTA_LOG)

    assert [row.registry_id for row in alone.built] == ["run_registry"]
    assert alone.built[0].run is not None
    assert [edge.to_ref for edge in edges(built, sealed(later))][-1] == alone.built[0].run.ref


def test_a_named_registry_takes_the_log_along(built: World) -> None:
    outcome = built.build("op_status_table", minutes=1)

    assert outcome.built[-1].registry_id == DELTA_LOG


def test_a_new_log_begins_with_the_bytes_of_the_one_that_it_names(built: World) -> None:
    log = sealed(log_row(built, 1))

    before = log.inputs.previous(DELTA_LOG)
    assert before is not None
    assert before.relpath == LOG_FILE
    then, now = ((built.runs / ref.run_id / LOG_FILE).read_bytes() for ref in (before, log.ref))
    assert now.startswith(then)
    assert len(now) > len(then)


def test_where_nothing_is_new_no_folder_is_made_unless_it_is_forced(built: World) -> None:
    before = built.names()

    same = log_row(built, 1, DELTA_LOG)
    forced = log_row(built, 2, DELTA_LOG, force=True)

    assert same.reused
    assert sealed(same).ref.run_id == "2026-03-01__120000__registry_delta_log_build"
    assert not forced.reused
    assert built.names() - before == {"2026-03-01__120200__registry_delta_log_build"}
    assert edges(built, sealed(forced)) == edges(built, sealed(same))


def test_a_log_names_the_run_that_it_was_sealed_as_whatever_name_was_free(built: World) -> None:
    built.build("run_registry", minutes=1, only=True)

    log = sealed(log_row(built, 0, DELTA_LOG))

    assert log.ref.run_id == "2026-03-01__120000__registry_delta_log_build__02"
    assert edges(built, log)[-1].derivation_run_id == log.ref.run_id


def test_the_envelope_names_covered_skipped_and_excluded_registries_with_reasons(world: World) -> None:
    (world.root / INDEX).unlink()
    log = sealed(log_row(world, 0))

    document = envelope(world, log)
    rows = {row["registry_id"]: row for row in document["coverage"]["registries"]}
    counts = Counter(edge.registry_id for edge in edges(world, log))
    assert list(rows) == list(SHIPPED.registries)
    assert document["coverage"]["records"] == counts.total()
    assert {name: row["records"] for name, row in rows.items() if row["records"]} == dict(counts)
    assert rows["run_registry"]["state"] == "covered"
    for name, row in rows.items():
        assert (row["state"] == "excluded") == (not SHIPPED.registries[name].delta)
        reasons = {
            "covered": None,
            "skipped": "no sealed snapshot",
            "excluded": SHIPPED.registries[name].excluded_because,
        }
        assert row["reason"] == reasons[row["state"]]
    assert document["operation_id"] == "OP-QA11"
    assert check_value("RUN_ENVELOPE_v0_1.schema.json", document) == []


def test_where_nothing_is_sealed_every_eligible_registry_is_skipped(scenario: Scenario) -> None:
    scenario.log()

    rows = json.loads((scenario.folder("2026-03-01__120100__registry_delta_log_build") / "run.json").read_bytes())[
        "coverage"
    ]
    assert rows["records"] == 0
    assert {row["state"] for row in rows["registries"]} == {"skipped", "excluded"}


def test_a_step_that_dagster_tries_again_finds_its_own_log_and_never_makes_a_second_head(built: World) -> None:
    built.build("run_registry", minutes=1, only=True)
    run = built.run(2, dagster_run_id="a-dagster-run")
    first = log_step(built, run)

    again = log_step(built, run)
    built.build("run_registry", minutes=2, only=True)
    grown = log_step(built, run)

    assert again.ref == first.ref
    assert grown.ref.run_id == f"{first.ref.run_id}__02"
    assert grown.inputs.previous(DELTA_LOG) == first.ref
    assert log_step(built, built.run(3)).ref == grown.ref


def log_step(world: World, run: BuildRun) -> SealedRun:
    """Do what a step of Dagster does."""
    made = build(world.repository, run, SPEC, {})
    assert isinstance(made, Built)
    return keep_unchanged(world.repository, run, made).kept or seal(world.repository, run, SPEC, made)


def test_a_log_that_drops_a_line_of_its_previous_fails_and_the_next_build_goes_on_from_that(scenario: Scenario) -> None:
    scenario.seal("2026-01-10__101010__drift_signals_build", {"DRIFT_SIGNALS_v0_1.json": "{}\n"})
    first = scenario.log()
    scenario.seal("2026-01-11__101010__drift_signals_build", {"DRIFT_SIGNALS_v0_1.json": "[]\n"})
    second = scenario.log()
    scenario.forge(second.ref.run_id)
    root = read_stated_root(scenario.folder(second.ref.run_id))

    forged = SealedRun(DELTA_LOG, SealedRef(second.ref.run_id, ".codex/RUNS", LOG_FILE, root or ""), second.inputs, "")
    verdict = validate(scenario.repository, forged)

    assert "DELTA_PREFIX_BROKEN" in {f.code for f in verdict.errors()}
    assert not verdict.passed
    assert scenario.log().inputs.previous(DELTA_LOG) == first.ref


@pytest.mark.parametrize("step", ["lose", "tamper"])
def test_a_log_whose_previous_is_gone_or_altered_passes_with_a_warning(scenario: Scenario, step: str) -> None:
    scenario.seal("2026-01-10__101010__drift_signals_build", {"DRIFT_SIGNALS_v0_1.json": "{}\n"})
    first = scenario.log()
    scenario.seal("2026-01-11__101010__drift_signals_build", {"DRIFT_SIGNALS_v0_1.json": "[]\n"})
    second = scenario.log()
    getattr(scenario, step)(first.ref.run_id, *([LOG_FILE] if step == "tamper" else []))

    verdict = validate(scenario.repository, second)

    assert verdict.passed
    assert [f.code for f in verdict.findings] == ["DELTA_PREVIOUS_UNKNOWN"]


def test_a_log_that_cannot_be_continued_stops_nobody_else(built: World) -> None:
    built.tamper("2026-03-01__120000__registry_delta_log_build", LOG_FILE)

    outcome = built.build(minutes=1)

    assert outcome.built[-1].run is None
    assert [f.code for f in outcome.findings if f.code.startswith("DELTA_")] == ["DELTA_HEAD_NOT_VERIFIED"]
    assert all(row.activated or row.reused for row in outcome.built[:-1] if row.run is not None)


def test_of_what_is_logged_only_the_last_manifests_are_read(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(10, 20):
        scenario.seal(f"2026-01-{day}__101010__drift_signals_build", {"DRIFT_SIGNALS_v0_1.json": f"{day}\n"})
        scenario.seal(f"2026-01-{day}__101010__op-a01", {"notes.md": f"{day}\n"})
    scenario.log()
    scenario.seal("2026-01-20__101010__drift_signals_build", {"DRIFT_SIGNALS_v0_1.json": "20\n"})
    opened, ask = [], os.open

    def heard(path: Any, *arguments: Any, **options: Any) -> int:
        opened.append(os.fspath(path))
        return ask(path, *arguments, **options)

    monkeypatch.setattr(os, "open", heard)
    scenario.read()

    opened_files = {f"{Path(path).parent.name}/{Path(path).name}" for path in opened if "drift_signals_build/" in path}
    assert opened_files == {
        "2026-01-19__101010__drift_signals_build/manifest.json",
        "2026-01-20__101010__drift_signals_build/run.json",
        "2026-01-20__101010__drift_signals_build/MANIFEST.sha256",
    }


def test_a_run_json_that_writes_its_key_with_escapes_names_a_registry_all_the_same(scenario: Scenario) -> None:
    run_id = "2026-01-10__101010__x"
    text = f'{{"run_id": "{run_id}", "created_utc": "2026-01-10T10:10:10Z", "registry\\u005fid": "run_registry"}}\n'
    manifest = build_manifest([make_entry("run.json", text.encode())])
    folder = scenario.repository.publish_root / run_id
    folder.mkdir()
    for name, data in (
        ("run.json", text.encode()),
        ("manifest.json", manifest.manifest_json),
        ("MANIFEST.sha256", manifest.hash_file),
    ):
        (folder / name).write_bytes(data)

    assert [
        edge.registry_id
        for edge in parse_delta_log((scenario.folder(scenario.log().ref.run_id) / LOG_FILE).read_bytes())
    ] == ["run_registry"]


def test_a_manifest_is_believed_as_far_as_it_gives_the_root(scenario: Scenario) -> None:
    scenario.seal("2026-01-10__101010__x", {"a.md": "a"})
    folder = scenario.folder("2026-01-10__101010__x")
    root = read_stated_root(folder)
    assert root is not None

    entries = read_entries_for_root(folder, root)
    (folder / "manifest.json").write_bytes((folder / "manifest.json").read_bytes().replace(b"a.md", b"b.md"))

    assert entries is not None
    assert [entry.relpath for entry in entries] == ["a.md", "run.json"]
    assert read_entries_for_root(folder, root) is None
    (folder / "manifest.json").unlink()
    assert read_entries_for_root(folder, root) is None
    assert read_stated_root(folder) is None
