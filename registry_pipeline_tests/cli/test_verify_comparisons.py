"""`verify` compares with recorded inputs, a git commit and the previous run registry, and can require seals."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import CommandResult, Repository
from registry_pipeline_tests.registries.repositories import git

LATER = "2026-03-02T12:00:00Z"
RUN_REGISTRY = "2026-03-01__120000__run_registry_build"
DRIFT = "2026-03-01__120000__drift_signals_build"
OLD_RUN = "2026-02-01__010000__op-a02"


def codes_and_paths(outcome: CommandResult) -> set[tuple[str, str]]:
    """Return (code, path) of every error of `verify --json`."""
    document = outcome.document("verify")
    findings = [*document["findings"], *(f for result in document["results"] for f in result["findings"])]
    return {(f["code"], f["path"]) for f in findings if f["severity"] == "error"}


def track(repository: Repository) -> None:
    git(repository.root, "add", "--force", "--all", ".codex/RUNS", "reports")
    git(repository.root, "commit", "--quiet", "--message", "runs")


def replace_with_link(folder: Path) -> None:
    folder.rename(folder.parents[2] / "elsewhere")
    folder.symlink_to(folder.parents[2] / "elsewhere")


def test_inputs_are_followed_and_counted(seen: Repository) -> None:
    result = seen("verify", DRIFT, "--inputs", "--json")

    assert result.code == 0
    assert result.document("verify")["counts"]["inputs_walked"] == 3
    assert "inputs    3 runs followed, recursively" in seen("verify", DRIFT, "--inputs").out


def test_a_missing_input_fails_the_run_that_names_it(built: Repository) -> None:
    shutil.rmtree(built.runs / RUN_REGISTRY)

    result = built("verify", DRIFT, "--inputs", "--json")

    paths = {f".codex/RUNS/{DRIFT}/run.json", ".codex/RUNS/2026-03-01__120000__op_status_table_build/run.json"}
    assert result.code == 3
    assert codes_and_paths(result) == {("INPUT_REF_MISSING", path) for path in paths}
    assert result.document("verify")["results"][0]["verdict"] == "fail"
    assert built("verify", DRIFT).code == 0


def test_an_altered_input_is_reported_at_the_run_that_uses_it(built: Repository) -> None:
    built.tamper(RUN_REGISTRY, "RUN_REGISTRY_v0_1.jsonl")

    result = built("verify", DRIFT, "--inputs")

    assert result.code == 3
    assert f"SCHEMA_INVALID: INPUT_NOT_VERIFIED .codex/RUNS/{DRIFT}/run.json" in result.out
    assert f"-> run `registry-pipeline verify {RUN_REGISTRY}`" in result.out


def test_inputs_needs_runs_to_start_from(seen: Repository) -> None:
    assert seen("verify", "--inputs", "--pointers").code == 2


def test_nothing_is_lost_since_a_commit_however_many_runs_were_added(built: Repository) -> None:
    track(built)
    assert built("build", now=LATER).code == 0

    result = built("verify", "--baseline", "HEAD", "--json")

    assert (result.code, codes_and_paths(result)) == (0, set())
    assert result.document("verify")["counts"]["baseline_runs"] > 10
    assert "of the commit compared by claimed root" in built("verify", "--baseline", "HEAD").out


def test_a_run_of_the_commit_that_is_missing_resealed_or_a_link_is_reported(built: Repository) -> None:
    track(built)
    shutil.rmtree(built.runs / OLD_RUN)
    replace_with_link(built.runs / DRIFT)
    hash_file = built.runs / RUN_REGISTRY / "MANIFEST.sha256"
    hash_file.chmod(0o644)
    hash_file.write_bytes(hash_file.read_bytes()[:-65] + b"0" * 64 + b"\n")

    result = built("verify", "--baseline", "HEAD", "--json")

    assert result.code == 3
    assert codes_and_paths(result) == {
        ("RUN_REMOVED", f".codex/RUNS/{OLD_RUN}"),
        ("RUN_LEFT_OUT", f".codex/RUNS/{DRIFT}"),
        ("RUN_RESEALED", f".codex/RUNS/{RUN_REGISTRY}"),
    }
    assert git(built.root, "rev-parse", "HEAD")[:12] in built("verify", "--baseline", "HEAD").out


def test_the_repository_may_be_a_folder_of_the_checkout(built: Repository, tmp_path: Path) -> None:
    shutil.rmtree(built.root / ".git")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--force", "--all", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")

    assert built("verify", "--baseline", "HEAD").code == 0
    shutil.rmtree(built.runs / OLD_RUN)
    assert codes_and_paths(built("verify", "--baseline", "HEAD", "--json")) == {
        ("RUN_REMOVED", f".codex/RUNS/{OLD_RUN}")
    }


def test_a_baseline_that_cannot_be_compared_exits_7_and_says_what_to_do(built: Repository, tmp_path: Path) -> None:
    def failed(*words: str) -> str:
        result = built("verify", "--baseline", *words)
        assert (result.code, result.out, result.err.count("\n")) == (7, "", 1)
        return result.err

    git(built.root, "commit", "--quiet", "--allow-empty", "--message", "no runs")
    assert "has no run folder under .codex/RUNS" in failed("HEAD")
    assert "git knows no commit 'nowhere'" in failed("nowhere")
    assert "git knows no commit '--all'" in failed("--all")
    assert "git knows no commit ''" in failed("", "--all")
    (tmp_path / "source").mkdir()
    shutil.copytree(built.root / ".git", tmp_path / "source/.git")
    git(tmp_path, "clone", "--quiet", "--bare", "--depth", "1", f"file://{tmp_path}/source", "shallow.git")
    shutil.rmtree(built.root / ".git")
    assert "is not in a git repository" in failed("HEAD")
    shutil.copytree(tmp_path / "shallow.git", built.root / ".git")
    git(built.root, "config", "core.bare", "false")
    assert "the clone is shallow" in failed("HEAD~1")


def test_a_removed_run_stops_the_build_and_names_the_registry_that_lists_it(built: Repository) -> None:
    resting = ("run_registry", "op_status_table", "drift_signals")
    before = [built.active(name) for name in resting]
    shutil.rmtree(built.runs / OLD_RUN)

    result = built("build", now=LATER)

    assert result.code == 3
    assert f"HISTORY_INVALID: RUN_REMOVED .codex/RUNS/{OLD_RUN}" in result.out
    assert f"a run that is in the run registry {RUN_REGISTRY} is missing" in result.out
    assert before == [built.active(name) for name in resting]


def test_an_existing_run_that_cannot_be_listed_is_not_reported_as_removed(built: Repository) -> None:
    replace_with_link(built.runs / OLD_RUN)
    shutil.rmtree(built.root / "reports/runs")
    (built.root / "reports/runs").write_text("no folder")

    result = built("build", now=LATER)

    assert result.code == 3
    assert "RUN_REMOVED" not in result.out
    assert "exists, but is not listed: it is now a link" in result.out
    assert "exists, but is not listed: reports/runs cannot be read: Not a directory" in result.out


def test_runs_of_a_root_that_is_no_longer_configured_are_no_loss(built: Repository) -> None:
    toml = built.root / "registry-pipeline.toml"
    lines = [line for line in toml.read_text().splitlines() if not line.startswith("run_roots")]
    toml.write_text("\n".join(['run_roots = [".codex/RUNS"]', *lines]) + "\n")
    shutil.rmtree(built.root / "reports/runs")

    assert built("build", now=LATER).code == 0


def test_require_sealed_fails_unsealed_folders(built: Repository) -> None:
    for folder in [*built.runs.iterdir(), *(built.root / "reports/runs").iterdir()]:
        if folder.is_dir() and folder.name != "legacy" and "120000" not in folder.name:
            shutil.rmtree(folder)

    listed, required = built("verify", "--all", "--json"), built("verify", "--all", "--require-sealed", "--json")

    assert (listed.code, required.code) == (0, 3)
    assert [r["verdict"] for r in required.document("verify")["results"]].count("unsealed") == 1
    assert codes_and_paths(listed) == set()
    assert codes_and_paths(required) == {("UNSEALED", ".codex/RUNS/legacy")}
    assert (listed.document("verify")["verdict"], required.document("verify")["verdict"]) == ("pass", "fail")
    text = built("verify", "--all", "--require-sealed")
    assert "unsealed  .codex/RUNS/legacy\nSEAL_INVALID: UNSEALED .codex/RUNS/legacy" in text.out
    assert "SEAL_INVALID" not in built("verify", "--all").out
    assert built("verify", "--all", "--require-sealed", "--format", "github").out.count("::error ") == 1


@pytest.mark.parametrize("words", [("latest",), ("--pointers",), ("--chain",)])
def test_require_sealed_without_all_is_a_usage_error(seen: Repository, words: tuple[str, ...]) -> None:
    assert seen("verify", *words, "--require-sealed").code == 2
