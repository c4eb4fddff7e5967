"""Where keys and files of allowed signers are named: what is refused, what is never printed or waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry_pipeline.signing import process
from registry_pipeline.signing.keys import KEY_VARIABLE
from registry_pipeline_tests.cli.conftest import CommandResult, Repository
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.signing.keys import Key

ROLLBACK = ("rollback", "--reason", "x", "--sign")
SIGNED = ("verify", "--chain", "--signed")


def refusal(result: CommandResult) -> tuple[int, str]:
    """Return the exit code and the error, which is one line; `rollback` first says what it would undo."""
    lines = [line for line in result.err.splitlines() if not line.startswith("undoing ")]
    assert len(lines) == 1, result.err
    return result.code, lines[0]


@pytest.mark.parametrize("cut", ["all", "body", "one line"])
def test_the_text_of_a_private_key_is_refused_and_never_printed(
    cut: str, plain: Repository, keys: dict[str, Key], tmp_path: Path
) -> None:
    text = keys["alice"].path.read_text("utf-8")
    body = text.splitlines()[1:-1]
    given = {"all": text, "body": "\n".join(body), "one line": "".join(body)}[cut]
    git(plain.root, "config", "gpg.format", "ssh")
    git(plain.root, "config", "user.signingKey", given)
    before = plain.files()

    results = [
        plain(*ROLLBACK, REGISTRY_PIPELINE_SIGNING_KEY=given),
        plain(*ROLLBACK),
        plain("attest", "latest", "--key", given),
        plain("attest", "latest", REGISTRY_PIPELINE_SIGNING_KEY=given),
    ]

    for result, source in zip(results, (KEY_VARIABLE, "git's user.signingKey", "--key", KEY_VARIABLE), strict=True):
        code, line = refusal(result)
        assert (code, f"{source} contains a private key; it must name its file" in line) == (5, True), line
        assert not any(part[:20] in result.out + result.err for part in body)
    assert plain.files() == before


@pytest.mark.parametrize("given", ["first\nsecond", "x" * 5000])
def test_a_key_that_can_be_no_path_is_refused_and_not_printed(given: str, plain: Repository) -> None:
    code, line = refusal(plain(*ROLLBACK, REGISTRY_PIPELINE_SIGNING_KEY=given))

    assert (code, "must name a file" in line, given[-5:] in line) == (5, True, False)


def test_a_home_folder_that_is_not_known_is_one_line(plain: Repository, signers: Path) -> None:
    unknown = "~no-such-user/x"
    git(plain.root, "config", "gpg.ssh.allowedSignersFile", unknown)
    toml = plain.root / "registry-pipeline.toml"
    toml.write_text(f'{toml.read_text("utf-8")}\n[anchors]\nfile = "{unknown}"\n', "utf-8")

    results = [
        plain(*ROLLBACK, REGISTRY_PIPELINE_SIGNING_KEY=unknown),
        plain("attest", "latest", REGISTRY_PIPELINE_SIGNING_KEY=unknown),
        plain(*SIGNED),
        plain("anchor", "--write"),
        plain("verify", "--chain", "--anchors"),
    ]

    for result in results:
        code, line = refusal(result)
        assert (code, unknown in line) == (2, True), line


@pytest.mark.parametrize("setting", ["--allowed-signers", "allowedSignersFile", "revocationFile", "key"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(
    setting: str, plain: Repository, signers: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    words = (*SIGNED, "--allowed-signers", str(pipe if setting == "--allowed-signers" else signers))
    if setting == "key":
        result = plain(*ROLLBACK, REGISTRY_PIPELINE_SIGNING_KEY=str(pipe))
    else:
        if setting != "--allowed-signers":
            git(plain.root, "config", f"gpg.ssh.{setting}", str(pipe))
        result = plain(*(SIGNED if setting == "allowedSignersFile" else words))

    code, line = refusal(result)

    assert (code, "not a regular file" in line) == (7, True), line


def test_a_program_that_does_not_end_is_not_a_pass(
    plain: Repository, signers: Path, keys: dict[str, Key], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plain("rollback", "--reason", "x", REGISTRY_PIPELINE_SIGNING_KEY=str(keys["alice"].path)).code == 0
    (tmp_path / "ssh-keygen").write_text("#!/bin/sh\nexec tail -f /dev/null\n", "utf-8")
    (tmp_path / "ssh-keygen").chmod(0o755)
    monkeypatch.setattr(process, "LIMIT_SECONDS", 0.01)

    result = plain(
        *(*SIGNED, "--allowed-signers", str(signers)),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        now="2026-03-03T12:00:00Z",
    )

    assert (result.code, "ssh-keygen did not end within" in result.err) == (7, True), result.err


def test_a_relative_setting_of_git_starts_at_the_top_of_the_checkout(
    plain: Repository, keys: dict[str, Key], tmp_path: Path
) -> None:
    top = plain.root / "top"
    inner = top / "inner"
    inner.mkdir(parents=True)
    git(top, "init", "--quiet")
    (top / "key").write_bytes(keys["alice"].path.read_bytes())
    (top / "key").chmod(0o600)
    (top / "allowed").write_text(keys["alice"].line(), "utf-8")
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", "key"), ("gpg.ssh.allowedSignersFile", "allowed")):
        git(top, "config", name, value)
    repository = type(plain)(inner, plain.home)
    assert repository("init").code == 0
    assert repository("build", "--sign").code == 0

    result = repository(*SIGNED, "--json")

    assert result.document("verify")["counts"]["signed"] > 0, result.err


def test_the_program_that_git_names_may_be_in_the_home_folder(plain: Repository, keys: dict[str, Key]) -> None:
    program = plain.home / "my-ssh-keygen"
    program.write_text(f'#!/bin/sh\ntouch {plain.home}/started\nexec ssh-keygen "$@"\n', "utf-8")
    program.chmod(0o755)

    result = plain(
        *("rollback", "--reason", "x"),
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="gpg.ssh.program",
        GIT_CONFIG_VALUE_0="~/my-ssh-keygen",
        REGISTRY_PIPELINE_SIGNING_KEY=str(keys["alice"].path),
    )

    assert (result.code, (plain.home / "started").exists()) == (0, True), result.err
