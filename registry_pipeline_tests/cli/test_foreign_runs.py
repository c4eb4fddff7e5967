"""Runs of another repository: refused, accepted with a reason, shown, and left out of logs and counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from registry_pipeline_tests.cli.conftest import CommandResult, Repository
from registry_pipeline_tests.sealed_folders import seal_plainly

LATER, LATEST, LAST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z", "2026-03-04T12:00:00Z"
OTHER = "another-repository"
OWN_RUN = "2026-03-01__120000__seal_migration_ledger"
FOREIGN_RUN = "2026-03-02__120000__seal_migration_ledger"
ACTIVATE = ("activate", "migration_ledger", FOREIGN_RUN, "--reason", "moved here from the old repository")


def write_id(repository: Repository, line: str) -> str:
    """Replace the line of the repository id in the toml; return the line that was there."""
    path = repository.root / "registry-pipeline.toml"
    text = path.read_text(encoding="utf-8")
    before = re.search(r"^repository_id = .*\n", text, re.MULTILINE)
    assert before is not None
    path.write_text(text.replace(before[0], line), encoding="utf-8")
    return before[0]


@contextmanager
def as_another_repository(repository: Repository) -> Iterator[None]:
    before = write_id(repository, f'repository_id = "{OTHER}"\n')
    yield
    write_id(repository, before)


@pytest.fixture
def visited(built: Repository) -> Repository:
    """A built repository into whose run root a newer scorecard of another repository was copied."""
    with as_another_repository(built):
        assert built("build", "migration_ledger", "--only", "--force", now=LATER).code == 0
    return built


def codes(result: CommandResult, verb: str) -> dict[str, str]:
    """Return the severity of each code that the answer of a command has."""
    document = result.document(verb)
    return {f["code"]: f["severity"] for f in [*document["findings"], *document.get("refused", [])]}


def envelope(repository: Repository, run_id: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((repository.runs / run_id / "run.json").read_bytes())
    return value


def newest_record(repository: Repository) -> dict[str, Any]:
    name = max(path.name for path in repository.runs.glob("*__pointer_activation*"))
    value: dict[str, Any] = json.loads((repository.runs / name / "POINTER_ACTIVATION_v0_1.json").read_bytes())
    return value


def test_every_run_that_is_sealed_states_the_repository_id(built: Repository) -> None:
    toml = (built.root / "registry-pipeline.toml").read_text(encoding="utf-8")
    ours = [path.parent.name for path in built.runs.glob("2026-03-01__120000__*/run.json")]

    assert {run_id.split("__")[2] for run_id in ours} >= {
        "pointer_activation",
        "system_health_render",
        "run_registry_build",
        "seal_expected_versions",
    }
    assert {f'repository_id = "{envelope(built, run_id)["repository_id"]}"' in toml for run_id in ours} == {True}


def test_init_adds_the_id_to_a_repository_that_has_none_and_says_so(built: Repository) -> None:
    write_id(built, "")

    assert built("init", "--json").document("init")["created"] == ["registry-pipeline.toml"]
    assert built("init", "--json").document("init")["created"] == []
    assert (built.root / "registry-pipeline.toml").read_text(encoding="utf-8").startswith('repository_id = "')


def test_a_run_of_another_repository_is_refused_and_nothing_changes(visited: Repository) -> None:
    before = visited.pointers.read_bytes(), sorted(path.name for path in visited.runs.iterdir())

    refused = visited(*ACTIVATE, "--json", now=LATEST)

    assert (refused.code, codes(refused, "activate")) == (5, {"ACTIVATE_FOREIGN": "error"})
    (found,) = refused.document("activate")["findings"]
    assert (found["expected"], found["got"]) == (envelope(visited, OWN_RUN)["repository_id"], OTHER)
    assert f"activate migration_ledger {FOREIGN_RUN} --allow-foreign --reason" in found["hint"]
    assert (visited.pointers.read_bytes(), sorted(path.name for path in visited.runs.iterdir())) == before


def test_with_permission_and_a_reason_a_foreign_run_is_activated_and_recorded(visited: Repository) -> None:
    accepted = visited(*ACTIVATE, "--allow-foreign", "--json", now=LATEST)

    assert (accepted.code, codes(accepted, "activate")) == (0, {"ACTIVATE_FOREIGN": "warning"})
    assert visited.active("migration_ledger") == FOREIGN_RUN
    record = newest_record(visited)
    assert record["verdicts"] == {"pass": 1, "fail": 0, "unsealed": 0, "partial": 0, "accepted_foreign": 1}
    assert record["reason"] == "moved here from the old repository"


def test_permission_needs_a_reason(visited: Repository) -> None:
    assert visited(*ACTIVATE[:3], "--allow-foreign", now=LATEST).code == 2
    assert visited(*ACTIVATE[:3], "--allow-foreign", "--reason", " ", now=LATEST).code == 2
    assert visited.active("migration_ledger") == OWN_RUN


def test_an_accepted_foreign_run_is_a_warning_wherever_the_active_runs_are_shown(visited: Repository) -> None:
    visited(*ACTIVATE, "--allow-foreign", now=LATEST)

    for words in (("status",), ("verify", "--active"), ("doctor",)):
        result = visited(*words, "--json", now=LATEST)
        assert (result.code, codes(result, words[0]).get("POINTER_FOREIGN")) == (0, "warning"), words


def test_a_foreign_run_that_no_record_accepts_is_an_error_wherever_the_active_runs_are_shown(
    visited: Repository,
) -> None:
    root = (visited.runs / FOREIGN_RUN / "MANIFEST.sha256").read_text(encoding="utf-8").split()[-1]
    document = json.loads(visited.pointers.read_bytes())
    entry = next(p for p in document["pointers"] if p["registry_id"] == "migration_ledger")
    entry["active_ref"] |= {"run_id": FOREIGN_RUN, "manifest_sha256": root}
    visited.pointers.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    for words in (("status",), ("verify", "--active"), ("doctor",)):
        result = visited(*words, "--json", now=LATEST)
        assert result.code == 3
        assert codes(result, words[0]).items() >= {"POINTER_FOREIGN": "error", "POINTER_EDITED": "error"}.items()


def test_a_rollback_to_a_foreign_run_that_was_accepted_once_needs_no_new_permission(visited: Repository) -> None:
    visited(*ACTIVATE, "--allow-foreign", now=LATEST)
    assert visited("build", "migration_ledger", "--force", now=LATEST).code == 0
    assert visited.active("migration_ledger") != FOREIGN_RUN

    back = visited("rollback", "--reason", "the old one was right", "--json", now=LAST)

    assert (back.code, codes(back, "rollback")) == (0, {"ACTIVATE_FOREIGN": "warning"})
    assert visited.active("migration_ledger") == FOREIGN_RUN
    assert newest_record(visited)["verdicts"]["accepted_foreign"] == 1
    assert codes(visited("status", "--json", now=LAST), "status")["POINTER_FOREIGN"] == "warning"


def test_a_repository_with_a_new_id_shows_old_runs_as_foreign_until_they_are_rebuilt(
    built: Repository,
) -> None:
    write_id(built, f'repository_id = "{OTHER}"\n')
    before = built("status", "--json", now=LATER)
    assert (before.code, codes(before, "status")["POINTER_FOREIGN"]) == (3, "error")
    assert built("build", "op_status_table", "--only", "--force", now=LATER).code == 5  # it would rest on a foreign run

    rebuilt = built("build", "--json", now=LATER)

    assert rebuilt.code == 0
    # Inherited runs are not fed back either, so there is nothing to compare the list of run folders with.
    assert codes(rebuilt, "build").items() >= {"POINTER_FOREIGN": "warning", "RUN_HISTORY_UNKNOWN": "warning"}.items()
    active = {p["registry_id"]: p["active_ref"]["run_id"] for p in json.loads(built.pointers.read_bytes())["pointers"]}
    assert "expected_versions" in active  # captured again although its source did not change
    assert {envelope(built, run_id)["repository_id"] for run_id in active.values()} == {OTHER}
    assert "POINTER_FOREIGN" not in codes(built("status", "--json", now=LATER), "status")

    back = built("rollback", "--reason", "to before the fork", "--json", now=LATEST)
    assert (back.code, codes(back, "rollback")["ACTIVATE_FOREIGN"]) == (5, "error")


def test_a_build_names_the_foreign_run_that_it_would_use(built: Repository) -> None:
    write_id(built, f'repository_id = "{OTHER}"\n')

    result = built("build", "op_status_table", "--only", "--force", now=LATER)

    assert result.code == 5
    assert re.search(r"run_registry_build belongs to the repository [a-z0-9-]+", result.err)
    assert "--allow-foreign --reason TEXT" in result.err


def test_a_run_that_is_active_already_is_accepted_in_place(built: Repository) -> None:
    write_id(built, f'repository_id = "{OTHER}"\n')
    words = ("activate", "migration_ledger", "active", "--reason", "we are a fork")

    refused = built(*words, now=LATER)
    accepted = built(*words, "--allow-foreign", now=LATER)
    again = built(*words, "--allow-foreign", now=LATEST)

    assert (refused.code, accepted.code, again.code) == (5, 0, 0)
    assert "the run is already active; no pointer moved" in again.out
    shown = built("status", "--json", now=LATEST).document("status")["findings"]
    severities = {
        f["got"]: f["severity"] for f in shown if f["code"] == "POINTER_FOREIGN" and "migration_ledger" in f["hint"]
    }
    assert set(severities.values()) == {"warning"}
    assert {f["severity"] for f in shown if f["code"] == "POINTER_FOREIGN"} == {"warning", "error"}


def test_what_another_repository_accepted_is_not_accepted_here(visited: Repository) -> None:
    """A fork inherits the chain; its records that accept foreign runs are decisions of the other repository."""
    visited(*ACTIVATE, "--allow-foreign", now=LATEST)

    write_id(visited, 'repository_id = "a-third-repository"\n')

    shown = visited("status", "--json", now=LATEST).document("status")["findings"]
    foreign = [f["severity"] for f in shown if f["code"] == "POINTER_FOREIGN" and f["got"] == OTHER]
    assert foreign == ["error"]


def test_a_run_without_an_id_is_activated_with_a_warning_in_a_repository_that_has_one(built: Repository) -> None:
    own = write_id(built, "# no id\n")
    assert built("build", "migration_ledger", "--only", "--force", now=LATER).code == 0
    (built.root / "registry-pipeline.toml").write_text(
        own + (built.root / "registry-pipeline.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    assert "repository_id" not in envelope(built, FOREIGN_RUN)

    result = built(*ACTIVATE, "--json", now=LATEST)

    assert (result.code, codes(result, "activate")) == (0, {"ACTIVATE_ORIGIN_UNKNOWN": "warning"})
    assert {
        c for c in codes(built("status", "--json", now=LATEST), "status") if "ORIGIN" in c or "FOREIGN" in c
    } == set()


def test_a_run_with_an_id_is_activated_with_a_warning_in_a_repository_that_has_none(visited: Repository) -> None:
    write_id(visited, "# no id\n")

    result = visited(*ACTIVATE, "--json", now=LATEST)

    assert (result.code, codes(result, "activate")) == (0, {"ACTIVATE_ORIGIN_UNKNOWN": "warning"})
    assert codes(visited("status", "--json", now=LATEST), "status")["POINTER_ORIGIN_UNKNOWN"] == "warning"


def pend(repository: Repository, *words: str) -> None:
    """Leave the change that a command makes sealed and its pointer file as it was, as a kill between the two does."""
    before = repository.pointers.read_bytes()
    assert repository(*words, now=LATEST).code == 0
    name = max(path.name for path in repository.runs.glob("*__pointer_activation*"))
    record = newest_record(repository)
    intent = {"run_id": name, "before": record["pointer_sha256_before"], "after": record["pointer_sha256_after"]}
    (repository.root / f"{repository.pointers}.intent").write_text(json.dumps(intent), encoding="utf-8")
    repository.pointers.write_bytes(before)


def test_a_pending_accepted_change_is_completed_as_it_was_accepted(visited: Repository) -> None:
    pend(visited, *ACTIVATE, "--allow-foreign")

    finished = visited("doctor", "--fix", "--finish", now=LAST)

    assert finished.code == 0
    assert visited.active("migration_ledger") == FOREIGN_RUN


def test_a_pending_change_to_a_run_that_became_foreign_is_not_completed(built: Repository) -> None:
    assert built("build", "migration_ledger", "--only", "--force", now=LATER).code == 0
    pend(built, *ACTIVATE)
    write_id(built, f'repository_id = "{OTHER}"\n')

    refused = built("doctor", "--fix", "--finish", "--json", now=LAST)

    assert refused.code == 3  # the pending chain weighs more than the refusal
    assert {f["code"] for f in refused.document("doctor")["refused"]} == {"ACTIVATE_FOREIGN"}
    assert built.active("migration_ledger") == OWN_RUN


def logged(repository: Repository, now: str) -> tuple[set[str], set[str]]:
    """Build the delta log; return the runs that its edges lead to, and the codes of the build."""
    result = repository("build", "registry_delta_log", "--json", now=now)
    assert result.code == 0, result
    name = max(path.name for path in repository.runs.glob("*__registry_delta_log_build*"))
    lines = (repository.runs / name / "REGISTRY_DELTA_LOG_v0_1.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["to_ref"]["run_id"] for line in lines}, set(codes(result, "build"))


def test_a_foreign_snapshot_is_an_edge_of_the_delta_log_only_after_it_was_accepted(visited: Repository) -> None:
    runs, findings = logged(visited, LATER)
    assert FOREIGN_RUN not in runs
    assert "DELTA_FOREIGN" in findings

    visited(*ACTIVATE, "--allow-foreign", now=LATEST)

    runs, findings = logged(visited, LATEST)
    assert FOREIGN_RUN in runs
    assert "DELTA_FOREIGN" not in findings


def sealed_registries(repository: Repository, now: str) -> int:
    """Build a scorecard; return how many registries it counts as sealed."""
    built = repository("build", "governance_scorecard", "--only", "--json", now=now).document("build")["built"]
    document = json.loads((repository.runs / built[0]["run_id"] / "GOVERNANCE_SCORECARD_v0_2.json").read_bytes())
    return int(document["registries"]["sealed"])


def test_the_scorecard_does_not_count_a_foreign_run_as_the_newest_of_its_registry(built: Repository) -> None:
    (report,) = built.runs.glob("*__system_health_render")
    report.chmod(0o755)
    report.rename(built.root / "elsewhere")
    named = {"registry_id": "system_health_report"}
    without = sealed_registries(built, LATER)

    seal_plainly(built.root, "2026-03-02__130000__system_health_render", {}, named | {"repository_id": OTHER})
    assert sealed_registries(built, LATEST) == without

    seal_plainly(built.root, "2026-03-02__110000__system_health_render", {}, named)
    assert sealed_registries(built, LAST) == without + 1  # the newest that is not foreign
