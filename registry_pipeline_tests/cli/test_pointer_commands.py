"""The commands that undo, mark, repair and anchor: rollback, mark-bad, doctor, anchor, verify --chain, --strict."""

from __future__ import annotations

import json
import shutil

import pytest

from registry_pipeline.pointers.state import intent_path
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.lock_waits import give_up_locks_at_once, locked_by_another_process

LATER, LATEST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"
FIRST, SECOND = "2026-03-01__120000__drift_signals_build", "2026-03-02__120000__drift_signals_build"
ACTIVATION = "2026-03-01__120000__pointer_activation__02"


def test_rollback_undoes_the_last_activation_and_renders_the_report(built: Repository) -> None:
    assert built("build", now=LATER).code == 0

    result = built("rollback", "--reason", "wrong", "--actor", "Grace", "--json", now=LATEST)

    document = result.document("rollback")
    assert (result.code, document["action"], len(document["moves"])) == (0, "rollback", 4)  # captures were unchanged
    assert built.active("drift_signals") == FIRST
    assert (built.runs / document["report_run_id"]).is_dir()
    assert "rollback by Grace: wrong" in built("log").out
    assert "a rollback deactivated this run" in built("status", "--all", now=LATEST).out
    assert built("verify", "--active", "--chain", now=LATEST).code == 0


def test_the_text_of_rollback_names_the_undone_activation_and_the_moves(built: Repository) -> None:
    built("build", now=LATER)

    result = built("rollback", "--reason", "wrong", now=LATEST)

    assert "undoing 2026-03-02__120000__pointer_activation: activate by Ada: build" in result.err
    assert f"drift_signals: {SECOND} -> {FIRST}" in result.out
    assert "recorded in 2026-03-03__120000__pointer_activation" in result.out


def test_a_rollback_to_before_the_first_activation_leaves_unknown_pointers(built: Repository) -> None:
    result = built("rollback", ACTIVATION, "--reason", "wrong", "--json", now=LATER)

    assert result.code == 0
    assert {m["to_ref"] for m in result.document("rollback")["moves"]} == {None}
    assert [f["severity"] for f in result.document("rollback")["findings"]] == ["info"]  # no report to render
    entries = json.loads(built.pointers.read_bytes())["pointers"]
    assert {entry["active_ref_known"] for entry in entries} == {"unknown"}
    again = built("rollback", ACTIVATION, "--reason", "wrong", now=LATEST)
    assert (again.code, "no pointer moved" in again.out) == (0, True)


def test_a_rollback_that_is_refused_changes_nothing(built: Repository) -> None:
    built("build", now=LATER)
    built.tamper(FIRST, "DRIFT_SIGNALS_v0_1.json")
    before = built.pointers.read_bytes()

    failing = built("rollback", "--reason", "x", "--json", now=LATEST)
    mixed = built("rollback", "--registry", "run_registry", "--reason", "x", now=LATEST)

    assert (failing.code, mixed.code) == (5, 5)
    assert {f["code"] for f in failing.document("rollback")["findings"]} == {"ACTIVATE_NOT_VERIFIED"}
    assert "ACTIVATION_REFUSED: ACTIVATE_MIXED" in mixed.out
    assert built.pointers.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("rollback",), 2),
        (("rollback", "--reason", " "), 2),
        (("rollback", "2031", "--reason", "x"), 7),
        (("rollback", "--registry", "run_registri", "--reason", "x"), 7),
        (("rollback", "2026-03-01__120000__pointer_activation", "--reason", "x"), 5),
        (("mark-bad", FIRST), 2),
        (("mark-bad", "2031", "--reason", "x"), 7),
        (("mark-bad", ACTIVATION, "--reason", "x"), 5),
        (("mark-bad", "./elsewhere", "--reason", "x"), 7),
        (("activate", "drift_signals", "latest", "--accept-removed", "--reason", "x"), 2),
        (("doctor", "--finish"), 2),
        (("doctor", "--fix", "--void"), 2),
        (("doctor", "--fix", "--finish", "--void", "--reason", "x"), 2),
        (("doctor", "--fix", "--void", ACTIVATION, "--reason", "x"), 5),
        (("doctor", "--fix", "--void", "2031", "--reason", "x"), 7),
        (("verify", "--expect", "0" * 64), 2),
        (("verify", "--chain", "--expect", "abc"), 2),
        (("verify", "--chain", "--expect", "0" * 64), 3),
        (("show", "active~1"), 7),
        (("activate", "drift_signals", "active~1", "--reason", "x"), 7),
    ],
)
def test_an_impossible_change_has_its_exit_code_and_changes_nothing(
    built: Repository, words: tuple[str, ...], code: int
) -> None:
    before = built.files()

    result = built(*words, now=LATER)

    assert result.code == code, result
    assert "Traceback" not in result.err
    assert before == {p: d for p, d in built.files().items() if not p.endswith(".lock")} | {
        p: d for p, d in before.items() if p.endswith(".lock")
    }


def test_a_held_lock_prevents_rollback_marking_and_repair(built: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    give_up_locks_at_once(monkeypatch)
    intent_path(built.pointers).write_text("{", encoding="utf-8")
    before = built.files()
    with locked_by_another_process(built.pointers):
        calls = (("rollback", "--reason", "x"), ("mark-bad", FIRST, "--reason", "x"), ("doctor", "--fix"))
        assert [built(*words, now=LATER).code for words in calls] == [6, 6, 6]

    assert built.files() == before


def test_a_run_marked_bad_has_a_false_pointer_and_is_never_activated_again(built: Repository) -> None:
    result = built("mark-bad", FIRST, "--reason", "wrong clock", "--json", now=LATER)

    document = result.document("mark-bad")
    assert (result.code, document["action"], document["moves"]) == (0, "mark_bad", [])
    pointer = next(
        p for p in json.loads(built.pointers.read_bytes())["pointers"] if p["registry_id"] == "drift_signals"
    )
    assert (pointer["active_ref_known"], pointer["notes"]) == (False, "wrong clock")
    assert built("activate", "drift_signals", FIRST, "--reason", "x", now=LATEST).code == 5
    assert "marked bad" in built("mark-bad", FIRST, "--reason", "again", now=LATEST).out
    assert FIRST in built("log").out


def test_a_bad_run_is_listed_with_its_reason_and_fails_if_named_or_with_strict(built: Repository) -> None:
    built("build", now=LATER)
    assert built("mark-bad", FIRST, "--reason", "wrong clock", now=LATEST).code == 0
    known = built("verify", "--all", "--json", now=LATEST)

    listed = next(r for r in known.document("verify")["results"] if r["run_id"] == FIRST)
    assert listed["verdict"] == "pass"
    assert [(f["code"], f["severity"]) for f in listed["findings"]] == [("RUN_MARKED_BAD", "warning")]
    assert "the run is marked bad: wrong clock" in built("verify", "--all", now=LATEST).out

    strict = built("verify", "--all", "--strict", "--json", now=LATEST)
    failed = next(r for r in strict.document("verify")["results"] if r["run_id"] == FIRST)
    assert (strict.code, failed["verdict"]) == (3, "fail")
    assert built("verify", FIRST, now=LATEST).code == 3
    assert built("verify", f".codex/RUNS/{FIRST}", now=LATEST).code == 3
    assert built("verify", f".codex/RUNS/{SECOND}", now=LATEST).code == 0


def test_the_anchor_is_in_the_chain_until_its_tail_is_removed(built: Repository) -> None:
    before = built.pointers.read_bytes()
    built("build", now=LATER)
    printed, document = built("anchor", now=LATER), built("anchor", "--json", now=LATER).document("anchor")
    noted = printed.out.strip()

    assert (printed.code, document["root_sha256"], document["records"]) == (0, noted, 3)
    assert built("verify", "--chain", "--expect", noted, now=LATER).code == 0
    built("build", now=LATEST)
    assert built("verify", "--chain", "--expect", noted, now=LATEST).code == 0

    for name in ("pointer_activation", "system_health_render"):
        for day in ("2026-03-02", "2026-03-03"):
            (built.runs / f"{day}__120000__{name}").chmod(0o755)
            shutil.rmtree(built.runs / f"{day}__120000__{name}")
        built.pointers.write_bytes(before)
        found = built("verify", "--chain", now=LATEST)
        # The newest report names the head; who removes it too leaves nothing but the anchor.
        assert (found.code, "CHAIN_RECORD_MISSING" in found.out) == {
            "pointer_activation": (3, True),
            "system_health_render": (0, False),
        }[name]
    cut = built("verify", "--chain", "--expect", noted, "--json", now=LATEST)
    assert cut.code == 3
    assert [f["code"] for f in cut.document("verify")["findings"]] == ["CHAIN_ANCHOR_MISSING"]


def test_an_invalid_chain_is_not_anchored_and_a_missing_one_is_not_found(built: Repository, known: Repository) -> None:
    built.tamper(ACTIVATION, "POINTERS_AFTER.json")

    result = built("anchor", "--json")

    assert result.code == 3
    assert result.document("anchor")["root_sha256"] is None
    assert built("anchor").out.startswith("CHAIN_INVALID: CHAIN_RECORD_EDITED")
    assert known("anchor").code == 7


def test_doctor_reports_and_changes_nothing_and_fix_repairs_what_needs_no_decision(built: Repository) -> None:
    active_bytes = built.pointers.read_bytes()
    built.pointers.write_bytes(active_bytes.replace(b'"notes": "build"', b'"notes": "just this once"'))
    before = built.files()

    looked = built("doctor", "--json", now=LATER)
    assert (looked.code, looked.document("doctor")["mended"]) == (3, [])
    assert "POINTER_EDITED" in {f["code"] for f in json.loads(looked.out)["findings"]}
    assert "nothing was changed" in built("doctor", now=LATER).out
    assert built.files() == before

    fixed = built("doctor", "--fix", "--json", now=LATER)
    assert fixed.code == 0
    assert [m["code"] for m in fixed.document("doctor")["mended"]] == ["POINTER_EDITED"]
    assert built.pointers.read_bytes() == active_bytes
    assert "nothing is wrong" in built("doctor", now=LATER).out


def pend(built: Repository) -> None:
    """Leave a change sealed and its pointer file as it was, as a kill between the two does."""
    before = built.pointers.read_bytes()
    built("build", now=LATER)
    record = built.runs / "2026-03-02__120000__pointer_activation"
    record_document = json.loads((record / "POINTER_ACTIVATION_v0_1.json").read_bytes())
    intent = {
        "run_id": record.name,
        "before": record_document["pointer_sha256_before"],
        "after": record_document["pointer_sha256_after"],
    }
    (built.root / f"{built.pointers}.intent").write_text(json.dumps(intent), encoding="utf-8")
    built.pointers.write_bytes(before)


def test_doctor_completes_or_voids_a_pending_change_only_on_request(built: Repository) -> None:
    pend(built)
    assert "CHAIN_INVALID: CHAIN_PENDING" in built("doctor", now=LATEST).out
    assert built("doctor", "--fix", now=LATEST).code == 3
    assert built.active("drift_signals") == FIRST

    finished = built("doctor", "--fix", "--finish", "--json", now=LATEST)

    assert finished.code == 0
    assert {m["code"] for m in finished.document("doctor")["mended"]} == {"CHAIN_PENDING"}
    assert built.active("drift_signals") == SECOND
    assert built("verify", "--chain", now=LATEST).code == 0


def test_doctor_voids_with_a_reason_that_the_log_shows(built: Repository) -> None:
    pend(built)

    voided = built("doctor", "--fix", "--void", "--reason", "not wanted", now=LATEST)

    assert (voided.code, "voided by 2026-03-03__120000__pointer_activation" in voided.out) == (0, True)
    assert built.active("drift_signals") == FIRST
    assert "void by Ada: not wanted" in built("log").out


def test_a_pending_change_of_an_altered_run_is_not_completed(built: Repository) -> None:
    pend(built)
    built.tamper(SECOND, "DRIFT_SIGNALS_v0_1.json")

    refused = built("doctor", "--fix", "--finish", "--json", now=LATEST)

    assert refused.code == 3  # the pending chain weighs more than the refusal
    assert "ACTIVATE_NOT_VERIFIED" in {f["code"] for f in refused.document("doctor")["refused"]}


def test_a_removed_run_is_accepted_with_a_reason_and_shown(built: Repository) -> None:
    built("build", now=LATER)
    (built.runs / FIRST).chmod(0o755)
    shutil.rmtree(built.runs / FIRST)
    built("build", "run_registry", "--only", now=LATEST)
    words = ("activate", "run_registry", "latest", "--reason", "moved to the archive", "--allow-mixed")

    refused = built(*words, now=LATEST)
    accepted = built(*words, "--accept-removed", "--json", now=LATEST)

    assert (refused.code, "HISTORY_INVALID: RUN_REMOVED" in refused.out) == (5, True)
    assert accepted.code == 0
    assert {"RUN_REMOVED", "POINTER_INPUTS_MIXED"} <= {f["code"] for f in accepted.document("activate")["findings"]}


def test_active_tilde_one_is_the_previous_active_run(built: Repository) -> None:
    built("build", now=LATER)

    refused = built("activate", "drift_signals", "active~1", "--reason", "x", "--json", now=LATEST)

    assert refused.code == 5
    assert "ACTIVATE_OLDER" in {f["code"] for f in refused.document("activate")["findings"]}
    assert any(FIRST in f["path"] for f in json.loads(refused.out)["findings"])
