"""Anchors: written where the toml says, compared with the chain, and never taken for more than they prove."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_pipeline.canonical import utc_text
from registry_pipeline.signing.time_stamp import make_request, read_response
from registry_pipeline_tests.cli.conftest import CommandResult, PlainRepository, Repository
from registry_pipeline_tests.copies import copied_repository, flip_byte
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.signing.authority import (
    EXPIRED_CERTIFICATE,
    EXPIRED_RESPONSE,
    LATE_RESPONSE,
    Authority,
    make_authority,
    replace_status,
)
from registry_pipeline_tests.signing.keys import Key

LATER, LATEST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"
RECORD = "2026-03-01__120000__pointer_activation__02"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority") / "here")


@dataclass(frozen=True)
class Anchored:
    """A built repository with places for anchors outside of it."""

    repository: Repository
    outside: Path
    key: Key
    authority: Authority

    def __call__(self, *words: str, now: str = LATER) -> CommandResult:
        return self.repository(*words, now=now, REGISTRY_PIPELINE_SIGNING_KEY=str(self.key.path))

    def want(self, *lines: str) -> None:
        """Configure anchors."""
        toml = self.repository.root / "registry-pipeline.toml"
        toml.write_text(toml.read_text("utf-8") + "\n".join(["", "[anchors]", *lines, ""]), "utf-8")

    def verify(self) -> CommandResult:
        words = ("verify", "--chain", "--anchors", "--allowed-signers", str(self.outside / "signers"), "--json")
        return self(*words, now=LATEST)

    @property
    def requests(self) -> Path:
        return self.repository.root / "stamps"


@pytest.fixture
def anchored(plain: Repository, keys: dict[str, Key], authority: Authority, tmp_path: Path) -> Anchored:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "signers").write_text(keys["alice"].line('namespaces="git,registry-pipeline"'), "utf-8")
    (plain.root / "stamps").mkdir()
    shutil.copy(authority.certificate, plain.root / "authority.pem")
    git(plain.root, "config", "user.name", "Ada")
    git(plain.root, "config", "user.email", "ada@example.invalid")
    return Anchored(plain, outside, keys["alice"], authority)


TAGS = ("tags = true",)
STAMPS = ('time_stamps = "stamps"', 'authorities = "authority.pem"')


def file_of(anchored: Anchored) -> str:
    return f'file = "{anchored.outside}/anchors.txt"'


def codes_of(result: CommandResult) -> list[str]:
    return sorted({f["code"] for f in result.document("verify")["findings"] if f["severity"] == "error"})


def test_the_head_is_written_to_each_place_once(anchored: Anchored) -> None:
    anchored.want(*TAGS, *STAMPS, file_of(anchored))

    first = anchored("anchor", "--write", "--json").document("anchor")
    again = anchored("anchor", "--write", "--json").document("anchor")

    request = f"stamps/{RECORD}.tsq"
    assert first["written"] == [f"registry-anchor/{RECORD}", str(anchored.outside / "anchors.txt"), request]
    assert (again["written"], again["root_sha256"]) == ([], first["root_sha256"])
    line = (anchored.outside / "anchors.txt").read_text("utf-8")
    assert line == f"{LATER}  {first['root_sha256']}  {RECORD}\n"
    assert "BEGIN SSH SIGNATURE" in git(anchored.repository.root, "cat-file", "tag", f"registry-anchor/{RECORD}")


def test_each_anchor_says_how_much_of_the_chain_it_covers(anchored: Anchored) -> None:
    anchored.want(*TAGS, *STAMPS, file_of(anchored))
    assert anchored("anchor", "--write").code == 0
    anchored.authority.answer(anchored.requests / f"{RECORD}.tsq")
    assert anchored("rollback", "--reason", "x").code == 0

    result = anchored.verify()

    found = {a["kind"]: (a["run_id"], a["record"], a["signer"]) for a in result.document("verify")["anchors"]}
    assert result.code == 0
    assert found == {
        "tag": (RECORD, 2, "alice@example.org"),
        "file": (RECORD, 2, None),
        "time_stamp": (RECORD, 2, None),
    }
    words = ("verify", "--chain", "--anchors", "--allowed-signers", str(anchored.outside / "signers"))
    assert anchored(*words, now=LATEST).out.count("anchored  2 of 3 records by the ") == 3


@pytest.mark.parametrize("kind", ["tags", "file", "stamps"])
def test_a_shortened_chain_contradicts_every_kind_of_anchor(kind: str, anchored: Anchored) -> None:
    anchored.want(*{"tags": TAGS, "stamps": STAMPS, "file": (file_of(anchored),)}[kind])
    before = anchored.repository.pointers.read_bytes()
    assert anchored("mark-bad", "2026-03-01__120000__system_health_render", "--reason", "x").code == 0
    newest = max(path for path in anchored.repository.runs.iterdir() if "pointer_activation" in path.name)
    assert anchored("anchor", "--write").code == 0
    for request in anchored.requests.glob("*.tsq"):
        anchored.authority.answer(request)
    assert anchored.verify().code == 0

    shutil.rmtree(newest)
    for report in anchored.repository.runs.glob("2026-03-02*system_health*"):
        shutil.rmtree(report)
    anchored.repository.pointers.write_bytes(before)

    assert anchored("verify", "--chain", now=LATEST).code == 0  # the chain alone does not show it
    assert (anchored.verify().code, codes_of(anchored.verify())) == (3, ["CHAIN_ANCHOR_MISSING"])


def test_a_tag_by_an_unknown_key_or_without_a_signature_is_no_anchor(anchored: Anchored, keys: dict[str, Key]) -> None:
    anchored.want(*TAGS)
    key = str(keys["mallory"].path)
    assert anchored.repository("anchor", "--write", REGISTRY_PIPELINE_SIGNING_KEY=key).code == 0
    git(anchored.repository.root, "tag", "registry-anchor/plain")
    git(anchored.repository.root, "tag", "-a", "-m", "root_sha256 " + "0" * 64, "registry-anchor/unsigned")
    git(anchored.repository.root, "tag", "another-tag")

    result = anchored.verify()

    findings = {f["path"]: f["message"] for f in result.document("verify")["findings"]}
    assert (result.code, set(codes_of(result))) == (3, {"ANCHOR_INVALID"})
    assert set(findings) == {f"registry-anchor/{name}" for name in (RECORD, "plain", "unsigned")}
    assert "its signature is unknown: ED25519 SHA256:" in findings[f"registry-anchor/{RECORD}"]


def test_a_time_stamp_of_another_authority_or_an_altered_one_is_no_anchor(anchored: Anchored, tmp_path: Path) -> None:
    anchored.want(*STAMPS)
    assert anchored("anchor", "--write").code == 0
    (request,) = anchored.requests.iterdir()
    response = anchored.authority.answer(request)
    assert anchored.verify().code == 0

    flip_byte(response)
    assert codes_of(anchored.verify()) == ["ANCHOR_INVALID"]
    make_authority(tmp_path / "other").answer(request)
    assert codes_of(anchored.verify()) == ["ANCHOR_INVALID"]
    response.write_bytes(b"no answer")
    assert codes_of(anchored.verify()) == ["ANCHOR_INVALID"]


@pytest.mark.parametrize("digest", ["0" * 64, "f" * 64, "0123456789abcdef" * 4])
def test_a_time_stamp_has_the_hash_that_was_asked_for(digest: str, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "one.tsq").write_bytes(make_request(digest))

    answer = authority.answer(tmp_path / "one.tsq")
    stamp = read_response(answer.read_bytes(), authority.certificate.read_bytes())

    assert not isinstance(stamp, str), stamp
    assert stamp.sha256 == digest


def test_the_time_of_a_stamp_is_the_signed_one(anchored: Anchored) -> None:
    anchored.want(*STAMPS)
    assert anchored("anchor", "--write").code == 0
    (request,) = anchored.requests.iterdir()
    response = anchored.authority.answer(request)
    (genuine,) = anchored.verify().document("verify")["anchors"]

    response.write_bytes(replace_status(response, "ok\nTST info:\nTime stamp: Jan  1 00:00:00 2020 GMT\n"))

    (forged,) = anchored.verify().document("verify")["anchors"]
    assert forged == genuine
    assert "2020" not in forged["created_utc"]


def test_a_stamp_proves_the_same_after_the_certificate_has_expired() -> None:
    stamp = read_response(EXPIRED_RESPONSE, EXPIRED_CERTIFICATE)

    assert not isinstance(stamp, str), stamp
    assert (stamp.sha256, utc_text(stamp.moment)) == ("ab" * 32, "2026-11-23T21:56:10Z")


def test_a_stamp_of_a_time_at_which_the_certificate_was_not_valid_is_no_anchor() -> None:
    assert read_response(LATE_RESPONSE, EXPIRED_CERTIFICATE) == "certificate verify error"


@pytest.mark.parametrize("name", ["answer", "authorities"])
def test_a_pipe_in_place_of_an_answer_or_of_the_certificates_is_not_waited_for(name: str, anchored: Anchored) -> None:
    anchored.want(*STAMPS)
    assert anchored("anchor", "--write").code == 0
    (request,) = anchored.requests.iterdir()
    pipe = anchored.authority.answer(request) if name == "answer" else anchored.repository.root / "authority.pem"
    pipe.unlink()
    os.mkfifo(pipe)

    result = anchored.verify()

    assert result.code == (3 if name == "answer" else 7)
    assert "not a regular file" in result.out + result.err


def test_a_line_of_the_file_that_is_no_anchor_is_named(anchored: Anchored) -> None:
    anchored.want(file_of(anchored))
    (anchored.outside / "anchors.txt").write_text("a note", "utf-8")
    assert anchored("anchor", "--write").code == 0

    result = anchored.verify()

    assert (result.code, codes_of(result)) == (3, ["ANCHOR_INVALID"])
    assert result.document("verify")["findings"][0]["path"].endswith("anchors.txt:1")


@pytest.mark.parametrize(
    "line",
    [
        f"zzz  {'0' * 64}  {RECORD}",
        f"2026-02-30T12:00:00Z  {'0' * 64}  {RECORD}",
        f"{LATER}  {'0' * 63}  {RECORD}",
        f"{LATER}  {'0' * 64}  a-note",
        f"{LATER}  {'0' * 64}",
        "",
    ],
)
def test_each_part_of_a_line_is_checked(line: str, anchored: Anchored) -> None:
    anchored.want(file_of(anchored))
    (anchored.outside / "anchors.txt").write_text(f"{line}\n", "utf-8")

    result = anchored.verify()

    assert (result.code, codes_of(result)) == (3, ["ANCHOR_INVALID"])
    assert "zzz" not in result.out


def test_a_line_is_appended_and_nothing_else_is_written(anchored: Anchored) -> None:
    anchored.want(file_of(anchored))
    path = anchored.outside / "anchors.txt"
    path.write_text("a note without an end", "utf-8")
    inode = path.stat().st_ino

    assert anchored("anchor", "--write").code == 0

    note, line = path.read_text("utf-8").splitlines()
    assert (note, line.split()[2], path.stat().st_ino) == ("a note without an end", RECORD, inode)
    assert anchored("anchor", "--write", "--json").document("anchor")["written"] == []


@pytest.mark.parametrize("words", [("anchor", "--write"), ("verify", "--chain", "--anchors")])
def test_a_pipe_in_place_of_the_file_is_not_waited_for(words: tuple[str, ...], anchored: Anchored) -> None:
    anchored.want(file_of(anchored))
    os.mkfifo(anchored.outside / "anchors.txt")

    result = anchored(*words)

    assert (result.code, "not a regular file" in result.err) == (7, True), result.err


def test_a_file_in_the_checkout_around_the_repository_is_not_outside(anchored: Anchored) -> None:
    root = anchored.repository.root
    inner = root / "registries"
    inner.mkdir()
    for name in ("registry-pipeline.toml", ".codex"):
        (root / name).rename(inner / name)
    toml = inner / "registry-pipeline.toml"
    toml.write_text(f'{toml.read_text("utf-8")}\n[anchors]\nfile = "../anchors.txt"\n', "utf-8")

    for words in (("anchor", "--write"), ("verify", "--chain", "--anchors")):
        refused = anchored("-C", str(inner), *words)
        assert (refused.code, f"inside {root}, where" in refused.err) == (5, True), refused.err


# What a voided record means.


def void_the_anchored_record(anchored: Anchored, tmp_path: Path) -> str:
    """Anchor a record, and void it because another clone has activated, too; return its hash."""
    repository, bad = anchored.repository, "2026-03-01__120000__system_health_render"
    with copied_repository(repository.root, tmp_path / "clone") as clone:
        other = PlainRepository(clone, repository.home)
        assert other("mark-bad", bad, "--reason", "x", now=LATER).code == 0
        (rival,) = (path for path in other.runs.iterdir() if "2026-03-02__120000__pointer_activation" in path.name)
        assert anchored("mark-bad", bad, "--reason", "y", now="2026-03-02T13:00:00Z").code == 0
        root = str(anchored("anchor", "--write", "--json").document("anchor")["root_sha256"])
        shutil.copytree(rival, repository.runs / rival.name)
    voided = anchored(
        *("doctor", "--fix", "--void", "2026-03-02__130000__pointer_activation", "--reason", "the other was first"),
        now="2026-03-02T14:00:00Z",
    )
    assert voided.code == 0, voided.out
    for request in anchored.requests.glob("*.tsq"):
        anchored.authority.answer(request)
    return root


@pytest.mark.parametrize("kind", ["tags", "file"])
def test_the_void_of_an_anchored_record_is_an_error_until_it_is_anchored_itself(
    kind: str, anchored: Anchored, tmp_path: Path
) -> None:
    anchored.want(*{"tags": TAGS, "file": (file_of(anchored),)}[kind])
    root = void_the_anchored_record(anchored, tmp_path)

    assert (anchored.verify().code, codes_of(anchored.verify())) == (3, ["ANCHOR_VOIDED"])
    signers = ("--allowed-signers", str(anchored.outside / "signers"))
    assert "anchored  0 of 4 records by a " in anchored("verify", "--chain", "--anchors", *signers, now=LATEST).out
    expected = anchored("verify", "--chain", "--expect", root, "--json", now=LATEST)
    assert (expected.code, codes_of(expected)) == (3, ["ANCHOR_VOIDED"])

    # A machine that anchors every night must not cover the void up.
    refused = anchored("anchor", "--write", now="2026-03-02T15:00:00Z")
    assert (refused.code, "--accept-voided" in refused.err) == (5, True)
    assert anchored.verify().code == 3
    assert anchored("anchor", "--write", "--accept-voided", now="2026-03-02T15:00:00Z").code == 0
    assert anchored("anchor", "--write", now="2026-03-02T15:30:00Z").code == 0  # now it is known

    after = anchored.verify()
    assert (after.code, [f["code"] for f in after.document("verify")["findings"]]) == (0, ["ANCHOR_SUPERSEDED"])
    assert anchored("verify", "--chain", "--expect", root, now=LATEST).code == 3  # who has the old hash needs the new


def test_nothing_is_anchored_after_an_anchored_record_was_removed(anchored: Anchored) -> None:
    anchored.want(file_of(anchored))
    assert anchored("build", "--force").code == 0
    assert anchored("anchor", "--write").code == 0
    lines = (anchored.outside / "anchors.txt").read_text("utf-8")
    for folder in anchored.repository.runs.glob("2026-03-02*"):
        shutil.rmtree(folder)
    older = anchored.repository.runs / RECORD / "POINTERS_AFTER.json"
    anchored.repository.pointers.write_bytes(older.read_bytes())

    refused = anchored("anchor", "--write", "--accept-voided", now=LATEST)

    assert (refused.code, "no anchor was written" in refused.err) == (5, True), refused.err
    assert (anchored.outside / "anchors.txt").read_text("utf-8") == lines


def test_a_newer_time_stamp_does_not_excuse_a_void_because_everybody_can_have_one(
    anchored: Anchored, tmp_path: Path
) -> None:
    anchored.want(*STAMPS)
    void_the_anchored_record(anchored, tmp_path)
    assert anchored("anchor", "--write", now="2026-03-02T15:00:00Z").code == 0
    for request in anchored.requests.glob("*.tsq"):
        anchored.authority.answer(request)

    assert (anchored.verify().code, codes_of(anchored.verify())) == (3, ["ANCHOR_VOIDED"])


def test_a_kind_of_which_every_record_was_voided_covers_nothing(anchored: Anchored, tmp_path: Path) -> None:
    anchored.want(*STAMPS, file_of(anchored))
    void_the_anchored_record(anchored, tmp_path)
    for request in anchored.requests.glob("*.tsq"):
        anchored.authority.answer(request)
    assert anchored("anchor", "--write", "--accept-voided", now="2026-03-02T15:00:00Z").code == 0

    result = anchored.verify()

    assert (result.code, codes_of(result)) == (7, ["ANCHOR_NONE"])  # the newer time stamp has no answer yet
    printed = anchored("verify", "--chain", "--anchors", now=LATEST).out
    assert "anchored  0 of 4 records by a time stamp\n" in printed
    assert "anchored  4 of 4 records by the file" in printed


def test_a_request_without_an_answer_is_named(anchored: Anchored) -> None:
    anchored.want(*STAMPS)
    assert anchored("anchor", "--write").code == 0

    result = anchored("verify", "--chain", "--anchors")

    assert result.code == 7
    assert f"waiting for an answer: stamps/{RECORD}.tsq\n" in result.out
    assert "CHAIN_NOT_CHECKED: ANCHOR_NONE" in result.out
    assert "there is no anchor of the kind time stamp that covers a record of the chain" in result.out
    assert result.out.splitlines()[-1] == "not checked: 1 error, 0 warnings"
    assert anchored.verify().document("verify")["waiting"] == [f"stamps/{RECORD}.tsq"]


# Certificates.


def test_the_certificates_may_be_outside(anchored: Anchored, tmp_path: Path) -> None:
    anchored.want('time_stamps = "stamps"', f'authorities = "{anchored.outside}/authority.pem"')
    (anchored.repository.root / "authority.pem").rename(anchored.outside / "authority.pem")
    assert anchored("anchor", "--write").code == 0
    (request,) = anchored.requests.iterdir()
    anchored.authority.answer(request)
    assert anchored.verify().code == 0
    others = make_authority(tmp_path / "other")

    words = ("verify", "--chain", "--anchors", "--json", "--authorities")

    assert anchored(*words, str(others.certificate)).code == 3
    assert anchored(*words, str(anchored.authority.certificate)).code == 0
    assert anchored("verify", "--chain", "--authorities", "x").code == 2


# Tags.


def write_tag(anchored: Anchored, content: str, key: Key, name: str = "registry-anchor/forged") -> None:
    """Store an object of the type tag that is signed as git signs, and make a tag of it."""
    root = anchored.repository.root
    payload = root.parent / "payload"
    payload.write_text(content, "utf-8")
    payload.write_bytes(payload.read_bytes() + key.sign(payload, "git"))
    object_id = git(root, "hash-object", "-t", "tag", "-w", "--literally", str(payload)).strip()
    # `git update-ref` refuses some of them; whatever is in a checkout did not pass it.
    ref = root / ".git/refs/tags" / name
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(f"{object_id}\n", "utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("object", "tree"),
        ("type commit\n", ""),
        ("tagger", "author"),
        ("tagger", "root_sha256 ROOT\ntagger"),
        ("tag registry-anchor/forged", "tag registry-anchor/another"),
        ("registry-pipeline anchor", "Release 1"),
        ("registry-pipeline anchor\n\n", "Release 1\n\nregistry-pipeline anchor\n\n"),
        ("root_sha256", "root_sha512"),
        ("record ", "root_sha256 ROOT\nrecord "),
        ("record ", "record another\nrecord "),
        ("\n\nregistry", "\nregistry"),
    ],
)
def test_a_signed_object_counts_only_if_it_is_a_tag_that_was_made_as_an_anchor(
    old: str, new: str, anchored: Anchored
) -> None:
    anchored.want(*TAGS)
    root = anchored("anchor", "--json").document("anchor")["root_sha256"]
    head = git(anchored.repository.root, "rev-parse", "HEAD").strip()
    header = f"object {head}\ntype commit\ntag registry-anchor/forged\ntagger Ada <a@b.c> 1772366400 +0000\n"
    content = f"{header}\nregistry-pipeline anchor\n\nroot_sha256 {root}\nrecord {RECORD}\n"
    write_tag(anchored, content, anchored.key)
    assert anchored.verify().code == 0

    write_tag(anchored, content.replace(old, new, 1).replace("ROOT", root), anchored.key)

    assert (anchored.verify().code, codes_of(anchored.verify())) == (3, ["ANCHOR_INVALID"])


def test_the_last_signature_is_that_of_the_tag(anchored: Anchored, keys: dict[str, Key], tmp_path: Path) -> None:
    anchored.want(*TAGS)
    root = anchored("anchor", "--json").document("anchor")["root_sha256"]
    head = git(anchored.repository.root, "rev-parse", "HEAD").strip()
    header = f"object {head}\ntype commit\ntag registry-anchor/forged\ntagger Ada <a@b.c> 1772366400 +0000\n"
    content = f"{header}\nregistry-pipeline anchor\n\nroot_sha256 {root}\nrecord {RECORD}\n"
    (tmp_path / "text").write_text(content, "utf-8")
    inner = anchored.key.sign(tmp_path / "text", "git").decode()

    write_tag(anchored, content + inner, keys["mallory"])

    assert codes_of(anchored.verify()) == ["ANCHOR_INVALID"]  # Mallory signed it, Alice an inner part of it


def test_if_the_policy_names_signers_only_they_anchor(anchored: Anchored) -> None:
    anchored.want(*TAGS)
    assert anchored("anchor", "--write").code == 0
    toml = anchored.repository.root / "registry-pipeline.toml"
    text = toml.read_text("utf-8")

    for signer, code in (("alice@example.org", 0), ("bob@example.org", 3)):
        toml.write_text(f'{text}\n[signing]\nsigners = ["{signer}"]\n', "utf-8")
        assert anchored.verify().code == code


def test_where_an_anchor_is_wanted_and_there_is_none_nothing_was_compared(anchored: Anchored) -> None:
    anchored.want(*TAGS, *STAMPS, file_of(anchored))

    result = anchored.verify()

    assert (result.code, codes_of(result)) == (7, ["ANCHOR_NONE"])
    assert len(result.document("verify")["findings"]) == 3


@pytest.mark.parametrize(
    ("lines", "words", "code", "text"),
    [
        ((), ("anchor", "--write"), 2, "names no place for anchors"),
        ((), ("verify", "--chain", "--anchors"), 2, "names no place for anchors"),
        (TAGS, ("verify", "--all", "--anchors"), 2, "--anchors needs --chain"),
        (TAGS, ("verify", "--chain", "--anchors"), 7, "no file says who may sign"),
        (('file = "inside.txt"',), ("anchor", "--write"), 5, "where a writer of the chain can rewrite it"),
        (('file = "../no/such/folder/file"',), ("anchor", "--write"), 7, "there is no folder"),
        (('time_stamps = "no/such"',), ("anchor", "--write"), 7, "there is no folder"),
        (('time_stamps = "stamps"',), ("verify", "--chain", "--anchors"), 7, "no certificates"),
        (("tags = 1",), ("anchor",), 2, "anchors.tags"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(
    lines: tuple[str, ...], words: tuple[str, ...], code: int, text: str, anchored: Anchored
) -> None:
    anchored.want(*lines)

    result = anchored(*words)

    assert (result.code, text in result.err) == (code, True), result.err


def test_a_tag_needs_a_key_a_name_and_git(anchored: Anchored) -> None:
    anchored.want(*TAGS)
    assert "no SSH key" in anchored.repository("anchor", "--write").err
    for name in ("user.name", "user.email"):
        git(anchored.repository.root, "config", "--unset", name)
    nameless = anchored("anchor", "--write")
    assert (nameless.code, "set `git config user.name`" in nameless.err) == (1, True), nameless.err
    shutil.rmtree(anchored.repository.root / ".git")

    outside = anchored("anchor", "--write")

    assert (outside.code, "not in a git repository" in outside.err) == (7, True)
