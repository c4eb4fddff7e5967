"""Plans of activations: what moves, what is refused and with which code (specification, "Activation")."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import ConfigError
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import Severity
from registry_pipeline.pointers.chain import ActivationRecord
from registry_pipeline.pointers.plan import ActivationPlan, ActivationRequest, NothingToMove, plan_activation, plan_init
from registry_pipeline.runs.reference import Move, Pointer, pointer_file_bytes
from registry_pipeline.runs.sealed_run import Refusal, SealedRun
from registry_pipeline.schema import check_value
from registry_pipeline.values import replace

from .requests import HEAD, NOW, RUNS, candidate, pointers_to, request, run, with_state

RR1, RR2 = run("run_registry", 1), run("run_registry", 2)
OP1, OP2 = run("op_status_table", 1, run_registry=1), run("op_status_table", 2, run_registry=2)
EV1, EV2 = run("expected_versions", 1), run("expected_versions", 2)
DS1 = run("drift_signals", 1, run_registry=1, op_status_table=1, expected_versions=1)
DS2 = run("drift_signals", 2, run_registry=2, op_status_table=2, expected_versions=1)


OWN, OTHER = "this-repository", "another-repository"


def accepted(activation: ActivationRequest) -> ActivationPlan:
    plan = plan_activation(activation)
    assert isinstance(plan, ActivationPlan), plan
    return plan


def codes(activation: ActivationRequest) -> list[str]:
    plan = plan_activation(activation)
    assert isinstance(plan, Refusal), plan
    return sorted({f.code for f in plan.findings if f.severity is Severity.ERROR})


def test_a_passing_run_is_activated_with_all_keys_of_a_pointer() -> None:
    plan = accepted(request([RR1]))
    after = json.loads(plan.after_bytes)

    assert after["pointers"] == [
        {
            "registry_id": "run_registry",
            "active_ref": {
                "run_id": "2026-02-01__000000__run_registry_build",
                "run_root": ".codex/RUNS",
                "relpath": "A.json",
                "manifest_sha256": RR1.ref.manifest_sha256,
            },
            "active_ref_known": True,
            "active_asof_utc": NOW,
            "notes": "because",
        }
    ]
    assert after["last_updated_utc"] == NOW


def test_the_record_has_the_documented_keys_in_their_order() -> None:
    activation = request([RR2], [RR1])
    plan = accepted(activation)
    document = json.loads(plan.artifacts.files["POINTER_ACTIVATION_v0_1.json"])

    assert list(document.items()) == [
        ("activation_version", "0.1"),
        ("action", "activate"),
        ("moves", [{"registry_id": "run_registry", "from_ref": RR1.ref.to_json(), "to_ref": RR2.ref.to_json()}]),
        ("runs", []),
        ("actor", "a test"),
        ("reason", "because"),
        ("verdicts", {"pass": 1, "fail": 0, "unsealed": 0, "partial": 0}),
        ("pointer_sha256_before", activation.pointers.sha256),
        ("pointer_sha256_after", sha256_hex(plan.after_bytes)),
        ("previous_activation", HEAD.to_json()),
    ]
    assert plan.artifacts.files["POINTERS_AFTER.json"] == plan.after_bytes
    assert ActivationRecord.from_json(document) == plan.record


def test_init_keeps_the_pointer_file_and_has_no_predecessor() -> None:
    odd = b'{"pointers": [],    "$schema": "theirs"}\r\n'
    plan = plan_init(odd, actor="a test", reason="")

    assert plan.artifacts.files["POINTERS_AFTER.json"] == odd
    assert plan.record.before_sha256 == plan.record.after_sha256 == sha256_hex(odd)
    assert plan.record.previous is None
    assert plan.moves == ()


def test_a_plan_made_before_init_follows_it_once_it_is_sealed() -> None:
    early = accepted(request([RR1], previous=None))

    with pytest.raises(ValueError, match="needs a predecessor"):
        _ = early.artifacts
    assert early.following(HEAD) == accepted(request([RR1]))


def test_one_plan_activates_a_complete_rebuild() -> None:
    plan = accepted(request([DS2, RR2, OP2], [RR1, OP1, DS1, EV1]))

    assert [m.registry_id for m in plan.moves] == ["drift_signals", "op_status_table", "run_registry"]
    assert plan.findings == ()


def test_an_active_run_is_no_move() -> None:
    assert plan_activation(request([RR1], [RR1])) == NothingToMove()


def test_only_the_runs_of_a_set_that_are_not_active_move() -> None:
    plan = accepted(request([RR2, EV1], [RR1, EV1]))

    assert plan.moves == (Move("run_registry", RR1.ref, RR2.ref),)


def test_a_pointer_that_is_not_true_replaces_nothing() -> None:
    file = pointers_to([RR1])
    stale = replace(file, pointers=(Pointer("run_registry", RR1.ref, known=False, asof_utc=None, notes="bad"),))
    plan = accepted(request([RR1], pointers=stale))

    assert plan.moves == (Move("run_registry", None, RR1.ref),)


REFUSED: dict[str, tuple[str, ActivationRequest]] = {
    "a run that fails": ("ACTIVATE_NOT_VERIFIED", request([candidate(RR1, verdict="fail")])),
    "a run without a seal": ("ACTIVATE_NOT_VERIFIED", request([candidate(RR1, verdict="unsealed")])),
    "a run with half a seal": ("ACTIVATE_NOT_VERIFIED", request([candidate(RR1, verdict="partial")])),
    "a verdict on another content": ("ACTIVATE_VERDICT_STALE", request([candidate(RR1, root_sha256="0" * 64)])),
    "a verdict without a root": ("ACTIVATE_VERDICT_STALE", request([candidate(RR1, root_sha256=None)])),
    "a verdict on another run": ("ACTIVATE_VERDICT_STALE", request([candidate(RR1, run_id="other")])),
    "a run of another registry": ("ACTIVATE_OTHER_REGISTRY", request([candidate(RR1, registry_id="drift_signals")])),
    "a run of no registry": ("ACTIVATE_OTHER_REGISTRY", request([candidate(RR1, registry_id=None)])),
    "a run outside the roots": (
        "ACTIVATE_OUTSIDE_ROOTS",
        request([replace(RR1, ref=replace(RR1.ref, run_root="elsewhere"))]),
    ),
    "a run below the root's first level": (
        "ACTIVATE_OUTSIDE_ROOTS",
        request([replace(RR1, ref=replace(RR1.ref, run_id="a/b"))]),
    ),
    "a registry without a pointer": ("ACTIVATE_NO_POINTER", request([run("system_health_report", 1)])),
    "an external registry": ("ACTIVATE_NO_POINTER", request([run("threshold_registry_db", 1)])),
    "an unknown registry": ("ACTIVATE_NO_POINTER", request([run("nobody", 1)])),
    "a run marked bad": ("ACTIVATE_MARKED_BAD", request([RR1], marked_bad={RR1.ref.run_id: "wrong clock"})),
    "a run of another repository": (
        "ACTIVATE_FOREIGN",
        request([candidate(RR1, repository_id=OTHER)], repository_id=OWN),
    ),
    "a foreign run that was accepted once, without a new permission": (
        "ACTIVATE_FOREIGN",
        request(
            [candidate(RR1, repository_id=OTHER)], repository_id=OWN, accepted_foreign=frozenset({RR1.ref.identity})
        ),
    ),
    "an older instant": ("ACTIVATE_OLDER", request([RR1], [RR2])),
    "a set not built together": ("ACTIVATE_MIXED", request([RR2], [RR1, OP1])),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_invalid_activation_is_refused(what: str) -> None:
    code, activation = REFUSED[what]

    assert codes(activation) == [code]


def test_a_refusal_gives_every_reason_at_once() -> None:
    bad = candidate(RR1, verdict="fail", root_sha256=None, registry_id=None)
    activation = request([bad], [RR2, OP2], marked_bad={RR1.ref.run_id: "x"})

    assert codes(activation) == [
        "ACTIVATE_MARKED_BAD",
        "ACTIVATE_MIXED",
        "ACTIVATE_NOT_VERIFIED",
        "ACTIVATE_OLDER",
        "ACTIVATE_OTHER_REGISTRY",
        "ACTIVATE_VERDICT_STALE",
    ]


def test_one_bad_candidate_refuses_the_whole_set() -> None:
    assert codes(request([RR2, candidate(EV2, verdict="fail")], [RR1, EV1])) == ["ACTIVATE_NOT_VERIFIED"]


def test_an_active_run_that_fails_now_is_refused_and_not_reported_as_active() -> None:
    assert codes(request([candidate(RR1, verdict="fail")], [RR1])) == ["ACTIVATE_NOT_VERIFIED"]


def test_a_run_whose_pointer_is_not_true_is_no_upstream() -> None:
    file = pointers_to([RR1])
    stale = replace(file, pointers=(Pointer("run_registry", RR1.ref, known=False, asof_utc=None, notes="bad"),))

    assert codes(request([OP1], [RR1], pointers=stale)) == ["ACTIVATE_MIXED"]


@pytest.mark.parametrize("as_of_utc", ["", "yesterday"])
def test_a_run_with_an_unknown_time_is_not_considered_older(as_of_utc: str) -> None:
    accepted(request([replace(RR1, as_of_utc=as_of_utc)], [RR2]))


MIXED: dict[str, tuple[list[SealedRun], dict[str, Any], str]] = {
    "a first registry moves alone": ([RR1], {}, ""),
    "a registry rebuilt alone, with something resting on the old one": ([RR2], {"active": [RR1, OP1]}, "run_registry"),
    "both ends of an edge move together": ([RR2, OP2], {"active": [RR1, OP1]}, ""),
    "a new one that rests on what is not active": ([OP2], {"active": [RR1]}, "op_status_table"),
    "a new one that rests on what is active": ([OP1], {"active": [RR1]}, ""),
    "a new one whose upstream has no active run at all": ([OP1], {}, "op_status_table"),
    "two ends move, and one was built from neither": (
        [RR2, OP1],
        {"active": [RR1]},
        "run_registry",
    ),
    "the middle moves, and what rests on it stays": (
        [run("op_status_table", 3, run_registry=1)],
        {"active": [RR1, OP1, EV1, DS1]},
        "op_status_table",
    ),
    "a leaf that nothing rests on is rebuilt from the active set": (
        [run("drift_signals", 3, run_registry=1, op_status_table=1, expected_versions=1)],
        {"active": [RR1, OP1, EV1, DS1]},
        "",
    ),
    "a run that records no inputs is not checked": ([run("op_status_table", 2)], {"active": [RR2]}, ""),
    "an active run that records no inputs is not checked": (
        [RR2],
        {"active": [RR1, run("op_status_table", 1)]},
        "",
    ),
    "an edge to a registry without a pointer is not checked": (
        [run("run_registry", 2, system_health_report=1)],
        {},
        "",
    ),
    "the upstream is active but its folder is absent": ([OP1], {"absent": [RR1]}, "op_status_table"),
    "a move replaces an active run whose folder is absent": ([RR2], {"absent": [RR1]}, ""),
    "what rests on the moved one is active, its folder absent": ([RR2], {"active": [RR1], "absent": [OP1]}, ""),
    "a mixed edge elsewhere does not hold the move": ([EV2], {"active": [RR2, OP1, EV1]}, ""),
    "people may mix with a reason": ([RR2], {"active": [RR1, OP1], "allow_mixed": True}, ""),
}


@pytest.mark.parametrize("what", MIXED)
def test_the_set_is_checked_on_the_state_after_the_move(what: str) -> None:
    candidates, state, rebuild = MIXED[what]
    plan = plan_activation(request(candidates, **state))

    if rebuild:
        assert isinstance(plan, Refusal)
        assert {f.code for f in plan.findings} == {"ACTIVATE_MIXED"}
        assert f"`registry-pipeline build {rebuild}`" in plan.findings[0].hint
    else:
        assert isinstance(plan, ActivationPlan)


@pytest.mark.parametrize(
    ("candidates", "state"),
    [([EV2], {"active": [RR2, OP1, EV1]}), ([RR2], {"active": [RR1, OP1], "allow_mixed": True})],
)
def test_an_inconsistent_input_that_does_not_refuse_is_a_warning(
    candidates: list[SealedRun], state: dict[str, Any]
) -> None:
    (warning,) = accepted(request(candidates, **state)).findings

    assert (warning.code, warning.severity) == ("POINTER_INPUTS_MIXED", Severity.WARNING)
    assert (warning.expected, warning.got) == (RR2.ref.run_id, RR1.ref.run_id)
    assert warning.path == f"{RUNS}/{OP1.ref.run_id}"


def test_previous_inputs_do_not_count_for_consistency() -> None:
    fed_back = replace(
        OP1, inputs=replace(OP1.inputs, registries=tuple(replace(i, role="previous") for i in OP1.inputs.registries))
    )

    accepted(request([fed_back]))


def test_allowing_mixed_runs_without_a_reason_is_a_usage_error() -> None:
    with pytest.raises(ConfigError, match="reason"):
        plan_activation(request([RR2], [RR1, OP1], allow_mixed=True, reason=" "))


def test_a_plan_without_a_pointer_file_or_with_two_runs_of_one_registry_raises_value_error() -> None:
    with pytest.raises(ValueError, match="pointer file"):
        plan_activation(request([RR1], pointers=replace(pointers_to([]), sha256=None)))
    with pytest.raises(ValueError, match="one candidate"):
        plan_activation(request([RR1, RR2]))


def test_the_refusal_names_both_runs_and_what_to_build() -> None:
    refusal = plan_activation(request([RR2], [RR1, OP1]))
    assert isinstance(refusal, Refusal)
    (error,) = refusal.findings

    assert error.message == "after this change op_status_table would depend on a run of run_registry that is not active"
    assert (error.expected, error.got) == (RR2.ref.run_id, RR1.ref.run_id)


def test_the_same_run_under_another_relpath_is_the_same_upstream() -> None:
    renamed = replace(RR1, ref=replace(RR1.ref, relpath=None))

    accepted(request([OP1], [renamed]))


def test_after_bytes_are_the_pointer_file_of_the_plan() -> None:
    plan = accepted(request([RR2], [RR1]))
    (entry,) = json.loads(plan.after_bytes)["pointers"]

    assert entry["active_ref"] == RR2.ref.to_json()
    assert plan.after_bytes != pointer_file_bytes(pointers_to([RR1]))


def test_a_foreign_run_is_activated_with_permission_and_the_record_counts_it() -> None:
    foreign = candidate(RR2, repository_id=OTHER)
    plan = accepted(request([foreign, candidate(EV1, repository_id=OWN)], repository_id=OWN, allow_foreign=True))

    assert plan.record.verdicts == {"pass": 2, "fail": 0, "unsealed": 0, "partial": 0, "accepted_foreign": 1}
    assert [(f.code, f.severity, f.expected, f.got) for f in plan.findings] == [
        ("ACTIVATE_FOREIGN", Severity.WARNING, OWN, OTHER)
    ]
    record = json.loads(plan.artifacts.files["POINTER_ACTIVATION_v0_1.json"])
    assert check_value("REGISTRY_pointer_activation_v0_1.schema.json", record) == []


def test_permission_without_a_reason_is_a_usage_error() -> None:
    with pytest.raises(ConfigError, match="--allow-foreign needs a reason"):
        plan_activation(request([RR1], repository_id=OWN, allow_foreign=True, reason=" "))


def test_a_foreign_run_that_is_active_already_is_accepted_by_a_record_of_its_own_once() -> None:
    foreign = candidate(RR1, repository_id=OTHER)
    activation = request([foreign], [RR1], repository_id=OWN, allow_foreign=True)

    plan = accepted(activation)
    assert plan.moves == (Move("run_registry", RR1.ref, RR1.ref),)
    assert plan.record.verdicts["accepted_foreign"] == 1

    again = plan_activation(with_state(activation, accepted_foreign=frozenset({RR1.ref.identity})))
    assert isinstance(again, NothingToMove)


@pytest.mark.parametrize(
    ("own", "stated", "lacking"),
    [(OWN, None, "the run states no repository_id"), (None, OTHER, "this repository has no repository_id")],
)
def test_a_run_that_cannot_be_compared_is_activated_with_a_warning(
    own: str | None, stated: str | None, lacking: str
) -> None:
    plan = accepted(request([candidate(RR1, repository_id=stated)], repository_id=own))

    (warning,) = plan.findings
    assert (warning.code, warning.severity) == ("ACTIVATE_ORIGIN_UNKNOWN", Severity.WARNING)
    assert lacking in warning.message
    assert "accepted_foreign" not in plan.record.verdicts


@pytest.mark.parametrize(("own", "stated"), [(OWN, OWN), (None, None)])
def test_a_run_of_the_repository_is_activated_without_a_warning(own: str | None, stated: str | None) -> None:
    assert accepted(request([candidate(RR1, repository_id=stated)], repository_id=own)).findings == ()


def test_every_activation_error_has_a_test() -> None:
    of_the_gate = {code for code, row in CODES.items() if row.family == "activation" and row.severity is Severity.ERROR}
    after_the_plan = {"ACTIVATE_UNSIGNED"}  # signing/test_signed_changes.py

    assert {code for code, _ in REFUSED.values()} | after_the_plan == of_the_gate


@pytest.mark.parametrize(
    "plan", [plan_init(b"{}\n", actor="a test", reason=""), accepted(request([DS2, RR2, OP2], [RR1, OP1, DS1, EV1]))]
)
def test_sealed_records_pass_the_shipped_schemas(plan: ActivationPlan) -> None:
    record = json.loads(plan.artifacts.files["POINTER_ACTIVATION_v0_1.json"])

    assert check_value("REGISTRY_pointer_activation_v0_1.schema.json", record) == []
    if plan.moves:
        assert check_value("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", json.loads(plan.after_bytes)) == []
