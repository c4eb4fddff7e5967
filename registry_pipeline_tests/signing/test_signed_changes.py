"""Signed changes of the pointers and signed builds, on the command line."""

from __future__ import annotations

import json
import shlex
import shutil
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_document
from registry_pipeline.config import load_repository
from registry_pipeline.pipeline.rebuild import rebuild
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline_tests.cli.conftest import PROGRAM, CommandResult, PlainRepository, Repository
from registry_pipeline_tests.cli.test_capturing import reseal
from registry_pipeline_tests.copies import copied_repository, flip_byte
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.signing.keys import Key, make_key

LATER, LATEST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"
RECORD = "POINTER_ACTIVATION_v0_1.json"
STATEMENT = "BUILD_STATEMENT_v0_1.json"


@dataclass(frozen=True)
class Signing:
    """A built repository, the keys, and the file of allowed signers."""

    repository: Repository
    keys: dict[str, Key]
    signers: Path

    def __call__(self, *words: str, key: str | None = None, now: str = LATER) -> CommandResult:
        """Call a command, with the key of somebody in the environment."""
        if key is None:
            return self.repository(*words, now=now)
        return self.repository(*words, now=now, REGISTRY_PIPELINE_SIGNING_KEY=str(self.keys[key].path))

    def want(self, *lines: str) -> None:
        """Add a policy to the toml."""
        toml = self.repository.root / "registry-pipeline.toml"
        toml.write_text(toml.read_text("utf-8") + "\n".join(["", "[signing]", *lines, ""]), "utf-8")

    def verify(self, *words: str, now: str = LATEST) -> CommandResult:
        """Verify with signatures."""
        return self(*words, "--signed", "--allowed-signers", str(self.signers), "--json", now=now)

    def newest(self, tag: str) -> Path:
        """Return the newest run folder of a tag."""
        return max(path for path in self.repository.runs.iterdir() if tag in path.name)


@pytest.fixture
def signing(plain: Repository, keys: dict[str, Key], signers: Path) -> Signing:
    return Signing(plain, keys, signers)


def codes_of(result: CommandResult, schema: str) -> list[str]:
    document = result.document(schema)
    found = [*document["findings"], *(f for run in document.get("results", ()) for f in run["findings"])]
    return sorted({finding["code"] for finding in found if finding["severity"] == "error"})


def signers_of(result: CommandResult) -> dict[str, list[str | None]]:
    """Return who signed, by the tag of the run."""
    signed = result.document("verify")["signatures"]
    return {
        entry["path"].partition("Z")[0].rpartition("__")[2]: [s["principal"] for s in entry["signers"]]
        for entry in signed
    }


def test_an_activation_is_signed_with_the_key_of_git(signing: Signing) -> None:
    git(signing.repository.root, "config", "gpg.format", "ssh")
    git(signing.repository.root, "config", "user.signingKey", str(signing.keys["alice"].path))

    assert signing("build", "--sign", "--force").code == 0

    record = signing.newest("pointer_activation")
    assert (record / f"{RECORD}.sig").is_file()
    verified = signing.verify("verify", "--chain")
    assert (verified.code, verified.document("verify")["counts"]["signed"]) == (0, 1)
    assert signers_of(verified) == {"pointer_activation": ["alice@example.org"]}
    assert "(1 signature, not checked): build" in signing("log").out
    assert "(unsigned): build" in signing("log").out


@pytest.mark.parametrize(
    "words",
    [
        ("rollback", "--reason", "wrong"),
        ("mark-bad", "2026-03-01__120000__drift_signals_build", "--reason", "wrong"),
    ],
)
def test_every_change_of_the_pointers_can_be_signed(words: tuple[str, ...], signing: Signing) -> None:
    assert signing(*words, key="alice").code == 0

    verified = signing.verify("verify", "--chain")

    assert signers_of(verified) == {"pointer_activation": ["alice@example.org"]}


def remove_the_chain(repository: Repository) -> None:
    for pattern in ("*__pointer_activation*", "*system_health*"):
        for folder in repository.runs.glob(pattern):
            shutil.rmtree(folder)
    repository.pointers.unlink()


def test_the_first_change_of_a_chain_can_be_signed(signing: Signing) -> None:
    remove_the_chain(signing.repository)
    assert signing("activate", "run_registry", "latest", "--reason", "first", key="alice").code in (0, 8)

    verified = signing.verify("verify", "--chain")

    assert (verified.code, verified.document("verify")["counts"]["unsigned"]) == (0, 1)  # the `init` record


def test_a_build_states_the_hashes_of_its_files_and_signs_them(signing: Signing) -> None:
    assert signing("build", "run_registry", "--only", "--force", key="alice").code == 0
    folder = signing.newest("run_registry_build")

    statement = json.loads((folder / STATEMENT).read_bytes())

    assert statement["run_id"] == folder.name
    listed = {*statement["files"], STATEMENT, f"{STATEMENT}.sig", "manifest.json", "MANIFEST.sha256"}
    assert listed == {path.name for path in folder.iterdir()}
    assert sorted(listed) == json.loads((folder / "run.json").read_bytes())["outputs"]
    verified = signing.verify("verify", folder.name)
    assert (verified.code, signers_of(verified)) == (0, {"run_registry_build": ["alice@example.org"]})
    assert signing("verify", folder.name).code == 0  # the seal and the rules know the two files


@pytest.mark.parametrize("how", ["run id", "absolute path", "relative path", "path through the parent", "copy"])
@pytest.mark.parametrize("tag", ["run_registry_build", "pointer_activation"])
def test_a_signature_is_checked_however_the_run_is_named(how: str, tag: str, signing: Signing, tmp_path: Path) -> None:
    assert signing("build", "--force", key="mallory").code == 0
    folder = signing.newest(tag)
    if how == "copy":
        shutil.copytree(folder, tmp_path / "elsewhere" / folder.name)
    name = {
        "run id": folder.name,
        "absolute path": str(folder),
        "relative path": f"./{folder.relative_to(signing.repository.root)}",
        "path through the parent": f"../{folder.relative_to(signing.repository.root.parent)}",
        "copy": str(tmp_path / "elsewhere" / folder.name),
    }[how]

    verified = signing.verify("verify", name)

    assert (verified.code, codes_of(verified, "verify")) == (3, ["SIGNER_NOT_ALLOWED"])
    counts = verified.document("verify")["counts"]
    assert (counts["signed"], counts["unsigned"]) == (1, 0)


@pytest.mark.parametrize(("key", "expected"), [("alice", (0, [])), ("mallory", (3, ["SIGNER_NOT_ALLOWED"]))])
def test_the_signatures_of_runs_in_an_archive_are_checked(
    key: str, expected: tuple[int, list[str]], signing: Signing, tmp_path: Path
) -> None:
    assert signing("build", "--force", key=key).code == 0
    archive = tmp_path / "runs.tar"
    folders = [signing.newest(tag) for tag in ("run_registry_build", "drift_signals_build", "pointer_activation")]
    folders.append(signing.repository.runs / "2026-03-01__120000__run_registry_build")
    with tarfile.open(archive, "w") as tar:
        for folder in folders:
            tar.add(folder, f"runs/{folder.name}")

    verified = signing.verify("verify", str(archive))

    assert (verified.code, codes_of(verified, "verify")) == expected
    counts = verified.document("verify")["counts"]
    assert (counts["runs"], counts["signed"], counts["unsigned"]) == (4, 3, 1)


def test_a_record_of_another_repository_is_checked_by_what_it_contains(signing: Signing, tmp_path: Path) -> None:
    with copied_repository(signing.repository.root, tmp_path / "other") as root:
        other = Signing(PlainRepository(root, signing.repository.home), signing.keys, signing.signers)
        assert other("rollback", "--reason", "x", key="alice").code == 0
        name = str(other.newest("pointer_activation"))

        verified = signing.verify("verify", name)
        (document := other.newest("pointer_activation") / RECORD).chmod(0o644)
        reseal(other.newest("pointer_activation"), **{RECORD: document.read_bytes().replace(b'"x"', b'"y"')})
        altered = signing.verify("verify", name)

    assert list(signers_of(verified).values()) == [["alice@example.org"]]
    assert "SIGNATURE_BAD" in codes_of(altered, "verify")


def test_a_prepared_record_replaces_no_file(signing: Signing, tmp_path: Path) -> None:
    change = ("rollback", "--reason", "x", "--actor", "Ada", "--prepare")
    toml = signing.repository.root / "registry-pipeline.toml"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = toml.read_bytes()

    for path in (toml, tmp_path / "link"):
        refused = signing(*change, str(path))
        assert (refused.code, f"{path} exists, and --prepare replaces no file" in refused.err) == (5, True)
    assert (toml.read_bytes(), (tmp_path / "nowhere").exists()) == (before, False)
    assert signing(*change, str(tmp_path / "record")).code == 0
    assert signing(*change, str(tmp_path / "record")).code == 5


def test_where_nothing_is_signed_nothing_was_verified(signing: Signing) -> None:
    for words in (("verify", "--chain"), ("verify", "--active"), ("verify", "latest")):
        result = signing.verify(*words)
        assert (result.code, result.document("verify")["verdict"]) == (7, "none"), words


def test_a_signature_of_somebody_else_is_an_error(signing: Signing) -> None:
    assert signing("rollback", "--reason", "x", key="mallory").code == 0

    verified = signing.verify("verify", "--chain")

    assert (verified.code, codes_of(verified, "verify")) == (3, ["SIGNER_NOT_ALLOWED"])
    assert "ED25519 SHA256:" in verified.document("verify")["findings"][0]["message"]


def test_a_signature_over_another_record_is_an_error(signing: Signing) -> None:
    assert signing("rollback", "--reason", "x", key="alice", now=LATER).code == 0
    taken = (signing.newest("pointer_activation") / f"{RECORD}.sig").read_bytes()
    assert signing("rollback", "--redo", "--reason", "x", key="bob", now=LATEST).code == 0
    newest = signing.newest("pointer_activation")
    reseal(newest, **{f"{RECORD}.sig": taken})

    verified = signing.verify("verify", newest.name)

    assert codes_of(verified, "verify") == ["SIGNATURE_BAD"]


def test_a_build_whose_statement_says_something_else_is_an_error(signing: Signing) -> None:
    assert signing("build", "run_registry", "--only", "--force", key="alice").code == 0
    folder = signing.newest("run_registry_build")
    reseal(folder, **{"RUN_REGISTRY_v0_1.jsonl": b""})

    verified = signing.verify("verify", folder.name)

    assert "SIGNATURE_BAD" in codes_of(verified, "verify")


def test_a_time_that_is_not_signed_permits_no_key_with_a_limit(signing: Signing) -> None:
    assert signing("rollback", "--reason", "x", key="alice").code == 0
    folder = signing.newest("pointer_activation")
    record = json.loads((folder / RECORD).read_bytes())
    del record["created_utc"]
    unsealed = signing.repository.root.parent / "record"
    unsealed.write_bytes(json_document(record))
    signature = signing.keys["alice"].sign(unsealed)
    reseal(folder, **{RECORD: unsealed.read_bytes(), f"{RECORD}.sig": signature})

    assert signing.verify("verify", "--chain").code == 0
    signing.signers.write_text(signing.keys["alice"].line('valid-before="20270101"'), "utf-8")
    assert codes_of(signing.verify("verify", "--chain"), "verify") == ["SIGNER_NOT_ALLOWED"]


def test_a_record_cannot_be_dated_before_the_one_that_it_follows_to_use_an_old_key(signing: Signing) -> None:
    (signing.repository.root / "old").write_text(signing.keys["bob"].line('valid-before="20260301"'), "utf-8")
    signing.want('registries = ["*"]', 'allowed_signers = "old"')

    refused = signing("rollback", "--reason", "x", "--json", key="bob", now="2026-02-28T12:00:00Z")

    assert (refused.code, codes_of(refused, "rollback")) == (5, ["SIGNER_NOT_ALLOWED"])


def test_an_altered_byte_of_a_signature_breaks_the_seal(signing: Signing) -> None:
    assert signing("rollback", "--reason", "x", key="alice").code == 0
    flip_byte(signing.newest("pointer_activation") / f"{RECORD}.sig")

    assert codes_of(signing.verify("verify", "--chain"), "verify")[0].startswith("CHAIN_")


# What the toml wants.


def test_only_a_signed_record_moves_a_protected_registry(signing: Signing) -> None:
    signing.want('registries = ["drift_signals"]', f'allowed_signers = "{stored(signing)}"')
    before = signing.repository.pointers.read_bytes()

    refused = signing("build", "--force", "--json")

    assert (refused.code, codes_of(refused, "build")) == (5, ["ACTIVATE_UNSIGNED"])
    assert signing.repository.pointers.read_bytes() == before
    preview = signing("rollback", "--reason", "x", "--dry-run", "--json")
    assert (preview.code, codes_of(preview, "rollback")) == (5, ["ACTIVATE_UNSIGNED"])
    assert codes_of(signing("rollback", "--reason", "x", "--json", key="mallory"), "rollback") == ["SIGNER_NOT_ALLOWED"]
    assert signing("rollback", "--reason", "x", key="alice").code == 0


def test_other_registries_move_without_a_signature(signing: Signing) -> None:
    signing.want('registries = ["pointer_activation"]', f'allowed_signers = "{stored(signing)}"')

    assert signing("rollback", "--reason", "x").code == 0


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (
            ('registries = ["drift_signal"]',),
            "names 'drift_signal', which is no registry -> did you mean drift_signals?",
        ),
        (('registries = ["*", "zzz"]',), "names 'zzz', which is no registry"),
        (('signers = ["alice@example.org"]',), "so it protects nothing"),
        (("threshold = 2",), "so it protects nothing"),
    ],
)
def test_a_policy_that_protects_nothing_is_refused(lines: tuple[str, ...], text: str, signing: Signing) -> None:
    signing.want(*lines)
    before = signing.repository.files()

    for words in (("status",), ("rollback", "--reason", "x"), ("build", "--force"), ("verify", "--all")):
        result = signing(*words)
        assert (result.code, text in result.err) == (2, True), result.err
    assert signing.repository.files() == before


def test_what_was_activated_before_the_policy_is_found(signing: Signing) -> None:
    signing.want('registries = ["*"]')

    verified = signing.verify("verify", "--chain")

    findings = verified.document("verify")["findings"]
    assert (verified.code, {f["code"] for f in findings}) == (3, {"SIGNATURE_MISSING"})
    assert {f["got"] for f in findings} == {"no signature"}
    assert signing("verify", "--chain", now=LATEST).code == 0  # unsigned records stay valid


def test_two_signers_sign_one_prepared_record(signing: Signing, tmp_path: Path) -> None:
    signing.want('registries = ["*"]', f'allowed_signers = "{stored(signing)}"', "threshold = 2")
    change = ("rollback", "--reason", "both agree", "--actor", "Ada")
    record = tmp_path / "record.json"
    before = signing.repository.files()

    prepared = signing(*change, "--prepare", str(record))

    assert (prepared.code, signing.repository.files()) == (0, before)
    assert f"--now {LATER} --actor Ada" in prepared.out
    signatures = []
    for name in ("alice", "bob"):
        (tmp_path / name).write_bytes(signing.keys[name].sign(record))
        signatures += ["--signature", str(tmp_path / name)]
    one = signing(*change, *signatures[:2], "--json")
    assert (one.code, codes_of(one, "rollback")) == (5, ["ACTIVATE_UNSIGNED"])
    twice = signing(*change, *signatures[:2], *signatures[:2], "--json")
    assert twice.code == 5  # the same person twice is one
    other = signing("rollback", "--reason", "another reason", "--actor", "Ada", *signatures)
    assert (other.code, "not one of this record" in other.err) == (5, True)
    assert signing(*change, *signatures).code == 0
    assert (signing.newest("pointer_activation") / RECORD).read_bytes() == record.read_bytes()
    verified = signing.verify("verify", "--chain")
    assert signers_of(verified) == {"pointer_activation": ["alice@example.org", "bob@example.org"]}


def test_one_may_sign_with_the_own_key_and_add_the_signature_of_another(signing: Signing, tmp_path: Path) -> None:
    change = ("rollback", "--reason", "both agree", "--actor", "Ada")
    assert signing(*change, "--prepare", str(tmp_path / "record")).code == 0
    (tmp_path / "bob").write_bytes(signing.keys["bob"].sign(tmp_path / "record"))

    assert signing(*change, "--signature", str(tmp_path / "bob"), key="alice").code == 0

    assert signers_of(signing.verify("verify", "--chain")) == {
        "pointer_activation": ["bob@example.org", "alice@example.org"]
    }


def test_two_signers_activate_all_that_a_build_sealed(signing: Signing, tmp_path: Path) -> None:
    signing.want('registries = ["*"]', f'allowed_signers = "{stored(signing)}"', "threshold = 2")
    assert signing("build", "--force").code == 5  # sealed, and not activated
    change = ("activate", "all", "latest", "--reason", "both agree", "--actor", "Ada")
    record = tmp_path / "record.json"

    assert signing(*change, "--prepare", str(record)).code == 0
    signatures = []
    for name in ("alice", "bob"):
        (tmp_path / name).write_bytes(signing.keys[name].sign(record))
        signatures += ["--signature", str(tmp_path / name)]
    assert signing(*change, *signatures).code == 0

    moves = json.loads(record.read_bytes())["moves"]
    assert {move["to_ref"]["run_id"].partition("__")[0] for move in moves} == {"2026-03-02"}
    assert len(moves) > 2
    assert signing.verify("verify", "--chain").code == 0


def test_the_first_record_of_a_chain_can_be_prepared(signing: Signing, tmp_path: Path) -> None:
    remove_the_chain(signing.repository)
    signing.want('registries = ["*"]', f'allowed_signers = "{stored(signing)}"')
    change = ("activate", "all", "latest", "--reason", "first", "--actor", "Ada")

    assert signing(*change, "--prepare", str(tmp_path / "record")).code == 0
    (tmp_path / "sig").write_bytes(signing.keys["alice"].sign(tmp_path / "record"))

    assert signing(*change, "--signature", str(tmp_path / "sig")).code == 0
    actions = [line.split()[1] for line in signing("log").out.splitlines() if " by " in line]
    assert actions == ["activate", "init"]


def test_a_signature_that_no_line_permits_is_refused_before_it_is_sealed(signing: Signing, tmp_path: Path) -> None:
    """The record would never verify, and it cannot be changed."""
    git(signing.repository.root, "config", "gpg.ssh.allowedSignersFile", str(signing.signers))
    change = ("rollback", "--reason", "for me", "--actor", "Ada")
    assert signing(*change, "--prepare", str(tmp_path / "record")).code == 0
    (tmp_path / "sig").write_bytes(signing.keys["mallory"].sign(tmp_path / "record"))
    before = signing.repository.files()

    refused = signing(*change, "--signature", str(tmp_path / "sig"), "--json", key="alice")

    assert (refused.code, codes_of(refused, "rollback")) == (5, ["SIGNER_NOT_ALLOWED"])
    assert signing.repository.files() == before


def test_no_signature_is_left_out_because_there_are_too_many(signing: Signing, tmp_path: Path) -> None:
    change = ("rollback", "--reason", "all agree", "--actor", "Ada")
    assert signing(*change, "--prepare", str(tmp_path / "record")).code == 0
    signatures = []
    for number in range(17):
        # A blank line makes other bytes of the same signature.
        (tmp_path / f"{number}").write_bytes(signing.keys["alice"].sign(tmp_path / "record") + b"\n" * number)
        signatures += ["--signature", str(tmp_path / f"{number}")]

    refused = signing(*change, *signatures)

    assert (refused.code, "a record has at most 16" in refused.err) == (5, True)


def test_a_void_that_restores_a_protected_run_must_be_signed(signing: Signing) -> None:
    assert signing("build", "--force", key="alice").code == 0
    # A copy of the record under another name is a fork: one of the two must be voided.
    record = signing.newest("pointer_activation")
    twin = record.with_name(record.name + "__02")
    shutil.copytree(record, twin)
    reseal(twin, **{"run.json": (twin / "run.json").read_bytes().replace(record.name.encode(), twin.name.encode())})
    signing.want('registries = ["*"]', f'allowed_signers = "{stored(signing)}"')
    void = ("doctor", "--fix", "--void", twin.name, "--reason", "a copy")

    refused = signing(*void, now=LATEST)

    assert (refused.code, "ACTIVATE_UNSIGNED" in refused.out) == (3, True)  # 3, because the fork is still there
    assert signing(*void, key="alice", now=LATEST).code == 0
    assert "CHAIN_FORK" not in signing("verify", "--chain", now=LATEST).out


def test_a_change_between_two_signatures_refuses_the_first_record(signing: Signing, tmp_path: Path) -> None:
    change = ("rollback", "--reason", "agreed", "--actor", "Ada")
    assert signing(*change, "--prepare", str(tmp_path / "record")).code == 0
    (tmp_path / "sig").write_bytes(signing.keys["bob"].sign(tmp_path / "record"))
    assert signing("build", "--force", now="2026-03-01T18:00:00Z").code == 0
    before = signing.repository.pointers.read_bytes()

    refused = signing(*change, "--signature", str(tmp_path / "sig"))

    assert (refused.code, "not one of this record" in refused.err) == (5, True)
    assert signing.repository.pointers.read_bytes() == before


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ("drift_signals_build", "changed since"),
        ("system_health_render", "another change was made while the record was signed"),
    ],
    ids=["the pointer file changes", "only the chain changes"],
)
def test_a_change_while_a_record_is_signed_refuses_it(bad: str, text: str, signing: Signing, tmp_path: Path) -> None:
    words = [*PROGRAM, "-C", str(signing.repository.root), "--now", LATER, "mark-bad", f"2026-03-01__120000__{bad}"]
    program = tmp_path / "slow-ssh-keygen"
    # Somebody else marks a run bad while the first person is looking for the token.
    change = f"env -u REGISTRY_PIPELINE_SIGNING_KEY {shlex.join([*words, '--reason', 'odd'])} >&2"
    program.write_text(f'#!/bin/sh\n{change}\nexec ssh-keygen "$@"\n', "utf-8")
    program.chmod(0o755)

    result = signing.repository(
        *("rollback", "--reason", "x"),
        now=LATER,
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="gpg.ssh.program",
        GIT_CONFIG_VALUE_0=str(program),
        REGISTRY_PIPELINE_SIGNING_KEY=str(signing.keys["alice"].path),
    )

    assert (result.code, text in result.err) == (6, True), result.err
    actions = [line.split()[1] for line in signing("log").out.splitlines() if " by " in line]
    assert actions == ["mark_bad", "activate", "init"]
    assert signing("verify", "--chain", now=LATEST).code == 0


# Bad input.


def test_a_signature_without_a_key_is_one_line_of_advice(signing: Signing) -> None:
    refused = signing("rollback", "--reason", "x", "--sign")

    assert (refused.code, "git config gpg.format ssh" in refused.err) == (5, True)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("verify", "--signed"), 2, "name a run, or add --all"),
        (("verify", "--baseline", "HEAD", "--signed"), 2, "--signed needs --chain"),
        (("verify", "--chain", "--allowed-signers", "x"), 2, "--allowed-signers needs --signed"),
        (("verify", "--chain", "--signed"), 7, "no file says who may sign"),
        (("verify", "--chain", "--signed", "--allowed-signers", "missing"), 7, "missing cannot be read"),
        (("rollback", "--reason", "x", "--prepare", "r", "--sign"), 2, "--prepare writes what is to be signed"),
        (("rollback", "--reason", "x", "--signature", "missing"), 2, "missing cannot be read: No such file"),
        (("rollback", "--reason", "x", "--signature", "registry-pipeline.toml"), 2, "contains no SSH signature"),
        (("rollback", "--reason", "x", "--prepare", "no/such/folder/r"), 7, "there is no folder no/such/folder"),
        (("rollback", "--reason", "x", "--prepare", ".codex/RUNS/r"), 5, "RUNS"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(
    words: tuple[str, ...], code: int, text: str, signing: Signing
) -> None:
    before = signing.repository.files()

    result = signing(*words)

    assert (result.code, text in result.err) == (code, True), result.err
    assert signing.repository.files() == before


def test_a_policy_that_no_number_of_its_signers_can_meet_is_refused(signing: Signing) -> None:
    signing.want('registries = ["*"]', 'signers = ["a"]', "threshold = 2")

    result = signing("status")

    assert (result.code, "signing.threshold is larger" in result.err) == (2, True)


def test_the_program_that_a_checkout_names_is_not_started(signing: Signing, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n", "utf-8")
    trap.chmod(0o755)
    git(signing.repository.root, "config", "gpg.ssh.program", str(trap))

    assert signing("rollback", "--reason", "x", key="alice").code == 0
    assert signing.verify("verify", "--chain").code == 0
    assert not (tmp_path / "sprung").exists()


def stored(signing: Signing) -> str:
    """Copy the file of allowed signers into the repository, and return its path there."""
    shutil.copy(signing.signers, signing.repository.root / "allowed_signers")
    return "allowed_signers"


def test_a_repeated_step_finds_its_folder_although_its_key_makes_another_signature(
    signing: Signing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path, "sensor", "ecdsa")
    assert key.sign(signing.signers) != key.sign(signing.signers)
    monkeypatch.setenv("REGISTRY_PIPELINE_SIGNING_KEY", str(key.path))
    repository = load_repository(signing.repository.root)
    run = start_build_run(repository, datetime(2026, 3, 2, 12, tzinfo=UTC), "the Dagster run")

    for _ in range(2):
        rebuild(repository, run, ["run_registry"], only=True, move=False, actor="Ada", reason="new", force=True)

    (folder,) = repository.publish_root.glob("2026-03-02*run_registry_build*")
    assert (folder / f"{STATEMENT}.sig").is_file()
