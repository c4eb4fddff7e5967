"""`attest`: what the statement says, who can verify it, and what is never signed."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key
from hypothesis import example, given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # it states no __all__

from registry_pipeline.canonical import json_line, parse_utc
from registry_pipeline.pipeline.attestation import make_statement
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline_tests.cli.conftest import CommandResult, Repository
from registry_pipeline_tests.cli.test_foreign_runs import write_id
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.sealed_folders import read_json, seal_plainly
from registry_pipeline_tests.signing.keys import Key, make_key, running_agent

SIGNALS = "2026-03-01__120000__drift_signals_build"
LATER = "2026-03-02T12:00:00Z"


@dataclass(frozen=True)
class KeyPair:
    """A private key in a file, and what verifies its signatures without any code of this project."""

    path: Path
    public: SSlibKey


@pytest.fixture(params=["OpenSSH", "PEM"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> KeyPair:
    if request.param == "OpenSSH":
        key = make_key(tmp_path, "ssh")
        return KeyPair(key.path, SSlibKey.from_crypto(load_ssh_public_key(key.public.encode())))
    path = tmp_path / "pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(path))
    return KeyPair(path, SSlibKey.from_crypto(load_pem_public_key(openssl("pkey", "-in", str(path), "-pubout"))))


def openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


@pytest.fixture
def key(keys: dict[str, Key]) -> str:
    return str(keys["alice"].path)


def attest(repository: Repository, run: str, key: str) -> dict[str, Any]:
    """Return the statement in the envelope that the command prints."""
    done = repository("attest", run, "--key", key)
    assert done.code == 0, done.err
    return statement_of(json.loads(done.out))


def statement_of(envelope: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return value


def digests_of(statement: dict[str, Any]) -> dict[str, str]:
    return {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}


def names_of(statement: dict[str, Any]) -> list[str]:
    return [item["name"] for item in statement["predicate"]["buildDefinition"]["resolvedDependencies"]]


def refusal(done: CommandResult) -> tuple[int, str]:
    """Return the exit code and the one line of a command that printed nothing else."""
    assert done.out == ""
    assert done.err.count("\n") == 1
    return done.code, done.err


def test_securesystemslib_verifies_the_envelope(built: Repository, pair: KeyPair) -> None:
    done = built("attest", SIGNALS, "--key", str(pair.path))

    envelope = Envelope.from_dict(json.loads(done.out))
    assert envelope.verify([pair.public], 1) == {pair.public.keyid: pair.public}
    assert envelope.payload_type == "application/vnd.in-toto+json"
    assert done.out.count("\n") == 1


def test_a_change_anywhere_in_the_envelope_is_found(built: Repository, pair: KeyPair) -> None:
    signed = Envelope.from_dict(json.loads(built("attest", SIGNALS, "--key", str(pair.path)).out))
    signature = bytes.fromhex(signed.signatures[pair.public.keyid].signature)

    @examples(60)
    @given(
        st.sampled_from(["payload", "type", "signature"]), st.integers(0, len(signed.payload) - 1), st.integers(0, 7)
    )
    def law(part: str, position: int, bit: int) -> None:
        envelope = Envelope.from_dict(signed.to_dict())
        if part == "payload":
            envelope.payload = flipped(signed.payload, position, bit)
        elif part == "type":
            envelope.payload_type += "x" * (bit + 1)
        else:
            envelope.signatures[pair.public.keyid].signature = flipped(signature, position, bit).hex()
        with pytest.raises(VerificationError):
            envelope.verify([pair.public], 1)

    law()
    signed.verify([pair.public], 1)


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position % len(data)] ^= 1 << bit
    return bytes(changed)


def test_another_key_does_not_verify_it(built: Repository, pair: KeyPair, key: str) -> None:
    envelope = Envelope.from_dict(json.loads(built("attest", SIGNALS, "--key", key).out))

    with pytest.raises(VerificationError):
        envelope.verify([pair.public], 1)


def test_the_subjects_of_every_run_are_its_root_and_the_files_of_its_manifest(seen: Repository, key: str) -> None:
    attested = 0
    for folder in sorted(seen.runs.iterdir()):
        if not (folder / "manifest.json").exists():
            continue
        done = seen("attest", folder.name, "--key", key, "--json")
        document = done.document("attest")
        if done.code != 0:
            # What `verify` refuses is not attested, and nothing else.
            assert (done.code, seen("verify", folder.name).code, document["envelope"]) == (3, 3, None)
            continue
        statement = statement_of(document["envelope"])
        manifest = {
            f"{folder.name}/{entry['relpath']}": entry["sha256"] for entry in read_json(folder / "manifest.json")
        }
        assert digests_of(statement) == {folder.name: document["root_sha256"]} | manifest
        assert len(statement["subject"]) == len(manifest) + 1
        assert {name: hashlib.sha256((seen.runs / name).read_bytes()).hexdigest() for name in manifest} == manifest
        attested += 1
    assert attested > 15


def test_the_root_is_the_hash_of_the_sorted_lines_of_the_hash_file(built: Repository, key: str) -> None:
    recipe = f"head -n -1 {built.runs / SIGNALS}/MANIFEST.sha256 | LC_ALL=C sort | sha256sum"

    printed = subprocess.run(["sh", "-c", recipe], check=True, capture_output=True, text=True).stdout

    assert printed.split()[0] == digests_of(attest(built, SIGNALS, key))[SIGNALS]


def test_the_provenance_says_what_run_json_says(built: Repository, key: str) -> None:
    run_json = read_json(built.runs / SIGNALS / "run.json")

    statement = attest(built, SIGNALS, key)

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition, details = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert definition["buildType"] == "urn:registry-pipeline:build-type:run:v0.1"
    assert definition["externalParameters"] == {
        name: run_json[name] for name in ("run_type", "registry_id", "option", "operation_id", "as_of_utc")
    }
    assert definition["internalParameters"] == {"repository_id": run_json["repository_id"]}
    assert details == {
        "builder": {
            "id": "urn:registry-pipeline:builder:registry_pipeline.drift_signals",
            "version": {"registry_pipeline.drift_signals": run_json["builder"]["version"]},
        },
        "metadata": {"invocationId": SIGNALS, "startedOn": "2026-03-01T12:00:00Z"},
    }
    commit, *inputs = definition["resolvedDependencies"]
    assert commit == {
        "name": "commit",
        "digest": {"gitCommit": run_json["git_commit"]},
        "annotations": {"working_tree_state": run_json["working_tree_state"]},
    }
    registries, files = run_json["inputs"]["registries"], run_json["inputs"]["files"]
    assert registries
    assert files
    assert inputs == [
        *(
            {
                "name": item["sealed_ref"]["run_id"],
                "digest": {"sha256": item["sealed_ref"]["manifest_sha256"]},
                "annotations": {"registry_id": item["registry_id"], "role": item["role"]},
            }
            for item in registries
        ),
        *({"name": file["path"], "digest": {"sha256": file["sha256"]}} for file in files),
    ]


def test_an_input_is_found_by_the_root_in_its_own_attestation(built: Repository, key: str) -> None:
    definition = attest(built, SIGNALS, key)["predicate"]["buildDefinition"]
    upstream = next(
        item for item in definition["resolvedDependencies"] if item.get("annotations", {}).get("role") == "upstream"
    )

    assert digests_of(attest(built, upstream["name"], key))[upstream["name"]] == upstream["digest"]["sha256"]


def test_what_is_not_known_is_absent(built: Repository, key: str) -> None:
    (built.root / ".git").rename(built.root / "no_git")
    assert built("build", "drift_signals", "--only", "--force", now=LATER).code == 0
    assert read_json(built.runs / "2026-03-02__120000__drift_signals_build/run.json")["git_commit"] is None

    definition = attest(built, "2026-03-02__120000__drift_signals_build", key)["predicate"]["buildDefinition"]

    assert "gitCommit" not in json.dumps(definition)
    assert "working_tree_state" not in json.dumps(definition)
    assert "dagster_run_id" not in definition["internalParameters"]
    assert "partition" not in definition["externalParameters"]


def test_a_recorded_run_has_its_command_and_times(built: Repository, key: str) -> None:
    recorded = built("record", "--json", "--", "sh", "-c", "echo 1 > $RUN_DIR/one.txt").document("record")
    run_json = read_json(built.root / recorded["path"] / "run.json")

    statement = attest(built, recorded["run_id"], key)

    assert (
        statement["predicate"]["buildDefinition"]["externalParameters"]["command"] == run_json["execution"]["command"]
    )
    assert statement["predicate"]["runDetails"]["metadata"] == {
        "invocationId": recorded["run_id"],
        "startedOn": run_json["execution"]["started_utc"],
        "finishedOn": run_json["execution"]["ended_utc"],
    }
    assert f"{recorded['run_id']}/one.txt" in digests_of(statement)


def test_of_a_run_of_another_tool_only_the_files_are_known(built: Repository, key: str) -> None:
    seal_plainly(built.root, "theirs", {"a.txt": b"1\n"}, {"operation_id": 5})

    statement = attest(built, "theirs", key)

    assert set(digests_of(statement)) == {"theirs", "theirs/a.txt", "theirs/run.json"}
    assert statement["predicate"] == {
        "buildDefinition": {
            "buildType": "urn:registry-pipeline:build-type:run:v0.1",
            "externalParameters": {},
            "internalParameters": {},
            "resolvedDependencies": [],
        },
        "runDetails": {
            "builder": {"id": "urn:registry-pipeline:builder:unknown"},
            "metadata": {"invocationId": "theirs"},
        },
    }


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=8,
)
_DIGEST = st.sampled_from(["a" * 64, "A" * 64, "b" * 40, ""])
_INPUTS = st.fixed_dictionaries(
    {
        "registries": st.lists(
            st.fixed_dictionaries(
                {
                    "registry_id": _JSON,
                    "role": st.sampled_from(["upstream", "previous", "other"]),
                    "sealed_ref": st.fixed_dictionaries(
                        {"run_id": _JSON, "run_root": st.just("runs"), "relpath": _JSON, "manifest_sha256": _DIGEST}
                    ),
                }
            ),
            max_size=2,
        ),
        "files": st.lists(st.fixed_dictionaries({"path": _JSON, "sha256": _DIGEST}), max_size=2),
    }
)
_RUN_JSON = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("registry_id", "operation_id", "created_utc", "working_tree_state", "repository_id"), _JSON),
        "git_commit": _JSON | _DIGEST,
        "inputs": _JSON | _INPUTS,
        "builder": _JSON | st.fixed_dictionaries({"name": _JSON, "version": _JSON}),
        "execution": _JSON | st.fixed_dictionaries({"command": _JSON, "started_utc": _JSON, "ended_utc": _JSON}),
    },
)


_HALF: str = "\ud800"
_HALVES: dict[str, Any] = {
    "registry_id": _HALF,
    "repository_id": _HALF,
    "created_utc": _HALF,
    "git_commit": "a" * 40,
    "working_tree_state": _HALF,
    "builder": {"name": _HALF, "version": _HALF},
    "execution": {"command": [_HALF], "started_utc": _HALF},
    "inputs": {
        "registries": [
            {
                "registry_id": _HALF,
                "role": "upstream",
                "sealed_ref": {"run_id": _HALF, "run_root": _HALF, "relpath": None, "manifest_sha256": "a" * 64},
            }
        ],
        "files": [{"path": _HALF, "sha256": "a" * 64}],
    },
}


@examples(150)
@given(_RUN_JSON)
@example(_HALVES)
def test_any_run_json_gives_a_statement_that_other_programs_can_read(run_json: dict[str, Any]) -> None:
    entries = (ManifestEntry("run.json", 1, "c" * 64),)
    statement = make_statement(SealReport("runs/r", "r", "pass", "d" * 64, entries, run_json, ()))

    text = json_line(statement)
    # No half of a surrogate pair, which other programs refuse or replace.
    assert json.loads(json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")) == statement
    definition = statement["predicate"]["buildDefinition"]
    details = statement["predicate"]["runDetails"]
    assert details["builder"]["id"].isascii()
    assert all(parse_utc(details["metadata"].get(name, LATER)) for name in ("startedOn", "finishedOn"))
    for item in definition["resolvedDependencies"]:
        (algorithm, digest), *others = item["digest"].items()
        assert not others
        assert (algorithm, len(digest)) in {("sha256", 64), ("gitCommit", 40), ("gitCommit", 64)}
        assert digest == digest.lower()


def test_the_same_run_and_key_give_the_same_bytes_on_standard_output_and_in_a_file(
    built: Repository, key: str, tmp_path: Path
) -> None:
    output = tmp_path / "run.intoto.jsonl"

    printed = built("attest", SIGNALS, "--key", key).out
    written = built("attest", SIGNALS, "--key", key, "-o", str(output), now=LATER)

    assert output.read_text("utf-8") == printed == built("attest", SIGNALS, "--key", key, "--quiet").out
    assert written.code == 0
    root = read_json(built.runs / SIGNALS / "manifest.json") and digests_of(attest(built, SIGNALS, key))[SIGNALS]
    assert f"attested  .codex/RUNS/{SIGNALS} {root}" in written.out
    document = built("attest", SIGNALS, "--key", key, "-o", str(output), "--json").document("attest")
    assert (document["envelope"], document["output"]) == (json.loads(printed), str(output))
    assert document["keyid"] == document["envelope"]["signatures"][0]["keyid"]


def test_only_the_envelope_is_on_standard_output_and_warnings_are_beside_it(built: Repository, key: str) -> None:
    hash_file = built.runs / SIGNALS / "MANIFEST.sha256"
    hash_file.chmod(0o644)
    hash_file.write_bytes(hash_file.read_bytes().replace(b"\n", b"\r\n"))

    done = built("attest", SIGNALS, "--key", key)

    assert done.code == 0
    assert "WARN_CRLF" in done.err
    assert set(json.loads(done.out)) == {"payload", "payloadType", "signatures"}


@pytest.mark.parametrize("form", ["markdown", "github", "junit", "sarif"])
def test_a_format_without_the_envelope_needs_a_file(built: Repository, key: str, form: str, tmp_path: Path) -> None:
    words = ("attest", SIGNALS, "--key", key, "--format", form)
    output = tmp_path / "run.intoto.jsonl"

    assert (built(*words).code, built(*words, "-o", str(output)).code) == (2, 0)
    assert output.read_text("utf-8") == built("attest", SIGNALS, "--key", key).out


def test_a_run_of_a_repository_without_any_record_can_be_attested(known: Repository, key: str) -> None:
    seal_plainly(known.root, "theirs", {"a.txt": b"1\n"}, {})

    assert set(digests_of(attest(known, "theirs", key))) == {"theirs", "theirs/a.txt", "theirs/run.json"}


def test_the_printed_key_is_the_fingerprint_of_ssh_keygen(built: Repository, key: str) -> None:
    listed = subprocess.run(["ssh-keygen", "-l", "-f", key], check=True, capture_output=True, text=True).stdout.split()

    assert built("attest", SIGNALS, "--key", key, "--json").document("attest")["key"] == f"ED25519 {listed[1]}"


def test_a_run_that_does_not_verify_is_not_signed(built: Repository, key: str, tmp_path: Path) -> None:
    flip_byte(built.runs / SIGNALS / "DRIFT_SIGNALS_v0_1.json")
    output = tmp_path / "run.intoto.jsonl"

    done = built("attest", SIGNALS, "--key", key, "-o", str(output))
    document = built("attest", SIGNALS, "--key", key, "-o", str(output), "--json").document("attest")

    assert (done.code, output.exists()) == (3, False)
    assert "SEAL_INVALID: HASH_MISMATCH" in done.out
    assert "refused: nothing was signed" in done.out
    assert (document["envelope"], document["output"]) == (None, None)


def test_an_unsealed_folder_is_not_signed(built: Repository, key: str) -> None:
    (built.runs / "unsealed").mkdir()
    (built.runs / "unsealed/run.json").write_text("{}\n", "utf-8")

    done = built("attest", "unsealed", "--key", key)

    assert (done.code, "UNSEALED" in done.out) == (3, True)


def test_a_run_that_is_marked_bad_is_not_signed(built: Repository, key: str) -> None:
    assert built("mark-bad", SIGNALS, "--reason", "wrong", now=LATER).code in (0, 8)

    done = built("attest", SIGNALS, "--key", key)

    assert (done.code, "RUN_MARKED_BAD" in done.out) == (3, True)


def test_nothing_is_signed_while_the_chain_is_invalid(built: Repository, key: str) -> None:
    assert built("mark-bad", SIGNALS, "--reason", "wrong", now=LATER).code in (0, 8)
    record = max(built.runs.glob("*pointer_activation*"))
    flip_byte(record / "POINTER_ACTIVATION_v0_1.json")

    done = built("attest", SIGNALS, "--key", key)

    assert (done.code, "CHAIN_" in done.out) == (3, True)


def test_a_run_of_another_repository_is_not_signed(built: Repository, key: str) -> None:
    write_id(built, 'repository_id = "another-repository"\n')

    code, line = refusal(built("attest", SIGNALS, "--key", key))

    assert code == 5
    assert "not in another-repository -> attest it there" in line


def test_a_folder_outside_the_run_roots_is_not_signed(built: Repository, key: str, tmp_path: Path) -> None:
    seal_plainly(tmp_path, "copy", {"a.txt": b"1\n"}, {})

    code, line = refusal(built("attest", str(tmp_path / ".codex/RUNS/copy"), "--key", key))

    assert (code, "is not directly under a run root" in line) == (5, True)


def test_a_folder_of_a_run_root_may_be_named_by_its_path(built: Repository, key: str) -> None:
    assert attest(built, f".codex/RUNS/{SIGNALS}", key) == attest(built, SIGNALS, key)


@pytest.mark.parametrize(
    ("output", "code"), [(f".codex/RUNS/{SIGNALS}/run.intoto.jsonl", 5), (".codex/RUNS/a", 5), ("missing/a", 7)]
)
def test_an_attestation_is_not_written_into_a_run_root_or_a_missing_folder(
    built: Repository, key: str, output: str, code: int
) -> None:
    before = built.files()

    assert refusal(built("attest", SIGNALS, "--key", key, "-o", output))[0] == code

    assert built.files() == before


def test_the_key_is_that_of_the_option_then_of_the_environment_then_of_git(
    built: Repository, keys: dict[str, Key]
) -> None:
    git(built.root, "config", "gpg.format", "ssh")
    # As git is often configured: the public key, with the private one beside it.
    git(built.root, "config", "user.signingKey", f"{keys['alice'].path}.pub")
    bob, mallory = str(keys["bob"].path), str(keys["mallory"].path)

    def find_keyid(*words: str, **more: Any) -> str:
        return str(built("attest", SIGNALS, *words, "--json", **more).document("attest")["keyid"])

    alice = SSlibKey.from_crypto(load_ssh_public_key(keys["alice"].public.encode())).keyid
    assert find_keyid() == alice
    assert find_keyid(REGISTRY_PIPELINE_SIGNING_KEY=bob) == find_keyid("--key", bob) != alice
    assert find_keyid("--key", mallory, REGISTRY_PIPELINE_SIGNING_KEY=bob) == find_keyid("--key", mallory)


def test_without_a_key_nothing_is_signed(built: Repository) -> None:
    code, line = refusal(built("attest", SIGNALS))

    assert code == 5
    assert "user.signingKey" in line


def test_a_key_that_only_an_agent_has_is_refused_with_advice(built: Repository, tmp_path: Path) -> None:
    key = make_key(tmp_path, "held")
    public = tmp_path / "held.pub"
    with running_agent(tmp_path, key) as socket:
        key.path.unlink()
        refusals = [
            refusal(built("attest", SIGNALS, REGISTRY_PIPELINE_SIGNING_KEY=named, SSH_AUTH_SOCK=socket))
            for named in (str(public), key.public, f"key::{key.public}")
        ]

    for code, line in refusals:
        assert code == 5
        assert "an agent makes only SSH signatures -> name another file with --key" in line


@pytest.mark.parametrize(
    ("make", "code", "text"),
    [
        (["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", "key"], 5, "protected by a passphrase"),
        (["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", "key"], 5, "is not an ed25519 key"),
        (["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", "key"], 5, "is not an ed25519 key"),
        (["openssl", "genpkey", "-algorithm", "ed448", "-out", "key"], 5, "is not an ed25519 key"),
        (
            ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", "key"],
            5,
            "protected by a passphrase",
        ),
        (["sh", "-c", "echo text > key"], 5, "is not a private key in OpenSSH or PEM form"),
        (["sh", "-c", "echo '-----BEGIN OPENSSH PRIVATE KEY-----' > key"], 5, "is not a private key"),
        (["true"], 7, "cannot be read: No such file or directory"),
        (["sh", "-c", "head -c 70000 /dev/zero > key"], 7, "cannot be read: larger than"),
        (["mkfifo", "key"], 7, "cannot be read"),
    ],
)
def test_a_key_that_cannot_sign_an_envelope_is_refused_in_one_line(
    built: Repository, tmp_path: Path, make: list[str], code: int, text: str
) -> None:
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)

    refused, line = refusal(built("attest", SIGNALS, "--key", str(tmp_path / "key")))

    assert refused == code
    assert text in line


def test_a_missing_file_whose_name_begins_like_a_key_is_missing(built: Repository) -> None:
    code, line = refusal(built("attest", SIGNALS, "--key", "ssh-keys/release"))

    assert (code, "No such file" in line) == (7, True)


def test_without_the_extra_the_command_says_how_to_install_it(
    built: Repository, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)

    code, line = refusal(built("attest", SIGNALS, "--key", key))

    assert code == 7
    assert "registry-pipeline[attest]" in line
