"""`roles` on the command line: check, bump, diagnostics, rules; output and exit codes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.findings.codes import rows_of_family
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline_tests.cli.conftest import PROGRAM, CommandResult, call, environment
from registry_pipeline_tests.command_line import run_process
from registry_pipeline_tests.registries.repositories import commit, git, repository, write
from registry_pipeline_tests.role_packs import DRIFTED, GROWN, PACK, SHRUNK, SMALL, pack, role

TOML = {"registry-pipeline.toml": "", ".gitignore": "/.codex/\n"}
NOW = "2026-03-01T12:00:00Z"
Studio = Callable[..., CommandResult]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose main has the small pack, on a branch that leads from there."""
    root = repository(tmp_path / "studio")
    commit(root, {**TOML, PACK: SMALL})
    commit(root, {"README.md": "# Studio"})
    git(root, "checkout", "-q", "-b", "work")
    return root


@pytest.fixture
def studio(root: Path, home: Path) -> Studio:
    """The command line in that repository."""

    def run(*words: str, **more: str) -> CommandResult:
        return call("roles", *words, "--now", NOW, cwd=root, env=environment(home, **more))

    return run


def codes(document: Any) -> list[str]:
    return [found["code"] for found in document["findings"]]


def checked(studio: Studio, *words: str) -> tuple[int, str, list[str]]:
    """Return how a check ended, its verdict and its codes."""
    result = studio("check", *words, "--json")
    document = result.document("roles-check")
    assert document["changed_files"] == []
    return result.code, document["verdict"], codes(document)


def test_a_pack_that_only_grew_passes(root: Path, studio: Studio) -> None:
    write(root, {PACK: GROWN})

    result = studio("check")

    assert (result.code, result.err) == (0, "")
    assert result.out == f"pass: {PACK}: 3 roles, 6 contracts against main:{PACK}; 0 errors, 0 warnings\n"


def test_changed_and_removed_contracts_fail_with_both_positions_and_the_commit(root: Path, studio: Studio) -> None:
    write(root, {PACK: SHRUNK.replace("producer C 1", "something else")})
    first = git(root, "rev-parse", "main~1")

    result = studio("check", "--json")

    document = result.document("roles-check")
    assert (result.code, document["verdict"]) == (3, "fail")
    assert codes(document) == ["RR001", "RR002", "RR002", "RR003"]
    drift = document["findings"][-1]
    assert (drift["ids"][-1], drift["path"], drift["published_by"]) == ("ROLE:producer:C:1", PACK, first)
    assert drift["baseline_location"].startswith(f"main:{PACK}:")
    assert {"pointer": "/title", "old": '"producer C 1"', "new": '"something else"'} in drift["differences"]
    assert document["counts"] | {"errors": 4, "roles": 1, "contracts": 2} == document["counts"]


def test_the_text_has_a_line_for_each_violation_and_a_total(root: Path, studio: Studio) -> None:
    write(root, {PACK: SHRUNK})

    *lines, last = studio("check").out.splitlines()

    assert [line.split()[:2] for line in lines] == [
        ["ROLES_INVALID:", "RR001"],
        ["ROLES_INVALID:", "RR002"],
        ["ROLES_INVALID:", "RR002"],
    ]
    assert "restore chart_designer" in lines[0]
    assert last.startswith(f"FAIL: {PACK}: 1 role, 2 contracts against main:{PACK}; 3 errors")


def test_a_warning_is_a_verdict_of_its_own_and_fails_on_request(root: Path, studio: Studio) -> None:
    write(root, {PACK: SMALL.replace('"vocab_namespace": ""', '"vocab_namespace": "other"', 1)})

    assert checked(studio) == (0, "warn", ["RR026"])
    assert checked(studio, "--fail-on", "warning") == (4, "warn", ["RR026"])
    assert studio("check", "--fail-on", "drift").code == 2


def test_a_commit_on_main_is_compared_with_its_parent(root: Path, studio: Studio) -> None:
    git(root, "checkout", "-q", "main")
    commit(root, {PACK: DRIFTED})

    assert checked(studio) == (3, "fail", ["RR003"])

    commit(root, {"other.txt": "x"})
    assert checked(studio) == (0, "pass", [])
    assert checked(studio, "--history") == (3, "fail", ["RR003"])


def test_staged_checks_the_index_and_not_the_disk(root: Path, studio: Studio) -> None:
    write(root, {PACK: DRIFTED})
    git(root, "add", "-A")
    write(root, {PACK: SMALL})

    assert checked(studio, "--staged") == (3, "fail", ["RR003"])
    assert checked(studio) == (0, "pass", [])
    assert studio("check", "--staged", "--current", PACK).code == 2


def test_a_hook_stops_the_commit_that_git_commit_a_would_make(root: Path, home: Path) -> None:
    hook = root / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {' '.join(PROGRAM)} roles check --staged\n")
    hook.chmod(0o755)
    write(root, {PACK: DRIFTED})
    who = {f"GIT_{w}_{k}": "a@example.invalid" for w in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")}
    env = environment(home, **who)

    def committed(text: str) -> int:
        write(root, {PACK: text})
        return subprocess.run(
            ["git", "commit", "-qam", "x"], cwd=root, env=env, capture_output=True, check=False
        ).returncode

    assert committed(DRIFTED) == 1
    assert committed(GROWN) == 0


def test_a_file_or_a_revision_is_a_baseline_by_name(root: Path, studio: Studio) -> None:
    write(root, {"old.json": GROWN, PACK: SMALL})
    git(root, "tag", "v1")

    assert checked(studio, "--baseline", "v1") == (0, "pass", [])
    assert checked(studio, "--baseline", "old.json")[2] == ["RR001", "RR002", "RR002"]
    assert checked(studio, "--current", "old.json") == (0, "pass", [])
    assert checked(studio, "--current", "old.json", "--baseline", "./old.json") == (0, "pass", [])


def test_the_toml_names_pack_and_baseline(root: Path, studio: Studio) -> None:
    commit(
        root, {"packs/own.json": SMALL, "registry-pipeline.toml": '[roles]\npack = "packs/own.json"\nbaseline = "v1"\n'}
    )
    git(root, "tag", "v1")
    commit(root, {"packs/own.json": DRIFTED})

    document = studio("check", "--json").document("roles-check")

    assert (document["pack"], document["baseline"], codes(document)) == (
        "packs/own.json",
        "v1:packs/own.json",
        ["RR003"],
    )


def test_a_first_publish_is_reported_and_checked_by_its_own_rules(tmp_path: Path, home: Path) -> None:
    root = repository(tmp_path / "new")
    commit(root, TOML)
    write(root, {PACK: SMALL.replace('"lifecycle": "active"', '"lifecycle": "gone"', 1)})

    result = call("roles", "check", "--json", cwd=root, env=environment(home))

    document = result.document("roles-check")
    assert (result.code, codes(document), document["baseline"]) == (3, ["RR020", "RR031"], None)


def unknown(result: CommandResult) -> str:
    """Return why a check could not be made, and see that it says nothing else."""
    document = result.document("roles-check")
    assert (result.code, document["verdict"]) == (7, "error")
    assert codes(document) == ["RR030"]
    return str(document["findings"][0]["message"])


@pytest.mark.parametrize(
    ("state", "words", "message"),
    [
        ("gone", (), "the file does not exist"),
        ("link", (), "is a link"),
        ("behind", (), "is behind the link assets"),
        ("folder", (), "Is a directory"),
        ("large", (), "larger than 64 MiB"),
        ("unstaged", ("--staged",), "is not in the index"),
        ("fine", ("--baseline", "v9"), "neither a git revision nor a file"),
        ("fine", ("--baseline", "none.json"), "neither a git revision nor a file"),
        ("fine", ("--baseline", "active"), "no role_registry is active"),
        ("fine", ("--current", "none.json"), "the file does not exist"),
        ("renamed", (), "published the pack elsewhere"),
        ("nobaseline", (), "not a valid RolePack"),
    ],
)
def test_a_check_that_is_impossible_exits_7_and_says_why(
    root: Path, studio: Studio, state: str, words: tuple[str, ...], message: str
) -> None:
    place = root / PACK
    if state in ("gone", "link", "folder", "unstaged"):
        place.unlink()
    if state == "link":
        (root / "real.json").write_text(SMALL)
        place.symlink_to("../real.json")
    elif state == "behind":
        (root / "assets").rename(root / "real")
        (root / "assets").symlink_to("real")
    elif state == "folder":
        place.mkdir()
    elif state == "large":
        with place.open("wb") as file:
            file.truncate((64 << 20) + 1)
    elif state == "unstaged":
        git(root, "add", "-A")
    elif state == "renamed":
        git(root, "branch", "-q", "-m", "main", "trunk")
    elif state == "nobaseline":
        git(root, "checkout", "-q", "main")
        commit(root, {PACK: "not json"})
        git(root, "checkout", "-q", "-f", "work")

    assert message in unknown(studio("check", *words, "--json"))


def test_a_shallow_clone_of_the_last_commit_has_no_baseline(root: Path, home: Path, tmp_path: Path) -> None:
    git(root, "checkout", "-q", "main")
    commit(root, {PACK: DRIFTED})
    git(tmp_path, "clone", "-q", "--depth", "1", "--branch", "main", f"file://{root}", "clone")

    result = call("roles", "check", "--json", cwd=tmp_path / "clone", env=environment(home))

    assert "shallow" in unknown(result)


def test_without_git_the_pack_cannot_be_checked(root: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()

    result = call("roles", "check", "--json", cwd=root, env=environment(home, PATH=str(tmp_path / "bin")))

    assert "git cannot be run" in unknown(result)


def test_a_plain_folder_is_a_first_publish_unless_a_file_is_named(home: Path, tmp_path: Path) -> None:
    write(tmp_path, {"registry-pipeline.toml": "", PACK: DRIFTED, "old.json": SMALL})
    env = environment(home)

    first = call("roles", "check", "--json", cwd=tmp_path, env=env)
    named = call("roles", "check", "--baseline", "old.json", "--json", cwd=tmp_path, env=env)

    assert (first.code, codes(first.document("roles-check"))) == (0, ["RR031"])
    assert (named.code, codes(named.document("roles-check"))) == (3, ["RR003"])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "RR028"),
        (b"[" * 100_000, "RR029"),
        (b'{"roles": [' + b"[" * 70 + b"]" * 70 + b"]}", "RR029"),
        (b"\xff\xfe", "RR017"),
        (b'{"roles": [], "roles": []}', "RR027"),
        (b'{"roles": [NaN]}', "RR028"),
        (b"null", "RR020"),
    ],
)
def test_invalid_bytes_are_violations_and_never_a_traceback(root: Path, studio: Studio, data: bytes, code: str) -> None:
    (root / PACK).write_bytes(data)

    result = studio("check", "--json")

    assert result.code == 3
    assert result.err == ""
    assert code in codes(result.document("roles-check"))


def test_a_pack_of_fifty_megabytes_is_checked(root: Path, studio: Studio) -> None:
    big = pack(role("producer", X=(1,), display_name="x" * (50 << 20)), role("chart_designer", C=(1, 2)))
    write(root, {PACK: big})

    assert checked(studio) == (0, "pass", [])


def test_after_ten_annotations_the_rest_is_summarised(tmp_path: Path, home: Path) -> None:
    root = repository(tmp_path / "many")
    commit(root, {**TOML, PACK: pack(*(role(f"role_{n:02}", C=()) for n in range(14)), role("kept", C=()))})
    write(root, {PACK: pack(role("kept", C=()))})

    result = call("roles", "check", "--format", "github", cwd=root, env=environment(home))

    lines = result.out.splitlines()
    assert result.code == 3
    assert len(lines) == 11
    assert all(line.startswith(f"::error file={PACK},line=") for line in lines[:10])
    assert lines[10].startswith("::notice title=4 more findings::and 4 more: RR001 x4")


def test_ten_annotations_are_not_folded(tmp_path: Path, home: Path) -> None:
    root = repository(tmp_path / "ten")
    commit(root, {**TOML, PACK: pack(*(role(f"role_{n:02}", C=()) for n in range(10)), role("kept", C=()))})
    write(root, {PACK: pack(role("kept", C=()))})

    lines = call("roles", "check", "--format", "github", cwd=root, env=environment(home)).out.splitlines()

    assert [line.split(",")[0] for line in lines] == [f"::error file={PACK}"] * 10


def waiver(fingerprint: str, expires: str = "2026-03-01") -> str:
    row = {"fingerprint": fingerprint, "reason": "agreed", "approver": "Ada", "expires": expires}
    return json.dumps({"waivers_version": "0.1", "waivers": [row]})


def test_a_waiver_removes_a_violation_until_its_day_is_over(root: Path, studio: Studio) -> None:
    write(root, {PACK: SMALL.replace('"vocab_namespace": ""', '"vocab_namespace": "other"', 1)})
    (found,) = studio("check", "--json").document("roles-check")["findings"]
    waivers = root / "docs/governance/ROLE_WAIVERS_v0_1.json"
    waivers.parent.mkdir(parents=True)

    waivers.write_text(waiver(found["fingerprint"]))
    document = studio("check", "--json").document("roles-check")
    assert (document["verdict"], codes(document), document["counts"]["waived"]) == ("pass", [], 1)
    assert document["waived"][0]["code"] == "RR026"
    assert "waived    RR026 " in studio("check").out

    waivers.write_text(waiver(found["fingerprint"], "2026-02-28"))
    assert checked(studio) == (0, "warn", ["RR026", "RR033"])

    waivers.write_text(waiver("0" * 64))
    assert checked(studio) == (0, "warn", ["RR026", "RR032"])
    assert checked(studio, "--baseline", "HEAD") == (0, "warn", ["RR026"])

    waivers.write_text("{")
    assert checked(studio) == (3, "fail", ["RR026", "RR034"])


def test_a_waiver_of_a_removed_role_is_itself_a_violation(root: Path, studio: Studio) -> None:
    write(root, {PACK: SHRUNK})
    found = studio("check", "--json").document("roles-check")["findings"][0]
    write(root, {"docs/governance/ROLE_WAIVERS_v0_1.json": waiver(found["fingerprint"])})

    assert checked(studio) == (3, "fail", ["RR001", "RR002", "RR002", "RR034"])


def test_an_unreadable_waivers_file_is_reported(root: Path, studio: Studio) -> None:
    (root / "docs/governance/ROLE_WAIVERS_v0_1.json").mkdir(parents=True)

    assert checked(studio) == (7, "error", ["RR030"])


def test_every_violation_is_recorded_once_and_counted(root: Path, studio: Studio) -> None:
    write(root, {PACK: SHRUNK})
    studio("check")
    studio("check", "--staged")
    studio("check")

    document = studio("diagnostics", "--events", "--json").document("roles-diagnostics")

    assert sorted((row["code"], row["count"]) for row in document["diagnostics"]) == [
        ("RR001", 2),
        ("RR002", 2),
        ("RR002", 2),
    ]
    assert {row["tool"] for row in document["diagnostics"]} == {"roles check"}
    assert {row["job_id"] for row in document["diagnostics"]} == {None}
    assert len(document["events"]) == 6
    assert studio("diagnostics", "--limit", "1", "--json").document("roles-diagnostics")["count"] == 1
    text = studio("diagnostics", "--events").out
    assert text.count("RR002") == 2
    assert text.count("FR-EVT-003") == 6
    assert git(root, "status", "--porcelain") == f"M {PACK}"


def test_without_violations_there_is_no_store(root: Path, studio: Studio) -> None:
    assert studio("check").code == 0

    assert not (root / ".codex").exists()
    assert studio("diagnostics").out == "no violation was found yet\n"


def test_an_unusable_store_is_a_note_and_changes_no_verdict(root: Path, studio: Studio) -> None:
    write(root, {PACK: DRIFTED, ".codex/diagnostics.duckdb": "no database"})

    result = studio("check")

    assert result.code == 3
    assert "RR003" in result.out
    assert result.err.startswith("not recorded in the diagnostics: ")
    assert (root / ".codex/diagnostics.duckdb").read_text() == "no database"
    shown = studio("diagnostics", "--json")
    assert shown.code == 7
    assert "move it away" in json.loads(shown.out)["error"]["advice"]


def test_bump_adds_the_next_version_and_changes_no_other_line(root: Path, studio: Studio) -> None:
    place = root / PACK
    place.chmod(0o640)

    dry = studio("bump", "chart_designer", "C", "--dry-run", "--json").document("roles-bump")
    assert (dry["changed_files"], place.read_text()) == ([], SMALL)
    result = studio("bump", "chart_designer", "C", "--json")

    document = result.document("roles-bump")
    assert (result.code, document["contract_id"]) == (0, "ROLE:chart_designer:C:3")
    assert (document["after"], document["changed_files"]) == ("ROLE:chart_designer:C:2", [PACK])
    removed = [
        line for line in git(root, "diff", "-U0", "--", PACK).splitlines() if line.startswith("-") and "---" not in line
    ]
    assert [line.strip("-, ") for line in removed] in ([], ["}"])
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    after = parse_pack(place.read_bytes(), PACK).snapshot
    assert after is not None
    assert "ROLE:chart_designer:C:3" in {contract.contract_id for contract in after.contracts}
    assert studio("check").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nobody", "C"), 7, "nobody"),
        (("producer", "Z"), 2, "'X', 'C'"),
        (("producer",), 2, "Missing argument"),
    ],
)
def test_an_impossible_bump_is_reported_and_changes_nothing(
    root: Path, studio: Studio, words: tuple[str, ...], code: int, message: str
) -> None:
    result = studio("bump", *words)

    assert result.code == code
    assert message in result.err
    assert (root / PACK).read_text() == SMALL


def test_an_invalid_pack_or_a_link_is_not_bumped(root: Path, studio: Studio) -> None:
    write(root, {PACK: SMALL[:-20]})
    assert studio("bump", "producer", "C").code == 5
    assert (root / PACK).read_text() == SMALL[:-20]

    (root / PACK).rename(root / "real.json")
    (root / PACK).symlink_to(root / "real.json")
    assert studio("bump", "producer", "C").code == 7
    assert (root / PACK).is_symlink()


def test_the_rules_are_those_of_the_table(studio: Studio) -> None:
    document = studio("rules", "--json").document("roles-rules")

    assert [rule["code"] for rule in document["rules"]] == [row.code for row in rows_of_family("roles")]
    text = studio("rules").out
    assert all(row.code in text for row in rows_of_family("roles"))
    assert "{" not in text.replace("{1,64}", "")


def test_a_check_without_violations_does_not_import_the_store(root: Path, home: Path) -> None:
    imports = "import sys; from registry_pipeline.cli.main import main"
    script = f"{imports}; main(['roles', 'check']); print('duckdb' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=environment(home), capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "False"


def test_a_process_that_records_violations_prints_nothing_else_at_its_end(root: Path, home: Path) -> None:
    """The database reports objects as leaks if the interpreter does not collect them before it ends."""
    write(root, {PACK: DRIFTED})

    result = run_process("roles", "check", cwd=root, env=environment(home))

    assert (result.code, result.err) == (3, "")


def test_roles_check_works_in_a_subfolder(root: Path, home: Path) -> None:
    result = call("roles", "check", cwd=root / "assets", env=environment(home))

    assert result.code == 0
    assert os.fspath(PACK) in result.out
