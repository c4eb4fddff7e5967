"""The chain against the disk: records that are removed or rewritten, and the restart that names the loss."""

from __future__ import annotations

import json
import shutil

import pytest

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.pipeline.test_moved_runs import seal_again

LATER, LATEST, LAST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z", "2026-03-04T12:00:00Z"
FIRST = "2026-03-01__120000__drift_signals_build"


def remove_records(built: Repository, *parts: str) -> None:
    """Remove the folders whose names contain one of the parts."""
    for folder in [path for path in built.runs.iterdir() if any(part in path.name for part in parts)]:
        make_removable(folder)
        shutil.rmtree(folder)


def codes(built: Repository, *words: str) -> tuple[int, set[str]]:
    result = built(*words, "--json", now=LATEST)
    return result.code, {f["code"] for f in json.loads(result.out)["findings"]}


def test_removing_the_newest_records_and_restoring_the_older_pointer_file_is_found(built: Repository) -> None:
    older = built.pointers.read_bytes()
    assert built("build", now=LATER).code == 0
    remove_records(built, "2026-03-02__120000__pointer_activation")
    built.pointers.write_bytes(older)

    for words in (("status",), ("verify", "--chain"), ("verify", "--active"), ("doctor",)):
        code, found = codes(built, *words)
        assert (code, "CHAIN_RECORD_MISSING" in found) == (3, True), words


def test_removing_every_record_is_found_by_the_report_and_without_it_by_the_pointer_file(plain: Repository) -> None:
    remove_records(plain, "pointer_activation")
    assert codes(plain, "verify", "--chain") == (3, {"CHAIN_LOST", "CHAIN_RECORD_MISSING"})

    remove_records(plain, "system_health_render")
    assert codes(plain, "verify", "--chain") == (3, {"CHAIN_LOST"})
    assert plain("build", now=LATEST).code == 3
    assert "init --restart-chain --reason" in plain("status", now=LATEST).out


def test_a_rewritten_newest_record_is_found_by_the_report_that_names_its_root(built: Repository) -> None:
    head = built.runs / "2026-03-01__120000__pointer_activation__02"
    make_removable(head)
    record = head / "POINTER_ACTIVATION_v0_1.json"
    record.chmod(0o644)
    record.write_bytes(record.read_bytes().replace(b'"actor": "Ada"', b'"actor": "Eve"'))
    for path in head.iterdir():
        path.chmod(0o644)
    seal_again(head)

    code, found = codes(built, "verify", "--chain")
    assert (code, "CHAIN_RECORD_EDITED" in found) == (3, True)


def test_verify_chain_finds_a_superseded_run_that_was_sealed_again(built: Repository) -> None:
    built("build", now=LATER)
    for path in (built.runs / FIRST).iterdir():
        path.chmod(0o644)
    seal_again(built.runs / FIRST)

    assert codes(built, "verify", "--chain") == (3, {"CHAIN_RUN_RESEALED"})
    assert built("verify", "--active", now=LATEST).code == 0


def test_a_restart_names_the_loss_and_the_next_build_succeeds(plain: Repository) -> None:
    before = plain.pointers.read_bytes()
    remove_records(plain, "pointer_activation")

    result = plain("init", "--restart-chain", "--reason", "the disk died", "--actor", "Grace", "--json", now=LATEST)

    (path,) = result.document("init")["created"]
    record = json.loads((plain.root / path / "POINTER_ACTIVATION_v0_1.json").read_bytes())
    assert (result.code, record["action"], record["actor"]) == (0, "init", "Grace")
    assert record["reason"].startswith("chain restarted: the disk died (CHAIN_LOST ")
    assert plain.pointers.read_bytes() == before
    assert codes(plain, "verify", "--chain") == (0, {"CHAIN_RESTARTED"})
    assert "chain restarted: the disk died" in plain("log", now=LATEST).out
    assert plain("build", now=LAST).code == 0


def test_a_restart_after_one_lost_record_retires_the_others(plain: Repository) -> None:
    assert plain("build", now=LATER).code == 0
    remove_records(plain, "2026-03-01__120000__pointer_activation__02")
    assert codes(plain, "verify", "--chain")[0] == 3

    assert plain("init", "--restart-chain", "--reason", "one is gone", now=LATEST).code == 0

    assert codes(plain, "verify", "--chain") == (0, {"CHAIN_RESTARTED"})


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--restart-chain", "--reason", "x"), 5),
        (("--restart-chain",), 2),
        (("--reason", "x"), 2),
        (("--actor", "x"), 2),
    ],
)
def test_a_restart_needs_a_loss_and_a_reason(plain: Repository, words: tuple[str, ...], code: int) -> None:
    before = plain.files()

    assert plain("init", *words, now=LATEST).code == code
    assert {p: d for p, d in plain.files().items() if not p.endswith(".lock")} == {
        p: d for p, d in before.items() if not p.endswith(".lock")
    }
