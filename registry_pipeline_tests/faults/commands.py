"""The commands that write, each with a repository to run in and the result that it acknowledges with exit 0."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from registry_pipeline.files.atomic_write import temporary_path
from registry_pipeline.runs.archive import verify_runs
from registry_pipeline.runs.reference import TAG_START
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.archived_runs import ARCHIVE, add_sealed_runs, remove_runs
from registry_pipeline_tests.archived_runs import FIRST as FIRST_OLD
from registry_pipeline_tests.archived_runs import SECOND as SECOND_OLD
from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.collection_sources import RANGES, write_range
from registry_pipeline_tests.entries.small import TYPES
from registry_pipeline_tests.role_packs import PACK
from registry_pipeline_tests.run_index.values import a_run

LATER, LATEST, LAST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z", "2026-03-04T12:00:00Z"
FIRST: Final = "2026-03-01__120000__drift_signals_build"
UNSEALED: Final = "2026-02-05__050000__op-d01"
_RECORD: Final = json.dumps(a_run(7))
_VOID: Final = json.dumps(
    {
        "record_type": "OVERRIDE_UPDATE",
        "override_id": "OVR-20260107-0855-BBBB",
        "update_utc": "2026-01-08T08:00Z",
        "updated_by": "Tomas Weir",
        "update_type": "STATUS",
        "status": "voided",
    }
)
_ENTRY: Final = '{"id": "sluice", "description": "Opens and shuts."}'


@dataclass(frozen=True)
class WritingCommand:
    """A command that writes.

    `prepare` brings a built repository to where the command is run. `count` says how often its effect is there: 0
    before, 1 after. `owned` are the files of people that it may change, relative to the repository.
    """

    words: tuple[str, ...]
    count: Callable[[Repository], int]
    owned: tuple[str, ...] = ()
    prepare: Callable[[Repository], object] = lambda _repository: None


def _pointers(repository: Repository) -> dict[str, dict[str, object]]:
    if not repository.pointers.exists():
        return {}
    return {entry["registry_id"]: entry for entry in json.loads(repository.pointers.read_bytes())["pointers"]}


def _active(registry_id: str, run_id: str) -> Callable[[Repository], int]:
    def count(repository: Repository) -> int:
        entry = _pointers(repository)[registry_id]
        ref = entry["active_ref"]
        return int(isinstance(ref, dict) and ref["run_id"] == run_id and entry["active_ref_known"] is True)

    return count


def _lines_with(path: str, text: str) -> Callable[[Repository], int]:
    return lambda repository: (repository.root / path).read_text(encoding="utf-8").count(text)


def _without_init(repository: Repository) -> None:
    # The toml stays: a new one has a new repository id, and the runs that are active would be another repository's.
    for path in (".gitattributes", ".gitignore"):
        (repository.root / path).unlink()
    shutil.rmtree(repository.root / "docs/governance", ignore_errors=True)


def _edited(repository: Repository) -> None:
    temporary_path(repository.pointers).write_bytes(b"left by a killed writer")
    repository.pointers.write_bytes(repository.pointers.read_bytes().replace(b"_build", b"_built", 1))


def _other_log(repository: Repository) -> None:
    lines = (repository.root / RUN_INDEX).read_text(encoding="utf-8").splitlines(keepends=True)
    (repository.root / "other.jsonl").write_text("".join([*lines[:1], f"{_RECORD}\n"]), encoding="utf-8")


def _exported(repository: Repository) -> None:
    add_sealed_runs(repository, FIRST_OLD)
    assert repository("export", FIRST_OLD, ARCHIVE).code == 0
    remove_runs(repository, FIRST_OLD)


_MEMBERS: Final = ("one", "two", "three")


def _write_members(repository: Repository) -> None:
    for member_id in _MEMBERS:
        write_range(repository.root, member_id)


def _all_members(repository: Repository) -> int:
    indexes = [path for path in repository.runs.iterdir() if path.name[TAG_START:] == "seal_validation_range_results"]
    index = max(indexes, default=None)
    if index is None or verify_folder(index).verdict != "pass":
        return 0
    lines = [json.loads(line) for line in (index / "COLLECTION_INDEX_v0_1.jsonl").read_text("utf-8").splitlines()]
    runs = [repository.runs / line["sealed_ref"]["run_id"] for line in lines]
    assert sorted(line["member_id"] for line in lines) == sorted(_MEMBERS)
    return int(all(verify_folder(run).verdict == "pass" for run in runs))


COMMANDS: Final[Mapping[str, WritingCommand]] = MappingProxyType(
    {
        "build": WritingCommand(
            ("build", "--now", LATER),
            _active("drift_signals", "2026-03-02__120000__drift_signals_build"),
        ),
        "activate": WritingCommand(
            ("activate", "run_registry", "latest", "--allow-mixed", "--reason", "x", "--now", LATEST),
            _active("run_registry", "2026-03-02__120000__run_registry_build"),
            prepare=lambda repository: repository("build", "run_registry", "--only", "--force", now=LATER),
        ),
        "rollback": WritingCommand(
            ("rollback", "--reason", "x", "--now", LATEST),
            _active("drift_signals", FIRST),
            prepare=lambda repository: repository("build", now=LATER),
        ),
        "mark-bad": WritingCommand(
            ("mark-bad", FIRST, "--reason", "x", "--now", LATER),
            lambda repository: int(_pointers(repository)["drift_signals"]["active_ref_known"] is False),
        ),
        "build members": WritingCommand(
            ("build", RANGES, "--only", "--now", LATER),
            _all_members,
            prepare=_write_members,
        ),
        "seal": WritingCommand(
            ("seal", "--write", f".codex/RUNS/{UNSEALED}", "--now", LATER),
            lambda repository: int(verify_folder(repository.runs / UNSEALED).verdict == "pass"),
        ),
        "export": WritingCommand(
            ("export", FIRST_OLD, SECOND_OLD, ARCHIVE, "--jobs", "1", "--now", LATER),
            lambda repository: int([r.verdict for r in verify_runs(repository.root / ARCHIVE)] == ["pass", "pass"]),
            (ARCHIVE,),
            lambda repository: add_sealed_runs(repository, FIRST_OLD, SECOND_OLD),
        ),
        "import": WritingCommand(
            ("import", ARCHIVE, "--now", LATER),
            lambda repository: int(verify_folder(repository.runs / FIRST_OLD).verdict == "pass"),
            prepare=_exported,
        ),
        "record": WritingCommand(
            ("--now", LATER, "record", "--tag", "recorded", "--", "sh", "-c", "echo 1; echo 2 > $RUN_DIR/two.txt"),
            lambda repository: len([path for path in repository.runs.iterdir() if path.name.endswith("__recorded")]),
        ),
        "entries add": WritingCommand(
            ("entries", "add", "--type", "module_type", "--entry-json", _ENTRY, "--now", LATER),
            _lines_with(TYPES, "id: sluice"),
            (TYPES,),
        ),
        "run-index append": WritingCommand(
            ("run-index", "append", "--record", _RECORD, "--now", LATER),
            _lines_with(RUN_INDEX, a_run(7)["run_id"]),
            (RUN_INDEX,),
        ),
        "run-index merge": WritingCommand(
            ("run-index", "merge", RUN_INDEX, "other.jsonl", "-o", RUN_INDEX, "--now", LATER),
            _lines_with(RUN_INDEX, a_run(7)["run_id"]),
            (RUN_INDEX,),
            _other_log,
        ),
        "overrides append": WritingCommand(
            ("overrides", "append", "--record", _VOID, "--now", LATER),
            _lines_with(OVERRIDES, "OVERRIDE_UPDATE"),
            (OVERRIDES,),
        ),
        "roles bump": WritingCommand(
            ("roles", "bump", "chart_designer", "C", "--now", LATER),
            _lines_with(PACK, '"ROLE:chart_designer:C:3"'),
            (PACK,),
        ),
        "init": WritingCommand(
            ("init", "--now", LATER),
            lambda repository: int((repository.root / ".gitignore").exists()),
            (".gitattributes", ".gitignore"),
            _without_init,
        ),
        "doctor --fix": WritingCommand(
            ("doctor", "--fix", "--now", LATER),
            lambda repository: int(b"_built" not in repository.pointers.read_bytes()),
            prepare=_edited,
        ),
    }
)
