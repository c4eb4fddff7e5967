"""What each command imports: third-party packages by name, and a ceiling for the project's own modules.

One interpreter is started; it forks a child per command, which inherits nothing of the project.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from registry_pipeline_tests.cli.conftest import NOON, Repository, environment

_FORKS: Final = """
import json, os, sys
before = set(sys.modules)
for words in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1), os.dup2(null, 2)
        from registry_pipeline.cli.main import main
        try:
            main(words)
        finally:
            names = set(sys.modules) - before
            os.write(write, json.dumps(sorted(names)).encode())
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        print(pipe.read().decode())
    os.wait()
"""
_CLICK: Final = frozenset({"click"})
_SCHEMA: Final = _CLICK | {"jsonschema_rs"}
_SOURCES: Final = _SCHEMA | {"yaml"}
"""What reads the sources of captured registries, of which entries are YAML."""
_BROUGHT: Final = frozenset({"attr", "attrs", "idna", "jsonschema_specifications", "referencing", "rpds"})
_BROUGHT_TOO: Final = frozenset({"typing_extensions", "cython_runtime", "__mp_main__"})
"""What these packages import, by version."""

# Words of the command, third-party packages, the most modules of the project.
# fmt: off
COMMANDS: Final[dict[str, tuple[frozenset[str], int]]] = {
    "--help":                    (_CLICK, 25),
    "--version":                 (_CLICK, 25),
    "roles --help":              (_CLICK, 25),
    "entries --help":            (_CLICK, 25),
    "run-index --help":          (_CLICK, 25),
    "overrides --help":          (_CLICK, 25),
    "explain HASH_MISMATCH":     (_CLICK, 27),
    "explain":                   (_CLICK, 27),
    "registries":                (_CLICK, 110),
    "anchor":                    (_CLICK, 180),
    "overview .":                (_SOURCES, 166),
    "log":                       (_CLICK, 195),
    "runs":                      (_CLICK, 195),
    "show {run}":                (_SCHEMA, 195),
    "status":                    (_SOURCES, 195),
    "status --json":             (_SOURCES, 195),
    "verify":                    (_CLICK, 195),
    "verify --all":              (_SOURCES, 195),
    "verify --all --format junit": (_SOURCES, 200),
    "status --format sarif":     (_SOURCES, 200),
    "status --format markdown":  (_SOURCES, 200),
    "doctor":                    (_SOURCES, 215),
    "diff {run} {run}":          (_CLICK, 195),
    "diff {run} {run} --format html": (_CLICK | {"jinja2", "markupsafe"}, 200),
    "report --pages ../pages":   (_SOURCES | {"jinja2", "markupsafe"}, 240),
    "seal .codex/RUNS/2026-02-05__050000__op-d01": (_CLICK, 110),
    "attest {run} --key missing": (_CLICK | {"_cffi_backend", "_openssl", "cryptography"}, 205),
    "export {run} one.tar":      (_CLICK, 200),
    "import one.tar":            (_CLICK, 205),
    "record -- true":            (_CLICK, 195),
    "activate run_registry {run} --reason again": (_SCHEMA, 195),
    "rollback --reason undo":    (_CLICK, 195),
    "build":                     (_SOURCES | {"jinja2", "markupsafe"}, 233),
}
# fmt: on
"""The order matters for the last three only, which change the repository."""


@pytest.fixture(scope="module")
def imported(built_repository: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the modules that each command imported, in a copy of the built repository."""
    root = tmp_path_factory.mktemp("imports") / "repository"
    subprocess.run(["cp", "-a", built_repository, root], check=True)
    repository = Repository(root, home)
    run = repository.active("run_registry")
    words = [[*line.format(run=run).split(), "--now", NOON] for line in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", _FORKS, json.dumps(words)],
        cwd=root,
        env=environment(home),
        capture_output=True,
        check=True,
    )
    return dict(zip(COMMANDS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_imports_these_packages_and_not_more_modules(line: str, imported: dict[str, list[str]]) -> None:
    packages, most = COMMANDS[line]
    own = [name for name in imported[line] if name.startswith("registry_pipeline.")]
    tops = {name.partition(".")[0] for name in imported[line]} - sys.stdlib_module_names - {"registry_pipeline"}
    direct = {name for name in tops - _BROUGHT - _BROUGHT_TOO if not name.startswith("_cython")}

    assert direct == packages
    assert len(own) <= most, f"{len(own)} modules of the project"


@pytest.mark.parametrize("line", COMMANDS)
def test_no_command_imports_the_example(line: str, imported: dict[str, list[str]]) -> None:
    elsewhere = ("registry_pipeline.example", "registry_pipeline.defs")

    assert not [name for name in imported[line] if name.startswith(elsewhere)]
