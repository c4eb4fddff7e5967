"""The workflows that are offered for GitHub: every step of them runs here, in a repository that is made for it.

Actions have local stand-ins. An action, an expression or a condition that the stand-ins do not know fails the test.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from registry_pipeline.cli.group import PROGRAM
from registry_pipeline_tests.captured_sources import write_captured_sources
from registry_pipeline_tests.cli.conftest import call
from registry_pipeline_tests.cli.test_formats import read_junit, read_sarif, state_of
from registry_pipeline_tests.command_line import environment
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.registries.repositories import git

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/how-to/check-in-ci.md"
FOLDER: Final = ROOT / "examples/github"
TRACKED: Final = "tracked-runs.yml"
ARTIFACTS: Final = "runs-as-artifacts.yml"
NEW_BRANCH: Final = "0" * 40
EXPRESSION: Final = re.compile(r"\$\{\{ (.*?) \}\}")


def load_yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def read_blocks() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@dataclass
class Job:
    """One run of a workflow: its folders, what the actions gave it, and the outcome and log of each step."""

    folder: Path
    origin: Path  # the repository on GitHub
    commit: str
    artifacts: Path
    home: Path
    before: str = NEW_BRANCH
    event: str = "push"
    environment: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    log: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def temp(self) -> Path:
        return self.folder / "temp"

    @property
    def summary(self) -> str:
        return (self.folder / "summary").read_text(encoding="utf-8")

    @property
    def failed(self) -> list[str]:
        """The names of the steps that failed."""
        return [name for name, outcome in self.outcomes.items() if outcome == "failure"]

    # --- expressions and conditions, as GitHub evaluates them

    def expand(self, text: str) -> str:
        values: dict[str, Callable[[], str]] = {
            "runner.temp": lambda: str(self.temp),
            "github.token": lambda: "a token",
            "github.actor": lambda: "ada",
            "github.workflow": lambda: "registries",
            "github.event_name == 'pull_request' && 'HEAD^1' || github.event.before": lambda: (
                "HEAD^1" if self.event == "pull_request" else self.before
            ),
            "steps.last.outputs.run_id": lambda: self.outputs["last.run_id"],
        }
        return EXPRESSION.sub(lambda match: values[match[1]](), text)

    def applies(self, condition: str) -> bool:
        all_passed = not self.failed
        conditions = {
            "": all_passed,
            "${{ !cancelled() }}": True,
            "${{ !cancelled() && env.BASELINE != '' }}": bool(self.environment.get("BASELINE")),
            "${{ steps.last.outputs.run_id != '' }}": all_passed and bool(self.outputs.get("last.run_id")),
            "${{ steps.last.outputs.run_id == '' }}": all_passed and not self.outputs.get("last.run_id"),
            "${{ !cancelled() && steps.build.outcome != 'skipped' }}": self.outcomes.get("build") != "skipped",
        }
        return conditions[condition]

    # --- the steps

    def run(self, workflow: Mapping[str, Any], more_steps: list[Any]) -> Job:
        """Run every step of the only job of a workflow, then more steps."""
        ((_, job),) = workflow["jobs"].items()
        assert job.keys() <= {"if", "runs-on", "timeout-minutes", "steps"}
        assert job.get("if") in (None, "${{ github.ref == 'refs/heads/main' }}")
        for folder in (self.workspace, self.temp, self.artifacts):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("summary", "env", "output"):
            (self.folder / name).touch()
        self.environment |= {name: self.expand(value) for name, value in workflow.get("env", {}).items()}
        for step in [*job["steps"], *more_steps]:
            assert step.keys() <= {"name", "id", "if", "uses", "with", "env", "run"}
            name = step.get("id") or step.get("name") or step["uses"]
            if not self.applies(step.get("if", "")):
                self.outcomes[name] = "skipped"
            elif "uses" in step:
                options = {key: self.expand(str(value)) for key, value in step.get("with", {}).items()}
                self.outcomes[name] = "success" if self.use_action(step["uses"], options) else "failure"
            else:
                self.outcomes[name] = self.run_script(name, step)
        return self

    def use_action(self, action: str, options: Mapping[str, str]) -> bool:
        """Do locally what an action does on GitHub, and return whether it succeeds."""
        if action == "actions/checkout@v4":
            assert (options["fetch-depth"], options["persist-credentials"]) == ("0", "False")
            git(self.folder, "clone", "-q", "--no-checkout", str(self.origin), str(self.workspace))
            git(self.workspace, "fetch", "-q", "origin", self.commit)
            git(self.workspace, "checkout", "-q", "--detach" if self.event == "pull_request" else "-Bmain", self.commit)
            return True
        if action == "actions/setup-python@v5":
            assert tuple(map(int, options["python-version"].split("."))) <= sys.version_info[:2]
            return True
        if action == "actions/upload-artifact@v4":
            assert options["if-no-files-found"] == "error"
            (self.artifacts / options["name"]).mkdir(exist_ok=True)
            shutil.copy(options["path"], self.artifacts / options["name"])
            return True
        if action == "actions/download-artifact@v4":
            assert (options["run-id"], options["github-token"]) == ("41", "a token")
            shutil.copytree(self.artifacts / options["name"], options["path"])
            return True
        assert action == "github/codeql-action/upload-sarif@v3", action
        read_sarif(Path(options["sarif_file"]).read_text(encoding="utf-8"))
        return True

    def run_script(self, name: str, step: Mapping[str, Any]) -> str:
        env = environment(self.home, **self.environment)
        env |= {key: self.expand(value) for key, value in step.get("env", {}).items()}
        env |= {
            "PATH": f"{self.write_programs()}{os.pathsep}{env['PATH']}",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_REPOSITORY": "tides/gauges",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_ENV": str(self.folder / "env"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
        }
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]], cwd=self.workspace, env=env, capture_output=True, text=True, check=False
        )
        self.log[name] = done.stdout + done.stderr
        for line in (self.folder / "env").read_text().splitlines():
            key, _, value = line.partition("=")
            self.environment[key] = value
        for line in (self.folder / "output").read_text().splitlines():
            key, _, value = line.partition("=")
            self.outputs[f"{name}.{key}"] = value
        return "failure" if done.returncode else "success"

    def write_programs(self) -> Path:
        """Write stand-ins: this program, pip, which installs nothing, and GitHub's, which knows of one artifact."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        artifact = shlex.quote(str(self.artifacts / "registry-runs"))
        scripts = {
            PROGRAM: f'exec {shlex.quote(sys.executable)} -m registry_pipeline "$@"',
            "python": '[ "$*" = "-m pip install registry-pipeline" ]',
            "gh": f'[ "$1" = api ] && [ "$3" = --jq ] && if [ -d {artifact} ]; then echo 41; else echo; fi',
        }
        for name, script in scripts.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
        return programs


def make_repository(root: Path, home: Path, *options: str) -> Path:
    """Make a repository with sources of every kind in git, and without runs."""
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    write_captured_sources(root)
    (root / ".git/info/exclude").write_text("")
    assert call("init", *options, cwd=root, env=environment(home)).code == 0
    commit_all(root, "sources")
    return root


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A repository with its runs in git, in a commit after the first."""
    root = make_repository(tmp_path_factory.mktemp("tracked") / "repository", home, "--track-runs")
    assert call("build", cwd=root, env=environment(home)).code == 0
    commit_all(root, "runs")
    return root


def commit_all(root: Path, message: str) -> str:
    git(root, "add", "--all")
    git(
        root,
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.invalid",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        message,
    )
    return git(root, "rev-parse", "HEAD").strip()


RunWorkflow = Callable[..., Job]


@pytest.fixture
def run_workflow(tmp_path: Path, home: Path) -> RunWorkflow:
    """Return a function that runs a workflow of the examples."""
    jobs: list[Job] = []

    def run(name: str, origin: Path, commit: str, *, more_steps: list[Any] | None = None, **options: Any) -> Job:
        job = Job(tmp_path / str(len(jobs)), origin, commit, tmp_path / "artifacts", home, **options)
        jobs.append(job)
        return job.run(load_yaml((FOLDER / name).read_text(encoding="utf-8")), more_steps or [])

    return run


@pytest.fixture
def propose(origin: Path, tmp_path: Path) -> Callable[[Callable[[Path], object]], tuple[Path, str]]:
    """Return a function that changes a copy of the repository in a branch, and returns the merge with main."""

    def make(change: Callable[[Path], object]) -> tuple[Path, str]:
        root = tmp_path / "origin"
        shutil.copytree(origin, root)
        git(root, "switch", "-q", "-c", "proposal")
        change(root)
        commit_all(root, "a proposal")
        git(root, "switch", "-q", "--detach", "main")
        identity = ("-c", "user.name=GitHub", "-c", "user.email=noreply@example.invalid")
        git(root, *identity, "merge", "-q", "--no-ff", "-m", "merge", "proposal")
        commit = git(root, "rev-parse", "HEAD").strip()
        git(root, "switch", "-q", "main")
        return root, commit

    return make


def find_run(root: Path, tag: str) -> Path:
    return next(root.glob(f".codex/RUNS/*__{tag}"))


@pytest.mark.parametrize("name", [TRACKED, ARTIFACTS])
def test_the_page_shows_each_workflow_as_its_file_has_it(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") in read_blocks()


def test_a_pull_request_that_breaks_nothing_passes_and_has_summary_and_report(
    propose: Callable[..., tuple[Path, str]], run_workflow: RunWorkflow
) -> None:
    (sarif_steps,) = (load_yaml(block) for block in read_blocks() if "sarif" in block)
    root, commit = propose(lambda root: (root / "notes.txt").write_text("a note\n"))

    job = run_workflow(TRACKED, root, commit, event="pull_request", more_steps=sarif_steps)

    assert job.failed == [], job.log
    assert "skipped" not in job.outcomes.values()
    assert job.environment["BASELINE"] == git(root, "rev-parse", "main").strip()
    assert job.summary.startswith("\n### registry-pipeline status\n")
    assert "| run_registry | pass | pass |" in job.summary
    cases = read_junit((job.artifacts / "registry-report/verify.xml").read_text(encoding="utf-8"))
    assert len(cases) > 10
    assert {state_of(case) for case in cases.values()} == {"pass"}


def test_a_pull_request_that_alters_and_removes_runs_fails_where_it_should(
    propose: Callable[..., tuple[Path, str]], run_workflow: RunWorkflow
) -> None:
    def damage(root: Path) -> None:
        flip_byte(find_run(root, "drift_signals_build") / "DRIFT_SIGNALS_v0_1.json")
        shutil.rmtree(find_run(root, "registry_delta_log_build"))
        (root / "60-REGISTRY/data/run-index.jsonl").write_text("")

    root, commit = propose(damage)

    job = run_workflow(TRACKED, root, commit, event="pull_request")

    assert set(job.failed) == {
        "Verify every run",
        "Check that no run was removed or sealed again",
        "Check the run index",
        "Write the summary",
        "Write the test report",
    }
    assert "::error file=.codex/RUNS/" in job.log["Verify every run"]
    assert "title=HASH_MISMATCH::" in job.log["Verify every run"]
    assert "registry_delta_log_build" in job.log["Check that no run was removed or sealed again"]
    assert "**DEGRADED_BLOCKING**" in job.summary
    cases = read_junit((job.artifacts / "registry-report/verify.xml").read_text(encoding="utf-8"))
    assert "failure" in {state_of(case) for case in cases.values()}


def test_the_first_push_of_runs_has_nothing_to_compare_with(origin: Path, run_workflow: RunWorkflow) -> None:
    commit = git(origin, "rev-parse", "main").strip()

    first = run_workflow(TRACKED, origin, commit, before=git(origin, "rev-parse", "main^").strip())
    new_branch = run_workflow(TRACKED, origin, commit)

    compare = "Check that no run was removed or sealed again"
    assert first.failed == new_branch.failed == [], first.log
    assert "::notice::The earlier commit has no sealed run" in first.log[compare]
    assert new_branch.outcomes[compare] == "skipped"
    assert "::notice::The branch is new" in new_branch.log["Find the commit to compare with"]


def test_a_force_push_from_an_unknown_commit_fails(origin: Path, run_workflow: RunWorkflow) -> None:
    job = run_workflow(TRACKED, origin, git(origin, "rev-parse", "main").strip(), before="1" * 40)

    assert job.failed == ["Find the commit to compare with"], job.log


def test_builds_continue_from_the_artifact_of_the_last_one(
    tmp_path: Path, home: Path, run_workflow: RunWorkflow
) -> None:
    base = make_repository(tmp_path / "repository", home)
    commit = git(base, "rev-parse", "main").strip()

    first = run_workflow(ARTIFACTS, base, commit)
    second = run_workflow(ARTIFACTS, base, commit)

    assert first.failed == second.failed == [], (first.log, second.log)
    assert "::warning::There is no artifact" in first.log["last"]
    assert first.outcomes["Restore and verify them"] == "skipped"
    assert second.outcomes["Restore and verify them"] == "success"
    runs = [{path.name for path in (job.workspace / ".codex/RUNS").iterdir()} for job in (first, second)]
    assert runs[0] < runs[1]
    assert "### registry-pipeline anchor\n\n" in second.summary
    records = call("log", "--json", cwd=second.workspace, env=environment(home)).document("log")["records"]
    actors = {record["actor"] for record in records if "actor" in record}
    assert actors == {"registries on behalf of ada"}
    assert "RUN_HISTORY_UNKNOWN" in first.log["build"]
    assert "RUN_HISTORY_UNKNOWN" not in second.log["build"]

    # A damaged artifact is found, and neither built upon nor replaced.
    archive = first.artifacts / "registry-runs/registry-runs.tar.gz"
    active = find_run(second.workspace, "run_registry_build")
    flip_byte(active / "RUN_REGISTRY_v0_1.jsonl")
    subprocess.run(["tar", "-czf", archive, ".codex/RUNS"], cwd=second.workspace, check=True)
    before = archive.read_bytes()
    third = run_workflow(ARTIFACTS, base, commit)

    assert third.failed[0] == "Restore and verify them"
    assert third.outcomes["build"] == "skipped"
    assert archive.read_bytes() == before
