"""The sealed role registry against the previous snapshot and against git, and its diagnostics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.canonical import json_document
from registry_pipeline.capture_table import ROLE_ARTIFACT, ROLE_REGISTRY, WAIVERS_PATH
from registry_pipeline.config import load_repository
from registry_pipeline.findings.finding import Severity
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.rebuild import BuiltRow
from registry_pipeline.pipeline.steps import seal
from registry_pipeline.pointers.activation import activate
from registry_pipeline.pointers.rollback import rollback, select_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.values import CapturedInputs
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.roles.check import build_role_registry
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, read_diagnostics, read_events
from registry_pipeline.registries.roles.service import RolesCheckOptions, check_roles
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Activation, Artifacts, Built, NotBuilt, Refusal, SealedRun, Verdict
from registry_pipeline.values import replace
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.old_role_pack import old_role, pack_of
from registry_pipeline_tests.pipeline.conftest import NOON, World
from registry_pipeline_tests.registries.repositories import commit, git, repository, write
from registry_pipeline_tests.role_packs import DRIFTED, GROWN, PACK, SHRUNK, SMALL

OLD_ROLES = pack_of([old_role("producer"), old_role("editor")])
"""Two roles that were published without `aliases` and `lifecycle`."""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[World]:
    """A repository whose main has the small pack, published twice over; nothing was ever built."""
    root = repository(tmp_path / "studio")
    commit(root, {PACK: SMALL})
    initialize(root, track_runs=None, now=NOON)
    commit(root, {})
    yield World(load_repository(root))
    make_removable(root)


def build(world: World, *, minutes: int = 0) -> BuiltRow:
    """Build the role registry, activate it if possible, and return its row."""
    return next(row for row in world.build(ROLE_REGISTRY, minutes=minutes).built if row.registry_id == ROLE_REGISTRY)


def codes_of(verdict: Verdict | None, *weights: Severity) -> list[str]:
    """Return the codes of a verdict, of these weights or of all."""
    assert verdict is not None
    return [found.code for found in verdict.findings if not weights or found.severity in weights]


def diagnostics(world: World) -> list[dict[str, Any]]:
    return read_diagnostics(world.repository.state_root / STORE_NAME)


def test_a_snapshot_holds_the_pack_and_the_surfaces_and_is_activated(studio: World) -> None:
    row = build(studio)

    assert (row.activated, row.records, codes_of(row.verdict)) == (True, 2, [])
    folder = studio.runs / studio.active(ROLE_REGISTRY)
    assert (folder / Path(PACK).name).read_text() == SMALL
    document = json.loads((folder / ROLE_ARTIFACT).read_bytes())
    assert [each["contract_id"] for each in document["contracts"]] == [
        "ROLE:producer:X:1",
        "ROLE:producer:C:1",
        "ROLE:chart_designer:C:1",
        "ROLE:chart_designer:C:2",
    ]
    assert diagnostics(studio) == []


def test_a_pack_that_grew_replaces_the_one_before_it(studio: World) -> None:
    first = build(studio)
    write(studio.root, {PACK: GROWN})

    second = build(studio, minutes=1)

    assert (first.activated, second.activated, second.records) == (True, True, 3)
    assert build(studio, minutes=2).reused


@pytest.mark.parametrize(("text", "codes"), [(DRIFTED, ["RR003"]), (SHRUNK, ["RR001", "RR002", "RR002"])])
def test_a_pack_with_violations_is_sealed_and_never_active(studio: World, text: str, codes: list[str]) -> None:
    build(studio)
    active = studio.active(ROLE_REGISTRY)
    write(studio.root, {PACK: text})

    row = build(studio, minutes=1)

    assert row.run is not None
    assert (row.activated, codes_of(row.verdict)) == (False, codes)
    assert studio.active(ROLE_REGISTRY) == active
    assert f"{row.run.ref.run_id}/{Path(PACK).name}" in (row.verdict.findings[0].path if row.verdict else "")
    assert sorted(each["code"] for each in diagnostics(studio)) == codes


def test_a_pack_with_violations_cannot_be_activated_by_name(studio: World) -> None:
    build(studio)
    write(studio.root, {PACK: DRIFTED})
    row = build(studio, minutes=1)
    assert row.run is not None
    assert row.verdict is not None

    answer = activate(studio.repository, studio.run(2), [(row.run, row.verdict)], actor="Ada", reason="now")

    assert not isinstance(answer, Activation)


def test_without_a_snapshot_before_it_git_speaks(studio: World) -> None:
    commit(studio.root, {PACK: DRIFTED})

    row = build(studio)

    assert (row.activated, codes_of(row.verdict)) == (False, ["RR003"])


def test_a_change_on_a_branch_is_compared_with_its_merge_base(studio: World) -> None:
    git(studio.root, "checkout", "-q", "-b", "work")
    commit(studio.root, {PACK: SHRUNK})
    commit(studio.root, {"other.txt": "x"})

    assert codes_of(build(studio).verdict) == ["RR001", "RR002", "RR002"]


def test_a_first_publish_is_reported_and_can_be_active(tmp_path: Path) -> None:
    root = repository(tmp_path / "new")
    write(root, {PACK: SMALL})
    initialize(root, track_runs=None, now=NOON)
    world = World(load_repository(root))

    row = build(world)

    assert (row.activated, codes_of(row.verdict)) == (True, ["RR031"])
    make_removable(root)


def test_outside_git_the_snapshot_before_it_speaks_alone(tmp_path: Path) -> None:
    write(tmp_path, {PACK: SMALL})
    initialize(tmp_path, track_runs=None, now=NOON)
    world = World(load_repository(tmp_path))
    first = build(world)
    write(tmp_path, {PACK: DRIFTED})

    second = build(world, minutes=1)

    assert (first.activated, codes_of(first.verdict)) == (True, ["RR031"])
    assert (second.activated, codes_of(second.verdict)) == (False, ["RR003"])
    make_removable(tmp_path)


def test_a_build_that_git_cannot_answer_could_not_check_and_activates_nothing(studio: World) -> None:
    build(studio)
    active = studio.active(ROLE_REGISTRY)
    git(studio.root, "rm", "-q", "--cached", PACK)
    git(studio.root, "commit", "-q", "-m", "x")
    write(studio.root, {PACK: GROWN})

    row = build(studio, minutes=1)

    assert (row.activated, codes_of(row.verdict, Severity.ERROR)) == (False, ["RR030"])
    assert studio.active(ROLE_REGISTRY) == active
    assert check_roles(studio.repository, RolesCheckOptions(), NOON).verdict == "error"
    write(studio.root, {PACK: DRIFTED})
    assert codes_of(build(studio, minutes=2).verdict, Severity.ERROR) == ["RR003", "RR030"]


def test_an_active_snapshot_that_was_altered_leaves_the_decision_to_git(studio: World) -> None:
    build(studio)
    studio.tamper(studio.active(ROLE_REGISTRY), Path(PACK).name)

    row = build(studio, minutes=1)

    assert (row.activated, codes_of(row.verdict)) == (True, [])


def test_outside_git_an_altered_snapshot_is_no_first_publish(tmp_path: Path) -> None:
    write(tmp_path, {PACK: SMALL})
    initialize(tmp_path, track_runs=None, now=NOON)
    world = World(load_repository(tmp_path))
    build(world)
    world.tamper(world.active(ROLE_REGISTRY), Path(PACK).name)
    write(tmp_path, {PACK: SHRUNK})

    row = build(world, minutes=1)

    assert (row.activated, codes_of(row.verdict, Severity.ERROR)) == (False, ["RR030"])
    make_removable(tmp_path)


def test_a_configured_file_is_the_baseline_of_every_entry_point(studio: World) -> None:
    write(studio.root, {"registry-pipeline.toml": '[roles]\nbaseline = "published.json"\n', "published.json": GROWN})
    world = World(load_repository(studio.root))

    row = build(world)

    assert codes_of(row.verdict) == ["RR001", "RR002", "RR002"]
    assert [f.code for f in check_roles(world.repository, RolesCheckOptions(), NOON).findings] == codes_of(row.verdict)


def test_the_first_build_of_a_repository_that_compares_with_its_active_snapshot_asks_main(studio: World) -> None:
    write(studio.root, {"registry-pipeline.toml": '[roles]\nbaseline = "active"\n'})
    world = World(load_repository(studio.root))

    first = check_roles(world.repository, RolesCheckOptions(), NOON)
    row = build(world)

    assert (first.verdict, first.baseline) == ("pass", f"main~1:{PACK}")
    assert (row.activated, codes_of(row.verdict)) == (True, [])
    assert (check_roles(world.repository, RolesCheckOptions(), NOON).baseline or "").startswith(".codex/RUNS/")


def seal_without_record(world: World, minutes: int = 0) -> SealedRun:
    """Seal the pack as a version did that recorded no comparison."""
    run, spec = world.run(minutes), SHIPPED.spec_of(ROLE_REGISTRY)
    built = steps.build(world.repository, run, spec, {})
    assert isinstance(built, Built)
    return seal(world.repository, run, spec, replace(built, check=None))


def activate_run(world: World, run: SealedRun, minutes: int) -> object:
    verdict = validate(world.repository, run)
    return activate(world.repository, world.run(minutes), [(run, verdict)], actor="Ada", reason="now")


def test_a_run_without_a_record_is_compared_with_what_its_commit_knew(studio: World) -> None:
    commit(studio.root, {PACK: OLD_ROLES})
    commit(studio.root, {})
    old = seal_without_record(studio)
    write(studio.root, {PACK: OLD_ROLES.replace("editor C 1", "something else")})
    drifted = seal_without_record(studio, minutes=1)

    verdict = validate(studio.repository, old)

    assert (verdict.passed, set(codes_of(verdict)), codes_of(verdict, Severity.ERROR)) == (True, {"RR020", "RR030"}, [])
    assert codes_of(validate(studio.repository, drifted), Severity.ERROR) == ["RR003"]
    assert not isinstance(activate_run(studio, drifted, 2), Activation)
    assert isinstance(activate_run(studio, old, 3), Activation)


def test_the_next_build_replaces_an_active_run_without_a_record(studio: World) -> None:
    old = seal_without_record(studio)
    assert isinstance(activate_run(studio, old, 1), Activation)

    row = build(studio, minutes=2)

    assert (row.reused, row.activated, codes_of(row.verdict)) == (False, True, [])
    commit(studio.root, {PACK: GROWN})
    assert build(studio, minutes=3).activated
    assert isinstance(activate_run(studio, old, 4), Refusal)  # it is older than the active run, as any other is
    for minutes in (5, 6):
        undoing = select_rollback(read_chain_state(studio.repository), None, ROLE_REGISTRY)
        answer = rollback(studio.repository, studio.run(minutes), undoing, actor="Ada", reason="back")
        assert isinstance(answer, Activation)


def test_going_back_is_not_refused_for_what_was_published_since(studio: World) -> None:
    build(studio)
    first = studio.active(ROLE_REGISTRY)
    commit(studio.root, {PACK: GROWN})
    build(studio, minutes=1)
    assert studio.active(ROLE_REGISTRY) != first

    target = select_rollback(read_chain_state(studio.repository), None, ROLE_REGISTRY)
    answer = rollback(studio.repository, studio.run(2), target, actor="Ada", reason="too early")

    assert isinstance(answer, Activation)
    assert studio.active(ROLE_REGISTRY) == first


def test_what_is_found_in_a_dagster_run_names_it(studio: World) -> None:
    commit(studio.root, {PACK: DRIFTED})
    run = studio.run(dagster_run_id="d" * 8)
    spec = SHIPPED.spec_of(ROLE_REGISTRY)
    built = steps.build(studio.repository, run, spec, {})
    assert isinstance(built, Built)

    validate(studio.repository, seal(studio.repository, run, spec, built))

    (row,) = diagnostics(studio)
    assert (row["job_id"], row["link_confidence"], row["tool"]) == ("d" * 8, "direct", "role_registry append_only")
    assert row["first_seen"] == "2026-03-01T12:00:00Z"
    assert read_events(studio.repository.state_root / STORE_NAME)[0]["job_id"] == "d" * 8


def test_a_store_that_cannot_be_used_is_mentioned_and_changes_no_verdict(studio: World) -> None:
    (studio.repository.state_root / STORE_NAME).write_text("no database")
    commit(studio.root, {PACK: DRIFTED})

    row = build(studio)

    assert codes_of(row.verdict, Severity.ERROR) == ["RR003"]
    assert codes_of(row.verdict, Severity.INFO) == ["DIAGNOSTICS_NOT_RECORDED"]


def test_a_document_that_does_not_match_its_pack_fails(studio: World) -> None:
    def lying(inputs: CapturedInputs, context: BuildContext) -> Artifacts:
        made = build_role_registry(inputs, context)
        document = json.loads(made.files[ROLE_ARTIFACT])
        document["contracts"][0]["surface_sha256"] = "0" * 64
        return replace(made, files={**made.files, ROLE_ARTIFACT: json_document(document)})

    spec = replace(SHIPPED.spec_of(ROLE_REGISTRY), builder=lying)
    built = steps.build(studio.repository, studio.run(), spec, {})
    assert isinstance(built, Built)

    verdict = validate(studio.repository, seal(studio.repository, studio.run(), spec, built))

    assert codes_of(verdict) == ["RR036"]


def test_a_folder_without_a_pack_cannot_be_checked_and_fails(studio: World) -> None:
    def forgetful(inputs: CapturedInputs, context: BuildContext) -> Artifacts:
        made = build_role_registry(inputs, context)
        return replace(made, files={ROLE_ARTIFACT: made.files[ROLE_ARTIFACT]})

    spec = replace(SHIPPED.spec_of(ROLE_REGISTRY), builder=forgetful)
    built = steps.build(studio.repository, studio.run(), spec, {})
    assert isinstance(built, Built)

    verdict = validate(studio.repository, seal(studio.repository, studio.run(), spec, built))

    assert codes_of(verdict) == ["RR030"]


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 70 + "]" * 70, '{"roles": {}}'])
def test_a_pack_of_which_no_role_can_be_read_makes_no_snapshot(studio: World, text: str) -> None:
    build(studio)
    active = studio.active(ROLE_REGISTRY)
    write(studio.root, {PACK: text})

    built = steps.build(studio.repository, studio.run(1), SHIPPED.spec_of(ROLE_REGISTRY), {})

    assert isinstance(built, NotBuilt)
    assert [found.code for found in built.findings] == ["CAPTURE_MALFORMED"]
    assert build(studio, minutes=1).run is None
    assert studio.active(ROLE_REGISTRY) == active


def test_a_pack_with_a_key_twice_is_sealed_and_fails(studio: World) -> None:
    write(studio.root, {PACK: SMALL.replace('"spec_id": "s"', '"spec_id": "s", "spec_id": "s"')})

    row = build(studio)

    assert not row.activated
    assert "RR027" in codes_of(row.verdict, Severity.ERROR)


def test_waivers_hold_by_the_day_of_the_snapshot(studio: World) -> None:
    build(studio)
    write(studio.root, {PACK: SMALL.replace('"vocab_namespace": ""', '"vocab_namespace": "other"', 1)})
    (violation,) = check_roles(studio.repository, RolesCheckOptions(baseline="active"), NOON).violations
    row = {"fingerprint": violation.fingerprint, "reason": "agreed", "approver": "Ada", "expires": "2026-03-01"}
    write(studio.root, {WAIVERS_PATH: json.dumps({"waivers_version": "0.1", "waivers": [row]})})

    built = build(studio, minutes=1)

    assert (violation.finding.code, built.activated, codes_of(built.verdict)) == ("RR026", True, [])
    assert [each["status"] for each in diagnostics(studio)] == ["waived"]
    assert built.run is not None
    assert WAIVERS_PATH in {file.path for file in built.run.inputs.files}


def test_the_active_snapshot_is_a_baseline_unless_it_was_altered(studio: World) -> None:
    build(studio)
    options, now = RolesCheckOptions(baseline="active"), datetime(2026, 3, 2, tzinfo=UTC)
    write(studio.root, {PACK: DRIFTED})

    found = check_roles(studio.repository, options, now)
    assert ([f.code for f in found.findings], found.baseline) == (
        ["RR003"],
        f".codex/RUNS/{studio.active(ROLE_REGISTRY)}/{Path(PACK).name}",
    )

    studio.tamper(studio.active(ROLE_REGISTRY), Path(PACK).name)
    altered = check_roles(studio.repository, options, now)
    assert (altered.verdict, [f.code for f in altered.findings]) == ("error", ["RR030"])
    assert "does not verify" in altered.findings[0].message


def test_an_id_is_traced_to_the_commit_that_brought_it_whatever_came_between(studio: World) -> None:
    brought = commit(studio.root, {PACK: GROWN})
    commit(studio.root, {PACK: GROWN.replace('"display_name": "editor"', '"display_name": "Editor"')})
    commit(studio.root, {PACK: GROWN})
    git(studio.root, "checkout", "-q", "-b", "work")
    write(studio.root, {PACK: SMALL})

    found = check_roles(studio.repository, RolesCheckOptions(), NOON)

    assert {violation.ids[-1]: violation.published_by for violation in found.violations} == {
        "editor": brought,
        "ROLE:editor:C:1": brought,
        "ROLE:producer:X:2": brought,
    }


def test_a_role_that_comes_back_as_another_is_found_in_the_history_alone(studio: World) -> None:
    commit(studio.root, {PACK: SHRUNK})
    git(studio.root, "checkout", "-q", "-b", "work")
    write(studio.root, {PACK: SMALL.replace('"department_id": "studio"', '"department_id": "other"')})

    without = check_roles(studio.repository, RolesCheckOptions(), NOON)
    with_history = check_roles(studio.repository, RolesCheckOptions(history=True), NOON)

    assert "RR035" not in {found.code for found in without.findings}
    assert "RR035" in {found.code for found in with_history.findings}
    assert with_history.commits == 2
