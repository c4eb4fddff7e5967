"""Printed advice works: every command that a message names exists, and does something when it is followed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.cli.test_older_pointer_files import LOST, pointer_file, unknown
from registry_pipeline_tests.copies import copied_repository, make_removable

LATER: Final = "2026-03-02T12:00:00Z"
LAST: Final = "2026-03-03T12:00:00Z"
# Commands whose output is printed, and which find nearly all that can be wrong.
LOOKS: Final = (
    "status",
    "doctor",
    "verify --all",
    "verify --active",
    "verify --pointers",
    "verify --chain",
    "log",
    "runs",
    "show latest",
    "diff run_registry",
    "anchor",
    "entries check",
    "roles check",
    "run-index check",
    "run-index list",
    "overrides check",
)
CHANGES: Final = (
    "build",
    "build run_registry --only",
    "build drift_signals_daily --as-of 2026-02-01",
    "rollback --reason undo",
    "activate run_registry latest --reason again",
    "mark-bad latest --reason wrong",
    "doctor --fix",
    "init",
)


def remove(built: Repository, *parts: str) -> None:
    for folder in [path for path in built.runs.iterdir() if any(part in path.name for part in parts)]:
        make_removable(folder)
        shutil.rmtree(folder)


def edit_toml(built: Repository, change: Callable[[str], str]) -> None:
    path = built.root / "registry-pipeline.toml"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def edit_pointers(built: Repository) -> None:
    text = built.pointers.read_text(encoding="utf-8")
    built.pointers.write_text(text.replace('"notes": "build"', '"notes": "by hand"', 1), encoding="utf-8")


def start_again_with(built: Repository, *entries: object) -> None:
    """Replace the pointer file by one of an older tool."""
    remove(built, "pointer_activation", "system_health")
    document = pointer_file() | {"pointers": list(entries)}
    built.pointers.write_text(json.dumps(document), encoding="utf-8")


def mix_inputs(built: Repository) -> None:
    assert built("build", "run_registry", "--only", now=LATER).code == 0
    words = ("activate", "run_registry", "latest", "--allow-mixed", "--reason", "tried")
    assert built(*words, now=LATER).code == 0


def lose_a_run(built: Repository) -> None:
    shutil.rmtree(built.root / "reports/runs/extra")


def add_and_exclude_a_run(built: Repository) -> None:
    edit_toml(built, lambda text: f'exclude = ["extra"]\n{text}')


def write_broken_content(built: Repository) -> None:
    for path, text in (
        ("60-REGISTRY/data/run-index.jsonl", '{"a": 1}\nnot json\n\n'),
        ("60-REGISTRY/data/overrides-log.jsonl", "[]\n"),
        ("modules/overview/index.yaml", "a: [\n"),
        ("schema/applied_migrations.json", "{"),
    ):
        target = built.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def leave_temporary_files(built: Repository) -> None:
    (built.root / ".registry-pipeline.toml.registry-pipeline.tmp").write_bytes(b"x")
    staging = built.root / ".codex/.staging/2026-03-01__120000__run_registry_build.999999.abc"
    staging.mkdir(parents=True)
    (staging / "x").write_bytes(b"x")


BREAKAGES: Final[dict[str, Callable[[Repository], object]]] = {
    "nothing": lambda built: None,
    "edited pointer file": edit_pointers,
    "missing pointer file": lambda built: built.pointers.unlink(),
    "broken pointer file": lambda built: built.pointers.write_bytes(b"{"),
    "duplicate key": lambda built: built.pointers.write_bytes(b'{"a": 1, "a": 2}'),
    "tampered active run": lambda built: built.tamper(built.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json"),
    "missing active run": lambda built: remove(built, built.active("drift_signals")),
    "missing record": lambda built: remove(built, "pointer_activation__02"),
    "no record": lambda built: remove(built, "pointer_activation"),
    "lost run": lose_a_run,
    "excluded run": add_and_exclude_a_run,
    "another id": lambda built: edit_toml(
        built, lambda text: re.sub(r"repository_id = .*", 'repository_id = "quite-another"', text)
    ),
    "no id": lambda built: edit_toml(built, lambda text: re.sub(r"repository_id = .*\n", "", text)),
    "mixed inputs": mix_inputs,
    "bad active run": lambda built: built("mark-bad", built.active("drift_signals"), "--reason", "wrong"),
    "leftovers": leave_temporary_files,
    "no rules for git": lambda built: [(built.root / name).unlink() for name in (".gitignore", ".gitattributes")],
    "no publish root": lambda built: remove(built, ""),
    "no state at all": lambda built: [remove(built, ""), built.runs.rmdir(), built.pointers.unlink()],
    "no toml": lambda built: (built.root / "registry-pipeline.toml").unlink(),
    "missing documents": lambda built: shutil.rmtree(built.root / "docs/governance"),
    "missing run root": lambda built: edit_toml(built, lambda text: re.sub('"reports/runs"', '"no/runs"', text)),
    "broken content": write_broken_content,
    "an older file with an unknown state": lambda built: start_again_with(
        built, unknown("run_registry", "") | {"active_ref_known": "maybe"}
    ),
    "an older file with a lost run": lambda built: start_again_with(
        built, unknown("drift_signals", "") | {"active_ref_known": True, "active_asof_utc": LATER, "active_ref": LOST}
    ),
    "an older file with an unknown registry": lambda built: start_again_with(
        built, unknown("ours", "") | {"active_ref_known": True, "active_asof_utc": LATER, "active_ref": LOST}
    ),
}
_QUOTED: Final = re.compile(r"`([^`]+)`")


@pytest.fixture(scope="session")
def advised_repository(built_repository: Path, tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A built repository in which the active run registry lists one run more than the first did."""
    root = tmp_path_factory.mktemp("advised") / "repository"
    shutil.copytree(built_repository, root, symlinks=True)
    (root / "reports/runs/extra").mkdir(parents=True)
    (root / "reports/runs/extra/out.txt").write_text("x\n", encoding="utf-8")
    repository = Repository(root, home)
    assert repository("build", now=LATER).code == 0
    return root


def collect_advice(repository: Repository, root: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (command, what it reported, advice) of all commands; those that change something run in copies."""
    for words in (*LOOKS, *CHANGES):
        # Each change starts from the same state. Looking changes nothing.
        with copied_repository(root, folder / "changed") if words in CHANGES else nullcontext(root) as place:
            result = Repository(place, repository.home)(*shlex.split(words), "--json", now=LAST)
            assert "Traceback" not in result.err, words
            document = json.loads(result.out or result.err)
            for found in (*document.get("findings", ()), *document.get("refused", ())):
                yield words, f"{found['code']} {found['path']}", found["hint"] or ""
            if "error" in document:
                yield words, document["error"]["message"], document["error"]["advice"] or ""
        shutil.rmtree(folder / "changed", ignore_errors=True)


def list_commands(advice: str, reported: str) -> Iterator[list[str]]:
    """Yield the words of each command that an advice names, with values for its placeholders."""
    values = {
        "TEXT": "because",
        "RUN": reported.rpartition("/")[2],
        "RECORD": reported.rpartition("/")[2],
        "REF": "HEAD",
    }
    for quoted in _QUOTED.findall(advice):
        if quoted.startswith("registry-pipeline "):
            yield [values.get(word, word) for word in shlex.split(quoted)[1:]]


@pytest.mark.parametrize("name", BREAKAGES)
def test_advice_that_is_followed_is_not_refused(
    advised_repository: Path, home: Path, tmp_path: Path, name: str
) -> None:
    with copied_repository(advised_repository, tmp_path / "broken") as root:
        broken = Repository(root, home)
        BREAKAGES[name](broken)
        problems = []
        tried: set[str] = set()
        for words, reported, advice in collect_advice(broken, root, tmp_path):
            for command in list_commands(advice, reported):
                key = " ".join([*command, reported.partition(" ")[0]])
                if key in tried:
                    continue
                tried.add(key)
                with copied_repository(root, tmp_path / "followed") as copy:
                    result = Repository(copy, home)(*command, now=LAST)
                    print(f"{result.code} {words!r} {reported} :: {shlex.join(command)} :: {result.err[:200]}")
                    if result.code not in {0, 3}:
                        problems.append(
                            (words, reported, shlex.join(command), result.code, result.err + result.out[-300:])
                        )
                shutil.rmtree(tmp_path / "followed")
        assert problems == []
