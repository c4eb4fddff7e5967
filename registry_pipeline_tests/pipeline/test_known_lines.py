"""Lines that an activation has validated are not validated again, by the same schema and the same root."""

from __future__ import annotations

from typing import Final

import pytest

from registry_pipeline.config import Repository
from registry_pipeline.pipeline.inspect import Inspection, inspect
from registry_pipeline.registries.base import check_run, seal_build
from registry_pipeline.registries.validation import validate
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline.schema import FileProblem
from registry_pipeline_tests.pipeline.conftest import World

LINES: Final = "RUN_REGISTRY_v0_1.jsonl"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """The lines that were known whenever an artifact was checked, by artifact."""
    seen: dict[str, list[bytes]] = {}

    def note(artifact: str, _data: bytes, _validate: object, known_lines: bytes, _described: int) -> list[FileProblem]:
        seen.setdefault(artifact, []).append(known_lines)
        return []

    monkeypatch.setattr(check_run, "check_bytes", note)
    return seen


def inspect_at_noon(repository: Repository, world: World) -> Inspection:
    return inspect(repository, world.run())


def active_lines(world: World) -> bytes:
    return (world.runs / world.active("run_registry") / LINES).read_bytes()


def test_a_new_registry_is_validated_by_the_lines_that_the_active_one_lacks(
    world: World, known: dict[str, list[bytes]]
) -> None:
    world.build()
    before = active_lines(world)
    known.clear()

    world.build(minutes=1)

    assert known[LINES] == [before]


def test_a_build_that_keeps_the_active_registry_validates_no_line_of_it(
    world: World, known: dict[str, list[bytes]]
) -> None:
    for _ in range(3):
        world.build()
    known.clear()

    assert world.build().is_up_to_date
    assert LINES not in known


def test_the_lines_of_the_first_registry_are_all_validated(world: World, known: dict[str, list[bytes]]) -> None:
    world.build()

    assert known[LINES] == [b""]


def seal_another(world: World) -> SealedRun:
    """Seal a run registry that follows the active one, and activate nothing."""
    sealed = world.build("run_registry", minutes=1, only=True).built[0].run
    assert sealed is not None
    return sealed


def test_the_lines_of_a_run_that_is_active_no_more_are_not_known(world: World, known: dict[str, list[bytes]]) -> None:
    world.build()
    sealed = seal_another(world)
    world.build(minutes=2)
    known.clear()

    # What it follows is not the active run any more.
    validate(world.repository, sealed, activated=read_pointers(world.repository).active("run_registry"))

    assert known[LINES] == [b""]


def test_another_schema_validates_every_line(
    world: World, known: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.build()
    known.clear()
    monkeypatch.setattr(seal_build, "read_schema_bytes", lambda _spec, _name: b"{}")

    world.build(minutes=1)
    inspect_at_noon(world.repository, world)

    assert known[LINES] == [b""] * len(known[LINES])


def test_an_inspection_does_not_check_the_lines_of_an_activated_registry(
    world: World, known: dict[str, list[bytes]]
) -> None:
    world.build()
    known.clear()

    inspection = inspect_at_noon(world.repository, world)

    assert LINES not in known
    assert inspection.active["run_registry"].verdict is not None
    assert inspection.active["run_registry"].verdict.passed


def point_at_another(world: World) -> None:
    """Edit the pointer file by hand: it names a run registry that no record activated."""
    other, active = seal_another(world), read_pointers(world.repository).active("run_registry")
    assert active is not None
    text = world.repository.pointer_path.read_text(encoding="utf-8")
    edited = text.replace(active.run_id, other.ref.run_id).replace(active.manifest_sha256, other.ref.manifest_sha256)
    world.repository.pointer_path.write_text(edited, encoding="utf-8")


def test_a_build_validates_every_line_if_no_record_activated_what_it_follows(
    world: World, known: dict[str, list[bytes]]
) -> None:
    world.build()
    point_at_another(world)
    known.clear()

    world.build("run_registry", minutes=2, only=True)

    assert known[LINES] == [b""]


def test_a_run_is_validated_line_by_line_unless_the_caller_knows_what_was_activated(
    world: World, known: dict[str, list[bytes]]
) -> None:
    world.build()
    sealed = seal_another(world)
    known.clear()

    validate(world.repository, sealed)

    assert known[LINES] == [b""]


def test_an_inspection_checks_the_lines_of_a_registry_that_no_record_activated(
    world: World, known: dict[str, list[bytes]]
) -> None:
    world.build()
    point_at_another(world)
    known.clear()

    inspection = inspect_at_noon(world.repository, world)

    assert known[LINES] == [b""]
    assert "POINTER_EDITED" in {finding.code for finding in inspection.findings}


def test_a_changed_byte_of_the_lines_is_found_without_checking_them(world: World) -> None:
    world.build()
    world.tamper(world.active("run_registry"), LINES)

    inspection = inspect_at_noon(world.repository, world)

    verdict = inspection.active["run_registry"].verdict
    assert verdict is not None
    assert {finding.code for finding in verdict.errors()} == {"HASH_MISMATCH"}
