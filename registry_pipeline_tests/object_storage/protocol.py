"""The protocol of docs/explanation/scale.md: sealing, reading and activating on an object store, request by request.

Each function is a generator that yields requests and is sent their answers, so that a test can stop it, kill it and
answer in any order. Nothing of this is in the product, which needs a POSIX file system.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import cast

from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline_tests.object_storage.store import Answer, Get, List, Put, Request, RequestTimeoutError

RUNS = "runs/"
CHAIN = "chain/"
POINTERS = "pointers.json"
ABANDONED = b"abandoned\n"
Steps = Generator[Request, Answer, object]


@dataclass(frozen=True)
class Sealed:
    """A run that was sealed under a name that nobody else has."""

    run_id: str
    root: str


@dataclass(frozen=True)
class Activated:
    """A change that took effect as the record with this number."""

    number: int


def read(key: str) -> Generator[Request, Answer, tuple[bytes, str] | None]:
    """Return an object and its ETag, or None; ask again until there is an answer."""
    while True:
        try:
            answer = yield Get(key)
        except RequestTimeoutError:
            continue
        return cast("tuple[bytes, str] | None", answer)


def list_keys(prefix: str) -> Generator[Request, Answer, tuple[str, ...]]:
    """Return the keys with a prefix; ask again until there is an answer."""
    while True:
        try:
            answer = yield List(prefix)
        except RequestTimeoutError:
            continue
        return cast("tuple[str, ...]", answer)


def create(key: str, data: bytes) -> Generator[Request, Answer, bool]:
    """Create an object, and return whether it is this one. The data must differ from those of every other writer."""
    while True:
        try:
            if (yield Put(key, data, if_absent=True)):
                return True
        except RequestTimeoutError:
            # The same put again is harmless: the object exists, or it does not.
            continue
        # A put of our own may have been first, and its answer lost.
        existing = yield from read(key)
        return existing is not None and existing[0] == data


def seal(writer: str, name: str, files: Mapping[str, bytes]) -> Generator[Request, Answer, Sealed]:
    """Seal a run under `name`, or under the next free number after it. `writer` differs in each attempt of anybody."""
    for number in count(1):
        run_id = name if number == 1 else f"{name}__{number:02}"
        folder = f"{RUNS}{run_id}/"
        run_json = json.dumps({"run_id": run_id, "writer": writer}).encode()
        # (1) run.json claims the name: it is the first object of every writer, and only one can create it.
        if not (yield from create(f"{folder}run.json", run_json)):
            continue
        # (2) Nobody else writes below a name that is claimed. A name whose writer died is never used again.
        content = {**files, "run.json": run_json}
        manifest = build_manifest(make_entry(path, data) for path, data in content.items())
        content["manifest.json"] = manifest.manifest_json
        for path, data in content.items():
            yield from create(f"{folder}{path}", data)
        # (3) Verify what the store returns, not what was sent.
        if not (yield from is_complete(folder, manifest.hash_file)):
            continue
        # (4) From here on the run exists. It fails if a sweep has declared the name abandoned.
        if (yield from create(f"{folder}MANIFEST.sha256", manifest.hash_file)):
            return Sealed(run_id, manifest.root_sha256)
    raise AssertionError("unreachable")


def is_complete(folder: str, hash_file: bytes) -> Generator[Request, Answer, bool]:
    """Return whether the objects below a folder, MANIFEST.sha256 apart, are exactly those of a hash file."""
    entries = []
    manifest_json = b""
    for key in (yield from list_keys(folder)):
        path = key.removeprefix(folder)
        found = yield from read(key)
        if path == "MANIFEST.sha256" or found is None:
            continue
        if path == "manifest.json":
            manifest_json = found[0]
        else:
            entries.append(make_entry(path, found[0]))
    manifest = build_manifest(entries)
    return manifest.hash_file == hash_file and manifest.manifest_json == manifest_json


def find_runs() -> Generator[Request, Answer, dict[str, bool]]:
    """Return the runs that exist, and whether each is complete.

    A run exists if its name has a hash file that is no mark of an abandoned name.
    """
    runs = {}
    for key in (yield from list_keys(RUNS)):
        run_id, _, path = key.removeprefix(RUNS).rpartition("/")
        if path == "MANIFEST.sha256":
            found = yield from read(key)
            if found is not None and found[0] != ABANDONED:
                runs[run_id] = yield from is_complete(f"{RUNS}{run_id}/", found[0])
    return runs


def sweep() -> Generator[Request, Answer, None]:
    """Declare every name without a hash file abandoned. Then its objects may be removed: no writer can seal it."""
    keys = yield from list_keys(RUNS)
    names = {key.removeprefix(RUNS).partition("/")[0] for key in keys}
    for name in sorted(names):
        if f"{RUNS}{name}/MANIFEST.sha256" not in keys:
            yield from create(f"{RUNS}{name}/MANIFEST.sha256", ABANDONED)


def make_pointers(number: int, target: str) -> bytes:
    """Return a pointer file. It names the record that made it, so no content ever comes again."""
    return json.dumps({"active": target, "record": number}).encode()


def activate(writer: str, target: str) -> Generator[Request, Answer, Activated | None]:
    """Move the pointer to a run; None if another change came first, and then nothing of this one remains in effect."""
    # (1) The state is that after the last record of the chain. A change that was not completed is completed first.
    number = yield from finish_changes()
    # (2) Seal the record. It counts only if the chain names it.
    after = make_pointers(number + 1, target)
    record = yield from seal(writer, f"record_{number + 1:04}", {"POINTERS_AFTER.json": after})
    # (3) The change is made here: one writer creates the next link of the chain.
    link = json.dumps({"run_id": record.run_id, "root": record.root}).encode()
    if not (yield from create(f"{CHAIN}{number + 1:04}", link)):
        return None
    # (4) Swap the pointer file; the next writer would do it, too.
    yield from finish_changes()
    return Activated(number + 1)


def finish_changes() -> Generator[Request, Answer, int]:
    """Bring the pointer file to the state after the last link of the chain; return the number of that link."""
    while True:
        found = yield from read(POINTERS)
        assert found is not None
        pointers, etag = found
        number = int(json.loads(pointers)["record"])
        link = yield from read(f"{CHAIN}{number + 1:04}")
        if link is None:
            return number
        record = yield from read(f"{RUNS}{json.loads(link[0])['run_id']}/POINTERS_AFTER.json")
        assert record is not None
        try:
            yield Put(POINTERS, record[0], if_match=etag)
        except RequestTimeoutError:
            continue
