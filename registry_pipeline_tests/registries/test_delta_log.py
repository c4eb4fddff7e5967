"""registry_delta_log: the known answer, and properties of every log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Repository
from registry_pipeline.pipeline.steps import build
from registry_pipeline.registries.base.delta import LOG_FILE, DeltaEdge, Snapshot, parse_delta_log
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.delta_log.build import DeltaLogInputs, build_delta_log, check_delta_log
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Built
from registry_pipeline.values import replace
from registry_pipeline_tests.registries.builder_values import CONTEXT, NOON

EXPECTED = Path(__file__).parents[1] / "known_answers" / "expected"
FIRST = "2026-03-01__120000__registry_delta_log_build"
SECOND = "2026-03-02__120000__registry_delta_log_build"
THEN = replace(CONTEXT, run_id=FIRST)
LATER = replace(CONTEXT, generated_utc="2026-03-02T12:00:00Z", run_id=SECOND)

_manifests = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1" * 64, "2" * 64]), max_size=4)


def snapshot(registry_id: str, number: int, manifest: Mapping[str, str] | None) -> Snapshot:
    ref = SealedRef(f"2026-01-{number:02d}__000000__x", "runs", f"{registry_id}.json", f"{number:064x}")
    entries = None if manifest is None else tuple(ManifestEntry(*each) for each in _entries(manifest))
    return Snapshot(registry_id, ref, entries)


def _entries(manifest: Mapping[str, str]) -> list[tuple[str, int, str]]:
    return [(path, 1, digest) for path, digest in sorted(manifest.items())]


histories = st.dictionaries(
    st.tuples(st.sampled_from(["drift_signals", "run_registry"]), st.integers(1, 28)),
    st.none() | _manifests,
    max_size=8,
).map(lambda manifests: [snapshot(name, number, manifest) for (name, number), manifest in manifests.items()])


def log_of(
    new: Iterable[Snapshot], before: bytes = b"", known: Iterable[Snapshot] = (), context: BuildContext = THEN
) -> bytes:
    """Build a log; `known` are the snapshots that `before` has logged."""
    by_ref = {each.ref: each for each in known}
    last = {edge.registry_id: by_ref[edge.to_ref] for edge in parse_delta_log(before)}
    return build_delta_log(DeltaLogInputs(before, last, tuple(new)), context).files[LOG_FILE]


def timeless(edges: Iterable[DeltaEdge]) -> list[DeltaEdge]:
    return [replace(edge, created_utc="", derivation_run_id="") for edge in edges]


def test_the_log_is_that_of_the_earlier_tools(answered: Repository) -> None:
    run = BuildRun(NOON, CONTEXT.git)

    built = build(answered, run, SHIPPED.spec_of("registry_delta_log"), {})

    assert isinstance(built, Built)
    assert built.findings == ()
    assert built.artifacts.files == {LOG_FILE: (EXPECTED / LOG_FILE).read_bytes()}
    assert built.artifacts.metrics == {"edges_added": 7, "registries_changed": 3}


def test_under_another_run_id_only_the_origin_of_the_new_edges_is_another() -> None:
    old, new = snapshot("run_registry", 1, {"a": "1" * 64}), snapshot("run_registry", 2, {"b": "1" * 64})
    before = log_of([old])

    built = build_delta_log(DeltaLogInputs(before, {"run_registry": old}, (new,)), LATER)
    first, second = parse_delta_log(built.sealed_as(f"{SECOND}__02")[LOG_FILE])

    assert first.derivation_run_id == FIRST
    assert second.derivation_run_id == f"{SECOND}__02"
    assert built.sealed_as(SECOND) == built.files


@given(histories)
def test_the_data_version_knows_neither_clock_nor_run(new: list[Snapshot]) -> None:
    made = [build_delta_log(DeltaLogInputs(b"", {}, tuple(new)), context) for context in (THEN, LATER)]

    assert made[0].content_sha256 == made[1].content_sha256
    assert not new or made[0].files != made[1].files
    assert made[0].records == len(new)


def test_the_data_version_knows_every_edge() -> None:
    versions = {
        build_delta_log(DeltaLogInputs(b"", {}, new), THEN).content_sha256
        for new in ((), (snapshot("x", 1, {}),), (snapshot("x", 2, {}),), (snapshot("x", 1, {"a": "1" * 64}),))
    }

    assert len(versions) == 4


@given(histories)
def test_applying_the_edges_gives_the_manifest_of_the_last_snapshot(history: list[Snapshot]) -> None:
    known = [each for each in history if each.entries is not None]
    digests = {each.ref: {e.relpath: e.sha256 for e in each.entries or ()} for each in known}
    state: dict[str, dict[str, str]] = {}
    for edge in parse_delta_log(log_of(known)):
        files, after = state.setdefault(edge.registry_id, {}), digests[edge.to_ref]
        assert not set(edge.paths.added) & set(files)
        assert set(edge.paths.modified) <= set(files)
        for path in edge.paths.removed:
            del files[path]
        files.update({path: after[path] for path in (*edge.paths.added, *edge.paths.modified)})
        assert files == after


@given(histories, st.integers(0, 28))
def test_what_arrives_in_its_order_is_logged_the_same_in_one_step_and_in_two(history: list[Snapshot], cut: int) -> None:
    early = [each for each in history if int(each.ref.run_id[8:10]) <= cut]
    late = [each for each in history if each not in early]

    at_once = timeless(parse_delta_log(log_of(history)))
    in_two = timeless(parse_delta_log(log_of(late, log_of(early), history, LATER)))

    assert at_once == sorted(in_two, key=lambda edge: (edge.registry_id, edge.to_ref.run_id))


@given(histories, histories, st.randoms())
def test_a_log_grows_at_its_end_alone_and_leads_on_whatever_arrives_when(
    first: list[Snapshot], second: list[Snapshot], chance: object
) -> None:
    there = {each.ref.run_id + each.registry_id for each in first}
    second = [each for each in second if each.ref.run_id + each.registry_id not in there]
    # A folder belongs to one registry, so its path identifies it.
    history = [replace(e, ref=replace(e.ref, run_root=e.registry_id)) for e in (*first, *second)]
    before = log_of(history[: len(first)])
    shuffled = history[len(first) :]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own random

    after = log_of(shuffled, before, history, LATER)

    assert after.startswith(before)
    assert after == log_of(history[len(first) :], before, history, LATER)
    assert {edge.to_ref for edge in parse_delta_log(after)} == {each.ref for each in history}
    assert codes_of(before, None, FIRST) == ()
    assert codes_of(after, before, SECOND, FIRST) == ()


def codes_of(log: bytes, previous: bytes | None, run_id: str, previous_run_id: str | None = None) -> tuple[object, ...]:
    created = "2026-03-01T12:00:00Z" if run_id == FIRST else "2026-03-02T12:00:00Z"
    return check_delta_log(
        log, previous, path="log", run_id=run_id, created_utc=created, previous_run_id=previous_run_id
    )


def test_what_cannot_be_read_has_no_paths_on_either_side() -> None:
    history = [snapshot("x", 1, {"a": "1" * 64}), snapshot("x", 2, None), snapshot("x", 3, {"a": "1" * 64})]

    manifests = [json.loads(line) for line in log_of(history).splitlines()]

    assert [edge["delta_basis"] for edge in manifests] == ["manifest_diff", "unknown", "unknown"]
    assert [edge["counts"] for edge in manifests[1:]] == [{"added": 0, "removed": 0, "modified": 0}] * 2
