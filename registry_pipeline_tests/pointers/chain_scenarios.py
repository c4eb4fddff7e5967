"""Scenarios of `cases/chain`: the arguments of a case become sealed folders, a pointer file and an intent.

A scenario names its records in the order of sealing. Each is {"name", "action", "follows"} and may have `moves_away`
(run ids that a rollback leaves), `runs` (run ids marked bad, or names of voided or retired records), `reason`,
`verdicts`, `before` (the state that it claims to begin at), `unstated` (changes of pointers that no move states: a
run id or null by registry). A `checkpoint` says what the records on the disk say, changed by `states`. `init`, `void`
and `checkpoint` leave the state as it is; every other record makes a state that bears its name. `activate` moves
run_registry; each rollback has a registry of its own. `damage` maps a record to what happens to its folder. `pointer`
is the state that the pointer file has, `edited`, `absent`, `ours` (what this tool writes) or `ours, empty`; `intent`
the record that the intent names, `torn` or null. `report` is the record that a health report names as the head; it is
sealed before any damage.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.pointers.chain import (
    ACTIVATION_TAG,
    AFTER_FILE,
    RECORD_FILE,
    ActivationRecord,
    Intent,
    make_chain_state,
)
from registry_pipeline.pointers.checkpoint import Checkpoint, make_checkpoint
from registry_pipeline.pointers.state import read_chain
from registry_pipeline.runs.reference import Move, Pointer, SealedRef, empty_pointer_file, pointer_file_bytes
from registry_pipeline.values import replace
from registry_pipeline_tests.sealed_folders import RUNS, seal_activation, seal_plainly


@dataclass(frozen=True)
class ChainOnDisk:
    """A scenario on the disk: the repository, the references by name, and what to hand to `make_chain_state`."""

    repository: Repository
    refs: Mapping[str, SealedRef]
    pointers: bytes | None
    intent: Intent | None


_TIME = "2026-02-01T00:00:00Z"
_Active = Mapping[str, SealedRef]


def _make_state(name: str, active: _Active) -> bytes:
    """Return the pointer file's bytes in a named state."""
    entries = [Pointer(registry, ref, True, _TIME, "").to_json() for registry, ref in sorted(active.items())]
    return json_document({"pointer_contract_version": "0.1", "state": name, "pointers": entries})


_EMPTY = empty_pointer_file(_TIME)
_ENTRY = Pointer("run_registry", None, "unknown", None, "not yet")
OURS = {
    "ours": pointer_file_bytes(replace(_EMPTY, pointers=(_ENTRY,))),
    "ours, empty": pointer_file_bytes(_EMPTY),
}


def run_ref(run_id: str) -> SealedRef:
    """Return a reference to some registry's run."""
    return SealedRef(run_id, RUNS, "A.json", sha256_hex(run_id.encode()))


def write_scenario(scenario: Mapping[str, Any], root: Path) -> ChainOnDisk:
    """Write a scenario to the disk."""
    refs: dict[str, SealedRef] = {}
    (root / RUNS).mkdir(parents=True)
    repository = load_repository(root)
    # What a rollback leaves is active from the start.
    left = [(s["name"], run_id) for s in scenario["records"] for run_id in s.get("moves_away", ())]
    active: dict[str, _Active] = {"start": {f"of_{name}": run_ref(run_id) for name, run_id in left}}
    after = {"start": _make_state("start", active["start"])}
    for number, spec in enumerate(scenario["records"]):
        name, begins = spec["name"], spec.get("before") or spec["follows"] or "start"
        previous = active[spec["follows"] or (begins if begins in active else "start")]
        before = after.get(begins) or _make_state(begins, {})
        moves = _list_moves(spec, previous)
        bad = spec.get("runs", ()) if spec["action"] == "mark_bad" else ()
        changes: dict[str, SealedRef | None] = {
            registry: None for registry, ref in previous.items() if ref.run_id in bad
        }
        changes |= {move.registry_id: move.to_ref for move in moves}
        changes |= {registry: run and run_ref(run) for registry, run in spec.get("unstated", {}).items()}
        active[name] = {registry: ref for registry, ref in {**previous, **changes}.items() if ref is not None}
        is_unchanged = spec["action"] in ("init", "void", "checkpoint")
        after[name] = before if is_unchanged else _make_state(name, active[name])
        record = _make_record(spec, refs, moves, before, after[name])
        if spec["action"] == "checkpoint":
            checkpoint = _make_checkpoint(repository, before).to_json() | spec.get("states", {})
            record = replace(record, checkpoint=Checkpoint.from_json(checkpoint))
        run_id = f"2026-02-01__0000{number:02d}__pointer_activation"
        files = {RECORD_FILE: json_document(record.to_json()), AFTER_FILE: after[name]}
        refs[name] = seal_activation(root, run_id, files)
    if "report" in scenario:
        ref = refs[scenario["report"]]
        named = {"registry_id": ACTIVATION_TAG, "role": "previous", "sealed_ref": ref.to_json()}
        envelope = {"registry_id": "system_health_report", "inputs": {"registries": [named], "files": []}}
        seal_plainly(root, "2026-02-01__000100__system_health_render", {"REPORT.md": b"fine\n"}, envelope)
    for name, what in scenario.get("damage", {}).items():
        DAMAGE[what](root / RUNS / refs[name].run_id)
    pointer = scenario["pointer"]
    pointers = None if pointer == "absent" else OURS.get(pointer) or after.get(pointer) or _make_state(pointer, {})
    names = scenario.get("intent")
    intent = None if names in (None, "torn") else Intent(refs[names].run_id, "a" * 64, "b" * 64)
    return ChainOnDisk(repository, refs, pointers, intent)


def _make_checkpoint(repository: Repository, pointers: bytes) -> Checkpoint:
    """Return what a checkpoint says now."""
    chain = make_chain_state(read_chain(repository), pointers, None)
    assert chain.lines is not None, chain.findings
    return make_checkpoint(chain.lines, chain.facts)


def check_scenario(scenario: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Return what is found of a scenario's chain, with the names of the records instead of run ids."""
    on_disk = write_scenario(scenario, root)
    names = {ref.run_id: name for name, ref in on_disk.refs.items()}
    chain = make_chain_state(read_chain(on_disk.repository), on_disk.pointers, on_disk.intent)
    return {
        "state": chain.state,
        "head": None if chain.head is None else names[chain.head.ref.run_id],
        "chain": [names[record.ref.run_id] for record in chain.records],
        "codes": sorted({finding.code for finding in chain.findings}),
        "marked_bad": dict(chain.marked_bad),
        "moved_away": sorted(chain.rolled_back_runs),
    }


def _list_moves(spec: Mapping[str, Any], previous: _Active) -> tuple[Move, ...]:
    if spec["action"] == "activate":
        return (Move("run_registry", previous.get("run_registry"), run_ref(spec["name"])),)
    registry = f"of_{spec['name']}"
    return (Move(registry, previous.get(registry), None),) if "moves_away" in spec else ()


def _make_record(
    spec: Mapping[str, Any], refs: Mapping[str, SealedRef], moves: tuple[Move, ...], before: bytes, after: bytes
) -> ActivationRecord:
    return ActivationRecord(
        action=spec["action"],
        moves=moves,
        runs=tuple(run_ref(run) if spec["action"] == "mark_bad" else refs[run] for run in spec.get("runs", ())),
        actor="a story",
        reason=spec.get("reason", ""),
        verdicts=spec.get("verdicts", {}),
        before_sha256=sha256_hex(before),
        after_sha256=sha256_hex(after),
        previous=refs[spec["follows"]] if spec["follows"] else None,
    )


def _rewrite(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)


def _resealed(folder: Path, change: Mapping[str, Any], after: bytes | None = None) -> None:
    """Seal the folder again with another content, as someone who knows the format could."""
    document = json.loads((folder / RECORD_FILE).read_bytes()) | dict(change)
    files = {RECORD_FILE: json_document(document), AFTER_FILE: after or (folder / AFTER_FILE).read_bytes()}
    shutil.rmtree(folder)
    seal_activation(folder.parents[2], folder.name, files)


def _without_record(folder: Path) -> None:
    shutil.rmtree(folder)
    seal_activation(folder.parents[2], folder.name, {AFTER_FILE: b"{}"})


def _not_json(folder: Path) -> None:
    after = (folder / AFTER_FILE).read_bytes()
    shutil.rmtree(folder)
    seal_activation(folder.parents[2], folder.name, {RECORD_FILE: b"{", AFTER_FILE: after})


def _claiming(folder: Path) -> None:
    lines = (folder / "MANIFEST.sha256").read_text().splitlines()
    _rewrite(folder, "MANIFEST.sha256", "\n".join([*lines[:-1], "ROOT_SHA256  " + "0" * 64, ""]).encode())


def _copied(folder: Path) -> None:
    shutil.copytree(folder, folder.parents[2] / "reports/runs" / folder.name, dirs_exist_ok=True)


def _linked(folder: Path) -> None:
    away = folder.parents[2] / "away" / folder.name
    away.parent.mkdir(exist_ok=True)
    folder.rename(away)
    folder.symlink_to(away)


DAMAGE: Mapping[str, Callable[[Path], object]] = {
    "deleted": lambda folder: shutil.rmtree(folder),  # noqa: PLW0108 -- rmtree is an object without that type
    "edited": lambda folder: _rewrite(folder, RECORD_FILE, b"{}\n"),
    "without MANIFEST.sha256": lambda folder: (folder / "MANIFEST.sha256").unlink(),
    "an unlisted file": lambda folder: _rewrite(folder, "NOTE.txt", b"hello"),
    "a link": _linked,
    "claiming another root": _claiming,
    "copied to another run root": _copied,
    "resealed with another reason": lambda folder: _resealed(folder, {"reason": "a nicer one"}),
    "resealed with another state": lambda folder: _resealed(folder, {}, b"{}\n"),
    "resealed with an unknown key": lambda folder: _resealed(folder, {"extra": 1}),
    "resealed with an unknown action": lambda folder: _resealed(folder, {"action": "undo"}),
    "resealed without moves": lambda folder: _resealed(folder, {"moves": []}),
    "resealed without a record": _without_record,
    "resealed with a record that is not JSON": _not_json,
}
