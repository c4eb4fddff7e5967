"""Collections through the command line: what is sealed, what is not read again, and what is listed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.pipeline import collection, rebuild
from registry_pipeline.registries.base.seal_build import seal_all_built
from registry_pipeline.registries.collections import INDEX
from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.cli.test_capturing import reseal
from registry_pipeline_tests.cli.test_up_to_date import settle
from registry_pipeline_tests.collection_sources import (
    FIRST,
    PACK,
    PACK_FILES,
    PACKS,
    RANGES,
    SECOND,
    make_range,
    range_path,
    write_pack,
    write_range,
)
from registry_pipeline_tests.copies import make_removable

LATER, LATEST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"
# After the times of the files that a test writes: only then does a build trust them.
FUTURE, FUTURE_LATER = "2126-03-01T12:00:00Z", "2126-03-02T12:00:00Z"
TAGS = {RANGES: "seal_validation_range_results", PACKS: "seal_evidence_pack"}
REASON = "a collection: many members, each sealed by itself, and no single active snapshot"


def build(repository: Repository, *words: str, now: str = LATER) -> Any:
    result = repository("build", RANGES, PACKS, "--only", "--json", *words, "--allow-future", now=now)
    assert result.code == 0, result.err
    return result.document("build")


def members(repository: Repository, *words: str) -> dict[str, Any]:
    result = repository("members", "--json", *words)
    assert result.code == 0
    return {member["member_id"]: member for member in result.document("members")["members"]}


def states(repository: Repository) -> dict[str, str]:
    return {name: member["state"] for name, member in members(repository).items()}


def sealed_now(document: Any) -> list[str]:
    return [row["partition"] for row in document["built"] if row["partition"] is not None]


def warnings(document: Any) -> list[str]:
    return [finding["code"] for finding in document["findings"] if finding["severity"] == "warning"]


def read_index(repository: Repository, registry_id: str = RANGES) -> list[dict[str, Any]]:
    document = repository("members", registry_id, "--json").document("members")
    ref = document["collections"][0]["index"]
    lines = (repository.root / ref["run_root"] / ref["run_id"] / INDEX).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def folders(repository: Repository, part: str) -> list[str]:
    return sorted(path.name for path in repository.runs.iterdir() if part in path.name)


_watched: list[list[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes | os.PathLike):
        _watched[-1].append(os.fsdecode(arguments[0]))


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Collect the paths of all files that this process opens."""
    if not getattr(sys, "_collections_watched", False):
        sys.addaudithook(_watch)
        sys._collections_watched = True  # type: ignore[attr-defined]
    paths: list[str] = []
    _watched.append(paths)
    try:
        yield paths
    finally:
        _watched.pop()


def test_a_build_without_names_seals_every_member_and_one_index_for_each_collection(built: Repository) -> None:
    write_range(built.root, FIRST)
    write_range(built.root, SECOND)
    write_pack(built.root)

    result = built("build", now=LATER)

    assert result.code == 0
    assert f"sealed 2 members of {RANGES}: {FIRST}, {SECOND}" in result.out
    assert folders(built, "seal_validation_range_results") == [
        f"2026-03-02__120000__{FIRST}__seal_validation_range_results",
        f"2026-03-02__120000__{SECOND}__seal_validation_range_results",
        "2026-03-02__120000__seal_validation_range_results",
    ]
    assert [line["member_id"] for line in read_index(built)] == [FIRST, SECOND]
    assert built("verify", *(f".codex/RUNS/{name}" for name in folders(built, "__seal_v"))).code == 0


def test_run_json_names_the_member_the_operations_and_the_source(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)

    stated = json.loads((built.runs / f"2026-03-02__120000__{FIRST}__{TAGS[RANGES]}/run.json").read_bytes())

    assert {key: stated[key] for key in ("run_type", "partition", "operation_id", "source_operation_id")} == {
        "run_type": TAGS[RANGES],
        "partition": FIRST,
        "operation_id": "OP-QA13",
        "source_operation_id": "OP-D04",
    }
    assert [file["path"] for file in stated["inputs"]["files"]] == [range_path(FIRST)]


def test_a_pack_keeps_its_own_paths_and_says_how_it_was_checked(built: Repository) -> None:
    write_pack(built.root)
    build(built)

    folder = built.runs / f"2026-03-02__120000__{PACK}__{TAGS[PACKS]}"

    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {f"evidence_pack_v0_2/{name}" for name in (*PACK_FILES, "manifest.json", "pack_sha256.txt")} <= files
    record = json.loads((folder / "EVIDENCE_PACK_v0_1.json").read_bytes())
    assert record["listed_in"] == "manifest.json"
    assert [file["path"] for file in record["files"] if file["listed"]] == sorted(PACK_FILES)


def ignore_sources(repository: Repository) -> None:
    """Let git ignore the sources, because drift signals of a dirty tree differ in every build that moves a pointer."""
    with (repository.root / ".git/info/exclude").open("a", encoding="utf-8") as exclude:
        exclude.write("/reports/validation\n/reports/path1/evidence\n")


def test_a_build_that_finds_nothing_new_stays_up_to_date(tracked: Repository) -> None:
    ignore_sources(tracked)
    write_range(tracked.root, FIRST)
    write_pack(tracked.root)
    settle(tracked)
    before = folders(tracked, "__")

    result = tracked("build", now="2026-03-01T12:03:00Z")

    assert "up to date: nothing has changed, so nothing was sealed" in result.out
    assert folders(tracked, "__") == before


def test_a_new_member_is_sealed_alone_and_changes_no_other_registry(tracked: Repository) -> None:
    ignore_sources(tracked)
    write_range(tracked.root, SECOND)
    settle(tracked)
    write_range(tracked.root, FIRST)

    document = tracked("build", "--json", now="2026-03-01T12:03:00Z").document("build")

    assert {row["registry_id"] for row in document["built"] if not row["reused"]} == {RANGES}
    assert "up to date" in tracked("build", now="2026-03-01T12:04:00Z").out


def test_old_members_are_not_read_when_new_ones_are_found(built: Repository) -> None:
    old = [f"{number:04}" for number in range(20)]
    for member_id in old:
        write_range(built.root, member_id)
    write_pack(built.root)
    build(built, now=FUTURE)
    write_range(built.root, FIRST)

    with opened_files() as paths:
        document = build(built, now=FUTURE_LATER)

    assert sealed_now(document) == [FIRST]
    assert [path for path in paths if "validate_range_" in path and FIRST not in path] == []
    assert [path for path in paths if f"__{TAGS[RANGES]}" in path and any(f"__{name}__" in path for name in old)] == []
    assert [path for path in paths if PACK in path] == []


def test_a_whole_build_opens_no_old_member(built: Repository) -> None:
    write_range(built.root, SECOND)
    write_pack(built.root)
    for now in (FUTURE, "2126-03-01T12:01:00Z"):
        assert built("build", "--allow-future", now=now).code == 0
    write_range(built.root, FIRST)

    with opened_files() as paths:
        assert built("build", "--allow-future", now="2126-03-01T12:02:00Z").code == 0

    assert [path for path in paths if any(name in path for name in (SECOND, PACK))] == []


@pytest.mark.parametrize("lost", ["cache", "index", "both"])
def test_without_cache_or_index_nothing_is_sealed_twice(built: Repository, lost: str) -> None:
    write_range(built.root, FIRST)
    write_pack(built.root)
    build(built)
    roots = {name: member["sealed_ref"] for name, member in members(built).items()}
    if lost != "index":
        for path in (built.root / ".codex/cache").glob("members_*"):
            path.unlink()
    if lost != "cache":
        for tag in TAGS.values():
            make_removable(built.runs / f"2026-03-02__120000__{tag}")
            shutil.rmtree(built.runs / f"2026-03-02__120000__{tag}")

    assert sealed_now(build(built, now=LATEST)) == []

    assert {name: member["sealed_ref"] for name, member in members(built).items()} == roots
    assert [line["member_id"] for line in read_index(built)] == [FIRST]


def test_a_changed_member_gets_a_new_folder_and_the_index_keeps_both(built: Repository) -> None:
    write_range(built.root, FIRST)
    write_range(built.root, SECOND)
    build(built)
    write_range(built.root, SECOND, days=3)
    assert states(built) == {FIRST: "sealed", SECOND: "changed"}

    assert sealed_now(build(built, now=LATEST)) == [SECOND]

    lines = read_index(built)
    assert [(line["member_id"], line["sealed_ref"]["run_id"][:10]) for line in lines] == [
        (FIRST, "2026-03-02"),
        (SECOND, "2026-03-02"),
        (SECOND, "2026-03-03"),
    ]
    assert members(built)[SECOND]["sealed_ref"]["run_id"].startswith("2026-03-03")


def test_a_file_that_was_only_touched_is_not_sealed_again(built: Repository) -> None:
    source = write_range(built.root, FIRST)
    build(built, now=FUTURE)
    source.touch()
    assert sealed_now(build(built, now=FUTURE_LATER)) == []


def test_force_seals_every_member_again(built: Repository) -> None:
    write_range(built.root, FIRST)
    write_pack(built.root)
    build(built)
    assert sealed_now(build(built, "--force", now=LATEST)) == [FIRST, PACK]


def test_a_removed_source_keeps_its_run(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)
    (built.root / range_path(FIRST)).unlink()

    assert sealed_now(build(built, now=LATEST)) == []

    assert states(built) == {FIRST: "missing_source"}
    assert len(folders(built, f"__{FIRST}__")) == 1


def test_a_member_whose_folder_is_missing_is_sealed_again_with_a_warning(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)
    (name,) = folders(built, f"__{FIRST}__")
    make_removable(built.runs / name)
    shutil.rmtree(built.runs / name)

    document = build(built, now=LATEST)

    assert sealed_now(document) == [FIRST]
    (found,) = [f for f in document["findings"] if f["code"] == "COLLECTION_RUN_MISSING"]
    assert name in found["message"]


def test_a_member_that_is_marked_bad_is_sealed_again(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)
    (name,) = folders(built, f"__{FIRST}__")
    assert built("mark-bad", name, "--reason", "wrong", now=LATEST).code == 0
    assert states(built) == {FIRST: "new"}
    assert sealed_now(build(built, now="2026-03-04T12:00:00Z")) == [FIRST]


def test_an_altered_index_is_reported_and_replaced(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)
    built.tamper(f"2026-03-02__120000__{TAGS[RANGES]}", INDEX)

    result = built("build", RANGES, "--only", "--json", now=LATEST)

    document = result.document("build")
    assert (result.code, sealed_now(document)) == (0, [])
    assert [f["code"] for f in document["findings"]] == ["COLLECTION_RUN_NOT_VERIFIED"]
    assert [line["member_id"] for line in read_index(built)] == [FIRST]


def test_an_altered_run_that_no_index_lists_is_reported_and_not_used(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)
    shutil.move(built.runs / f"2026-03-02__120000__{TAGS[RANGES]}", built.root / "elsewhere")
    (name,) = folders(built, f"__{FIRST}__")
    built.tamper(name, f"validate_range_{FIRST}_days.jsonl")

    document = build(built, now=LATEST)

    assert sealed_now(document) == [FIRST]
    assert [(f["code"], f["path"]) for f in document["findings"] if f["path"].endswith(name)] == [
        ("COLLECTION_RUN_NOT_VERIFIED", f".codex/RUNS/{name}")
    ]


def test_an_index_that_lost_a_line_of_its_previous_one_does_not_verify(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)
    write_range(built.root, SECOND)
    build(built, now=LATEST)
    name = f"2026-03-03__120000__{TAGS[RANGES]}"
    lines = (built.runs / name / INDEX).read_bytes().splitlines(keepends=True)
    reseal(built.runs / name, **{INDEX: lines[1]})
    # A line alone comes back, because its folder is found. Folder and source must be gone, too.
    (gone,) = folders(built, f"__{FIRST}__")
    shutil.move(built.runs / gone, built.root / "elsewhere")
    (built.root / range_path(FIRST)).unlink()

    result = built("build", RANGES, "--only", "--json", now="2026-03-04T12:00:00Z")

    codes = {finding["code"] for finding in result.document("build")["findings"]}
    assert (result.code, codes) == (3, {"COLLECTION_LINE_REMOVED"})


def test_a_line_that_is_missing_comes_back_because_its_folder_is_found(built: Repository) -> None:
    write_range(built.root, FIRST)
    write_range(built.root, SECOND)
    build(built)
    name = f"2026-03-02__120000__{TAGS[RANGES]}"
    lines = (built.runs / name / INDEX).read_bytes().splitlines(keepends=True)
    reseal(built.runs / name, **{INDEX: lines[1]})

    assert sealed_now(build(built, now=LATEST)) == []

    assert [line["member_id"] for line in read_index(built)] == [FIRST, SECOND]


def test_an_index_with_unsorted_lines_is_invalid_and_one_without_its_previous_index_is_a_warning(
    built: Repository,
) -> None:
    for member_id, now in ((FIRST, LATER), (SECOND, LATEST)):
        write_range(built.root, member_id)
        build(built, now=now)
    name = f"2026-03-03__120000__{TAGS[RANGES]}"
    shutil.move(built.runs / f"2026-03-02__120000__{TAGS[RANGES]}", built.root / "elsewhere")
    document = build(built, now="2026-03-04T12:00:00Z")
    assert warnings(document) == ["COLLECTION_PREVIOUS_UNKNOWN"]
    lines = (built.runs / name / INDEX).read_bytes().splitlines(keepends=True)
    reseal(built.runs / name, **{INDEX: b"".join(reversed(lines))})

    result = built("build", RANGES, "--only", "--json", now="2026-03-04T12:00:00Z")

    codes = {finding["code"] for finding in result.document("build")["findings"]}
    assert result.code == 3
    assert "COLLECTION_INDEX_INVALID" in codes


def test_a_pack_record_that_differs_from_the_sealed_files_fails_its_rules(built: Repository) -> None:
    write_pack(built.root)
    build(built)
    (name,) = folders(built, f"__{PACK}__")
    record = (built.runs / name / "EVIDENCE_PACK_v0_1.json").read_bytes()
    assert b'"bytes": 19' in record
    reseal_nested(built.runs / name, "EVIDENCE_PACK_v0_1.json", record.replace(b'"bytes": 19', b'"bytes": 20'))

    result = built("verify", f".codex/RUNS/{name}", "--json")

    (run,) = result.document("verify")["results"]
    assert (result.code, [finding["code"] for finding in run["findings"]]) == (3, ["COLLECTION_PACK_DIFFERS"])


def reseal_nested(folder: Path, name: str, data: bytes) -> None:
    """Change a file of a run folder with folders in it, and seal it again."""
    make_removable(folder)
    (folder / name).chmod(0o644)
    (folder / name).write_bytes(data)
    seals = ("manifest.json", "MANIFEST.sha256")
    paths = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    manifest = build_manifest(make_entry(n, p.read_bytes()) for n, p in paths.items() if n not in seals)
    for seal, content in zip(seals, (manifest.manifest_json, manifest.hash_file), strict=True):
        (folder / seal).chmod(0o644)
        (folder / seal).write_bytes(content)


def test_a_dry_run_names_what_it_would_seal_and_writes_nothing(built: Repository) -> None:
    write_range(built.root, FIRST)
    (write_pack(built.root) / "qc_report.json").unlink()
    before = built.files()

    result = built("build", RANGES, PACKS, "--only", "--dry-run", "--json", now=LATER)

    document = result.document("build")
    rows = {row["registry_id"]: (row["outcome"], row["members"]) for row in document["preview"]}
    assert rows == {RANGES: ("new", [FIRST]), PACKS: ("not_built", [])}
    assert [finding["code"] for finding in document["findings"]] == ["CAPTURE_PACK_FILE_MISSING"]
    assert built.files() == before
    assert "with 1 member to seal" in built("build", RANGES, "--only", "--dry-run").out


def test_a_pack_that_fails_is_not_sealed_and_the_others_are(built: Repository) -> None:
    write_pack(built.root)
    (write_pack(built.root, "p1_20260121_001") / "extra.csv").write_text("a\n", encoding="utf-8")

    document = build(built)

    assert sealed_now(document) == [PACK]
    assert warnings(document) == ["CAPTURE_PACK_FILE_UNLISTED"]
    assert states(built) == {PACK: "sealed", "p1_20260121_001": "new"}
    assert built("build", PACKS, "--only", "--fail-on", "warning", now=LATEST).code == 4


def test_a_malformed_range_is_not_sealed_and_the_others_are(built: Repository) -> None:
    write_range(built.root, FIRST)
    write_range(built.root, SECOND).write_text('{"date_ny": "2026-01-05"}\n', encoding="utf-8")

    document = build(built)

    assert sealed_now(document) == [FIRST]
    assert [(f["code"], f["path"]) for f in document["findings"] if f["severity"] == "warning"] == [
        ("CAPTURE_MALFORMED", range_path(SECOND))
    ]


def test_a_collection_without_a_source_is_one_word_in_a_line(built: Repository) -> None:
    result = built("build", now=LATER)
    (line,) = [line for line in result.out.splitlines() if line.startswith("nothing to capture for ")]
    assert {RANGES, PACKS} <= set(line.replace(",", "").split())


def test_a_configured_source_that_is_missing_is_a_warning(built: Repository) -> None:
    with (built.root / "registry-pipeline.toml").open("a", encoding="utf-8") as toml:
        toml.write(f'\n[captured.{RANGES}]\nsource = "reports/ranges"\n')
    result = built("build", RANGES, "--only", "--json", now=LATER)
    assert [(f["code"], f["severity"]) for f in result.document("build")["findings"]] == [
        ("CAPTURE_MISSING", "warning")
    ]
    (built.root / "reports/ranges").mkdir(parents=True)
    (built.root / f"reports/ranges/validate_range_{FIRST}_days.jsonl").write_text(make_range(FIRST), encoding="utf-8")
    assert sealed_now(build(built, now=LATEST)) == [FIRST]


def test_members_lists_state_run_root_and_bytes_and_the_index(built: Repository) -> None:
    source = write_range(built.root, FIRST)
    build(built)
    write_range(built.root, SECOND)

    listed = members(built, RANGES)

    assert listed[FIRST]["bytes"] == source.stat().st_size
    assert (
        (built.runs / listed[FIRST]["sealed_ref"]["run_id"] / "MANIFEST.sha256")
        .read_text()
        .endswith(f"ROOT_SHA256  {listed[FIRST]['sealed_ref']['manifest_sha256']}\n")
    )
    assert listed[SECOND] | {"source": None} == {
        "registry_id": RANGES,
        "member_id": SECOND,
        "state": "new",
        "source": None,
        "sealed_ref": None,
        "content_sha256": None,
        "files": None,
        "bytes": None,
    }
    text = built("members").out
    assert f"{RANGES}: 1 sealed, 1 new; index 2026-03-02__120000__{TAGS[RANGES]}, root " in text
    assert f"{PACKS}: no members; no index yet" in text
    assert members(built, "--state", "new").keys() == {SECOND}


def test_members_of_what_is_no_collection_is_a_usage_error(built: Repository) -> None:
    result = built("members", "run_registry")
    assert result.code == 2
    assert f"run_registry is no collection; these are {RANGES} and {PACKS}" in result.err
    assert built("members", "no_registry").code == 7


def test_every_page_says_why_no_run_of_a_collection_is_active(built: Repository) -> None:
    write_range(built.root, FIRST)
    build(built)
    rows = {row["registry_id"]: row for row in built("registries", "--json").document("registries")["registries"]}
    assert {rows[name]["excluded_because"] for name in (RANGES, PACKS)} == {REASON}
    (name,) = folders(built, f"__{FIRST}__")
    assert built("activate", RANGES, name, "--reason", "x").code == 5
    status = built("status", "--json").document("status")
    (row,) = [row for row in status["registries"] if row["registry_id"] == RANGES]
    assert row["newest_not_active_because"] == REASON


def test_a_collection_never_counts_against_the_health_state(built: Repository) -> None:
    before = built("status", "--json").document("status")["health_state"]
    write_range(built.root, FIRST)
    assert built("status", "--json").document("status")["health_state"] == before
    build(built)
    assert built("status", "--json").document("status")["health_state"] == before


def test_a_name_that_a_run_id_cannot_contain_is_left_out_with_a_finding(built: Repository) -> None:
    for name in ("with space", "2026-13-45", "a...b"):
        write_range(built.root, name)
    write_range(built.root, "CASE")
    write_range(built.root, "case")
    (built.root / range_path("link")).symlink_to(built.root / range_path("CASE"))

    document = build(built)

    assert sealed_now(document) == ["CASE"]
    assert sorted(warnings(document)) == [*["CAPTURE_LEFT_OUT"] * 4, "CAPTURE_MALFORMED"]


def test_what_prevents_sealing_after_an_activation_is_a_finding_and_exit_8(
    built: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_range(built.root, FIRST)

    def fail(*_args: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(rebuild, "build_collection", fail)
    result = built("build", "--force", "--json", now=LATER)

    document = result.document("build")
    assert (result.code, document["activation_run_id"]) == (8, "2026-03-02__120000__pointer_activation")
    assert "COLLECTION_NOT_SEALED" in warnings(document)
    assert built("build", RANGES, "--only", "--json", now=LATEST).code == 1


def test_ctrl_c_between_two_batches_leaves_complete_members(built: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        write_range(built.root, f"{number:02}")

    def seal_and_interrupt(*args: Any, **options: Any) -> Any:
        sealed = seal_all_built(*args, **options)
        signal.raise_signal(signal.SIGINT)
        return sealed

    monkeypatch.setattr(collection, "seal_all_built", seal_and_interrupt)
    assert built("build", RANGES, "--only", now=LATER).code == 130
    monkeypatch.undo()

    assert len(read_index(built)) == 32
    assert len(sealed_now(build(built, now=LATEST))) == 8
