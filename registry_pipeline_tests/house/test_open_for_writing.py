"""Only the modules listed here open files for writing; an audit hook watches commands that write."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from registry_pipeline_tests.cli.conftest import Repository, built, built_repository, environment, home
from registry_pipeline_tests.signing.keys import make_key

__all__ = ["built", "built_repository", "home"]

_WATCH: Final = """
import json, os, sys
writers = set()

def watch(event, arguments):
    if event != "open":
        return
    path, mode, flags = arguments
    creates = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
    writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & creates)
    # A descriptor was opened before; the null device and the bytecode cache are not the project's files.
    if not writes or isinstance(path, int) or path == os.devnull or "__pycache__" in str(path):
        return
    frame = sys._getframe(1)
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("registry_pipeline"):
        frame = frame.f_back
    writers.add(frame.f_globals["__name__"].removeprefix("registry_pipeline.") if frame else "none")

sys.addaudithook(watch)
from registry_pipeline.cli.main import main
out = sys.stdout
sys.stdout = sys.stderr
codes = [main(words) for words in json.loads(sys.argv[1])]
print(json.dumps([sorted(writers), codes]), file=out)
"""

COMMANDS: Final = (
    ("init", "--entries"),
    ("build",),
    ("verify", "--all"),
    ("diff", "active", "active", "--registry", "run_registry", "-o", "../diff.html"),
    ("report", "--pages", "../site"),
    ("attest", "latest", "--key", "../attest.key", "-o", "../run.intoto.jsonl"),
    ("seal", "--write", ".codex/RUNS/2026-02-05__050000__op-d01"),
    ("record", "--", "sh", "-c", "echo 1 > $RUN_DIR/one.txt"),
    ("status",),
    ("rollback", "--reason", "tried"),
    ("mark-bad", "latest", "--reason", "tried"),
    ("doctor", "--fix"),
    ("entries", "add", "--type", "module_type", "--entry-json", '{"id": "gauge", "description": "Reads one gauge."}'),
    ("build", "drift_signals_daily", "--as-of", "2026-02-01"),
    ("verify", "../run.tar"),
    ("export", "2026-02-05__050000__op-d01", "one.tar.gz"),
    ("import", "one.tar.gz"),
)

ALLOWED: Final = frozenset(
    {
        "files.atomic_write",
        "files.lock",
        "runs.archive",  # into a temporary folder, or staging
        "runs.archive_writer",
        "runs.staged_run",
        "runs.writer",
    }
)


def test_only_the_listed_modules_open_files_for_writing(built: Repository) -> None:
    folder = built.runs / "2026-03-01__120000__run_registry_build"
    with tarfile.open(built.root.parent / "run.tar", "w") as archive:
        archive.add(folder, folder.name)
    make_key(built.root.parent, "attest.key")
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, json.dumps([["-C", str(built.root), *words] for words in COMMANDS])],
        env=environment(built.home),
        cwd=built.root,
        capture_output=True,
        text=True,
        check=True,
    )

    writers, codes = json.loads(done.stdout)
    assert set(writers) == ALLOWED, done.stderr
    assert codes[0] == codes[1] == codes[3] == codes[4] == codes[5] == 0, done.stderr


def test_a_module_that_is_not_listed_would_be_seen(built: Repository, tmp_path: Path) -> None:
    opens = f"open({str(tmp_path / 'x')!r}, 'w')"
    module = "import types; module = types.ModuleType('registry_pipeline.runs.scan')"
    program = _WATCH.replace(
        "from registry_pipeline.cli.main import main", f"{module}\nexec({opens!r}, module.__dict__)\nmain = len"
    )

    done = subprocess.run([sys.executable, "-c", program, "[]"], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)[0] == ["runs.scan"]
