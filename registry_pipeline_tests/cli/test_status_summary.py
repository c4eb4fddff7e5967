"""`status` fits a terminal of 80x24, whatever is wrong, and names the next command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from registry_pipeline_tests.cli.conftest import NOON, PROGRAM, Repository, environment

LATER = "2026-03-02T12:00:00Z"


def count_rows(text: str) -> int:
    return sum(max(1, -(-len(line) // 80)) for line in text.splitlines())


def tamper(repository: Repository) -> None:
    repository.tamper(repository.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json")


def tamper_with_everything(repository: Repository) -> None:
    for pointer in json.loads(repository.pointers.read_bytes())["pointers"]:
        if pointer["active_ref_known"] is True:
            repository.tamper(pointer["active_ref"]["run_id"], "run.json")


def edit_pointer_file(repository: Repository) -> None:
    document = json.loads(repository.pointers.read_bytes())
    document["pointers"][0]["active_ref"]["manifest_sha256"] = "0" * 64
    repository.pointers.write_text(json.dumps(document))


def mark_bad(repository: Repository) -> None:
    assert repository("mark-bad", repository.active("op_status_table"), "--reason", "wrong clock").code == 0


def remove_active_runs(repository: Repository) -> None:
    for run in repository.runs.iterdir():
        if run.name.startswith("2026-03-01__120000__") and "pointer_activation" not in run.name:
            run.rename(repository.root / run.name)


def build_one_registry(repository: Repository) -> None:
    assert repository("build", "run_registry", "--only", now="2026-03-01T13:00:00Z").code == 0


def add_many_runs(repository: Repository) -> None:
    for number in range(226):
        (repository.runs / f"2026-03-01__13{number // 60:02}{number % 60:02}__import").mkdir()


def give_a_long_reason(repository: Repository) -> None:
    tamper_with_everything(repository)
    reason = "a reason of many words " * 40
    assert "activated 1" in repository("build", "--reason", reason, now="2026-03-01T13:00:00Z").out
    tamper_with_everything(repository)


DAMAGES: list[Callable[[Repository], None]] = [
    tamper,
    tamper_with_everything,
    edit_pointer_file,
    mark_bad,
    remove_active_runs,
    build_one_registry,
    add_many_runs,
    give_a_long_reason,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_status_of_a_damaged_repository_fits_one_screen(
    built: Repository, damage: Callable[[Repository], None]
) -> None:
    damage(built)

    shown = built("status", now=LATER)

    assert count_rows(shown.out) <= 23
    assert shown.out.splitlines()[-1].startswith("next: ")
    assert built("status", "--all", now=LATER).out.count("\n") > 23


def test_status_before_the_first_build_fits_one_screen_and_names_it(known: Repository) -> None:
    known("init")
    known.pointers.unlink()
    known("init")

    shown = known("status").out

    assert count_rows(shown) <= 23
    assert shown.splitlines()[1] == "UNKNOWN"
    assert shown.splitlines()[-1] == "next: registry-pipeline build"


def test_status_names_state_reasons_last_change_and_newer_runs(built: Repository) -> None:
    lines = built("status", now=LATER).out.splitlines()

    assert lines[1] == "DEGRADED_NON_BLOCKING"
    assert lines[2].startswith("  ")
    assert any(line.startswith(f"changed     {NOON} Ada activated ") and line.endswith(": build") for line in lines)
    assert "            since then 0 new run folders" in lines

    add_many_runs(built)
    lines = built("status", now=LATER).out.splitlines()

    assert "            since then 226 new run folders" in lines
    assert lines[-1] == "next: registry-pipeline build"


def test_the_report_to_read_exists(built: Repository) -> None:
    *_, last = built("status", now=LATER).out.splitlines()

    assert (built.root / last.removeprefix("next: read ")).read_text().startswith("#")


@pytest.mark.parametrize("damage", [tamper, remove_active_runs, mark_bad, build_one_registry, edit_pointer_file])
def test_the_next_command_can_be_followed_until_no_error_is_left(
    built: Repository, damage: Callable[[Repository], None]
) -> None:
    damage(built)
    for minute in range(6):
        *_, last = built("status", now=f"2026-03-02T12:{minute:02}:00Z").out.splitlines()
        if not last.startswith("next: registry-pipeline "):
            break
        words = last.removeprefix("next: registry-pipeline ").split()
        result = built(*words, now=f"2026-03-02T12:{minute:02}:30Z")
        assert result.code in (0, 3, 7), (words, result)

    assert last.startswith("next: read ")
    assert built("status", now="2026-03-02T13:00:00Z").code == 0


def test_all_errors_are_printed_even_if_quiet(built: Repository) -> None:
    tamper_with_everything(built)

    assert built("status", "-q", now=LATER).out == built("status", "--all", "-q", now=LATER).out != ""


def test_json_is_the_same_with_all(seen: Repository) -> None:
    assert seen("status", "--json").out == seen("status", "--all", "--json").out


@pytest.mark.process
def test_status_on_a_terminal_of_80x24_does_not_scroll(built: Repository) -> None:
    tamper_with_everything(built)
    done = subprocess.run(
        ["script", "-qec", f"stty cols 80 rows 24; {' '.join(PROGRAM)} status --no-color --now {LATER}", "/dev/null"],
        cwd=built.root,
        env=environment(built.home, TERM="xterm"),
        capture_output=True,
        check=False,
    )

    assert count_rows(done.stdout.decode().replace("\r", "")) <= 23
