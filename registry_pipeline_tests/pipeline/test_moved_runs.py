"""Activation records compared with the runs on the disk: a superseded run that is missing or resealed is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers.activated_runs import check_activated_runs
from registry_pipeline.pointers.activation import activate, validate_found_run
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.pipeline.conftest import World

FIRST = "2026-03-01__120000__drift_signals_build"


def findings(world: World) -> tuple[Finding, ...]:
    return check_activated_runs(world.repository, read_chain_state(world.repository))


def seal_again(folder: Path) -> str:
    """Change a sealed run and regenerate its seal, as someone who knows the format would; return the new root."""
    make_removable(folder)
    envelope = json.loads((folder / "run.json").read_bytes())
    (folder / "run.json").write_text(json.dumps(envelope | {"operation_id": "OP-X99"}), encoding="utf-8")
    payload = [p for p in folder.iterdir() if p.name not in ("manifest.json", "MANIFEST.sha256")]
    manifest = build_manifest(make_entry(path.name, path.read_bytes()) for path in payload)
    (folder / "manifest.json").write_bytes(manifest.manifest_json)
    (folder / "MANIFEST.sha256").write_bytes(manifest.hash_file)
    return manifest.root_sha256


def test_runs_that_are_as_they_were_activated_have_no_finding(built: World) -> None:
    built.build(minutes=10)

    assert findings(built) == ()


def test_a_superseded_run_that_was_sealed_again_is_found(built: World) -> None:
    built.build(minutes=10)
    root = seal_again(built.runs / FIRST)

    (found,) = findings(built)
    assert (found.code, found.path, found.got) == ("CHAIN_RUN_RESEALED", f".codex/RUNS/{FIRST}", root)
    assert found.expected not in (None, root)


def test_a_superseded_run_that_was_deleted_is_found_and_the_record_is_named(built: World) -> None:
    built.build(minutes=10)
    make_removable(built.runs / FIRST)
    shutil.rmtree(built.runs / FIRST)

    (found,) = findings(built)
    assert (found.code, found.severity) == ("CHAIN_RUN_MISSING", "error")
    assert "2026-03-01__120000__pointer_activation__02" in found.message


def test_a_run_whose_manifest_is_gone_is_found(built: World) -> None:
    make_removable(built.runs / FIRST)
    (built.runs / FIRST / "manifest.json").unlink()

    (found,) = findings(built)
    assert (found.code, found.got) == ("CHAIN_RUN_RESEALED", "no readable manifest")


def test_a_removal_that_was_accepted_is_a_warning(built: World) -> None:
    built.build(minutes=10)
    make_removable(built.runs / FIRST)
    shutil.rmtree(built.runs / FIRST)
    row = built.build("run_registry", minutes=20, only=True).built[0]
    assert row.run is not None
    proposed = validate_found_run(
        built.repository, "run_registry", find_run(built.repository, row.run.ref.run_id), accept_losses=True
    )
    assert isinstance(proposed, tuple)
    activate(built.repository, built.run(30), [proposed], actor="Ada", reason="the disk died", allow_mixed=True)

    (found,) = findings(built)
    assert (found.code, found.severity) == ("CHAIN_RUN_MISSING", "warning")
