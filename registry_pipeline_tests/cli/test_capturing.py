"""Captured registries through the command line: sealed, verified, unchanged, missing, malformed, renamed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline_tests.captured_sources import DERIVED, INDEX, LEDGER, PACKS
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.collection_sources import COLLECTIONS
from registry_pipeline_tests.role_packs import PACK

LATER = "2026-03-02T12:00:00Z"
STAMP = "2026-03-01__120000"
TAGS = {
    "expected_versions": "seal_expected_versions",
    "migration_ledger": "seal_migration_ledger",
    "threshold_packs_file": "seal_threshold_packs",
    "fingerprint_index": "seal_fingerprint_index",
    "derived_validation_reports": "seal_derived_validation",
    "role_registry": "role_registry_build",
}


def rows(document: Any) -> dict[str, Any]:
    return {row["registry_id"]: row for row in document["built"]}


def pointer(repository: Repository, registry_id: str) -> Any:
    pointers = json.loads(repository.pointers.read_bytes())["pointers"]
    return next(each["active_ref"] for each in pointers if each["registry_id"] == registry_id)


def codes(document: Any) -> dict[str, str]:
    return {found["path"]: found["code"] for found in document["findings"]}


def reseal(folder: Path, **changes: bytes) -> None:
    """Change files of a run folder and seal it again, as somebody who can write there could."""
    folder.chmod(0o755)
    for name, data in changes.items():
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(data)
    seals = ("manifest.json", "MANIFEST.sha256")
    manifest = build_manifest(make_entry(p.name, p.read_bytes()) for p in folder.iterdir() if p.name not in seals)
    for name, data in zip(seals, (manifest.manifest_json, manifest.hash_file), strict=True):
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(data)


def test_every_capture_is_active_with_its_files_and_its_producers_operation(built: Repository) -> None:
    held = {
        registry_id: sorted(path.name for path in (built.runs / f"{STAMP}__{tag}").iterdir())
        for registry_id, tag in TAGS.items()
    }
    sources = {
        registry_id: json.loads((built.runs / f"{STAMP}__{tag}" / "run.json").read_bytes()).get("source_operation_id")
        for registry_id, tag in TAGS.items()
    }

    seal = ["MANIFEST.sha256", "manifest.json", "run.json"]
    names = ("c3_regime_trend_v1", "state_plane_v0_2_default_v1")
    packs = [f"{name}{suffix}" for name in names for suffix in (".json", ".schema.json")]
    assert {built.active(registry_id) for registry_id in TAGS} == {f"{STAMP}__{tag}" for tag in TAGS.values()}
    assert held["threshold_packs_file"] == sorted([*seal, *packs])
    assert held["derived_validation_reports"] == sorted(
        [*seal, *(f"derived_validation_report{s}" for s in (".json", ".md", ".schema.json"))]
    )
    assert held["fingerprint_index"] == sorted(
        [*seal, "fingerprint_index_snapshot.csv", "fingerprint_index_snapshot.schema.json"]
    )
    assert pointer(built, "threshold_packs_file")["relpath"] is None
    assert pointer(built, "fingerprint_index")["relpath"] == "fingerprint_index_snapshot.csv"
    assert sources == {
        "expected_versions": None,
        "migration_ledger": None,
        "threshold_packs_file": "OP-B07",
        "fingerprint_index": "OP-D08",
        "derived_validation_reports": "OP-B08",
        "role_registry": None,
    }


def test_latest_is_an_input_of_the_run_and_not_among_its_files(built: Repository) -> None:
    folder = built.runs / f"{STAMP}__seal_derived_validation"

    inputs = json.loads((folder / "run.json").read_bytes())["inputs"]["files"]

    assert [file["path"] for file in inputs] == [
        f"{DERIVED}/LATEST.txt",
        f"{DERIVED}/one/derived_validation_report.json",
        f"{DERIVED}/one/derived_validation_report.md",
    ]
    assert not (folder / "LATEST.txt").exists()


def test_unchanged_sources_make_no_folder_unless_forced(built: Repository) -> None:
    before = {path.name for path in built.runs.iterdir()}

    kept = built("build", *TAGS, "--only", "--json", now=LATER).document("build")
    after = {path.name for path in built.runs.iterdir()}
    forced = built("build", *TAGS, "--only", "--force", "--json", now=LATER).document("build")

    assert all(row["reused"] for row in kept["built"])
    assert {row["run_id"] for row in kept["built"]} == {f"{STAMP}__{tag}" for tag in TAGS.values()}
    assert after == before
    assert {row["run_id"] for row in forced["built"]} == {f"2026-03-02__120000__{tag}" for tag in TAGS.values()}


def test_a_changed_added_or_removed_file_is_a_change(built: Repository) -> None:
    (built.root / DERIVED / "one/derived_validation_report.md").write_text("# PASS again\n")
    (built.root / PACKS / "state_plane_v0_2_default_v1.json").unlink()
    (built.root / PACKS / "new.json").write_text('{"version": "v1"}\n')

    by_registry = rows(built("build", *TAGS, "--only", "--json", now=LATER).document("build"))

    assert {name for name, row in by_registry.items() if not row["reused"]} == {
        "derived_validation_reports",
        "threshold_packs_file",
    }
    assert by_registry["threshold_packs_file"]["records"] == 2


def test_a_change_of_latest_alone_changes_no_active_run(built: Repository) -> None:
    """Another folder with the same bytes is the same capture; another content becomes active by a build only."""
    before = built.pointers.read_bytes()
    shutil.copytree(built.root / DERIVED / "one", built.root / DERIVED / "two")
    (built.root / DERIVED / "LATEST.txt").write_text("two\n")

    assert built("status", "--json", now=LATER).code == 0
    by_registry = rows(built("build", "derived_validation_reports", "--json", now=LATER).document("build"))

    assert by_registry["derived_validation_reports"]["reused"]
    assert built.pointers.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "damage", "registry_id", "code"),
    [
        (LEDGER, None, "migration_ledger", "CAPTURE_MISSING"),
        (LEDGER, b"{", "migration_ledger", "CAPTURE_MALFORMED"),
        (INDEX, None, "fingerprint_index", "CAPTURE_MISSING"),
        (INDEX, b"fingerprint_id,fingerprint_id\n", "fingerprint_index", "CAPTURE_MALFORMED"),
        (f"{PACKS}/new.json", b"[1]\n", "threshold_packs_file", "CAPTURE_MALFORMED"),
        (f"{DERIVED}/LATEST.txt", b"../one\n", "derived_validation_reports", "CAPTURE_LATEST_INVALID"),
        (f"{DERIVED}/LATEST.txt", None, "derived_validation_reports", "CAPTURE_MISSING"),
        (PACK, None, "role_registry", "CAPTURE_MISSING"),
        (PACK, b"[]", "role_registry", "CAPTURE_MALFORMED"),
    ],
)
def test_a_missing_or_malformed_source_is_reported_and_its_registry_stays(
    built: Repository, path: str, damage: bytes | None, registry_id: str, code: str
) -> None:
    before = pointer(built, registry_id)
    (built.root / path).unlink(missing_ok=True)
    if damage is not None:
        (built.root / path).write_bytes(damage)

    result = built("build", *TAGS, "--json", now=LATER)
    seen = built("status", "--json", now=LATER)

    document = result.document("build")
    assert (result.code, document["not_built"]) == (0, [registry_id])
    assert codes(document)[path] == codes(seen.document("status"))[path] == code
    assert pointer(built, registry_id) == before
    assert seen.code == 0
    assert not list(built.runs.glob(f"2026-03-02*{TAGS[registry_id]}*"))


def test_a_source_that_never_existed_is_no_warning(known: Repository) -> None:
    for path in (LEDGER, INDEX):
        (known.root / path).unlink()
    shutil.rmtree(known.root / DERIVED)
    known("init")

    document = known("build", "--json").document("build")

    found = [each for each in document["findings"] if each["code"] == "CAPTURE_MISSING"]
    assert document["not_built"] == [
        "migration_ledger",
        "fingerprint_index",
        "derived_validation_reports",
        *COLLECTIONS,
    ]
    assert {each["severity"] for each in found} == {"info"}
    assert "CAPTURE_MISSING" not in {each["code"] for each in known("status", "--json").document("status")["findings"]}


def test_sources_that_never_existed_are_one_line_unless_verbose(known: Repository) -> None:
    for path in (LEDGER, INDEX):
        (known.root / path).unlink()
    known("init")

    in_short, at_length = known("build"), known("build", "--force", "-v", now=LATER)

    names = ", ".join(("migration_ledger", "fingerprint_index", *COLLECTIONS))
    assert f"nothing to capture for {names} (--verbose shows more)" in in_short.out
    assert "(not built)" not in in_short.out
    assert "CAPTURE_MISSING" not in in_short.out
    assert at_length.out.count("CAPTURE_MISSING") == 4
    assert "nothing to capture for" not in at_length.out


def test_packs_are_checked_by_the_shipped_schema_not_by_a_copy_in_their_folder(built: Repository) -> None:
    folder = built.runs / f"{STAMP}__seal_threshold_packs"
    reseal(folder, **{"c3_regime_trend_v1.json": b"[]\n", "c3_regime_trend_v1.schema.json": b"true\n"})

    one = built("verify", folder.name, "--json").document("verify")
    some = built("verify", "--active", "--pointers", "--json").document("verify")
    many = built("verify", "--all", "--jobs", "2", "--json").document("verify")
    only_seal = built("verify", folder.name, "--only", "seal", "--json").document("verify")

    for build_result in (one, some, many):
        result = next(each for each in build_result["results"] if each["run_id"] == folder.name)
        assert result["verdict"] == "fail"
        assert [(f["code"], f["path"].rpartition("/")[2]) for f in result["findings"]] == [
            ("SCHEMA_VIOLATION", "c3_regime_trend_v1.json")
        ]
    assert only_seal["results"][0]["verdict"] == "pass"
    assert built("status").code == 3
    assert built("show", folder.name).code == 3


def test_an_altered_pack_is_found_and_captured_again(built: Repository) -> None:
    built.tamper(f"{STAMP}__seal_threshold_packs", "c3_regime_trend_v1.json")

    assert built("verify", "--active").code == 3
    by_registry = rows(built("build", "threshold_packs_file", "--json", now=LATER).document("build"))

    assert by_registry["threshold_packs_file"]["activated"]
    assert built.active("threshold_packs_file") == "2026-03-02__120000__seal_threshold_packs"
    assert built("verify", "--active", "--pointers", now=LATER).code == 0


def test_a_renamed_capture_is_valid_with_and_without_the_toml(built: Repository) -> None:
    toml = built.root / "registry-pipeline.toml"
    before = toml.read_text()
    names = {"fingerprint_index": "index.csv", "expected_versions": "versions.json"}
    toml.write_text(before + "".join(f'[captured.{key}]\nartifact = "{name}"\n' for key, name in names.items()))

    by_registry = rows(built("build", "--json", now=LATER).document("build"))

    assert {name for name in TAGS if not by_registry[name]["reused"]} == set(names)
    assert pointer(built, "fingerprint_index")["relpath"] == by_registry["fingerprint_index"]["relpath"] == "index.csv"
    assert (built.runs / by_registry["fingerprint_index"]["run_id"] / "index.schema.json").is_file()
    drift = json.loads((built.runs / by_registry["drift_signals"]["run_id"] / "DRIFT_SIGNALS_v0_1.json").read_bytes())
    assert drift["expected"]["schema_version"]["expected"] == "0.1"
    toml.write_text(before)
    assert built("verify", "--active", "--pointers", now=LATER).code == 0
    assert built("status", now=LATER).code == 0
    again = built("activate", "fingerprint_index", "latest", "--reason", "by hand", now=LATER)
    assert (again.code, pointer(built, "fingerprint_index")["relpath"]) == (0, "index.csv")
    folder = built.runs / by_registry["fingerprint_index"]["run_id"]
    folder.chmod(0o755)
    shutil.rmtree(folder)
    clone = built("verify", "--pointers", "--json", now=LATER).document("verify")
    assert {found["code"] for found in clone["findings"]} == {"POINTER_RUN_MISSING"}


def test_a_pointer_that_names_no_file_of_the_capture_is_found(built: Repository) -> None:
    document = json.loads(built.pointers.read_bytes())
    for each in document["pointers"]:
        if each["registry_id"] == "fingerprint_index":
            each["active_ref"]["relpath"] = "index.csv"
    built.pointers.write_text(json.dumps(document, indent=2) + "\n")

    verify_document = built("verify", "--pointers", "--json").document("verify")

    assert "POINTER_NOT_PAYLOAD" in {found["code"] for found in verify_document["findings"]}


def test_rollback_and_show_work_for_a_registry_of_many_files(built: Repository) -> None:
    (built.root / PACKS / "new.json").write_text('{"version": "v1"}\n')
    built("build", "threshold_packs_file", now=LATER)

    result = built("rollback", "--reason", "the pack was wrong", now="2026-03-02T13:00:00Z")

    assert result.code == 0
    assert built.active("threshold_packs_file") == f"{STAMP}__seal_threshold_packs"
    assert pointer(built, "threshold_packs_file")["relpath"] is None
    document = built("show", f"{STAMP}__seal_threshold_packs", "--json").document("show")
    assert (document["verdict"], document["active_for"]) == ("pass", ["threshold_packs_file"])


def test_the_database_stays_unknown_with_its_reason(built: Repository) -> None:
    listed = built("registries", "--json").document("registries")["registries"]
    stated = built("status", "--json").document("status")["registries"]

    row = next(each for each in listed if each["registry_id"] == "threshold_registry_db")
    status = next(each for each in stated if each["registry_id"] == "threshold_registry_db")
    assert (row["kind"], row["pointer"]) == ("external", False)
    assert "it stays unknown" in row["excluded_because"]
    assert status["active"] is None
    assert "threshold_registry_db" not in {
        each["registry_id"] for each in json.loads(built.pointers.read_bytes())["pointers"]
    }
