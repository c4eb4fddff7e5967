"""`record`: a command that becomes a sealed run."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.errors import PublishError
from registry_pipeline.files.atomic_write import write_all_bytes
from registry_pipeline.pipeline import recorded_command
from registry_pipeline.pipeline.recorded_run import RecordedRun
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import find_leftovers
from registry_pipeline_tests.cli.conftest import NOON, Repository
from registry_pipeline_tests.command_line import PROGRAM, CommandResult, call, environment

RUN_ID = "2026-03-01__120000__record"
NOTHING_LEFT: list[str] = []


def record(repository: Repository, *words: str, **variables: str) -> CommandResult:
    env = environment(repository.home, **variables)
    return call("--now", NOON, "record", *words, cwd=repository.root, env=env)


def shell(repository: Repository, script: str, *options: str) -> CommandResult:
    return record(repository, *options, "--", "sh", "-c", script)


def recorded(repository: Repository, run_id: str = RUN_ID) -> Path:
    folder = repository.runs / run_id
    report = verify_folder(folder)
    assert report.verdict == "pass", report.findings
    return folder


def run_json(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run.json").read_bytes()))


def staged(repository: Repository) -> list[str]:
    staging = repository.root / ".codex/.staging"
    return sorted(path.name for path in staging.iterdir()) if staging.exists() else []


def quarantined(repository: Repository) -> list[Path]:
    quarantine = repository.root / ".codex/quarantine"
    return sorted(quarantine.iterdir()) if quarantine.exists() else []


def test_the_files_and_the_output_of_a_command_become_a_sealed_run(known: Repository) -> None:
    done = shell(known, "echo shown; echo wrong >&2; mkdir -p $RUN_DIR/sub; echo 1 > $RUN_DIR/sub/a.txt")

    folder = recorded(known)
    assert (done.code, done.out) == (0, "shown\n")
    assert done.err == f"wrong\nrecorded .codex/RUNS/{RUN_ID} (exit code 0)\n"
    assert (folder / "sub/a.txt").read_bytes() == b"1\n"
    assert (folder / "stdout.txt").read_bytes() == b"shown\n"
    assert (folder / "stderr.txt").read_bytes() == b"wrong\n"
    assert staged(known) == NOTHING_LEFT


def test_run_json_has_what_was_run_when_how_it_ended_and_the_git_state(known: Repository) -> None:
    shell(known, "exit 0", "--operation", "OP-A01", "--tag", "nightly")

    document = run_json(recorded(known, "2026-03-01__120000__nightly"))
    execution = document.pop("execution")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=known.root, capture_output=True, check=True, text=True)
    assert list(document)[:7] == [
        "run_id",
        "created_utc",
        "run_type",
        "option",
        "operation_id",
        "git_commit",
        "working_tree_state",
    ]
    assert document["created_utc"] == NOON
    assert (document["run_type"], document["option"], document["operation_id"]) == ("nightly", "A", "OP-A01")
    assert (document["git_commit"], document["working_tree_state"]) == (commit.stdout.strip(), "clean")
    assert document["outputs"] == ["MANIFEST.sha256", "manifest.json", "run.json", "stderr.txt", "stdout.txt"]
    assert execution["command"] == ["sh", "-c", "exit 0"]
    assert (execution["outcome"], execution["exit_code"], execution["signal"]) == ("success", 0, None)
    assert execution["started_utc"] == NOON
    assert execution["ended_utc"] >= NOON
    assert 0 <= execution["seconds"] < 600


def test_the_environment_is_passed_on_and_not_recorded(known: Repository) -> None:
    done = record(known, "--", "sh", "-c", "test ${#SECRET} = 11", SECRET="s3cr3t-4711")  # noqa: S106

    assert done.code == 0
    contents = b"".join(path.read_bytes() for path in recorded(known).iterdir())
    assert b"s3cr3t-4711" not in contents


@pytest.mark.parametrize("code", [1, 2, 3, 5, 8, 125, 126, 127, 255])
def test_a_command_that_fails_is_recorded_and_its_exit_code_is_passed_on(known: Repository, code: int) -> None:
    done = shell(known, f"echo 1 > $RUN_DIR/one.txt; exit {code}")

    execution = run_json(recorded(known))["execution"]
    assert done.code == code
    assert (execution["outcome"], execution["exit_code"]) == ("failure", code)


@pytest.mark.parametrize(
    ("number", "name"), [(15, "SIGTERM"), (9, "SIGKILL"), (11, "SIGSEGV"), (signal.SIGRTMIN + 3, "SIGRTMIN+3")]
)
def test_a_command_that_a_signal_ends_is_recorded_and_the_exit_code_is_that_of_a_shell(
    known: Repository, number: int, name: str
) -> None:
    done = shell(known, f"kill -{number} $$")

    execution = run_json(recorded(known))["execution"]
    assert done.code == 128 + number
    assert done.err == f"recorded .codex/RUNS/{RUN_ID} (signal {name})\n"
    assert (execution["outcome"], execution["exit_code"], execution["signal"]) == ("failure", None, name)


def test_output_of_any_bytes_is_passed_through_and_recorded_as_it_is(known: Repository) -> None:
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4096)"
    env = environment(known.home)

    words = [*PROGRAM, "record", "--", sys.executable, "-c", script]
    done = subprocess.run(words, cwd=known.root, env=env, capture_output=True, check=True)

    assert done.stdout == bytes(range(256)) * 4096
    folder = next(path for path in known.runs.iterdir() if path.name.endswith("__record"))
    assert (recorded(known, folder.name) / "stdout.txt").read_bytes() == done.stdout


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (127, ("--", "no-such-command")),
        (126, ("--", "./OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md")),
        (126, ("--", "./jobs")),
        (125, ()),
        (125, ("--no-such-option", "--", "true")),
        (125, ("--operation", " ", "--", "true")),
        (125, ("--tag", "", "--", "true")),
        (125, ("--tag", "a b", "--", "true")),
        (125, ("--tag", "a/b", "--", "true")),
        (125, ("--tag", "a__02", "--", "true")),
        (125, ("--tag", "x" * 250, "--", "true")),
        (125, ("--tag", "pointer_activation", "--", "true")),
        (125, ("--tag", "registry_delta_log_build", "--", "true")),
    ],
)
def test_where_no_command_ran_nothing_is_recorded(known: Repository, code: int, words: tuple[str, ...]) -> None:
    before = known.files()

    done = record(known, *words)

    assert done.code == code
    assert done.err.startswith("error: ")
    assert " -> " in done.err
    assert len(done.err.splitlines()) == 1
    assert known.files() == before
    assert staged(known) == NOTHING_LEFT


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: (root / "registry-pipeline.toml").write_text("run_roots = 1", encoding="utf-8"),
        lambda root: (root / ".git/HEAD").write_text("nonsense", encoding="utf-8"),
        lambda root: (root / ".codex/RUNS").rename(root / "moved"),
        lambda root: ((root / ".codex/RUNS").rename(root / "moved"), (root / ".codex/RUNS").symlink_to("../moved")),
    ],
    ids=["the toml file", "git", "no publish root", "a linked publish root"],
)
def test_what_would_prevent_the_recording_is_reported_before_the_command_runs(known: Repository, damage: Any) -> None:
    damage(known.root)

    done = record(known, "--", "touch", "ran")

    assert done.code == 125
    assert len(done.err.splitlines()) == 1
    assert not (known.root / "ran").exists()


def test_a_system_that_cannot_pass_signals_on_runs_no_command(
    known: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(signal, "sigtimedwait")

    done = record(known, "--", "touch", "ran")

    assert done.code == 125
    assert "cannot pass signals on" in done.err
    assert not (known.root / "ran").exists()


def test_outside_a_repository_the_exit_code_is_125(tmp_path: Path, home: Path) -> None:
    done = call("record", "--", "true", cwd=tmp_path, env=environment(home))

    assert done.code == 125
    assert "no repository" in done.err


def test_what_follows_the_command_belongs_to_it(known: Repository) -> None:
    done = record(known, "echo", "--json", "-v", "--tag", "x", "--", "--help")

    assert (done.code, done.out) == (0, "--json -v --tag x -- --help\n")
    assert run_json(recorded(known))["execution"]["command"][1:] == ["--json", "-v", "--tag", "x", "--", "--help"]


def test_the_json_document_is_alone_on_stdout(known: Repository) -> None:
    done = shell(known, "echo out; exit 4", "--json")

    document = done.document("record")
    assert done.code == document["exit_code"] == 4
    assert document["path"] == f".codex/RUNS/{RUN_ID}"
    assert document["root_sha256"] == verify_folder(recorded(known)).root_sha256
    assert done.err.startswith("out\n")


def test_a_failure_with_json_is_an_error_document(known: Repository) -> None:
    done = record(known, "--json", "--", "no-such-command")

    assert done.document("error")["error"]["exit_code"] == done.code == 127


def test_quiet_shows_the_output_of_the_command_only(known: Repository) -> None:
    done = shell(known, "echo out; echo err >&2", "-q")

    assert (done.out, done.err) == ("out\n", "err\n")


def test_two_runs_in_one_second_get_two_names(known: Repository) -> None:
    for _ in range(2):
        assert shell(known, "true").code == 0

    assert run_json(recorded(known, RUN_ID))["run_id"] == RUN_ID
    assert run_json(recorded(known, f"{RUN_ID}__02"))["run_id"] == f"{RUN_ID}__02"


def test_status_counts_a_recorded_run_of_an_operation(known: Repository) -> None:
    assert shell(known, "exit 1", "--operation", "OP-QA02").code == 1
    assert known("build").code == 0

    table = json.loads((known.runs / known.active("op_status_table") / "OPERATION_STATUS_TABLE_v0_1.json").read_bytes())
    row = next(row for row in table if row["operation_id"] == "OP-QA02")
    assert row["last_run_id"] == "2026-03-01__120000__op-qa02"
    assert (row["run_evidence_state"], row["manifest_state"], row["run_json_state"]) == (
        "OBSERVED",
        "PRESENT",
        "PRESENT",
    )
    listed = known("runs", "--operation", "OP-QA02", "--option", "QA", "--json").document("runs")
    assert [run["run_id"] for run in listed["records"]] == ["2026-03-01__120000__op-qa02"]


def test_an_operation_that_no_catalog_defines_is_recorded_with_a_warning(known: Repository) -> None:
    done = shell(known, "true", "--operation", "OP-A11")

    assert done.code == 0
    assert "no operations catalog defines OP-A11" in done.err
    assert "did you mean OP-A01?" in done.err
    assert run_json(recorded(known, "2026-03-01__120000__op-a11"))["option"] is None


def test_an_operation_that_is_no_tag_gets_the_default_tag(known: Repository) -> None:
    shell(known, "true", "--operation", "Orders: all")

    assert run_json(recorded(known))["operation_id"] == "Orders: all"


def test_empty_folders_are_left_out_and_permissions_do_not_matter(known: Repository) -> None:
    script = "cd $RUN_DIR; mkdir -p a/b/c d; echo 1 > d/x; chmod 000 d/x; chmod 500 d; touch run.sh; chmod 755 run.sh"

    assert shell(known, script).code == 0

    folder = recorded(known)
    assert sorted(path.name for path in folder.rglob("*") if path.is_dir()) == ["d"]
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o444}


def test_a_file_that_is_linked_from_elsewhere_keeps_its_permissions(known: Repository) -> None:
    other = known.root / "big.csv"
    other.write_text("1\n", encoding="utf-8")
    other.chmod(0o640)

    assert shell(known, "ln big.csv $RUN_DIR/big.csv").code == 0
    assert other.stat().st_mode & 0o777 == 0o640
    assert [f.code for f in verify_folder(known.runs / RUN_ID).findings] == ["WARN_HARDLINK"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("ln -s x $RUN_DIR/link", "NOT_REGULAR"),
        ("mkfifo $RUN_DIR/pipe", "NOT_REGULAR"),
        ("touch $RUN_DIR/aux.txt", "MANIFEST_PATH_DOS_DEVICE"),
        ("touch $RUN_DIR/$(printf '\\377')", "MANIFEST_PATH_NOT_UTF8"),
        ("echo mine > $RUN_DIR/manifest.json", "SEAL_FILE_EXISTS"),
        ("echo mine > $RUN_DIR/MANIFEST.sha256", "SEAL_FILE_EXISTS"),
        ("echo mine > $RUN_DIR/run.json", "run.json, which is reserved"),
    ],
)
def test_what_cannot_be_sealed_is_not_published_and_kept(known: Repository, script: str, reason: str) -> None:
    before = sorted(known.runs.iterdir())

    done = shell(known, f"echo precious > $RUN_DIR/result.txt; {script}; exit 3")

    assert done.code == 125
    assert reason in done.err
    assert "the command ended with exit code 3" in done.err
    assert sorted(known.runs.iterdir()) == before
    assert staged(known) == NOTHING_LEFT
    (kept,) = quarantined(known)
    assert str(kept) in done.err
    assert (kept / "result.txt").read_text(encoding="utf-8") == "precious\n"


def test_what_cannot_be_sealed_can_be_corrected_and_sealed_as_the_advice_says(known: Repository) -> None:
    done = shell(known, "ln -s x $RUN_DIR/link")
    (kept,) = quarantined(known)
    target = known.runs / RUN_ID
    assert f"move it to {target}, then `registry-pipeline seal --write {target}`" in done.err

    (kept / "link").unlink()
    kept.rename(target)

    assert known("seal", "--write", str(target)).code == 0
    assert recorded(known) == target


def test_a_command_that_removes_its_folder_has_no_run(known: Repository) -> None:
    done = shell(known, "rm -r $RUN_DIR")

    assert done.code == 125
    assert "cannot be sealed: No such file or directory; the folder of the run is gone" in done.err
    assert not (known.runs / RUN_ID).exists()


def test_output_that_the_disk_refuses_is_no_complete_run(known: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    real = write_all_bytes

    def write(descriptor: int, data: bytes) -> None:
        if descriptor > 2:
            raise OSError(28, "No space left on device")
        real(descriptor, data)

    monkeypatch.setattr(recorded_command, "write_all_bytes", write)
    done = shell(known, "echo 1 > $RUN_DIR/one.txt; echo shown")

    assert (done.code, done.out) == (125, "shown\n")
    assert "the output could not be recorded: No space left on device" in done.err
    assert not (known.runs / RUN_ID).exists()
    assert (quarantined(known)[0] / "one.txt").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_signal_that_comes_while_the_run_is_published_changes_nothing(
    known: Repository, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    real = RecordedRun.publish

    def publish(run: RecordedRun, execution: Any) -> Any:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if fails:
            raise PublishError("the disk is gone", "look for it")
        return real(run, execution)

    monkeypatch.setattr(RecordedRun, "publish", publish)
    done = shell(known, "true")

    assert done.code == (125 if fails else 0)
    assert ("the disk is gone; the command ended with exit code 0 -> look for it" in done.err) is fails
    assert (known.runs / RUN_ID).exists() is not fails


# A process of its own: signals, terminals and pipes are what is tested.

_CHILD = """
import os, signal, sys
def end(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    sys.exit(9)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), end)
print("ready", flush=True)
while True:
    signal.pause()
"""


@contextmanager
def started(known: Repository, *words: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start `record` in a session of its own, which ends with the block."""
    command = [*PROGRAM, "--now", NOON, "record", "--", *words]
    env = environment(known.home)
    with subprocess.Popen(
        command, cwd=known.root, env=env, stdout=subprocess.PIPE, start_new_session=True, **options
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_a_signal_is_passed_on_and_the_run_is_published(known: Repository, name: str) -> None:
    with started(known, sys.executable, "-c", _CHILD, name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(getattr(signal, name))
        assert process.stdout.read() == f"got {name}\n".encode()
        assert process.wait() == 9

    assert (recorded(known) / "stdout.txt").read_text(encoding="utf-8") == f"ready\ngot {name}\n"


def test_a_signal_that_the_command_does_not_catch_ends_it_and_the_run_is_published(known: Repository) -> None:
    with started(known, sys.executable, "-c", _CHILD) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM

    assert run_json(recorded(known))["execution"]["signal"] == "SIGTERM"


_COUNT = """
import os, signal, sys
count = 0
def add(number, frame):
    global count
    count += 1
    # `record` passes signals on in the order of their numbers: a second SIGINT would come before this comes back.
    os.kill(os.getppid(), signal.SIGUSR1)
    if count == 1:
        open(sys.argv[1], "w").close()
signal.signal(signal.SIGINT, add)
signal.signal(signal.SIGUSR1, lambda number, frame: sys.exit(20 + count))
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_ctrl_c_on_a_terminal_reaches_the_command_once(known: Repository, tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    os.mkfifo(counted)
    command = [*PROGRAM, "--now", NOON, "record", "--", sys.executable, "-c", _COUNT, str(counted)]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(known.root)
        os.execve(command[0], command, environment(known.home))  # noqa: S606
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 1000)
    # Two signals of one kind are one signal if the first was not yet received: `record` gets its own only afterwards.
    os.kill(child, signal.SIGSTOP)
    os.write(terminal, b"\x03")
    counted.read_bytes()
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 21
    assert run_json(recorded(known))["execution"]["exit_code"] == 21


def test_a_killed_record_leaves_a_staging_folder_that_doctor_reports_and_moves(known: Repository) -> None:
    with started(known, sys.executable, "-c", _CHILD) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert find_leftovers(known.root / ".codex/.staging") == ()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    assert not (known.runs / RUN_ID).exists()
    (left,) = staged(known)
    found = known("doctor", "--json").document("doctor")["findings"]
    assert [f["path"] for f in found if f["code"] == "DOCTOR_STAGING_LEFTOVER"] == [f".codex/.staging/{left}"]
    known("doctor", "--fix")
    assert [path.name for path in quarantined(known)] == [left]
    assert (quarantined(known)[0] / "stdout.txt").read_text(encoding="utf-8") == "ready\n"


def test_a_process_that_outlives_the_command_does_not_hold_the_run_back(known: Repository) -> None:
    with started(known, "sh", "-c", "sleep 1000 & echo $!") as process:
        assert process.wait() == 0

    assert (recorded(known) / "stdout.txt").read_text(encoding="utf-8").strip().isdigit()


def test_a_reader_that_goes_away_does_not_end_the_recording(known: Repository) -> None:
    with started(known, sys.executable, "-c", "for n in range(100_000): print(n)") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait() == 0

    assert len((recorded(known) / "stdout.txt").read_bytes().splitlines()) == 100_000


def test_the_command_reads_the_standard_input(known: Repository) -> None:
    with started(known, "cat", stdin=subprocess.PIPE) as process:
        assert process.communicate(b"given")[0] == b"given"

    assert (recorded(known) / "stdout.txt").read_bytes() == b"given"
