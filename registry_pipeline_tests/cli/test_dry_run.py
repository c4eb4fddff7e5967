"""`--dry-run` prints what a change would do, has its exit code, and writes nothing."""

from __future__ import annotations

import json

import pytest

from registry_pipeline_tests.cli.conftest import NOON, Repository
from registry_pipeline_tests.role_packs import PACK

LATER, LATEST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"
BAD = ("mark-bad", "2026-03-01__120000__drift_signals_build", "--reason", "wrong clock")
CHANGES = {
    "activate": ("activate", "drift_signals", "latest", "--reason", "reviewed", "--allow-mixed"),
    "activate a mixed set": ("activate", "run_registry", "latest", "--reason", "reviewed"),
    "rollback": ("rollback", "--reason", "wrong"),
    "redo without a rollback": ("rollback", "--redo", "--reason", "right"),
    "mark the active run bad": BAD,
}


@pytest.fixture
def changeable(built: Repository) -> Repository:
    """A repository with newer runs that are not active."""
    assert built("build", "--no-activate", now=LATER).code == 0
    return built


@pytest.mark.parametrize("change", CHANGES)
def test_a_dry_run_writes_nothing_and_ends_as_the_change_does(changeable: Repository, change: str) -> None:
    words, before = CHANGES[change], changeable.files()

    dry = changeable(*words, "--dry-run", now=LATEST)
    assert changeable.files() == before
    real = changeable(*words, now=LATEST)

    assert dry.code == real.code
    if dry.code in (0, 5):
        assert dry.out.splitlines()[-1] == "dry run: nothing was written"


@pytest.mark.parametrize("change", ["activate", "rollback", "mark the active run bad"])
def test_a_dry_run_names_the_moves_and_the_record_of_the_change(changeable: Repository, change: str) -> None:
    words = CHANGES[change]
    dry = json.loads(changeable(*words, "--dry-run", "--json", now=LATEST).out)
    shown = changeable(*words, "--dry-run", now=LATEST).out
    real = changeable(*words, "--json", now=LATEST).document(words[0])

    assert (dry["dry_run"], dry["activation_run_id"], dry["report_run_id"]) == (True, None, None)
    assert dry["moves"] == real["moves"]
    assert f"would be recorded in {real['activation_run_id']}\n" in shown
    assert real["dry_run"] is False


def test_the_first_change_of_a_repository_is_previewed_too(known: Repository) -> None:
    known("init")
    known("build", "--no-activate", now=NOON)
    words = ("activate", "run_registry", "2026-03-01__120000__run_registry_build", "--reason", "first")

    shown, before = known(*words, "--dry-run", now=LATER).out, known.files()
    real = known(*words, "--json", now=LATER).document("activate")

    assert f"would be recorded in {real['activation_run_id']}\n" in shown
    assert not any("pointer_activation" in path for path in before)


def test_nothing_to_change_is_said_by_a_dry_run(built: Repository) -> None:
    result = built("activate", "drift_signals", "latest", "--reason", "again", "--dry-run", now=LATER)

    assert (result.code, "the run is already active; no pointer moved" in result.out) == (0, True)


def preview(repository: Repository, *words: str) -> dict[str, str]:
    document = repository("build", "--dry-run", "--json", *words, now=LATER).document("build")
    return {row["registry_id"]: row["outcome"] for row in document["preview"]}


@pytest.mark.parametrize("words", [(), ("--force",), ("op_status_table",), ("expected_versions", "--only")])
def test_a_previewed_build_writes_nothing_and_names_what_the_build_seals(
    built: Repository, words: tuple[str, ...]
) -> None:
    before = built.files()
    outcomes = preview(built, *words)
    assert built.files() == before

    document = built("build", *words, "--json", now=LATER).document("build")
    sealed = {row["registry_id"] for row in document["built"] if not row["reused"]}

    assert {name for name, outcome in outcomes.items() if outcome in {"new", "depends"}} == sealed
    assert {name for name, outcome in outcomes.items() if outcome == "not_built"} == set(document["not_built"])


def test_a_preview_of_the_first_build_writes_nothing(known: Repository) -> None:
    known("init")
    before = known.files()

    result = known("build", "--dry-run")

    assert known.files() == before
    assert result.out.splitlines()[-1] == "dry run: nothing was written"
    assert result.code == known("build").code


def test_a_preview_reports_what_is_wrong_with_a_source(built: Repository) -> None:
    source = built.root / "docs/governance/EXPECTED_VERSIONS_v0_1.json"
    source.write_text("{")
    dry = built("build", "expected_versions", "--dry-run", now=LATER)

    real = built("build", "expected_versions", now=LATER)

    (reported,) = [line for line in dry.out.splitlines() if line.startswith("CAPTURE_FINDING: ")]
    assert reported in real.out
    assert dry.code == real.code


def test_a_preview_has_the_exit_code_of_a_source_that_fails_its_check(built: Repository) -> None:
    pack = built.root / PACK
    content = json.loads(pack.read_bytes())
    content["roles"].append(content["roles"][0])
    pack.write_text(json.dumps(content))

    dry, real = (built("build", "role_registry", *words, now=LATER) for words in (("--dry-run",), ()))

    assert dry.code == real.code == 3


def test_a_preview_of_past_days_is_a_usage_error(built: Repository) -> None:
    assert built("build", "drift_signals_daily", "--as-of", "2026-02-01", "--dry-run").code == 2
