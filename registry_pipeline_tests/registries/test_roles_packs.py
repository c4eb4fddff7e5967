"""The role pack on the disk, in git's index, and as a capture."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_pipeline.capture_table import WAIVERS_PATH
from registry_pipeline.config import Config, Repository, Roles, load_repository
from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.files.read import MAX_BYTES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.base.reader import Previous, SourceContext
from registry_pipeline.registries.roles import comparison
from registry_pipeline.registries.roles.read import read_pack_file, read_role_registry_inputs, read_staged_pack
from registry_pipeline.registries.roles.retired import NO_RETIRED_IDS
from registry_pipeline.runs.envelope import CaptureCheck
from registry_pipeline_tests.registries.repositories import commit, git, repository, write

DEFAULT = Config().roles.pack
PACK = "assets/pack.json"


def refused(place: Path, top: Path | None = None) -> str:
    with pytest.raises(NotFoundError) as caught:
        read_pack_file(place, "the pack", top)
    return caught.value.message


def test_a_pack_is_a_regular_file_that_no_link_leads_to(tmp_path: Path) -> None:
    write(tmp_path, {"real/pack.json": "{}"})
    (tmp_path / "assets").symlink_to("real")
    (tmp_path / "link.json").symlink_to("real/pack.json")
    os.mkfifo(tmp_path / "pipe.json")

    assert read_pack_file(tmp_path / "real/pack.json", "the pack", tmp_path) == b"{}"
    assert "is a link" in refused(tmp_path / "link.json", tmp_path)
    assert "behind the link assets" in refused(tmp_path / "assets/pack.json", tmp_path)
    assert "not a regular file" in refused(tmp_path / "pipe.json", tmp_path)
    assert "Is a directory" in refused(tmp_path / "real", tmp_path)
    assert "the file does not exist" in refused(tmp_path / "none.json", tmp_path)


def test_a_file_named_by_hand_may_lie_behind_a_linked_folder(tmp_path: Path) -> None:
    write(tmp_path, {"real/pack.json": "{}"})
    (tmp_path / "assets").symlink_to("real")

    assert read_pack_file(tmp_path / "assets/pack.json", "the pack") == b"{}"


def test_a_pack_that_is_too_large_is_refused_and_not_read(tmp_path: Path) -> None:
    place = tmp_path / "pack.json"
    with place.open("wb") as file:
        file.truncate(MAX_BYTES + 1)

    assert "larger than 64 MiB" in refused(place, tmp_path)


def staged(root: Path, index_file: str | None = None) -> bytes:
    return read_staged_pack(root, PACK, index_file)


def test_the_index_is_read_and_not_the_disk(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    commit(root, {PACK: "one"})
    write(root, {PACK: "two"})
    git(root, "add", "-A")
    write(root, {PACK: "three"})

    assert staged(root) == b"two"


def test_the_index_of_a_hook_is_used_if_it_belongs_to_this_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git commit -a` makes an index of its own, which is what will be committed."""
    root, other = repository(tmp_path / "r"), repository(tmp_path / "other")
    commit(root, {PACK: "one"})
    commit(other, {PACK: "theirs"})
    write(root, {PACK: "two"})
    hook = root / ".git/hooks/pre-commit"
    hook.write_text(f'#!/bin/sh\ncp "$GIT_INDEX_FILE" "{root}/.git/kept"\n')
    hook.chmod(0o755)
    git(root, "commit", "-q", "-a", "-m", "x")
    git(root, "reset", "-q", "--soft", "HEAD~1")
    git(root, "reset", "-q")

    assert staged(root) == b"one"
    assert staged(root, str(root / ".git/kept")) == b"two"
    assert staged(root, str(other / ".git/index")) == b"one"
    assert staged(root, str(root / ".git/none")) == b"one"
    monkeypatch.chdir(root)
    assert staged(root, ".git/kept") == b"two"


@pytest.mark.parametrize(
    ("state", "message"),
    [("absent", "not in the index"), ("link", "a link"), ("conflict", "in conflict"), ("outside", "no git repository")],
)
def test_a_pack_that_the_index_cannot_give_is_reported(tmp_path: Path, state: str, message: str) -> None:
    root = tmp_path / "r"
    root.mkdir()
    if state != "outside":
        repository(root)
        commit(root, {"other.txt": "x"})
    if state == "link":
        (root / "assets").mkdir()
        (root / PACK).symlink_to("x")
        git(root, "add", "-A")
    if state == "conflict":
        blobs = [git(root, "hash-object", "-w", "other.txt") for _ in range(2)]
        lines = "".join(f"100644 {blob} {stage}\t{PACK}\n" for stage, blob in enumerate(blobs, 2))
        (root / "info").write_text(lines)
        with (root / "info").open() as info:
            subprocess.run(["git", "update-index", "--index-info"], cwd=root, stdin=info, check=True)

    with pytest.raises(NotFoundError, match=message):
        staged(root)


def repository_at(root: Path, pack: str = DEFAULT) -> Repository:
    return Repository(root, Config(roles=Roles(pack=pack)))


def test_a_capture_is_the_pack_under_its_own_name_with_the_waivers_as_input(tmp_path: Path) -> None:
    write(tmp_path, {PACK: '{"roles": []}', WAIVERS_PATH: "{}"})

    gathered = read_role_registry_inputs(repository_at(tmp_path, PACK), SourceContext())

    assert gathered.inputs.files == {"pack.json": b'{"roles": []}'}
    assert [file.path for file in gathered.files] == [PACK, WAIVERS_PATH]
    assert gathered.findings == ()


def test_a_pack_that_never_was_there_is_only_mentioned_and_one_that_is_gone_is_a_warning(tmp_path: Path) -> None:
    before = SourceContext(previous={"role_registry": Previous("a", {})})

    def code_and_severity(repository: Repository, context: SourceContext) -> tuple[str, Severity]:
        gathered = read_role_registry_inputs(repository, context)
        assert gathered.inputs is None
        (found,) = gathered.findings
        return found.code, found.severity

    assert code_and_severity(repository_at(tmp_path), SourceContext()) == ("CAPTURE_MISSING", Severity.INFO)
    assert code_and_severity(repository_at(tmp_path), before) == ("CAPTURE_MISSING", Severity.WARNING)
    assert code_and_severity(repository_at(tmp_path, PACK), SourceContext()) == ("CAPTURE_MISSING", Severity.WARNING)
    (tmp_path / "assets").mkdir()
    (tmp_path / DEFAULT).symlink_to("nowhere")
    assert code_and_severity(repository_at(tmp_path), SourceContext()) == ("CAPTURE_MISSING", Severity.WARNING)


def test_a_pack_of_which_no_role_can_be_read_is_not_captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {PACK: "["})
    bad = finding("CAPTURE_MALFORMED", PACK, detail="cut")
    check = CaptureCheck((bad, bad)), NO_RETIRED_IDS
    monkeypatch.setattr(comparison, "check_capture", lambda *_args, **_options: check)
    context = SourceContext(started=datetime(2026, 1, 1, tzinfo=UTC))

    gathered = read_role_registry_inputs(repository_at(tmp_path, PACK), context)

    assert gathered.inputs is None
    assert [found.code for found in gathered.findings] == ["CAPTURE_MALFORMED"]
    assert "(and 1 more)" in gathered.findings[0].message


@pytest.mark.parametrize(
    "pack", ["assets/pack.txt", "assets/run.json", "assets/ROLE_REGISTRY_v0_1.json", "assets/con.json", "../pack.json"]
)
def test_a_pack_whose_name_no_run_folder_could_hold_is_refused_in_the_toml(tmp_path: Path, pack: str) -> None:
    write(tmp_path, {"registry-pipeline.toml": f'[roles]\npack = "{pack}"\n'})

    with pytest.raises(ConfigError, match=r"roles\.pack"):
        load_repository(tmp_path)
