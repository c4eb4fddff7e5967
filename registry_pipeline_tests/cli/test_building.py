"""The commands that write: init, example, build, activate."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.cli.conftest import NOON, PROGRAM, Repository, call, environment
from registry_pipeline_tests.lock_waits import give_up_locks_at_once, locked_by_another_process

LATER = "2026-03-02T12:00:00Z"


def test_init_and_build_work_in_any_folder_with_runs(known: Repository) -> None:
    made = known("init", "--json").document("init")
    again = known("init", "--json").document("init")
    result = known("build", "--json")

    assert "registry-pipeline.toml" in made["created"]
    assert again["created"] == []
    document = result.document("build")
    assert (result.code, [row["registry_id"] for row in document["built"]]) == (
        0,
        [spec.registry_id for spec in SHIPPED.build_order],
    )
    assert [row["activated"] for row in document["built"]] == [spec.pointer for spec in SHIPPED.build_order]
    assert (known.runs / document["report_run_id"] / "SYSTEM_HEALTH_REPORT_v0_1.md").is_file()
    assert known.active("run_registry") == document["built"][0]["run_id"]


def test_the_text_of_build_names_every_run_and_the_report(built: Repository) -> None:
    text = built("build", now=LATER).out

    assert "2026-03-02__120000__op_status_table_build" in text
    assert "rendered .codex/RUNS/2026-03-02__120000__system_health_render" in text


def test_only_and_no_activate_move_no_pointer(built: Repository) -> None:
    before = built.pointers.read_bytes()

    alone = built("build", "run_registry", "--only", "--json", now=LATER)
    waiting = built("build", "--no-activate", "--json", now="2026-03-03T12:00:00Z")

    assert (alone.code, waiting.code) == (0, 0)
    assert [row["registry_id"] for row in alone.document("build")["built"]] == ["run_registry"]
    assert waiting.document("build")["report_run_id"] is None
    assert before == built.pointers.read_bytes()


def test_a_refused_activation_exits_5_also_if_a_source_is_missing(built: Repository) -> None:
    assert built("build", now="2026-03-03T12:00:00Z").code == 0
    (built.root / "schema/applied_migrations.json").unlink()

    ended = built("build", "--json", now=LATER)

    document = ended.document("build")
    assert "ACTIVATE_OLDER" in {finding["code"] for finding in document["findings"]}
    assert document["not_built"] == ["migration_ledger"]
    assert ended.code == 5


def test_a_named_registry_is_built_with_its_dependants(built: Repository) -> None:
    result = built("build", "op_status_table", "--json", now=LATER)

    assert [row["registry_id"] for row in result.document("build")["built"]] == [
        "op_status_table",
        "drift_signals",
        "registry_delta_log",
    ]
    assert result.code == 0


def test_an_unchanged_capture_makes_no_folder_unless_forced(built: Repository) -> None:
    kept = built("build", "--json", now=LATER).document("build")
    forced = built("build", "expected_versions", "--force", "--json", now="2026-03-03T12:00:00Z").document("build")

    rows = {row["registry_id"]: row for row in kept["built"]}
    assert rows["expected_versions"]["run_id"] == "2026-03-01__120000__seal_expected_versions"
    assert rows["expected_versions"]["reused"]
    assert forced["built"][0]["run_id"] == "2026-03-03__120000__seal_expected_versions"


def test_build_fails_on_request(built: Repository) -> None:
    assert built("build", "--fail-on", "coverage", now=LATER).code == 4


def test_an_unknown_registry_is_not_found_and_one_that_is_not_built_is_refused(built: Repository) -> None:
    assert built("build", "run_registri").code == 7
    assert built("build", "system_health_report").code == 5


def test_the_same_clock_and_the_same_files_give_the_same_run_folders(known: Repository, tmp_path: Path) -> None:
    assert known("init").code == 0  # before the copy: each new repository gets an id of its own
    subprocess.run(["cp", "-a", str(known.root), str(tmp_path / "twin")], check=True)
    twin = Repository(tmp_path / "twin", known.home)

    roots = [
        [row["root_sha256"] for row in repository("build", "--json").document("build")["built"]]
        for repository in (known, twin)
    ]

    assert roots[0] == roots[1]


def test_activate_moves_one_pointer_and_says_who_and_why(built: Repository) -> None:
    built("build", "drift_signals", "--only", now=LATER)

    result = built(
        "activate", "drift_signals", "latest", "--reason", "reviewed", "--actor", "Grace", "--json", now=LATER
    )

    document = result.document("activate")
    assert (result.code, document["action"]) == (0, "activate")
    assert [(m["registry_id"], m["to_ref"]["run_id"]) for m in document["moves"]] == [
        ("drift_signals", "2026-03-02__120000__drift_signals_build")
    ]
    assert built.active("drift_signals") == "2026-03-02__120000__drift_signals_build"
    assert "activate by Grace: reviewed" in built("log").out
    assert built("verify", "--active", "--pointers", now=LATER).code == 0
    assert (built.runs / document["report_run_id"]).is_dir()


def test_activating_an_active_run_moves_nothing(built: Repository) -> None:
    before = built.files()

    result = built("activate", "run_registry", "latest", "--reason", "again", "--json")

    assert (result.code, result.document("activate")["moves"]) == (0, [])
    assert before == built.files()


def test_a_mixed_set_is_refused_unless_it_is_allowed(built: Repository) -> None:
    built("build", "run_registry", "--only", "--force", now=LATER)
    before = built.pointers.read_bytes()

    refused = built("activate", "run_registry", "latest", "--reason", "x", "--json", now=LATER)
    assert (refused.code, refused.document("activate")["moves"]) == (5, [])
    assert {f["code"] for f in json.loads(refused.out)["findings"]} == {"ACTIVATE_MIXED"}
    assert before == built.pointers.read_bytes()

    allowed = built("activate", "run_registry", "latest", "--reason", "x", "--allow-mixed", "--json", now=LATER)
    assert allowed.code == 0
    assert "POINTER_INPUTS_MIXED" in {f["code"] for f in json.loads(allowed.out)["findings"]}


@pytest.mark.parametrize(
    ("registry_id", "word", "code"),
    [
        ("run_registry", "legacy", "ACTIVATE_NOT_VERIFIED"),
        ("run_registry", "2026-03-01__120000__drift_signals_build", "ACTIVATE_OTHER_REGISTRY"),
        ("system_health_report", "latest", "ACTIVATE_NO_POINTER"),
        ("run_registry", "./elsewhere/2026-03-01__120000__run_registry_build", "ACTIVATE_OUTSIDE_ROOTS"),
    ],
)
def test_a_run_that_must_not_be_active_is_refused_with_a_reason(
    built: Repository, registry_id: str, word: str, code: str
) -> None:
    (built.root / "elsewhere").mkdir()
    run_id = "2026-03-01__120000__run_registry_build"
    subprocess.run(["cp", "-a", str(built.runs / run_id), str(built.root / "elsewhere")], check=True)
    before = built.pointers.read_bytes()

    result = built("activate", registry_id, word, "--reason", "x", "--json")

    assert result.code == 5
    assert code in {f["code"] for f in json.loads(result.out)["findings"]}
    assert before == built.pointers.read_bytes()


def test_a_run_that_was_altered_is_refused(built: Repository) -> None:
    built("build", "drift_signals", "--only", now=LATER)
    built.tamper("2026-03-02__120000__drift_signals_build", "DRIFT_SIGNALS_v0_1.json")

    result = built("activate", "drift_signals", "latest", "--reason", "x", now=LATER)

    assert result.code == 5
    assert "ACTIVATION_REFUSED: ACTIVATE_NOT_VERIFIED" in result.out
    assert "SEAL_INVALID: HASH_MISMATCH" in result.out


def test_a_held_lock_changes_nothing_and_exits_6(built: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    built("build", "drift_signals", "--only", now=LATER)
    before = built.pointers.read_bytes()
    with locked_by_another_process(built.pointers):
        give_up_locks_at_once(monkeypatch)
        assert built("activate", "drift_signals", "latest", "--reason", "x", now=LATER).code == 6

    assert before == built.pointers.read_bytes()


def test_an_interrupt_ends_with_130_and_leaves_no_half_made_run(built: Repository) -> None:
    before = built.pointers.read_bytes()
    process = subprocess.Popen(
        [*PROGRAM, "build", "--now", LATER], cwd=built.root, env=environment(built.home), stderr=subprocess.PIPE
    )
    while not any(built.runs.glob("2026-03-02*")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    output = process.communicate()[1].decode()

    assert "Traceback" not in output
    assert process.returncode in (0, 130)  # 0 where it had ended before
    if process.returncode == 130:
        assert before == built.pointers.read_bytes()
        assert "interrupted" in output
    assert built("verify", "--active", "--pointers", now=LATER).code == 0
    assert not any((built.root / ".codex/.staging").iterdir())


def test_the_example_is_deterministic_and_verify_finds_exactly_the_planted_defects(tmp_path: Path, home: Path) -> None:
    env = environment(home)
    made = call("example", "tides", "--now", NOON, "--json", cwd=tmp_path, env=env)
    planted = {folder["path"]: folder["verdict"] for folder in made.document("example")["planted"]}

    result = call("-C", "tides", "verify", "--all", "--now", NOON, "--json", cwd=tmp_path, env=env)

    found = {r["path"]: r["verdict"] for r in result.document("verify")["results"] if r["verdict"] != "pass"}
    assert (made.code, result.code) == (0, 3)
    assert planted == found
    assert call("example", "tides", cwd=tmp_path, env=env).code == 5
