"""Why the newest run is not the active one, as a pure function of unverified data."""

from __future__ import annotations

from registry_pipeline.pointers.activation import Obstacle, explain_newest_runs
from registry_pipeline.pointers.plan import ActivationState, Candidate
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import RunVerdict, SealedRun, Verdict

ROOT = ".codex/RUNS"


def run(registry_id: str, day: int, **upstream: int) -> SealedRun:
    """Return a run of a day; `upstream` names the days of the runs that it was built from."""
    inputs = tuple(InputRegistry(name, "upstream", run(name, built).ref) for name, built in upstream.items())
    return SealedRun(registry_id, SealedRef(f"d{day}_{registry_id}", ROOT, None, f"{day:064x}"), Inputs(inputs), "")


def explain(
    newest: dict[str, SealedRun],
    active: dict[str, SealedRun],
    *,
    verdict: RunVerdict = "pass",
    pointers_valid: bool = True,
    marked_bad: dict[str, str] | None = None,
    rolled_back_runs: frozenset[str] = frozenset(),
) -> dict[str, Obstacle]:
    claims = {
        name: Candidate(claim, Verdict("", claim.ref.run_id, name, verdict, claim.ref.manifest_sha256, ()))
        for name, claim in newest.items()
        if active.get(name) != claim
    }
    state = ActivationState(active, SHIPPED.registries, (ROOT,), marked_bad or {}, rolled_back_runs)
    return explain_newest_runs(claims, state, pointers_valid=pointers_valid)


ACTIVE = {
    "run_registry": run("run_registry", 1),
    "op_status_table": run("op_status_table", 1, run_registry=1),
}
ALONE = {"run_registry": run("run_registry", 2)}


def test_an_active_run_has_no_obstacle() -> None:
    assert explain(ACTIVE, ACTIVE) == {}


def test_a_registry_rebuilt_alone_is_blocked_by_its_dependants() -> None:
    reason = explain(ALONE, ACTIVE)["run_registry"]

    assert (
        "op_status_table would depend on a run of run_registry that is not active (expected d2_run_registry, got d1"
        in reason.because
    )
    assert reason.next_command == "registry-pipeline build run_registry"


def test_a_run_built_from_an_inactive_run_names_the_upstream_to_build() -> None:
    reason = explain({"op_status_table": run("op_status_table", 2, run_registry=2)}, ACTIVE)["op_status_table"]

    assert "got d2_run_registry" in reason.because
    assert reason.next_command == "registry-pipeline build run_registry"


def test_runs_that_could_only_move_together_are_built_again_together() -> None:
    both = {**ALONE, "op_status_table": run("op_status_table", 2, run_registry=2)}

    assert {reason.next_command for reason in explain(both, ACTIVE).values()} == {
        "registry-pipeline build run_registry"
    }


def test_a_run_without_obstacles_can_be_activated_by_name() -> None:
    reason = explain(ALONE, {})["run_registry"]

    assert reason.next_command == "registry-pipeline activate run_registry d2_run_registry --reason TEXT"


def test_the_obstacle_may_be_the_run_itself() -> None:
    assert explain(ALONE, ACTIVE, verdict="unsealed")["run_registry"].because == "the run does not verify: unsealed"
    assert explain(ALONE, ACTIVE, verdict="partial")["run_registry"].because == "the run does not verify: partial"
    assert (
        explain(ALONE, ACTIVE, verdict="fail")["run_registry"].next_command
        == "registry-pipeline verify d2_run_registry"
    )
    assert explain(ALONE, ACTIVE, marked_bad={"d2_run_registry": "wrong"})["run_registry"].because == (
        "the run is marked bad: wrong"
    )
    assert explain(ALONE, ACTIVE, rolled_back_runs=frozenset({"d2_run_registry"}))["run_registry"].because == (
        "a rollback deactivated this run, so it is not activated automatically"
    )


def test_nothing_moves_while_the_pointers_are_invalid() -> None:
    assert explain(ALONE, ACTIVE, pointers_valid=False)["run_registry"].next_command == "registry-pipeline doctor"


def test_a_registry_that_is_never_active_says_so() -> None:
    reason = explain({"system_health_report": run("system_health_report", 2)}, ACTIVE)["system_health_report"]

    assert reason == Obstacle(SHIPPED.registries["system_health_report"].excluded_because)
