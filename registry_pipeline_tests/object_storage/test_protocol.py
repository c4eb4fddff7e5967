"""The protocol for object storage keeps its promises whatever is lost, delayed, reordered or killed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.object_storage.protocol import (
    ABANDONED,
    CHAIN,
    POINTERS,
    RUNS,
    Activated,
    Sealed,
    Steps,
    activate,
    find_runs,
    make_pointers,
    seal,
    sweep,
)
from registry_pipeline_tests.object_storage.store import (
    Answer,
    ObjectStore,
    Outcome,
    Promise,
    Put,
    Request,
    RequestTimeoutError,
    make_etag,
)

FILES = {"data.csv": b"1\n", "more/notes.md": b"# A run\n"}
# Which client goes on, what happens to its request, and which delayed put arrives then, if any.
Event = tuple[int, Outcome, int | None]
# Instead of a client that goes on: another reader begins.
NEW_READER = 5
MOST_REQUESTS = 5_000


@dataclass
class Client:
    """A program that is executing the protocol."""

    name: str
    steps: Steps
    request: Request | None = None
    result: object = None
    ended: bool = False
    sealed_before: frozenset[str] = frozenset()

    def send(self, answer: object) -> None:
        """Hand over an answer, or a timeout, and take the next request."""
        try:
            if isinstance(answer, Exception):
                self.request = self.steps.throw(answer)
            else:
                self.request = self.steps.send(answer)  # type: ignore[arg-type]
        except StopIteration as end:
            self.request, self.result, self.ended = None, end.value, True

    @property
    def was_refused(self) -> bool:
        """Return whether the client has ended by itself and has the answer that nothing took effect."""
        return self.ended and self.request is None and self.result is None


@dataclass
class World:
    """A store and the clients that use it at the same time."""

    store: ObjectStore
    clients: list[Client] = field(default_factory=list)

    def start(self, name: str, steps: Steps) -> None:
        client = Client(name, steps, sealed_before=frozenset(self.sealed()))
        self.clients.append(client)
        client.send(None)

    def sealed(self) -> dict[str, Client]:
        """Return the runs that a client believes to be sealed."""
        return {client.result.run_id: client for client in self.clients if isinstance(client.result, Sealed)}

    def play(self, events: Sequence[Event]) -> None:
        """Let things go wrong for a while, then right until every client that lives has ended."""
        for position, outcome, late in events:
            running = [client for client in self.clients if not client.ended]
            if position == NEW_READER:
                self.start("reader", find_runs())
            elif running:
                self.step(running[position % len(running)], outcome)
            if late is not None:
                self.store.deliver(late)
            self.check()
        for _ in range(MOST_REQUESTS):
            running = [client for client in self.clients if not client.ended]
            if not running:
                break
            self.step(running[0], Outcome.ANSWERED)
            self.check()
        else:
            raise AssertionError("the clients never end")
        while self.store.delayed:
            self.store.deliver(0)
            self.check()

    def step(self, client: Client, outcome: Outcome) -> None:
        request = client.request
        assert request is not None
        if outcome is Outcome.CLIENT_DIES:
            client.ended = True
        elif outcome is Outcome.REQUEST_LOST:
            client.send(RequestTimeoutError())
        elif outcome is Outcome.ANSWER_LOST:
            self.store.execute(request)
            client.send(RequestTimeoutError())
        elif outcome is Outcome.DELAYED and isinstance(request, Put):
            self.store.delayed.append(request)
            client.send(RequestTimeoutError())
        else:
            client.send(self.store.execute(request))

    def check(self) -> None:
        """Check what the protocol promises, in this very moment."""
        self.check_runs()
        self.check_pointers()
        for client in self.clients:
            if client.name == "reader" and isinstance(client.result, dict):
                assert all(client.result.values()), "a reader saw an incomplete run"
                assert client.sealed_before <= client.result.keys(), "a reader missed a run that was sealed before"

    def files_of(self, run_id: str) -> dict[str, bytes]:
        folder = f"{RUNS}{run_id}/"
        return {key.removeprefix(folder): data for key, data in self.store.objects.items() if key.startswith(folder)}

    def existing(self) -> set[str]:
        """Return the runs that exist."""
        end = "/MANIFEST.sha256"
        keys = (key for key, data in self.store.objects.items() if key.endswith(end) and data != ABANDONED)
        return {key.removeprefix(RUNS).removesuffix(end) for key in keys}

    def check_runs(self) -> None:
        run_ids = {key.removeprefix(RUNS).partition("/")[0] for key in self.store.objects if key.startswith(RUNS)}
        for run_id in run_ids:
            files = self.files_of(run_id)
            hash_file = files.pop("MANIFEST.sha256", ABANDONED)
            if hash_file == ABANDONED:
                assert run_id not in self.sealed(), "a sealed run was declared abandoned"
                continue
            manifest_json = files.pop("manifest.json")
            manifest = build_manifest(make_entry(path, data) for path, data in files.items())
            assert (manifest.hash_file, manifest.manifest_json) == (hash_file, manifest_json), "a run is not complete"
        for run_id, client in self.sealed().items():
            assert json.loads(self.files_of(run_id)["run.json"])["writer"] == client.name, "two writers sealed one name"
        writers = [json.loads(self.files_of(run_id)["run.json"])["writer"] for run_id in self.existing()]
        assert len(set(writers)) == len(writers), "one writer sealed two runs"
        results = [client for client in self.clients if isinstance(client.result, Sealed)]
        assert len(results) == len(self.sealed()), "two writers sealed one name"

    def check_pointers(self) -> None:
        contents = [json.loads(data) for key, data in self.store.history if key == POINTERS]
        assert [content["record"] for content in contents] == list(range(len(contents))), "a pointer moved twice"
        links = {key: json.loads(data) for key, data in self.store.objects.items() if key.startswith(CHAIN)}
        records = {key: self.files_of(link["run_id"]) for key, link in links.items()}
        authors = [json.loads(files["run.json"])["writer"] for files in records.values()]
        for number, content in enumerate(contents[1:], 1):
            files = records[f"{CHAIN}{number:04}"]
            assert json.loads(files["POINTERS_AFTER.json"]) == content, "the pointer file is not that of its record"
        for client in self.clients:
            if isinstance(client.result, Activated):
                assert authors.count(client.name) == 1, "a change that was acknowledged is not in the chain once"
                assert len(contents) > client.result.number, "a change that was acknowledged is not in the pointer file"
            if client.name.startswith("activator") and client.was_refused:
                assert client.name not in authors, "a change that was refused took effect"


def make_world(broken: frozenset[Promise] = frozenset()) -> World:
    """Return two writers of one name, two activations and a sweep, each before its first request."""
    world = World(ObjectStore(broken))
    world.store.execute(Put(POINTERS, make_pointers(0, "none")))
    for name in ("writer-1", "writer-2"):
        world.start(name, seal(name, "run", {**FILES, f"by_{name}.txt": name.encode()}))
    for name in ("activator-1", "activator-2"):
        world.start(name, activate(name, name))
    world.start("sweep", sweep())
    return world


LIKELY = (
    [Outcome.ANSWERED] * 12 + [Outcome.ANSWER_LOST, Outcome.REQUEST_LOST, Outcome.DELAYED] * 2 + [Outcome.CLIENT_DIES]
)
EVENTS = st.lists(
    st.tuples(st.integers(0, NEW_READER), st.sampled_from(LIKELY), st.none() | st.integers(0, 3)), max_size=150
)


@examples(200)
@given(EVENTS)
def test_every_promise_holds_after_every_request(events: list[Event]) -> None:
    make_world().play(events)


def find_violation(make: Callable[[], World], seeds: int) -> str | None:
    """Return the first violation that random events lead to, the same ones each time."""
    for seed in range(seeds):
        chance = random.Random(seed)  # noqa: S311 - no secret
        events = [
            (chance.randrange(NEW_READER + 1), chance.choice(LIKELY), chance.choice([None, None, 0, 1]))
            for _ in range(chance.randrange(150))
        ]
        try:
            make().play(events)
        except (AssertionError, KeyError, ValueError) as error:
            return str(error) or type(error).__name__
    return None


@pytest.mark.parametrize("promise", Promise)
def test_a_store_that_lacks_a_promise_is_not_enough(promise: Promise) -> None:
    assert find_violation(lambda: make_world(frozenset({promise})), 400) is not None


def test_random_events_violate_nothing_in_a_store_that_keeps_its_promises() -> None:
    assert find_violation(make_world, 150) is None


def test_a_run_without_its_hash_file_does_not_exist() -> None:
    world = World(ObjectStore())
    world.start("writer", seal("writer", "run", FILES))
    writer = world.clients[0]
    seen = []
    while not writer.ended:
        world.step(writer, Outcome.ANSWERED)
        reader = World(world.store)
        reader.start("reader", find_runs())
        reader.play([])
        seen.append(reader.clients[0].result)

    assert seen[-1] == {"run": True}
    assert set(map(str, seen[:-1])) == {"{}"}


def test_two_writers_of_one_name_both_seal_under_names_of_their_own() -> None:
    world = World(ObjectStore())
    for name in ("first", "second"):
        world.start(name, seal(name, "run", FILES))
    world.play([(number, Outcome.ANSWERED, None) for number in range(40)])

    assert sorted(world.sealed()) == ["run", "run__02"]


def test_a_writer_that_was_declared_abandoned_seals_under_the_next_name() -> None:
    world = World(ObjectStore())
    world.start("slow", seal("slow", "run", FILES))
    world.step(world.clients[0], Outcome.ANSWERED)
    world.start("sweep", sweep())
    world.play([(1, Outcome.ANSWERED, None)] * 3)

    assert sorted(world.sealed()) == ["run__02"]
    assert world.files_of("run")["MANIFEST.sha256"] == ABANDONED


def test_an_object_that_is_not_stored_as_it_was_sent_is_never_sealed() -> None:
    class DamagingStore(ObjectStore):
        def execute(self, request: Request) -> Answer:
            if isinstance(request, Put) and request.key == f"{RUNS}run/data.csv":
                request = Put(request.key, b"2\n", if_absent=True)
            return super().execute(request)

    world = World(DamagingStore())
    world.start("writer", seal("writer", "run", FILES))
    world.play([])

    assert sorted(world.sealed()) == ["run__02"]


def test_a_change_that_died_after_its_link_is_completed_by_the_next() -> None:
    world = World(ObjectStore())
    world.store.execute(Put(POINTERS, make_pointers(0, "none")))
    world.start("dies", activate("dies", "a"))
    while f"{CHAIN}0001" not in world.store.objects:
        world.step(world.clients[0], Outcome.ANSWERED)
    world.clients[0].ended = True
    world.start("next", activate("next", "b"))
    world.play([])

    assert [json.loads(data)["active"] for key, data in world.store.history if key == POINTERS] == ["none", "a", "b"]


def test_content_that_returns_lets_a_late_put_win() -> None:
    """This is why the pointer file must name its record, where an ETag is a hash of the content."""
    store = ObjectStore()
    store.execute(Put(POINTERS, b"a"))
    store.delayed.append(Put(POINTERS, b"late", if_match=make_etag(b"a")))
    for data in (b"b", b"a"):
        store.execute(Put(POINTERS, data))
    store.deliver(0)

    assert store.objects[POINTERS] == b"late"
