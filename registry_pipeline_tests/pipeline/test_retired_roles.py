"""Ids whose removal was merged: the registry keeps them, and checks without --history find that they are reused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.canonical import json_document
from registry_pipeline.capture_table import ROLE_ARTIFACT, ROLE_REGISTRY, WAIVERS_PATH
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.findings.finding import Severity
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.rebuild import BuiltRow
from registry_pipeline.pipeline.status import read_status
from registry_pipeline.pipeline.steps import seal
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.roles import comparison
from registry_pipeline.registries.roles.check import PublishedCommit, RoleRegistryInputs, build_role_registry
from registry_pipeline.registries.roles.service import RolesCheckOptions, RolesCheckResult, check_roles
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts, Built
from registry_pipeline.values import replace
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.pipeline.conftest import NOON, World
from registry_pipeline_tests.registries.repositories import commit, git, repository, write
from registry_pipeline_tests.role_packs import PACK, SHRUNK, SMALL, pack, role

ANOTHER = SMALL.replace('"department_id": "studio"', '"department_id": "post"')
"""SMALL with two other roles under the same ids."""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[World]:
    """A repository whose main has the small pack; nothing was ever built."""
    root = repository(tmp_path / "studio")
    commit(root, {PACK: SMALL})
    initialize(root, track_runs=None, now=NOON)
    commit(root, {})
    yield World(load_repository(root))
    make_removable(root)


def merge(world: World, text: str) -> None:
    """Publish a pack on main, and another commit after it."""
    commit(world.root, {PACK: text})
    commit(world.root, {"other.txt": text})


def build(world: World, *, minutes: int = 0) -> BuiltRow:
    return next(row for row in world.build(ROLE_REGISTRY, minutes=minutes).built if row.registry_id == ROLE_REGISTRY)


def retired(world: World) -> Any:
    """Return the retired ids of the active registry, None if it has none."""
    return json.loads((world.runs / world.active(ROLE_REGISTRY) / ROLE_ARTIFACT).read_bytes()).get("retired")


def check(world: World, **options: Any) -> RolesCheckResult:
    return check_roles(world.repository, RolesCheckOptions(**options), NOON)


def codes(result: RolesCheckResult) -> list[tuple[str, str]]:
    return [(violation.finding.code, violation.finding.severity.value) for violation in result.violations]


def test_an_id_whose_removal_was_merged_before_the_first_build_is_retired_and_not_used_again(studio: World) -> None:
    merge(studio, SHRUNK)
    assert build(studio).activated
    assert [row["role_id"] for row in retired(studio)["roles"]] == ["chart_designer"]
    assert [row["contract_id"] for row in retired(studio)["contracts"]] == [
        "ROLE:chart_designer:C:1",
        "ROLE:chart_designer:C:2",
    ]

    git(studio.root, "checkout", "-q", "-b", "work")
    write(studio.root, {PACK: ANOTHER})
    result = check(studio)

    assert ("RR035", "error") in codes(result)
    (message,) = [v.finding.message for v in result.violations if v.finding.code == "RR035"]
    folder = f".codex/RUNS/{studio.active(ROLE_REGISTRY)}"
    assert message == f"role_id chart_designer was removed and added again as another role ({folder}/{ROLE_ARTIFACT})"
    assert result.to_json()["retired"] == {
        "source": f"{folder}/{ROLE_ARTIFACT}",
        "roles": 1,
        "contracts": 2,
        "aliases": 0,
    }
    # The check `append_only` of Dagster and `verify` derive their verdict from the same sealed run.
    row = build(studio, minutes=1)
    assert not row.activated
    assert row.verdict is not None
    assert "RR035" in {found.code for found in row.verdict.findings if found.severity is Severity.ERROR}


def test_undoing_a_removal_is_a_warning_and_takes_the_id_off_the_list(studio: World) -> None:
    merge(studio, SHRUNK)
    build(studio)
    git(studio.root, "checkout", "-q", "-b", "work")
    write(studio.root, {PACK: SMALL})

    assert codes(check(studio)) == [("RR035", "warning")]
    assert build(studio, minutes=1).activated
    assert retired(studio) is None


def test_a_contract_that_comes_back_with_another_surface_has_changed(studio: World) -> None:
    merge(studio, SHRUNK)
    build(studio)
    git(studio.root, "checkout", "-q", "-b", "work")
    write(studio.root, {PACK: SMALL.replace("chart_designer C 2", "something else")})

    assert codes(check(studio)) == [("RR003", "error"), ("RR035", "warning")]


def test_retired_ids_stay_when_git_is_gone(studio: World) -> None:
    merge(studio, SHRUNK)
    build(studio)
    before = retired(studio)
    shutil.rmtree(studio.root / ".git")
    write(studio.root, {PACK: pack(role("producer", X=(1,)), role("editor"))})

    assert build(studio, minutes=1).activated
    assert retired(studio) == before


def test_an_id_that_came_and_went_between_two_builds_is_retired_by_the_second(studio: World) -> None:
    build(studio)
    assert retired(studio) is None
    merge(studio, pack(*json.loads(SMALL)["roles"], role("grip")))
    merge(studio, SMALL)

    assert build(studio, minutes=1).activated
    assert [row["role_id"] for row in retired(studio)["roles"]] == ["grip"]


def test_a_removal_that_no_build_accepted_is_known_from_the_active_snapshot_and_git(studio: World) -> None:
    build(studio)
    merge(studio, SHRUNK)
    assert not build(studio, minutes=1).activated
    git(studio.root, "checkout", "-q", "-b", "work")
    write(studio.root, {PACK: ANOTHER})

    result = check(studio)

    assert ("RR035", "error") in codes(result)
    (violation,) = [v for v in result.violations if v.finding.code == "RR035"]
    assert (violation.ids, violation.published_by is not None) == (("chart_designer",), True)


def test_a_role_of_another_branch_was_never_removed(studio: World) -> None:
    git(studio.root, "checkout", "-q", "-b", "work")
    write(studio.root, {PACK: pack(*json.loads(SMALL)["roles"], role("grip"))})
    assert build(studio).activated
    write(studio.root, {PACK: pack(*json.loads(SMALL)["roles"], role("grip", department_id="post"))})

    assert codes(check(studio)) == []


def test_a_reuse_that_the_baseline_has_is_a_warning(studio: World) -> None:
    merge(studio, SHRUNK)
    build(studio)
    merge(studio, SMALL.replace('"display_name": "chart_designer"', '"display_name": "x", "claim_features": ["y"]'))
    merge(studio, SMALL.replace('"department_id": "studio"', '"department_id": "post"'))
    git(studio.root, "checkout", "-q", "-b", "work")

    assert ("RR035", "warning") in codes(check(studio))


def test_what_cannot_be_looked_at_is_not_passed(studio: World) -> None:
    build(studio)
    studio.tamper(studio.active(ROLE_REGISTRY), ROLE_ARTIFACT)

    result = check(studio)

    assert (result.verdict, codes(result)) == ("error", [("RR030", "error")])
    assert "does not verify" in result.violations[0].finding.message
    # A named baseline is compared alone.
    assert check(studio, baseline="HEAD").verdict == "pass"


def test_an_invalid_pointer_file_is_not_passed_and_a_missing_snapshot_is_none(studio: World) -> None:
    assert (check(studio).verdict, check(studio).active) == ("pass", None)
    build(studio)
    make_removable(studio.runs)
    shutil.rmtree(studio.runs / studio.active(ROLE_REGISTRY))
    assert (check(studio).verdict, check(studio).active) == ("pass", None)
    studio.repository.pointer_path.write_text("{")

    assert (check(studio).verdict, codes(check(studio))) == ("error", [("RR030", "error")])


@pytest.mark.parametrize("change", ["a declared role", "an unsorted list", "another shape"])
def test_retired_ids_that_cannot_be_are_found_in_the_sealed_run(studio: World, change: str) -> None:
    merge(studio, SHRUNK)

    def lying(inputs: RoleRegistryInputs, context: BuildContext) -> Artifacts:
        made = build_role_registry(inputs, context)
        document = json.loads(made.files[ROLE_ARTIFACT])
        if change == "a declared role":
            document["retired"]["roles"].append({**document["retired"]["roles"][0], "role_id": "producer"})
        elif change == "an unsorted list":
            document["retired"]["contracts"].reverse()
        else:
            document["retired"]["roles"] = {}
        return replace(made, files={**made.files, ROLE_ARTIFACT: json_document(document)})

    spec = replace(SHIPPED.spec_of(ROLE_REGISTRY), builder=lying)
    built = steps.build(studio.repository, studio.run(), spec, {})
    assert isinstance(built, Built)

    verdict = validate(studio.repository, seal(studio.repository, studio.run(), spec, built))

    assert "RR036" in {found.code for found in verdict.findings}


def test_a_build_reads_the_history_since_the_active_snapshot_and_status_none_of_it(
    studio: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(studio)
    read_through = git(studio.root, "rev-parse", "main")
    merge(studio, SHRUNK)
    calls: list[str | None] = []

    def note(_repository: Repository, _tip: str | None, since: str | None = None) -> list[PublishedCommit]:
        calls.append(since)
        return []

    monkeypatch.setattr(comparison, "read_published_packs", note)

    status = read_status(studio.repository, NOON)

    assert ("RR001", calls) == (next(found.code for found in status.findings if found.code.startswith("RR")), [])
    build(studio, minutes=1)
    assert calls == [read_through]


def test_an_alias_whose_removal_was_waived_is_retired_outside_git_too(studio: World) -> None:
    write(studio.root, {PACK: pack(role("producer", aliases=["line_producer"]))})
    shutil.rmtree(studio.root / ".git")
    build(studio)
    write(studio.root, {PACK: pack(role("producer"))})
    (violation,) = check(studio, baseline="active").violations
    row = {"fingerprint": violation.fingerprint, "reason": "agreed", "approver": "Ada", "expires": "2026-03-01"}
    write(studio.root, {WAIVERS_PATH: json.dumps({"waivers_version": "0.1", "waivers": [row]})})

    assert build(studio, minutes=1).activated
    assert retired(studio)["aliases"] == [{"alias": "line_producer", "role_id": "producer"}]
    (studio.root / WAIVERS_PATH).unlink()
    write(studio.root, {PACK: pack(role("producer"), role("grip", aliases=["line_producer"]))})
    assert ("RR011", "error") in codes(check(studio, baseline="active"))
