"""Bad input gives a reason and never a traceback, and reading commands still work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry_pipeline.capture_table import CAPTURES, OWN_TABLES
from registry_pipeline_tests.cli.conftest import PROGRAM, CommandResult, Repository, call, environment
from registry_pipeline_tests.collection_sources import COLLECTIONS

LATER = "2026-03-02T12:00:00Z"


def _sound(result: CommandResult) -> CommandResult:
    """Assert what holds for every failure: no traceback, and at least one line that says why."""
    assert "Traceback" not in result.out + result.err
    return result


ADAPTER = '[[adapters]]\nroot = "reports/runs"\nfile = "m.json"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run_roots = [", "is not TOML"),
        ("stael_days = 3\n", "did you mean 'stale_days'?"),
        ('run_roots = ["../outside"]\n', "inside the repository"),
        ('stale_days = "two"\n', "stale_days"),
        ('publish_root = "RUNS"\n', "publish_root"),
        (
            '[[adapters]]\nroot = "reports/run"\nfile = "m.json"\noption = "o"\n',
            "adapters.0.root: 'reports/run' is not one of run_roots; did you mean 'reports/runs'?",
        ),
        ('[[adapters]]\nroot = "reports/runs"\nfile = "m.json"\n', "adapters.0 names no field"),
        ('[[adapters]]\nroot = "reports/runs"\nfile = "m.json"\noptoin = "o"\n', "did you mean 'option'?"),
        ('[[adapters]]\nroot = "reports/runs"\nfile = "../m.json"\noption = "o"\n', "adapters.0.file"),
        ('[[adapters]]\nroot = "reports/runs"\nfile = "a/m.json"\noption = "o"\n', "adapters.0.file"),
        ('[[adapters]]\nroot = "reports/runs"\nfile = "run.json"\noption = "o"\n', "none of the seal's own"),
        ('[[adapters]]\nroot = "reports/runs"\nfile = "m.json"\noption = "a..b"\n', "adapters.0.option"),
        (ADAPTER + "constants = {}\n", "adapters.0 names no field"),
        (ADAPTER + 'path_pattern = "p1_*"\n', "adapters.0 names no field"),
        (
            ADAPTER + 'constants = {operation = "OP-A01"}\n',
            "unknown key adapters.0.constants.operation; did you mean 'operation_id'?",
        ),
        (
            ADAPTER + 'constants = {operation_id = "A01"}\n',
            "adapters.0.constants.operation_id: Value error, must be the id of an operation, as OP-A01",
        ),
        (
            ADAPTER + 'constants = {option = "AQ"}\n',
            "adapters.0.constants.option: 'AQ' is not one of options; did you mean 'A'?",
        ),
        (
            ADAPTER + 'constants = {run_type = ""}\n',
            "adapters.0.constants.run_type",
        ),
        (
            ADAPTER + 'path_patern = "{option}_*"\n',
            "did you mean 'path_pattern'?",
        ),
        (
            ADAPTER + 'path_pattern = "{operation}_*"\n',
            "names the unknown field 'operation'; did you mean 'operation_id'?",
        ),
        (
            ADAPTER + 'path_pattern = "{date}_*"\n',
            "names the unknown field 'date'; it can name operation_id, option, run_type",
        ),
        (
            ADAPTER + 'path_pattern = "{option}_{option}"\n',
            "names option twice",
        ),
        (
            ADAPTER + 'path_pattern = "{operation_id}_{operation_id}"\n',
            "names operation_id twice",
        ),
        (
            ADAPTER + 'path_pattern = "{option}*"\n',
            "has two parts next to each other",
        ),
        (
            ADAPTER + 'path_pattern = "{option_*"\n',
            "has a brace without its other half",
        ),
        (
            ADAPTER + 'path_pattern = "../{option}"\n',
            "adapters.0.path_pattern",
        ),
        (
            ADAPTER + 'path_pattern = "runs/{option}"\n',
            "adapters.0.path_pattern: no folder in reports/runs has the path 'runs/{option}'",
        ),
        (
            ADAPTER + 'path_pattern = "{option}_*"\nconstants = {option = "A"}\n',
            "adapters.0.constants.option: path_pattern states option for each folder, so the constant is never used",
        ),
        (
            f'{ADAPTER}constants = {{option = "A"}}\n{ADAPTER}path_pattern = "p1_*"\noption = "a"\n',
            "adapters.1: a second adapter reads m.json under reports/runs",
        ),
        (
            '[[adapters]]\nroot = "reports/runs"\nfile = "m.json"\noption = "a"\n' * 2,
            "adapters.1: a second adapter reads m.json under reports/runs",
        ),
        ('op_drift = "path"\n', "op_drift"),
    ],
)
def test_a_malformed_toml_exits_2_and_names_the_key(built: Repository, text: str, message: str) -> None:
    (built.root / "registry-pipeline.toml").write_text(text)

    result = _sound(built("status"))

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err


def test_a_malformed_toml_stops_every_command_that_needs_the_repository(built: Repository) -> None:
    (built.root / "registry-pipeline.toml").write_text("run_roots = [")

    for words in (("build",), ("verify", "--all"), ("log",), ("init",)):
        assert _sound(built(*words)).code == 2


def test_a_missing_toml_means_the_defaults(known: Repository) -> None:
    assert known("status").code == 0
    assert known("build").code == 0


@pytest.mark.parametrize(
    "document", ["OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md", "OVC_ENFORCEMENT_COVERAGE_MATRIX_v0.1.md"]
)
@pytest.mark.parametrize("damage", ["missing", "malformed"])
def test_a_missing_or_malformed_catalog_or_matrix_is_reported_and_the_old_stays_active(
    built: Repository, document: str, damage: str
) -> None:
    before = built.active("op_status_table")
    if damage == "missing":
        (built.root / document).unlink()
    else:
        (built.root / document).write_bytes(b"\xff\xfe not text \x00")

    result = _sound(built("build", "--json", now=LATER))

    build_document = result.document("build")
    assert (result.code, build_document["not_built"]) == (7, ["op_status_table", *COLLECTIONS])
    assert document in {f["path"] for f in build_document["findings"] if f["severity"] == "error"}
    assert before == built.active("op_status_table")
    assert built("status", now=LATER).code == 0


def test_a_first_build_without_a_catalog_reports_it_and_activates_the_rest(known: Repository) -> None:
    known("init")
    (known.root / "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md").unlink()

    result = _sound(known("build", "--json"))

    document = result.document("build")
    assert (result.code, document["not_built"]) == (7, ["op_status_table", *COLLECTIONS])
    assert "CATALOG_MISSING" in {f["code"] for f in document["findings"]}
    assert [row["registry_id"] for row in document["built"] if row["activated"]] == [
        "run_registry",
        *(name for name in CAPTURES if name not in COLLECTIONS),
        *OWN_TABLES,
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a": 1, "a": 1}', b"\xff\x00"])
def test_a_malformed_pointer_file_is_a_finding_that_refuses_every_move(built: Repository, data: bytes) -> None:
    built.pointers.write_bytes(data)

    status = _sound(built("status", "--json"))
    build = _sound(built("build", "--json", now=LATER))

    assert (status.code, status.document("status")["health_state"]) == (3, "RECOVERY_REQUIRED")
    assert build.code == 3
    assert data == built.pointers.read_bytes()


def test_a_missing_pointer_file_is_reported_with_the_command_that_makes_one(known: Repository) -> None:
    known.pointers.unlink()

    result = _sound(known("status", "--json"))

    findings = [f for f in result.document("status")["findings"] if f["severity"] != "info"]
    assert (result.code, [f["code"] for f in findings]) == (0, ["POINTER_FILE_MISSING"])
    assert "registry-pipeline init" in findings[0]["hint"]


def test_a_pointer_file_that_was_removed_after_an_activation_is_not_made_again(built: Repository) -> None:
    built.pointers.unlink()

    status, build = _sound(built("status", "--json")), _sound(built("build", now=LATER))

    assert (status.code, status.document("status")["health_state"]) == (3, "RECOVERY_REQUIRED")
    assert (build.code, "doctor --fix" in build.err) == (7, True)
    assert not built.pointers.exists()


def test_an_empty_repository_is_initialised_built_and_shown(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "empty"
    root.mkdir()
    empty = Repository(root, home)

    assert _sound(empty("-C", ".", "status", "--json")).code == 0
    assert _sound(empty("-C", ".", "init")).code == 0
    assert _sound(empty("verify", "--all")).code == 7
    built = _sound(empty("build", "--json"))
    assert built.code == 0, built.err
    assert {row["registry_id"] for row in built.document("build")["built"]} >= {"run_registry", "op_status_table"}
    assert _sound(empty("log")).code == 0


def _path_without_git(tmp_path: Path) -> str:
    """Return a PATH on which everything but git is found."""
    shown = tmp_path / "bin"
    shown.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for program in Path(folder).iterdir():
            if not program.name.startswith("git") and not (shown / program.name).exists():
                (shown / program.name).symlink_to(program)
    return str(shown)


def test_without_git_reading_commands_report_unknown_git_state_and_exit_7(built: Repository, tmp_path: Path) -> None:
    path = _path_without_git(tmp_path)

    status = _sound(built("status", "--json", PATH=path))
    verify = _sound(built("verify", "--all", PATH=path))
    build = _sound(built("build", PATH=path, now=LATER))

    assert status.code == 7  # the whole document is printed, and the role pack in it could not be checked
    document = status.document("status")
    assert document["repository"]["git_commit"] is None
    assert "CONFIG_GIT_UNREADABLE" in {f["code"] for f in document["findings"]}
    assert {f["code"] for f in document["findings"] if f["severity"] == "error"} >= {"RR030"}
    assert verify.code == 3
    assert (build.code, "install git" in build.err) == (7, True)


def test_without_git_and_without_a_checkout_everything_works(built: Repository, tmp_path: Path) -> None:
    shutil.rmtree(built.root / ".git")

    result = _sound(built("build", "--json", PATH=_path_without_git(tmp_path), now=LATER))

    assert result.code == 0, result.err


def _read_only(root: Path) -> tuple[str, ...]:
    """Return what runs a command with the tree mounted read-only: mode bits do not bind root."""
    if os.geteuid() == 0:
        mount = f'mount --bind {root} {root} && mount -o remount,ro,bind {root} && cd {root} && exec "$@"'
        return ("unshare", "--mount", "sh", "-c", mount, "sh")
    subprocess.run(["chmod", "-R", "a-w", str(root)], check=True)
    return ()


@pytest.mark.process
def test_a_read_only_tree_can_be_read_and_not_built(built: Repository) -> None:
    prefix = _read_only(built.root)

    status = _sound(built("status", "--json", prefix=prefix))
    verify = _sound(built("verify", "--active", "--pointers", "--json", prefix=prefix))
    log = _sound(built("log", prefix=prefix))
    build = _sound(built("build", prefix=prefix, now=LATER))

    assert (status.code, verify.code, log.code) == (0, 0, 0)
    assert status.document("status")["repository"]["git_commit"] is not None
    assert (build.code, build.err.count("\n")) == (1, 1)


def test_a_tampered_upstream_is_refused_by_name_and_nothing_is_built_on_it(built: Repository) -> None:
    active = built.active("run_registry")
    built.tamper(active, "RUN_REGISTRY_v0_1.jsonl")
    before = {path.name for path in built.runs.iterdir()}

    result = _sound(built("build", "op_status_table", now=LATER))

    assert result.code == 3
    assert active in result.out + result.err
    assert before == {path.name for path in built.runs.iterdir()}


def test_a_complete_rebuild_replaces_an_altered_active_run(built: Repository) -> None:
    built.tamper(built.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json")
    assert built("status").code == 3

    result = _sound(built("build", now=LATER))

    assert result.code == 0, result.out
    assert built("status", now=LATER).code == 0


def test_an_unexpected_failure_is_one_line_and_a_traceback_with_verbose(tmp_path: Path, home: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import registry_pipeline.findings.codes as codes\n"
        "class Broken(dict):\n"
        "    def values(self):\n"
        "        raise RuntimeError('planted')\n"
        "codes.CODES = Broken()\n"
    )
    env = environment(home, PYTHONPATH=str(tmp_path))

    plain = call("explain", cwd=tmp_path, env=env)
    loud = call("explain", "--verbose", cwd=tmp_path, env=env)

    assert (plain.code, plain.err.count("\n")) == (1, 1)
    assert "RuntimeError: planted" in plain.err
    assert "Traceback" in loud.err


def test_both_names_of_the_program_are_the_same(tmp_path: Path, home: Path) -> None:
    script = Path(sys.executable).with_name("registry-pipeline")
    done = subprocess.run([script, "--version"], cwd=tmp_path, env=environment(home), capture_output=True, check=False)

    assert (0, call("--version", cwd=tmp_path, env=environment(home)).out) == (done.returncode, done.stdout.decode())
    assert PROGRAM[1:] == ("-m", "registry_pipeline")


@pytest.mark.parametrize(
    ("name", "code"), [("registry-pipeline.toml", 2), ("docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json", 7)]
)
def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_for_it(built: Repository, name: str, code: int) -> None:
    (built.root / name).unlink()
    os.mkfifo(built.root / name)

    ended = _sound(built("status"))

    assert ended.code == code
    assert f"{name} cannot be read: not a regular file" in ended.err
