"""The threat model of docs/explanation/trust.md: each row is done here, and found by its command, or not found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline_tests.cli.conftest import CommandResult, PlainRepository, Repository
from registry_pipeline_tests.cli.test_capturing import reseal
from registry_pipeline_tests.copies import copied_repository, flip_byte
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.signing.authority import make_authority
from registry_pipeline_tests.signing.keys import Key

PAGE = Path(__file__).parents[2] / "docs/explanation/trust.md"
NOON, LATER, LATEST = (f"2026-03-0{day}T12:00:00Z" for day in (1, 2, 3))
FIRST, SECOND = "2026-03-01__120000", "2026-03-02__120000"
RECORD, AFTER = "POINTER_ACTIVATION_v0_1.json", "POINTERS_AFTER.json"
OLDER, HEAD = f"{FIRST}__pointer_activation__02", f"{SECOND}__pointer_activation"
THIRD, FORGED = "2026-03-03__120000__pointer_activation", "2026-03-03__130000__pointer_activation"
EVERYTHING = ("verify", "--all", "--chain", "--signed", "--anchors", "--inputs", "--baseline", "evidence")
SIGNED, ANCHORS = ("verify", "--chain", "--signed"), ("verify", "--chain", "--anchors")


@dataclass(frozen=True)
class World:
    """A repository whose last build was signed by Alice, anchored, and committed; what is outside is out of reach."""

    repository: Repository
    outside: Path
    keys: dict[str, Key]

    def __call__(self, *words: str, key: str | None = None, now: str = LATEST) -> CommandResult:
        if key is None:
            return self.repository(*words, now=now)
        return self.repository(*words, now=now, REGISTRY_PIPELINE_SIGNING_KEY=str(self.keys[key].path))

    def verify(self, words: tuple[str, ...]) -> CommandResult:
        """Call a command as an auditor does, who has the file of allowed signers."""
        signers = ("--allowed-signers", str(self.outside / "signers")) if {"--signed", "--anchors"} & {*words} else ()
        return self(*words, *signers, "--json")

    def run(self, name: str) -> Path:
        return self.repository.runs / name

    def allow_alice(self, until: str = "") -> None:
        """Write the file of allowed signers: Alice may sign tags, and records until a time."""
        lines = [self.keys["alice"].line(f'namespaces="{name}"') for name in ("git", "registry-pipeline")]
        if until:
            lines[1] = self.keys["alice"].line(f'namespaces="registry-pipeline",valid-before="{until}"')
        (self.outside / "signers").write_text("".join(lines), "utf-8")

    def forge(self, action: str, state: str, *, before: str = HEAD, **changes: object) -> None:
        """Seal an unsigned record by hand that moves the pointers from one record's state to another's."""
        head, folder = self.run(HEAD), self.run(FORGED)
        before_bytes, after = ((self.run(run) / AFTER).read_bytes() for run in (before, state))
        shutil.copytree(head, folder)
        record = json.loads((head / RECORD).read_bytes()) | {"action": action, "previous_activation": self.ref(head)}
        record |= {
            "pointer_sha256_before": sha256_hex(before_bytes),
            "pointer_sha256_after": sha256_hex(after),
            **changes,
        }
        del record["created_utc"]
        envelope = json.loads((folder / "run.json").read_bytes())
        envelope |= {"run_id": FORGED, "created_utc": LATEST, "outputs": sorted([RECORD, AFTER])}
        (folder / f"{RECORD}.sig").unlink()
        reseal(folder, **{"run.json": json_document(envelope), RECORD: json_document(record), AFTER: after})
        self.repository.pointers.write_bytes(after)

    def ref(self, folder: Path) -> dict[str, str]:
        """Return the reference by which a record names another one."""
        root = (folder / "MANIFEST.sha256").read_text("utf-8").split()[-1]
        return {"run_id": folder.name, "run_root": ".codex/RUNS", "relpath": RECORD, "manifest_sha256": root}

    def drop_policy(self) -> None:
        """Remove `[signing]` from the toml."""
        toml = self.repository.root / "registry-pipeline.toml"
        toml.write_text(toml.read_text("utf-8").partition("[signing]")[0], "utf-8")


@pytest.fixture(scope="session")
def signed_repository(
    known_repository: Path, keys: dict[str, Key], home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Make the repository and what is outside of it, once."""
    folder = tmp_path_factory.mktemp("threats")
    root, outside = folder / "repository", folder / "outside"
    outside.mkdir()
    shutil.copytree(known_repository, root, symlinks=True)
    (root / "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json").unlink()
    world = World(PlainRepository(root, home), outside, keys)
    for run in json.loads(world("verify", "--all", "--json").out)["results"]:
        if run["verdict"] in ("fail", "partial"):
            shutil.rmtree(root / run["path"])
    # (1) Built at noon, unsigned.
    assert world("init", now=NOON).code == 0
    assert world("build", now=NOON).code == 0
    # (2) Built a day later, signed and anchored.
    with (root / "registry-pipeline.toml").open("a", encoding="utf-8") as toml:
        toml.write('\n[anchors]\ntags = true\nfile = "../outside/anchors.txt"\n')
        toml.write('\n[signing]\nregistries = ["*"]\nallowed_signers = "signers"\n')
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.invalid")):
        git(root, "config", name, value)
    world.allow_alice()
    shutil.copy(outside / "signers", root / "signers")
    assert world("build", "--force", key="alice", now=LATER).code == 0
    assert world("anchor", "--write", key="alice", now=LATER).code == 0
    # (3) Committed.
    git(root, "add", "--force", "--all")
    git(root, "commit", "--quiet", "-m", "evidence")
    git(root, "tag", "evidence")
    return root, outside


@pytest.fixture
def world(signed_repository: tuple[Path, Path], keys: dict[str, Key], home: Path, tmp_path: Path) -> Iterator[World]:
    root, outside = signed_repository
    shutil.copytree(outside, tmp_path / "outside")
    with copied_repository(root, tmp_path / "repository") as copy:
        yield World(PlainRepository(copy, home), tmp_path / "outside", keys)


# A careless colleague.


def edit_a_sealed_file(world: World) -> None:
    flip_byte(world.run(f"{SECOND}__drift_signals_build") / "DRIFT_SIGNALS_v0_1.json")


def edit_the_pointer_file(world: World) -> None:
    data = world.repository.pointers.read_bytes()
    world.repository.pointers.write_bytes(data.replace(SECOND.encode(), FIRST.encode(), 1))


def restore_an_older_pointer_file(world: World) -> None:
    older = world.run(OLDER) / AFTER
    world.repository.pointers.write_bytes(older.read_bytes())


def delete_a_superseded_run(world: World) -> None:
    shutil.rmtree(world.run(f"{FIRST}__drift_signals_build"))


def forget_to_sign(world: World) -> None:
    world.drop_policy()
    assert world("rollback", "--reason", "in a hurry").code == 0
    git(world.repository.root, "checkout", "--quiet", "registry-pipeline.toml")


# A hostile contributor, who can write the repository.


def swap_two_folders(world: World) -> None:
    one, two = (world.run(f"{stamp}__drift_signals_build") for stamp in (FIRST, SECOND))
    one.rename(one.with_name("aside"))
    two.rename(one)
    one.with_name("aside").rename(two)


def seal_an_altered_run_again(world: World) -> None:
    folder = world.run(f"{SECOND}__drift_signals_build")
    data = (folder / "DRIFT_SIGNALS_v0_1.json").read_bytes()
    reseal(folder, **{"DRIFT_SIGNALS_v0_1.json": data.replace(b"true", b"false")})


def shorten_the_chain(world: World) -> None:
    for folder in world.repository.runs.glob(f"{SECOND}*"):
        shutil.rmtree(folder)
    restore_an_older_pointer_file(world)


def rewrite_the_actor_of_the_head(world: World) -> None:
    head = world.run(HEAD)
    record = json.loads((head / RECORD).read_bytes())
    reseal(head, **{RECORD: json.dumps(record | {"actor": "Grace"}).encode()})
    for report in world.repository.runs.glob(f"{SECOND}*system_health*"):
        shutil.rmtree(report)


def void_a_signed_record(world: World) -> None:
    # What is restored was signed, too.
    assert world("build", "--force", key="alice").code == 0
    runs = [world.ref(world.run(THIRD))]
    world.forge("void", HEAD, moves=[], runs=runs)


def hide_a_move_in_a_record(world: World) -> None:
    report = next(world.repository.runs.glob(f"{FIRST}*system_health*"))
    world.forge("mark_bad", OLDER, moves=[], runs=[world.ref(report) | {"relpath": None}])


def forge_a_record_that_doctor_completes(world: World) -> None:
    data = world.repository.pointers.read_bytes()
    moves = json.loads((world.run(HEAD) / RECORD).read_bytes())["moves"]
    back = [move | {"from_ref": move["to_ref"], "to_ref": move["from_ref"]} for move in moves]
    world.forge("rollback", OLDER, moves=back)
    world.repository.pointers.write_bytes(data)


def give_a_signed_record_another_time(world: World) -> None:
    head = world.run(HEAD)
    renamed = head.rename(head.with_name("2026-03-02__110000__pointer_activation"))
    envelope = json.loads((renamed / "run.json").read_bytes())
    envelope |= {"run_id": renamed.name, "created_utc": "2026-03-02T11:00:00Z"}
    reseal(renamed, **{"run.json": json_document(envelope)})


def remove_the_signature_of_a_build(world: World) -> None:
    assert world("build", "run_registry", "--only", "--force", key="alice").code == 0
    folder = max(world.repository.runs.glob("2026-03-03*run_registry_build"))
    signed = [path for path in folder.iterdir() if path.name.startswith("BUILD_STATEMENT")]
    assert len(signed) == 2
    envelope = json.loads((folder / "run.json").read_bytes())
    envelope["outputs"] = [name for name in envelope["outputs"] if not name.startswith("BUILD_STATEMENT")]
    for path in signed:
        path.unlink()
    reseal(folder, **{"run.json": json_document(envelope)})


def sign_with_a_key_of_their_own(world: World) -> None:
    world.drop_policy()
    assert world("rollback", "--reason", "for me", key="mallory").code == 0
    git(world.repository.root, "checkout", "--quiet", "registry-pipeline.toml")


def allow_themselves(world: World) -> None:
    (world.repository.root / "signers").write_text(world.keys["mallory"].line(), "utf-8")
    assert world("rollback", "--reason", "for me", key="mallory").code == 0


def seal_a_build_of_their_own(world: World) -> None:
    assert world("build", "run_registry", "--only", "--force", key="mallory").code == 0


def replay_a_signed_record(world: World) -> None:
    source, target = world.run(HEAD), world.run(f"{SECOND}__pointer_activation__02")
    shutil.copytree(source, target)
    envelope = (target / "run.json").read_bytes().replace(source.name.encode(), target.name.encode())
    reseal(target, **{"run.json": envelope})


def insert_a_run_of_another_repository(world: World) -> None:
    source, target = world.run(f"{SECOND}__drift_signals_build"), world.run("2026-03-02__130000__drift_signals_build")
    shutil.copytree(source, target)
    envelope = json.loads((target / "run.json").read_bytes())
    envelope |= {"run_id": target.name, "created_utc": "2026-03-02T13:00:00Z", "repository_id": "another-repository"}
    reseal(target, **{"run.json": json.dumps(envelope).encode()})


def weaken_the_policy(world: World) -> None:
    world.drop_policy()
    assert world("rollback", "--reason", "for me").code == 0
    git(world.repository.root, "commit", "--quiet", "-a", "-m", "tidy the toml")


# The owner of the machine, who can also write git.


def rewrite_everything(world: World) -> None:
    world.drop_policy()
    for folder in world.repository.runs.iterdir():
        if folder.name.startswith((FIRST, SECOND)):
            shutil.rmtree(folder)
    world.repository.pointers.unlink()
    assert world("init").code == 0
    assert world("build", now=LATER).code == 0


def rewrite_the_history_of_git(world: World) -> None:
    shorten_the_chain(world)
    root = world.repository.root
    git(root, "tag", "--delete", "evidence", *git(root, "tag", "--list", "registry-anchor/*").split())
    git(root, "add", "--force", "--all")
    git(root, "commit", "--quiet", "--amend", "-m", "nothing happened")
    git(root, "tag", "evidence")


def delete_the_anchors(world: World) -> None:
    root = world.repository.root
    git(root, "tag", "--delete", *git(root, "tag", "--list", "registry-anchor/*").split())


def configure_anchors(world: World, *lines: str) -> None:
    """Replace `[anchors]`, and remove the policy."""
    world.drop_policy()
    toml = world.repository.root / "registry-pipeline.toml"
    anchors = "\n".join(["[anchors]", *lines, ""])
    toml.write_text(toml.read_text("utf-8").partition("[anchors]")[0] + anchors, "utf-8")


def replace_the_time_stamps(world: World) -> None:
    authority, folder = make_authority(world.outside / "authority"), world.repository.root / "stamps"
    folder.mkdir()
    configure_anchors(world, 'time_stamps = "stamps"', f'authorities = "{authority.certificate}"')
    for change in (lambda _: None, rewrite_the_history_of_git):
        change(world)
        for stamp in folder.iterdir():
            stamp.unlink()
        assert world("anchor", "--write").code == 0
        (request,) = folder.iterdir()
        authority.answer(request)
        assert world.verify(ANCHORS).code == 0


def change_where_anchors_are(world: World) -> None:
    configure_anchors(world, f'file = "{world.outside}/another.txt"')
    rewrite_the_history_of_git(world)
    assert world("anchor", "--write").code == 0


def steal_a_key(world: World) -> None:
    assert world("rollback", "--reason", "for me", key="alice").code == 0


def use_a_stolen_key_after_its_end(world: World) -> None:
    world.allow_alice(until="20260303")
    steal_a_key(world)


def date_a_record_before_the_newest(world: World) -> None:
    with (world.outside / "signers").open("a", encoding="utf-8") as signers:
        signers.write(world.keys["bob"].line('namespaces="registry-pipeline",valid-before="20260302"'))
    world.drop_policy()
    assert world("rollback", "--reason", "for me", key="bob", now="2026-03-01T18:00:00Z").code == 0
    git(world.repository.root, "checkout", "--quiet", "registry-pipeline.toml")


def set_the_clock_back(world: World) -> None:
    world.allow_alice(until="20260303")
    assert world("rollback", "--reason", "for me", key="alice", now="2026-03-02T18:00:00Z").code == 0


@dataclass(frozen=True)
class Threat:
    """What somebody does, the command that finds it, and a code that it reports; no command: it is not found."""

    does: Callable[[World], None]
    words: tuple[str, ...] = ()
    code: str = ""


ALL, CHAIN = ("verify", "--all"), ("verify", "--chain")
ACTIVATE = ("activate", "drift_signals", "latest", "--reason", "new")
THREATS = {
    "a careless colleague edits a sealed file": Threat(edit_a_sealed_file, ALL, "HASH_MISMATCH"),
    "... edits the pointer file": Threat(edit_the_pointer_file, CHAIN, "POINTER_EDITED"),
    "... restores an older pointer file": Threat(restore_an_older_pointer_file, CHAIN, "POINTER_REWOUND"),
    "... deletes a superseded run": Threat(delete_a_superseded_run, CHAIN, "CHAIN_RUN_MISSING"),
    "... activates without the signature that is wanted": Threat(forget_to_sign, SIGNED, "SIGNATURE_MISSING"),
    "a hostile contributor swaps two run folders": Threat(swap_two_folders, ALL, "RUN_ID_FOLDER_MISMATCH"),
    "... alters a run and seals it again": Threat(seal_an_altered_run_again, CHAIN, "CHAIN_RUN_RESEALED"),
    "... removes the newest records, builds and reports": Threat(shorten_the_chain, ANCHORS, "CHAIN_ANCHOR_MISSING"),
    "... rewrites the actor of the newest record": Threat(rewrite_the_actor_of_the_head, SIGNED, "SIGNATURE_BAD"),
    "... gives the newest record another time": Threat(give_a_signed_record_another_time, CHAIN, "CHAIN_RECORD_EDITED"),
    "... voids the newest record, which was signed": Threat(void_a_signed_record, SIGNED, "SIGNATURE_MISSING"),
    "... hides a move in a record that marks a run bad": Threat(hide_a_move_in_a_record, CHAIN, "CHAIN_MOVES_WRONG"),
    "... forges a record for `doctor --fix` to complete": Threat(
        forge_a_record_that_doctor_completes, ("doctor", "--fix"), "ACTIVATE_UNSIGNED"
    ),
    "... removes the signature of a build that is not active": Threat(remove_the_signature_of_a_build),
    "... signs an activation with a key of their own": Threat(
        sign_with_a_key_of_their_own, SIGNED, "SIGNER_NOT_ALLOWED"
    ),
    "... also adds that key to a file in the repository": Threat(allow_themselves, SIGNED, "SIGNER_NOT_ALLOWED"),
    "... seals a build of their own": Threat(seal_a_build_of_their_own, (*ALL, "--signed"), "SIGNER_NOT_ALLOWED"),
    "... replays a signed record under a new name": Threat(replay_a_signed_record, CHAIN, "CHAIN_FORK"),
    "... inserts a run of another repository": Threat(insert_a_run_of_another_repository, ACTIVATE, "ACTIVATE_FOREIGN"),
    "... removes the policy from the toml": Threat(weaken_the_policy),
    "the owner of the machine rewrites every run, record and report": Threat(
        rewrite_everything, ANCHORS, "CHAIN_ANCHOR_MISSING"
    ),
    "... also rewrites the history of git with its tags": Threat(
        rewrite_the_history_of_git, ANCHORS, "CHAIN_ANCHOR_MISSING"
    ),
    "... deletes all tags that are anchors": Threat(delete_the_anchors, ANCHORS, "ANCHOR_NONE"),
    "... deletes all time stamps and makes a new one": Threat(replace_the_time_stamps),
    "... changes `[anchors]` in the toml": Threat(change_where_anchors_are),
    "... signs with a stolen key": Threat(steal_a_key),
    "... signs with a stolen key after its `valid-before`": Threat(
        use_a_stolen_key_after_its_end, SIGNED, "SIGNER_NOT_ALLOWED"
    ),
    "... dates a record before the one that it follows": Threat(
        date_a_record_before_the_newest, SIGNED, "SIGNER_NOT_ALLOWED"
    ),
    "... also sets the clock back, but not so far": Threat(set_the_clock_back),
}


def codes_of(result: CommandResult) -> set[str]:
    document = json.loads(result.out)
    found = [
        *document["findings"],
        *document.get("refused", ()),
        *(f for run in document.get("results", ()) for f in run["findings"]),
    ]
    return {finding["code"] for finding in found if finding["severity"] == "error"}


def test_before_anything_is_done_every_command_passes(world: World) -> None:
    result = world.verify(EVERYTHING)

    assert (result.code, codes_of(result)) == (0, set()), result.out
    assert {a["record"] for a in json.loads(result.out)["anchors"]} == {3}


FOUND = [pytest.param(threat, id=what) for what, threat in THREATS.items() if threat.words]
NOT_FOUND = [pytest.param(threat, id=what) for what, threat in THREATS.items() if not threat.words]


@pytest.mark.parametrize("threat", FOUND)
def test_it_is_found_by_the_command_that_the_page_names(threat: Threat, world: World) -> None:
    threat.does(world)

    result = world.verify(threat.words)

    assert threat.code in codes_of(result), result.out
    assert result.code in (3, 5, 7)


@pytest.mark.parametrize("threat", NOT_FOUND)
def test_it_is_not_found_as_the_page_says(threat: Threat, world: World) -> None:
    threat.does(world)

    for words in (("verify", "--all"), SIGNED, ANCHORS):
        assert codes_of(world.verify(words)) == set(), words


def test_the_page_has_a_row_for_each() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    by_text = {row[0]: row[1] for row in rows if row[-1] == f"`signing/{Path(__file__).name}`"}

    for what, threat in THREATS.items():
        found_by = by_text.get(what, "the page has no such row")
        expected = f"`{' '.join(threat.words)}`: `{threat.code}`" if threat.words else "not found"
        assert found_by.startswith(expected), what
