"""Printed advice works: every command that a message names exists, and does something when it is followed."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pytest

import registry_pipeline
from registry_pipeline.capture_table import CAPTURES
from registry_pipeline.cli.program import program
from registry_pipeline.config import Adapter, Captured, Config, Entries, Roles, RunIndex
from registry_pipeline.config_types import options_of
from registry_pipeline.findings.codes import CODES
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


def remove(built: Repository, *parts: str, pointers_too: bool = False) -> None:
    for folder in [path for path in built.runs.iterdir() if path.is_dir() and any(part in path.name for part in parts)]:
        make_removable(folder)
        shutil.rmtree(folder)
    if pointers_too:
        built.pointers.unlink()


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
    assert built("build", "run_registry", "--only", "--force", now=LATER).code == 0
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


def remove_git_rules(built: Repository) -> None:
    for name in (".gitignore", ".gitattributes"):
        (built.root / name).unlink()


def leave_temporary_files(built: Repository) -> None:
    (built.root / ".registry-pipeline.toml.registry-pipeline.tmp").write_bytes(b"x")
    staging = built.root / ".codex/.staging/2026-03-01__120000__run_registry_build.4194303.0123abcd"
    staging.mkdir(parents=True)
    (staging / "x").write_bytes(b"x")


BREAKAGES: Final[dict[str, Callable[[Repository], object]]] = {
    "nothing": lambda _built: None,
    "edited pointer file": edit_pointers,
    "missing pointer file": lambda built: remove(built, pointers_too=True),
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
    "bad active run": lambda built: built("mark-bad", built.active("drift_signals"), "--reason", "wrong", now=LATER),
    "leftovers": leave_temporary_files,
    "no rules for git": remove_git_rules,
    "no publish root": lambda built: remove(built, ""),
    "no state at all": lambda built: remove(built, "", pointers_too=True),
    "no toml": lambda built: (built.root / "registry-pipeline.toml").rename(built.root / "moved.toml"),
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


def call_json(repository: Repository, *words: str) -> tuple[int, dict[str, Any]]:
    result = repository(*words, "--json", now=LAST)
    assert "Traceback" not in result.err, words
    document: dict[str, Any] = json.loads(result.out or result.err)
    return result.code, document


@contextmanager
def a_copy(root: Path) -> Iterator[Path]:
    """Yield a copy of a repository beside it, which is removed at the end."""
    target = root.parent / "copy"
    with copied_repository(root, target) as copy:
        yield copy
    shutil.rmtree(target)


@dataclass(frozen=True)
class Advice:
    """What a command reported, as (code, path) of a finding or as the message of a failure, and its advice."""

    words: str
    reported: tuple[str, ...]
    text: str

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each command that the advice names, with values for its placeholders."""
        name = self.reported[-1].rpartition("/")[2]
        values = {"TEXT": "because", "RUN": name, "RECORD": name, "REF": "HEAD"}
        for quoted in _QUOTED.findall(self.text):
            if quoted.startswith("registry-pipeline "):
                yield [values.get(word, word) for word in shlex.split(quoted)[1:]]


def collect_advice(root: Path, home: Path) -> list[Advice]:
    """Return the advice of all commands; those that change something run in copies."""
    collected = []
    for words in (*LOOKS, *CHANGES):
        # Each change starts from the same state. Looking changes nothing.
        with a_copy(root) if words in CHANGES else nullcontext(root) as place:
            _, document = call_json(Repository(place, home), *shlex.split(words))
        findings = (*document.get("findings", ()), *document.get("refused", ()))
        collected += [Advice(words, (f["code"], f["path"]), f["hint"] or "") for f in findings]
        rows = [row for row in document.get("registries", ()) if row.get("next_command")]
        collected += [Advice(words, (r["registry_id"], r["newest_run_id"]), f"`{r['next_command']}`") for r in rows]
        if "error" in document:
            failure = document["error"]
            collected.append(Advice(words, (failure["message"],), failure["advice"] or ""))
    return collected


def explain_refusal(code: int, document: dict[str, Any], collected: Collection[Advice]) -> str | None:
    """Return why a command that an advice names did nothing; None if it succeeded, or said what was said before.

    A repository that is broken in two ways has two findings, each with its advice, and one may have to come first.
    """
    if code == 0:
        return None
    if "error" in document:
        advised = {shlex.join(command) for advice in collected for command in advice.commands()}
        failure = Advice("", (document["error"]["message"],), document["error"]["advice"] or "")
        named = {shlex.join(command) for command in failure.commands()}
        return None if code == 7 and named and named <= advised else document["error"]["message"]
    reported = {advice.reported[0] for advice in collected}
    errors = {f["code"] for f in document["findings"] if f["severity"] == "error"}
    # A rollback of foreign runs is refused, and `status` says what to do about them.
    if code == 5 and errors == {"ACTIVATE_FOREIGN"} and "POINTER_FOREIGN" in reported:
        return None
    return None if errors and errors <= reported and code in {3, 7} else f"exit {code}: {sorted(errors)}"


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_command_that_an_advice_names_is_not_refused(
    advised_repository: Path, home: Path, tmp_path: Path, name: str
) -> None:
    problems = []
    with copied_repository(advised_repository, tmp_path / "broken") as root:
        BREAKAGES[name](Repository(root, home))
        collected = collect_advice(root, home)
        followed = {
            (shlex.join(command), advice.reported): advice for advice in collected for command in advice.commands()
        }
        outcomes: dict[str, tuple[int, dict[str, Any]]] = {}
        for (command, reported), advice in followed.items():
            if command not in outcomes:
                with a_copy(root) as copy:
                    outcomes[command] = call_json(Repository(copy, home), *shlex.split(command))
            refusal = explain_refusal(*outcomes[command], collected)
            if refusal is not None:
                problems.append((advice.words, reported, command, refusal))

    assert problems == []


# What is gone after the only command of its advice, by how the repository was broken.
REPAIRS: Final = {
    "edited pointer file": ("POINTER_EDITED",),
    "missing pointer file": ("POINTER_FILE_MISSING", "POINTER_EDITED"),
    "broken pointer file": ("POINTER_SHAPE", "POINTER_EDITED"),
    "duplicate key": ("POINTER_DUPLICATE_KEY", "POINTER_EDITED"),
    "no record": ("CHAIN_RECORD_MISSING",),
    "another id": ("POINTER_FOREIGN",),
    "no id": ("POINTER_ORIGIN_UNKNOWN",),
    "mixed inputs": ("POINTER_INPUTS_MIXED",),
    "missing active run": ("POINTER_RUN_MISSING",),
    "leftovers": ("DOCTOR_TEMPORARY_LEFTOVER", "DOCTOR_STAGING_LEFTOVER"),
    "no rules for git": ("DOCTOR_NOT_IGNORED", "DOCTOR_LINE_ENDS"),
    "no state at all": ("POINTER_FILE_MISSING",),
    "an older file with an unknown state": ("POINTER_TRISTATE",),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_what_was_reported_is_gone_after_its_advice_was_followed(
    advised_repository: Path, home: Path, tmp_path: Path, name: str
) -> None:
    with copied_repository(advised_repository, tmp_path / "broken") as root:
        broken = Repository(root, home)
        BREAKAGES[name](broken)
        for code in REPAIRS[name]:
            advice = [f for f in call_json(broken, "doctor")[1]["findings"] if f["code"] == code]
            assert advice, code
            for command in Advice("doctor", (code, advice[0]["path"]), advice[0]["hint"]).commands():
                with a_copy(root) as copy:
                    repaired = Repository(copy, home)
                    assert call_json(repaired, *command)[0] == 0, command
                    # What was accepted stays as a warning.
                    keys = ("code", "location", "severity")
                    left = [[f[key] for key in keys] for f in call_json(repaired, "doctor")[1]["findings"]]
                    assert [advice[0][key] for key in keys] not in left, command


def list_quoted_texts() -> Iterator[tuple[str, str]]:
    """Yield (place, quoted text) for every text of the program that is no docstring; `{}` stands for a value."""
    package = Path(registry_pipeline.__file__).parent
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        skipped |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if id(node) in skipped or not isinstance(node, ast.Constant | ast.JoinedStr):
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            yield from ((f"{path.name}:{node.lineno}", quoted) for quoted in _QUOTED.findall(text))


def find_unknown_word(words: list[str]) -> str | None:
    """Return what is wrong with a command: an unknown name or option, or a change without its reason; else None."""
    group: click.Command = program
    context = click.Context(program)
    while isinstance(group, click.Group):
        command = group.get_command(context, words[0]) if words else None
        if command is None:
            return f"no command {words[:1]}"
        group, context, words = command, click.Context(command, parent=context, info_name=words[0]), words[1:]
    try:
        values, _, _ = group.make_parser(context).parse_args([*words])
    except click.UsageError as error:
        return error.format_message()
    changes = group.name in {"activate", "rollback", "mark-bad"} or values.get("voided") or values.get("restart_chain")
    return "no --reason" if changes and not values.get("reason") else None


def test_every_command_that_a_text_of_the_program_names_exists_with_its_options() -> None:
    leaves = {name for name, _ in program.all_commands()}
    wrong = []
    checked = 0
    for place, quoted in list_quoted_texts():
        command = quoted.removeprefix("registry-pipeline ")
        first, two = command.split(" ")[0], " ".join(command.split(" ")[:2])
        is_command = quoted != command or (" " in command and (two in leaves or (first in leaves and "--" in command)))
        # `{command}` is the command of an operation, `{}` alone any command.
        if not is_command or command in {"{}", "{command}"} or "\n" in command:
            continue
        checked += 1
        problem = find_unknown_word(shlex.split(command))
        if problem is not None:
            wrong.append((place, quoted, problem))

    assert wrong == []
    assert checked > 100


def test_every_key_that_an_advice_names_is_a_key_of_the_toml() -> None:
    keys = {key for cls in (Config, Adapter, Captured, Roles, Entries, RunIndex) for key in options_of(cls)}
    pattern = re.compile(
        r"(?:`(?:\[[a-z_]+\] )?([a-z_]+)`|set ([a-z_]+)) (?:in|of) (?:registry-pipeline\.toml|\[|the adapter)"
    )
    texts = [text for row in CODES.values() for text in (row.message, row.hint)]
    texts += [capture.config_key for capture in CAPTURES.values()]
    named = {match[1] or match[2] for text in texts for match in pattern.finditer(text)}

    assert named >= {"exclude", "options", "file", "source", "history_start"}
    assert named - keys == set()
