"""Signatures by ssh-keygen: whose they are, when they count, and the advice for a key that does not sign."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.signing.ssh import AllowedSigners, SshSigner, is_signature_of
from registry_pipeline_tests.signing.keys import Key, make_key, running_agent

DATA = b'{"action":"activate"}\n'
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_signature_names_its_signer(keys: dict[str, Key], signers: Path) -> None:
    signature = SshSigner(str(keys["alice"].path)).sign(DATA)

    checked = AllowedSigners(signers.read_bytes()).check(DATA, signature, NOON)

    assert (checked.verdict, checked.principal) == ("good", "alice@example.org")
    assert checked.key is not None
    assert checked.key.startswith("ED25519 SHA256:")


def test_ssh_keygen_itself_accepts_the_signature(keys: dict[str, Key], signers: Path, tmp_path: Path) -> None:
    (tmp_path / "sig").write_bytes(SshSigner(str(keys["alice"].path)).sign(DATA))

    command = ["ssh-keygen", "-Y", "verify", "-n", "registry-pipeline", "-I", "alice@example.org"]
    done = subprocess.run(
        [*command, "-f", signers, "-s", tmp_path / "sig"], input=DATA, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_a_key_that_is_not_allowed_is_named_by_its_fingerprint(keys: dict[str, Key], signers: Path) -> None:
    signature = SshSigner(str(keys["mallory"].path)).sign(DATA)

    checked = AllowedSigners(signers.read_bytes()).check(DATA, signature, NOON)

    assert (checked.verdict, checked.principal) == ("unknown", None)
    assert checked.shown.startswith("ED25519 SHA256:")


@pytest.mark.parametrize("signature", [b"", b"no signature", b"-----BEGIN SSH SIGNATURE-----\n", b"\0" * 100])
def test_what_is_no_signature_is_bad(signature: bytes, signers: Path) -> None:
    assert AllowedSigners(signers.read_bytes()).check(DATA, signature, NOON).verdict == "bad"


def test_a_signature_for_git_or_a_file_does_not_count(keys: dict[str, Key], signers: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(DATA)
    for namespace in ("git", "file"):
        signature = keys["alice"].sign(tmp_path / "data", namespace)
        assert AllowedSigners(signers.read_bytes()).check(DATA, signature, NOON).verdict == "bad"


@settings(max_examples=25)
@given(position=st.integers(min_value=0, max_value=len(DATA) - 1), bit=st.integers(min_value=0, max_value=7))
def test_a_signature_is_of_exactly_these_bytes(position: int, bit: int, alice_signature: bytes) -> None:
    changed = bytearray(DATA)
    changed[position] ^= 1 << bit

    assert is_signature_of(DATA, alice_signature)
    assert not is_signature_of(bytes(changed), alice_signature)


@pytest.fixture(scope="module")
def alice_signature(keys: dict[str, Key]) -> bytes:
    return SshSigner(str(keys["alice"].path)).sign(DATA)


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ('valid-before="20260301"', "unknown"),
        ('valid-after="20260302"', "unknown"),
        ('valid-after="20260301",valid-before="20260302"', "good"),
        ('namespaces="git"', "unknown"),
    ],
)
def test_a_line_counts_for_its_time_and_its_namespace(
    options: str, verdict: str, keys: dict[str, Key], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The time zone of the machine must not shift the limits.
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    (tmp_path / "allowed").write_text(keys["alice"].line(options), "utf-8")
    signature = SshSigner(str(keys["alice"].path)).sign(DATA)

    assert AllowedSigners((tmp_path / "allowed").read_bytes()).check(DATA, signature, NOON).verdict == verdict


def test_a_revoked_key_does_not_count(keys: dict[str, Key], signers: Path, tmp_path: Path) -> None:
    (tmp_path / "revoked").write_text(f"{keys['alice'].public}\n", "utf-8")
    signature = SshSigner(str(keys["alice"].path)).sign(DATA)

    assert (
        AllowedSigners(signers.read_bytes(), (tmp_path / "revoked").read_bytes()).check(DATA, signature, NOON).verdict
        == "unknown"
    )


@pytest.mark.parametrize("prefix", ["", "key::"])
def test_an_agent_signs_for_a_public_key(prefix: str, keys: dict[str, Key], signers: Path, tmp_path: Path) -> None:
    signer = SshSigner(f"{prefix}{keys['bob'].public}")
    with running_agent(tmp_path, keys["bob"]) as socket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", socket)
        signature = signer.sign(DATA)

    assert AllowedSigners(signers.read_bytes()).check(DATA, signature, NOON).principal == "bob@example.org"
    with pytest.raises(RefusedError, match="did not sign"):
        signer.sign(DATA)


def test_a_key_with_a_passphrase_and_without_a_terminal_is_one_line_of_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path, "locked")
    change = ["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", str(key.path)]
    subprocess.run(change, check=True, capture_output=True)

    # The test may have a terminal, at which ssh-keygen would wait for the passphrase.
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")

    with pytest.raises(RefusedError) as refused:
        SshSigner(str(key.path)).sign(DATA)

    assert "passphrase" in refused.value.advice
    assert "\n" not in refused.value.message


def test_without_openssh_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch, signers: Path) -> None:
    monkeypatch.setenv("PATH", os.fspath(signers.parent))

    with pytest.raises(NotFoundError, match="ssh-keygen cannot be run") as missing:
        AllowedSigners(signers.read_bytes()).check(DATA, b"", NOON)

    assert "install OpenSSH" in missing.value.advice
