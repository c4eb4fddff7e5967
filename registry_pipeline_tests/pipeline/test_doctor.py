"""The table of conditions of `doctor`: each is found, looking at it changes nothing, and its command repairs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.files.atomic_write import temporary_path
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pipeline import doctor as pipeline_doctor
from registry_pipeline.pipeline import init as pipeline_init
from registry_pipeline.pipeline.doctor import RepairOptions, diagnose
from registry_pipeline.pointers.state import create_intent, intent_path, read_chain_state
from registry_pipeline_tests.pipeline.conftest import NOON, World, all_active
from registry_pipeline_tests.pipeline.crash_changes import STEPS, kill

PENDING = STEPS["after the record"]


def initialise(world: World) -> None:
    """Do what `registry-pipeline init` does."""
    pipeline_init.initialize(world.root, track_runs=None, now=NOON)


def staging_leftover(world: World) -> None:
    done = subprocess.run(["true"], check=True)  # a process that is gone: its number may be taken again one day
    assert done.returncode == 0
    child = subprocess.Popen(["true"])
    child.wait()
    folder = world.repository.staging_root / f"2026-03-01__110000__drift_signals_build.{child.pid}.0123abcd"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{", encoding="utf-8")


def intent_leftover(world: World) -> None:
    create_intent(world.repository.pointer_path, "2026-03-01__110000__pointer_activation", "0" * 64, "1" * 64)


def temporary_leftover(world: World) -> None:
    temporary_path(world.repository.pointer_path).write_text("{", encoding="utf-8")


def edited(world: World) -> None:
    path = world.repository.pointer_path
    document = json.loads(path.read_bytes())
    document["pointers"][0]["notes"] = "just this once"
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def not_json(world: World) -> None:
    world.repository.pointer_path.write_text("<<<<<<< ours\n", encoding="utf-8")


def gone(world: World) -> None:
    world.repository.pointer_path.unlink()


def rewound(world: World) -> None:
    older = world.repository.pointer_path.read_bytes()
    world.build(minutes=1)
    world.repository.pointer_path.write_bytes(older)


def pending(world: World) -> None:
    kill(world, PENDING, "activate")


def missing_run(world: World) -> None:
    folder = world.runs / world.active("drift_signals")
    folder.chmod(0o755)
    shutil.rmtree(folder)


def without_attributes(world: World) -> None:
    (world.root / ".gitattributes").write_text("* text=auto\n", encoding="utf-8")


def without_ignores(world: World) -> None:
    (world.root / ".gitignore").unlink()


def converted(world: World) -> None:
    (world.runs / "import").mkdir()
    (world.runs / "import/MANIFEST.sha256").write_bytes(b"ROOT_SHA256  00\r\n")


def check_out_again(world: World) -> None:
    (world.runs / "import/MANIFEST.sha256").write_bytes(b"ROOT_SHA256  00\n")


def fix(world: World) -> None:
    pipeline_doctor.repair(world.repository, world.run(90), RepairOptions("Grace"))


def fix_and_finish(world: World) -> None:
    pipeline_doctor.repair(world.repository, world.run(90), RepairOptions("Grace", finish=True))


def fix_and_void(world: World) -> None:
    pipeline_doctor.repair(world.repository, world.run(90), RepairOptions("Grace", "not wanted", void=("pending",)))


def build(world: World) -> None:
    assert all_active(world.build(minutes=95))


DOCTOR, INIT, BUILD = "registry-pipeline doctor --fix", "registry-pipeline init", "registry-pipeline build"
CONDITIONS: Mapping[str, tuple[Callable[[World], None], str, str, Callable[[World], None]]] = {
    "a staging leftover": (staging_leftover, "DOCTOR_STAGING_LEFTOVER", DOCTOR, fix),
    "an intent that is left over": (intent_leftover, "DOCTOR_INTENT_LEFTOVER", DOCTOR, fix),
    "a pointer file that never took its name": (temporary_leftover, "DOCTOR_TEMPORARY_LEFTOVER", DOCTOR, fix),
    "an edited pointer file": (edited, "POINTER_EDITED", DOCTOR, fix),
    "a pointer file that is not JSON": (not_json, "POINTER_SHAPE", DOCTOR, fix),
    "a pointer file that is gone": (gone, "POINTER_EDITED", DOCTOR, fix),
    "a rewound pointer file": (rewound, "POINTER_REWOUND", DOCTOR, fix),
    "a pending change, to finish": (pending, "CHAIN_PENDING", f"{DOCTOR} --finish", fix_and_finish),
    "a pending change, to void": (pending, "CHAIN_PENDING", "doctor --fix --void", fix_and_void),
    "an active run that a clone lacks": (missing_run, "POINTER_RUN_MISSING", BUILD, build),
    "line ends that git converts": (without_attributes, "DOCTOR_LINE_ENDS", INIT, initialise),
    "line ends that git converted": (converted, "DOCTOR_LINE_ENDS_CONVERTED", INIT, check_out_again),
    "state that git does not ignore": (without_ignores, "DOCTOR_NOT_IGNORED", INIT, initialise),
}


@pytest.fixture
def sound(built: World) -> World:
    """A repository where nothing is wrong."""
    initialise(built)
    sound = World(load_repository(built.root))
    assert found(sound) == []
    return sound


def diagnosed(world: World) -> tuple[Finding, ...]:
    return diagnose(world.repository, world.run(120).started).findings


def found(world: World) -> list[str]:
    return sorted({f.code for f in diagnosed(world)})


def everything(world: World) -> dict[str, tuple[int, bytes]]:
    """Return mode, time and bytes of every file and folder but git's, so that two moments can be compared."""
    paths = (p for p in sorted(world.root.rglob("*")) if ".git" not in p.relative_to(world.root).parts)
    return {
        str(p): (p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() and not p.is_symlink() else b"") for p in paths
    }


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_found_with_its_command_and_nothing_is_changed(sound: World, condition: str) -> None:
    cause, code, command, _ = CONDITIONS[condition]
    cause(sound)
    before = everything(sound)

    findings = [f for f in diagnosed(sound) if f.code == code]

    assert findings
    assert all(command in f.hint for f in findings)
    assert everything(sound) == before


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_command_in_the_hint_repairs_it(sound: World, condition: str) -> None:
    cause, code, _, fix = CONDITIONS[condition]
    cause(sound)
    assert code in found(sound)

    fix(sound)

    assert found(sound) == []


@pytest.mark.parametrize("condition", ["a pending change, to finish", "line ends that git converts"])
def test_fix_alone_leaves_what_needs_a_decision_or_is_not_its_own(sound: World, condition: str) -> None:
    cause, code, _, _ = CONDITIONS[condition]
    cause(sound)
    before = everything(sound)

    repair = pipeline_doctor.repair(sound.repository, sound.run(90), RepairOptions("Grace"))

    assert repair.repairs == ()
    assert code in {f.code for f in repair.findings}
    assert {p: v for p, v in everything(sound).items() if not p.endswith(".lock")} == {
        p: v for p, v in before.items() if not p.endswith(".lock")
    }


def test_what_a_pointer_file_said_before_it_was_written_over_is_kept_in_quarantine(sound: World) -> None:
    active_bytes = sound.repository.pointer_path.read_bytes()
    edited(sound)
    said = sound.repository.pointer_path.read_bytes()

    repair = pipeline_doctor.repair(sound.repository, sound.run(90), RepairOptions("Grace"))

    kept = [p.read_bytes() for p in (sound.repository.state_root / "quarantine").iterdir()]
    assert sound.repository.pointer_path.read_bytes() == active_bytes
    assert kept == [said]
    assert [m.code for m in repair.repairs] == ["POINTER_EDITED"]


def test_a_leftover_is_moved_to_quarantine_and_two_get_two_names(sound: World) -> None:
    for _ in range(2):
        folder = sound.repository.staging_root / "2026-03-01__110000__drift_signals_build.4194303.0123abcd"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{", encoding="utf-8")
        fix(sound)

    kept = sorted(p.name for p in (sound.repository.state_root / "quarantine").iterdir())
    assert kept == [folder.name, f"{folder.name}.2"]
    assert not list(sound.repository.staging_root.iterdir())
    assert not any("110000" in name for name in sound.names())


def test_the_staging_folder_of_a_living_process_and_what_is_not_ours_stay(sound: World) -> None:
    ours = sound.repository.staging_root / f"2026-03-01__110000__drift_signals_build.{os.getpid()}.0123abcd"
    other = sound.repository.staging_root / "notes"
    ours.mkdir(parents=True)
    other.mkdir()

    fix(sound)

    assert found(sound) == []
    assert {ours, other} == set(sound.repository.staging_root.iterdir())


def test_several_conditions_are_repaired_at_once_and_a_refused_pending_change_stays(sound: World) -> None:
    pending(sound)
    staging_leftover(sound)
    head = read_chain_state(sound.repository).head
    assert head is not None
    built = next(m.to_ref for m in head.record.moves if m.registry_id == "drift_signals")
    assert built is not None
    sound.tamper(built.run_id, "DRIFT_SIGNALS_v0_1.json")

    repair = pipeline_doctor.repair(sound.repository, sound.run(90), RepairOptions("Grace", finish=True))

    assert "ACTIVATE_NOT_VERIFIED" in {f.code for f in repair.refused}
    assert [m.code for m in repair.repairs] == ["DOCTOR_STAGING_LEFTOVER"]
    assert "CHAIN_PENDING" in {f.code for f in repair.findings}


def test_a_read_only_tree_can_be_looked_at(sound: World) -> None:
    edited(sound)
    staging_leftover(sound)
    folders = [p for p in [sound.root, *sound.root.rglob("*")] if p.is_dir() and not p.is_symlink()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        findings = found(sound)
    finally:
        for folder in folders:
            folder.chmod(0o755)

    assert {"POINTER_EDITED", "DOCTOR_STAGING_LEFTOVER"} <= set(findings)


def test_outside_git_nothing_is_said_of_its_rules(tmp_path: Path) -> None:
    initialised = pipeline_init.initialize(tmp_path, track_runs=None, now=NOON)

    assert [f.code for f in diagnosed(World(initialised.repository))] == ["CHAIN_NOT_STARTED"]


def test_every_condition_of_the_doctor_is_in_the_table() -> None:
    assert {code for code in CODES if code.startswith("DOCTOR_")} <= {code for _, code, _, _ in CONDITIONS.values()}


def test_a_leftover_beside_a_pending_change_is_no_leftover(sound: World) -> None:
    pending(sound)

    assert intent_path(sound.repository.pointer_path).exists()
    assert "DOCTOR_INTENT_LEFTOVER" not in found(sound)
