"""One verdict everywhere: every command and every Dagster check decides the same about a role pack."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from registry_pipeline.capture_table import ROLE_REGISTRY
from registry_pipeline.cli.main import main
from registry_pipeline_tests.cli.conftest import NOON, CommandResult, Repository, environment
from registry_pipeline_tests.copies import copied_repository, make_removable
from registry_pipeline_tests.defs.conftest import DagsterRepo, open_dagster_repo, page_of, values_of, verdicts_of
from registry_pipeline_tests.old_role_pack import (
    DEFECTS,
    OLD,
    ROLES,
    WITH_NEW_DEFECT,
    WITH_VALID_ROLE,
    WITHOUT_A_ROLE,
    old_roles,
    pack_of,
    publish,
)
from registry_pipeline_tests.registries.repositories import commit, git, repository, write
from registry_pipeline_tests.role_packs import PACK, role

LATER = "2026-03-01T13:00:00Z"
AGAIN = "2026-03-01T14:00:00Z"
_PLACE = re.compile(r" (\d+:\d+)$")

Errors = list[tuple[str, str | None]]


@dataclass(frozen=True)
class QuickRepository(Repository):
    """A repository whose commands run in this process: there are many, and each would start an interpreter."""

    def __call__(self, *words: str, now: str = NOON, prefix: tuple[str, ...] = (), **more: str) -> CommandResult:  # noqa: ARG002
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        try:
            with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
                patch.setattr(os, "environ", environment(self.home, **more))
                patch.chdir(self.root)
                code = main([*words, "--now", now])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        for stream in (out, err):
            stream.seek(0)
        return CommandResult(code, out.read(), err.read())


class Verdict(NamedTuple):
    """What one entry point decides: how it ends, its errors as (code, line:column), and how many RR020 it tolerates."""

    exit_code: int
    errors: Errors
    tolerated: int


@dataclass(frozen=True)
class Case:
    """A repository, the pack that lies in it, and what every entry point must decide.

    `codes` are those of the errors, `tolerated` the number of old defects, `baselines` what else it is compared with.
    """

    name: str
    prepare: Callable[[Path], Path]
    pack: str
    active: bool
    codes: list[str]
    tolerated: int
    exit_code: int
    baselines: bool = True

    def __str__(self) -> str:
        return self.name


def publish_in_a_shallow_clone(root: Path) -> Path:
    """Make a clone that lacks the commit before the last one, so that the baseline of that is not known."""
    source = publish(root.parent / "source")
    git(root.parent, "clone", "-q", "--depth", "1", source.as_uri(), str(root))
    return root


def publish_nothing(root: Path) -> Path:
    """Make a repository in which no commit has a pack."""
    repository(root)
    commit(root, {"registry-pipeline.toml": "", ".gitignore": "/.codex/\n"})
    return root


def commit_on_main(root: Path) -> Path:
    """Make a repository whose last commit on main adds the new role that lacks a field."""
    publish(root)
    commit(root, {PACK: WITH_NEW_DEFECT})
    return root


def remove_on_main(root: Path) -> Path:
    """Make a repository whose main removed the last role, which a later commit does not show."""
    publish(root)
    commit(root, {PACK: WITHOUT_A_ROLE})
    commit(root, {"README.md": "tidy\n"})
    return root


REUSED = pack_of([*old_roles()[:-1], role(f"role_{ROLES - 1}", X=(1,), department_id="post")])
"""Another role under the id of the removed one."""

CASES = [
    Case("published_before_the_rules", publish, OLD, False, [], DEFECTS, 0),
    Case("rebuilt_unchanged", publish, OLD, True, [], DEFECTS, 0),
    Case("valid_role_added", publish, WITH_VALID_ROLE, True, [], DEFECTS, 0),
    Case("new_role_lacks_lifecycle", publish, WITH_NEW_DEFECT, True, ["RR020"], DEFECTS, 3),
    Case("new_role_lacks_lifecycle_at_first", publish, WITH_NEW_DEFECT, False, ["RR020"], DEFECTS, 3),
    Case("committed_on_main", commit_on_main, WITH_NEW_DEFECT, False, ["RR020"], DEFECTS, 3),
    Case("role_removed", publish, WITHOUT_A_ROLE, True, ["RR001", "RR002", "RR002"], DEFECTS - 2, 3),
    Case("role_removed_at_first", publish, WITHOUT_A_ROLE, False, ["RR001", "RR002", "RR002"], DEFECTS - 2, 3),
    Case("removed_id_used_again", remove_on_main, REUSED, True, ["RR035"], DEFECTS - 2, 3, baselines=False),
    Case("nothing_is_published", publish_nothing, OLD, False, ["RR020"] * DEFECTS, 0, 3, baselines=False),
    Case("baseline_is_unknown", publish_in_a_shallow_clone, OLD, False, ["RR030"], DEFECTS, 7, baselines=False),
]


@pytest.fixture
def prepared(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The repository of a case with its pack, after `init` and, if something is active, a first build."""
    case: Case = request.getfixturevalue("case")
    root = case.prepare(tmp_path / "repository")
    repo = QuickRepository(root, tmp_path_factory.mktemp("home"))
    assert repo("init").code == 0
    if case.active:
        assert repo("build", ROLE_REGISTRY, "--only").code == 0
        built = repo("activate", ROLE_REGISTRY, run_of(repo), "--reason", "first")
        assert built.code == 0, built.out
    write(root, {PACK: case.pack, "published.json": OLD})
    yield root
    make_removable(root)


def run_of(repo: Repository) -> str:
    """Return the newest sealed run of the role registry."""
    return max(path.name for path in repo.runs.glob("*role_registry_build*"))


def verdict_of(result: CommandResult, document: Any, findings: Iterable[Mapping[str, Any]] | None = None) -> Verdict:
    """Return the verdict that a JSON document of a command gives."""
    roles = [each for each in findings or document["findings"] if each["code"].startswith("RR")]
    errors = sorted((each["code"], each["location"]) for each in roles if each["severity"] == "error")
    tolerated = sum(each["code"] == "RR020" and each["severity"] == "warning" for each in roles)
    return Verdict(result.code, errors, tolerated)


def checked_by_commands(repo: Repository, case: Case) -> dict[str, Verdict]:
    """Return the verdict of `roles check` with every kind of baseline, and of `status`."""
    git(repo.root, "add", "-A")
    words = [(), ("--staged",), ("--history",)]
    if case.baselines:
        reference = "main~1" if case.name == "committed_on_main" else "main"
        words += [("--baseline", reference), ("--baseline", "published.json")]
    if case.active:
        words += [("--baseline", "active")]
    verdicts = {}
    for each in words:
        result = repo("roles", "check", *each, "--json")
        verdicts[" ".join(("roles check", *each))] = verdict_of(result, result.document("roles-check"))
    result = repo("status", "--json")
    status = verdict_of(result, result.document("status"))
    # `status` reports the defects of the active run, too; with none active they are those of the pack.
    tolerated = verdicts["roles check"].tolerated if case.active else status.tolerated
    return verdicts | {"status": status._replace(tolerated=tolerated)}


def sealed_by_commands(repo: Repository) -> dict[str, Verdict]:
    """Return the verdict of a build, and of `verify` and `activate` on the run that it sealed or kept."""
    outcome = repo("build", ROLE_REGISTRY, "--only", "--json", now=LATER)
    document = outcome.document("build")
    (row,) = document["built"]
    verdicts = {"build": verdict_of(outcome, document)}
    assert (row["verdict"] == "pass") == (outcome.code == 0)
    outcome = repo("verify", row["run_id"], "--json", now=LATER)
    (result,) = outcome.document("verify")["results"]
    verdicts["verify"] = verdict_of(outcome, result)
    outcome = repo("activate", ROLE_REGISTRY, row["run_id"], "--reason", "try", "--json", now=LATER)
    activated = verdict_of(outcome, outcome.document("activate"))
    # A gate that refuses exits 5 whatever the reason, and an activation that succeeds reports no warnings of the run.
    assert outcome.code == (5 if activated.errors else 0)
    verdicts["activate"] = Verdict(verdicts["verify"].exit_code, activated.errors, verdicts["verify"].tolerated)
    return verdicts


def checked_by_dagster(repo: DagsterRepo, case: Case) -> Verdict:
    """Return the verdict of the blocking checks of the asset, and of the sensor that activates what passed them."""
    before = repo.active().get(ROLE_REGISTRY)
    result = repo.materialize(ROLE_REGISTRY)
    checks = verdicts_of(result, ROLE_REGISTRY)
    assert checks == {"seal": True, "schema": True, "append_only": case.exit_code == 0}
    (check,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "append_only"]
    roles = [row for row in values_of(check.metadata).get("findings", []) if row["code"].startswith("RR")]
    places = {row["where"]: place[1] if (place := _PLACE.search(row["where"])) else None for row in roles}
    errors = sorted((row["code"], places[row["where"]]) for row in roles if row["severity"] == "error")
    if checks["append_only"]:
        sealed = page_of(result, ROLE_REGISTRY)["run_id"]
        if before is None or before.run_id != sealed:
            assert repo.asked_for() == {ROLE_REGISTRY: sealed}
            assert repo.execute_request(repo.requested()).success
        assert repo.active()[ROLE_REGISTRY].run_id == sealed
    else:
        assert "check append_only failed" in repo.skipped()
        assert repo.active().get(ROLE_REGISTRY) == before
    return Verdict(
        case.exit_code, errors, sum(row["code"] == "RR020" and row["severity"] == "warning" for row in roles)
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_entry_point_gives_the_same_verdict(case: Case, prepared: Path, home: Path, tmp_path: Path) -> None:
    quick = QuickRepository(prepared, home)
    verdicts = checked_by_commands(quick, case)
    with copied_repository(prepared, tmp_path / "dagster") as copy, open_dagster_repo(copy) as repo:
        verdicts["Dagster"] = checked_by_dagster(repo, case)
    verdicts |= sealed_by_commands(quick)

    assert verdicts == dict.fromkeys(verdicts, verdicts["roles check"])
    expected = verdicts["roles check"]
    assert [code for code, _ in expected.errors] == case.codes
    assert (expected.exit_code, expected.tolerated) == (case.exit_code, case.tolerated)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in ("valid_role_added", "role_removed_at_first")], ids=str
)
def test_a_sealed_run_has_the_same_verdict_without_git_and_without_the_repository(
    case: Case, prepared: Path, home: Path, tmp_path: Path
) -> None:
    repo = QuickRepository(prepared, home)
    repo("build", ROLE_REGISTRY, "--only", now=LATER)
    folder = repo.runs / run_of(repo)
    before = repo("verify", folder.name, "--json", now=LATER)
    elsewhere = tmp_path / "archive" / folder.name
    shutil.copytree(folder, elsewhere)
    shutil.rmtree(prepared / ".git")

    for outcome in (repo("verify", folder.name, "--json"), repo("verify", f"{elsewhere}/", "--json")):
        (result,), (first,) = outcome.document("verify")["results"], before.document("verify")["results"]
        assert verdict_of(outcome, result) == verdict_of(before, first)
        assert result["verdict"] == first["verdict"] == ("pass" if case.exit_code == 0 else "fail")
    make_removable(tmp_path / "archive")


@pytest.mark.parametrize("case", [CASES[1]], ids=str)
def test_an_unchanged_pack_fails_after_main_published_what_it_lacks(case: Case, prepared: Path, home: Path) -> None:
    repo = QuickRepository(prepared, home)
    git(prepared, "checkout", "-q", "-b", "work")
    git(prepared, "checkout", "-q", "main")
    commit(prepared, {PACK: WITH_VALID_ROLE})
    git(prepared, "checkout", "-q", "work")

    check = repo("roles", "check", "--json")
    build = repo("build", ROLE_REGISTRY, "--only", "--json", now=AGAIN)

    verdict = verdict_of(build, build.document("build"))
    assert verdict == verdict_of(check, check.document("roles-check"))
    assert [code for code, _ in verdict.errors] == ["RR001", "RR002"]
    assert case.active
