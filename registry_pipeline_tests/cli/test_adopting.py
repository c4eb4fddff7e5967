"""`init --adopt`: the pointer file of an older tool, whatever is wrong with its entries."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline_tests.cli.conftest import NOON, Repository
from registry_pipeline_tests.cli.test_older_pointer_files import LOST, UNKNOWN_REF, pointer_file, unknown
from registry_pipeline_tests.copies import make_removable

ACTIVE = {"active_ref_known": True, "active_asof_utc": "2026-01-05T10:20:00Z"}


def active(registry_id: str, ref: dict[str, Any]) -> dict[str, Any]:
    return unknown(registry_id, "sealed by hand") | ACTIVE | {"active_ref": ref}


def write(known: Repository, *entries: Any, path: str = "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json") -> bytes:
    document = pointer_file() | {"pointers": list(entries)}
    target = known.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return target.read_bytes()


def adopt(known: Repository, *words: str) -> dict[str, Any]:
    result = known("init", "--adopt", *words, "--json")
    assert result.code == 0, result.err
    adopted: dict[str, Any] = result.document("init")["adopted"]
    return adopted


def pointer_errors(known: Repository) -> list[dict[str, Any]]:
    findings = json.loads(known("status", "--json").out)["findings"]
    return [f for f in findings if f["code"].startswith(("POINTER_", "CHAIN_")) and f["severity"] == "error"]


BROKEN: dict[str, tuple[Any, str]] = {
    "a run that is missing": (active("drift_signals", LOST), "POINTER_RUN_MISSING"),
    "an unknown state": (unknown("run_registry", "") | {"active_ref_known": "maybe"}, "POINTER_TRISTATE"),
    "another run root": (active("run_registry", LOST | {"run_root": "old/RUNS"}), "POINTER_RUN_ROOT"),
    "a key that is unknown": (active("run_registry", LOST | {"seal": "x"}), "POINTER_SHAPE"),
    "a registry that is unknown": (active("our_own_registry", LOST), "POINTER_UNKNOWN_REGISTRY"),
    "a run id that is a path": (active("run_registry", LOST | {"run_id": "a/b"}), "POINTER_RUN_ID_FORM"),
    "a time that is none": (active("run_registry", LOST) | {"active_asof_utc": "now"}, "POINTER_ASOF"),
    "notes that are no text": (unknown("run_registry", "") | {"notes": 3}, "POINTER_SHAPE"),
    "a name that is none": (unknown("Run Registry", ""), "POINTER_SHAPE"),
    "no object": (7, "POINTER_SHAPE"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_entry_that_cannot_be_used_becomes_unknown_and_the_old_file_is_kept(known: Repository, what: str) -> None:
    entry, code = BROKEN[what]
    before = write(known, unknown("expected_versions", "keep me"), entry)

    adopted = adopt(known)

    assert [code in cleared["codes"] for cleared in adopted["cleared"]] == [True]
    assert (known.root / adopted["copy"]).read_bytes() == before
    assert pointer_errors(known) == []
    after = json.loads(known.pointers.read_bytes())["pointers"]
    assert after[0] == unknown("expected_versions", "keep me")
    assert known("build").code == 0
    assert known("verify", "--active", "--chain").code == 0


def test_the_first_record_says_who_adopted_the_file_and_what_became_unknown(known: Repository) -> None:
    write(known, active("drift_signals", LOST))

    adopted = adopt(known, "--actor", "Grace")

    record = json.loads((known.runs / adopted["record"] / "POINTER_ACTIVATION_v0_1.json").read_bytes())
    assert (record["action"], record["actor"]) == ("init", "Grace")
    assert "drift_signals" in record["reason"]


def test_two_entries_of_one_registry_become_one(known: Repository) -> None:
    write(known, active("drift_signals", LOST), active("drift_signals", LOST), unknown("run_registry", ""))

    adopted = adopt(known)

    assert [cleared["registry_id"] for cleared in adopted["cleared"]] == ["drift_signals"]
    names = [entry["registry_id"] for entry in json.loads(known.pointers.read_bytes())["pointers"]]
    assert sorted(names) == ["drift_signals", "run_registry"]
    assert pointer_errors(known) == []


def test_a_file_without_errors_keeps_its_bytes_and_gets_a_chain(known: Repository) -> None:
    before = write(known, unknown("run_registry", "no sealed run yet"))

    adopted = adopt(known)

    assert known.pointers.read_bytes() == before
    assert (adopted["cleared"], adopted["copy"]) == ([], None)
    assert (known.runs / adopted["record"]).is_dir()


def test_an_active_run_that_verifies_stays_active(built: Repository) -> None:
    for folder in list(built.runs.glob("*pointer_activation*")) + list(built.runs.glob("*system_health*")):
        make_removable(folder)
        shutil.rmtree(folder)
    document = json.loads(built.pointers.read_bytes()) | {"mutation_policy": "By hand."}
    document["pointers"].append(active("our_own_registry", LOST))
    built.pointers.write_text(json.dumps(document), encoding="utf-8")
    run = built.active("run_registry")

    adopted = adopt(built)

    assert adopted["kept"] == len(document["pointers"]) - 1
    assert built.active("run_registry") == run
    assert pointer_errors(built) == []


def test_a_file_anywhere_is_found_or_named(known: Repository) -> None:
    known.pointers.unlink()
    path = "governance/ACTIVE_REGISTRY_POINTERS_v0_2.json"
    write(known, active("drift_signals", LOST), path=path)

    adopt(known)

    assert f'pointers = "{path}"' in (known.root / "registry-pipeline.toml").read_text(encoding="utf-8")
    assert pointer_errors(known) == []
    assert known("init", "--adopt", path).code == 0


def test_of_several_files_one_must_be_named(known: Repository) -> None:
    known.pointers.unlink()
    paths = [f"governance/ACTIVE_REGISTRY_POINTERS_v0_{n}.json" for n in (1, 2)]
    for path in paths:
        write(known, unknown("run_registry", path), path=path)
    before = known.files()

    refused = known("init", "--adopt")

    assert refused.code == 5
    assert all(path in refused.err for path in paths)
    assert "--adopt FILE" in refused.err
    assert known.files() == before
    adopt(known, paths[1])
    assert f'pointers = "{paths[1]}"' in (known.root / "registry-pipeline.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", 3),
        (b"[]", 3),
        (b'{"pointer_contract_version": "9"}', 3),
        (b'{"pointer_contract_version": "0.1", "pointers": 3}', 3),
        (None, 5),
    ],
)
def test_a_file_that_is_no_pointer_file_is_refused_and_nothing_is_written(
    known: Repository, content: bytes | None, code: int
) -> None:
    known.pointers.unlink()
    if content is not None:
        known.pointers.write_bytes(content)
    before = known.files()

    refused = known("init", "--adopt")

    assert (refused.code, refused.out) == (code, "")
    assert "Traceback" not in refused.err
    assert " -> " in refused.err
    assert known.files() == before


def test_a_repeat_changes_nothing(known: Repository) -> None:
    write(known, active("drift_signals", LOST))
    adopt(known)
    before = known.files()

    assert adopt(known) == {"kept": 0, "cleared": [], "record": None, "copy": None}

    assert known.files() == before
    assert "was adopted before" in known("init", "--adopt").out


def test_the_advice_to_adopt_is_given_where_an_older_file_has_errors(known: Repository) -> None:
    write(known, unknown("run_registry", "") | {"active_ref_known": "maybe"}, active("drift_signals", UNKNOWN_REF))

    plain = known("init")

    assert plain.code == 0
    assert "registry-pipeline init --adopt" in plain.out


def test_the_advice_about_a_file_elsewhere_works(known: Repository) -> None:
    known.pointers.unlink()
    path = "governance/ACTIVE_REGISTRY_POINTERS_v0_1.json"
    write(known, active("drift_signals", LOST), path=path)
    plain = known("init")
    assert f"{path} has the name of a pointer file" in plain.out
    toml = known.root / "registry-pipeline.toml"
    lines = [line for line in toml.read_text(encoding="utf-8").splitlines() if not line.startswith("pointers = ")]

    toml.write_text("\n".join([f'pointers = "{path}"', *lines]), encoding="utf-8")

    assert adopt(known)["cleared"] == [{"registry_id": "drift_signals", "codes": ["POINTER_RUN_MISSING"]}]


def test_an_adoption_has_the_time_of_the_command(known: Repository) -> None:
    write(known, active("drift_signals", LOST))

    adopt(known)

    assert json.loads(known.pointers.read_bytes())["last_updated_utc"] == NOON


def test_a_file_outside_the_repository_is_no_file_of_it(known: Repository, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere.json"
    outside.write_bytes(known.pointers.read_bytes())

    refused = known("init", "--adopt", str(outside))

    assert refused.code == 5
    assert not (known.root / "registry-pipeline.toml").exists()


def test_run_roots_of_the_file_that_contain_each_other_do_not_break_the_toml(known: Repository) -> None:
    for path in ("old/RUNS/r1", "old/RUNS/inner/r2"):
        (known.root / path).mkdir(parents=True)
    refs = [LOST | {"run_root": root} for root in ("old/RUNS", "old/RUNS/inner")]
    write(known, active("run_registry", refs[0]), active("drift_signals", refs[1]))

    adopt(known)

    assert known("status").code == 0
    assert '"old/RUNS"' in (known.root / "registry-pipeline.toml").read_text(encoding="utf-8")


def test_an_adoption_is_no_restart(known: Repository) -> None:
    assert known("init", "--adopt", "--restart-chain", "--reason", "x").code == 2
