from __future__ import annotations

import shutil
from pathlib import Path

from registry_pipeline.findings.codes import CODES
from registry_pipeline_tests.cli.conftest import Repository, call, environment

RUN_REGISTRY = "2026-03-01__120000__run_registry_build"


def test_all_verifies_every_folder_and_lists_the_unsealed_without_failing(seen: Repository) -> None:
    result = seen("verify", "--all", "--json")

    document = result.document("verify")
    by_run = {r["run_id"]: r["verdict"] for r in document["results"]}
    assert (result.code, document["verdict"]) == (3, "fail")
    assert (by_run[RUN_REGISTRY], by_run["legacy"], by_run["two_roots"]) == ("pass", "unsealed", "partial")
    assert document["counts"]["runs"] == len(document["results"])
    assert document["counts"]["runs"] == sum(document["counts"][v] for v in ("pass", "fail", "unsealed", "partial"))
    assert {f["severity"] for r in document["results"] if r["verdict"] == "unsealed" for f in r["findings"]} == {"info"}


def test_the_text_has_one_line_for_each_invalid_folder_and_a_summary(seen: Repository) -> None:
    lines = seen("verify", "--all").out.splitlines()

    assert "unsealed  .codex/RUNS/legacy" in lines
    assert "partial   .codex/RUNS/two_roots" in lines
    assert not any(RUN_REGISTRY in line for line in lines)
    assert lines[-1].startswith("FAIL: ")


def test_many_unsealed_folders_are_one_line(built: Repository) -> None:
    for number in range(226):
        (built.runs / f"2026-03-01__13{number // 60:02}{number % 60:02}__import").mkdir()

    result = built("verify", "--all", "--only", "seal")
    (folded,) = [line for line in result.out.splitlines() if line.startswith("unsealed")]
    listed = built("verify", "--all", "--only", "seal", "-v").out.splitlines()

    assert folded.startswith("unsealed  238 folders: .codex/RUNS/")
    assert folded.endswith(", and 235 more (--verbose lists all)")
    assert sum(line.startswith("unsealed  ") for line in listed) == 238
    assert "238 unsealed" in result.out.splitlines()[-1]


def test_an_unsealed_folder_fails_if_it_is_named(seen: Repository) -> None:
    for word in ("legacy", ".codex/RUNS/legacy"):
        result = seen("verify", word, "--json")
        assert (result.code, result.document("verify")["results"][0]["verdict"]) == (3, "unsealed")


def test_an_unsealed_folder_fails_with_all_and_require_sealed(built: Repository) -> None:
    for folder in [f for f in built.runs.iterdir() if f.is_dir() and not (f / "MANIFEST.sha256").exists()]:
        if folder.name != "legacy":
            shutil.rmtree(folder)
    for name in ("two_roots", "no_root"):
        shutil.rmtree(built.runs / name)
    shutil.rmtree(built.root / "reports")

    assert built("verify", "--all").code == 0
    assert built("verify", "--all", "--require-sealed").code == 3


def test_a_run_is_named_by_word_by_prefix_by_root_or_by_path(seen: Repository) -> None:
    root = seen("verify", RUN_REGISTRY, "--json").document("verify")["results"][0]["root_sha256"]

    for word in (RUN_REGISTRY[:-3], root[:16], f"./.codex/RUNS/{RUN_REGISTRY}"):
        result = seen("verify", word, "--json")
        assert (result.code, result.document("verify")["results"][0]["run_id"]) == (0, RUN_REGISTRY)


def test_a_path_needs_no_repository(seen: Repository, tmp_path: Path, home: Path) -> None:
    shutil.copytree(seen.runs / RUN_REGISTRY, tmp_path / RUN_REGISTRY)

    result = call("verify", f"{tmp_path}/{RUN_REGISTRY}", "--json", cwd=tmp_path, env=environment(home))

    assert (result.code, result.document("verify")["verdict"]) == (0, "pass")


def test_a_missing_path_cannot_be_checked(seen: Repository) -> None:
    assert seen("verify", "./nobody").code == 7


def test_active_and_pointers_verify_the_active_runs(built: Repository) -> None:
    assert built("verify", "--active", "--pointers").code == 0
    built.tamper(RUN_REGISTRY, "RUN_REGISTRY_v0_1.jsonl")

    active, pointers = built("verify", "--active", "--json"), built("verify", "--pointers", "--json")

    assert (active.code, pointers.code) == (3, 3)
    assert {r["registry_id"]: r["verdict"] for r in active.document("verify")["results"]}["run_registry"] == "fail"
    assert "POINTER_SEAL_INVALID" in {f["code"] for f in pointers.document("verify")["findings"]}


def test_an_edited_pointer_file_is_a_finding_of_the_chain(built: Repository) -> None:
    built.pointers.write_bytes(built.pointers.read_bytes().replace(b'"build"', b'"tidied"'))

    for words in (("--pointers",), ("--all",)):
        result = built("verify", *words, "--json")
        assert result.code == 3
        assert "POINTER_EDITED" in {f["code"] for f in result.document("verify")["findings"]}


def test_only_the_seal_is_checked_on_request(built: Repository) -> None:
    folder = built.runs / "2026-01-10__101010__run_registry_build"

    whole = built("verify", folder.name, "--json").document("verify")["results"][0]
    alone = built("verify", folder.name, "--only", "seal", "--json").document("verify")["results"][0]

    assert {CODES[f["code"]].family for f in whole["findings"]} == {"schema"}
    assert {f["severity"] for f in whole["findings"]} == {"warning"}
    assert alone["findings"] == []
    assert built("verify", folder.name, "--fail-on", "warning").code == 4


def test_github_gets_an_annotation_for_each_finding_until_there_are_ten_of_a_level(seen: Repository) -> None:
    counts = seen("verify", "--all", "--json").document("verify")["counts"]
    lines = seen("verify", "--all", "--format", "github").out.splitlines()

    shown = min(counts["errors"], 10) + min(counts["warnings"], 10) + min(counts["infos"], 9)
    hidden = counts["errors"] + counts["warnings"] + counts["infos"] - shown
    assert len(lines) == shown + 1
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
    assert lines[-1].startswith(f"::notice title={hidden} more findings::and {hidden} more: ")


def test_the_number_of_processes_changes_nothing(seen: Repository) -> None:
    assert seen("verify", "--all", "--json", "--jobs", "1").out == seen("verify", "--all", "--json", "--jobs", "3").out
