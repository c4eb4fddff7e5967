"""Laws of collections: what a pack check accepts, how an index grows, and that every member ends up sealed once."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.collection import build_collection, read_members
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.collections.build import IndexEntry, build_index, parse_index
from registry_pipeline.registries.collections.pack_check import check_pack
from registry_pipeline.runs.reference import TAG_START, RunId, SealedRef
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.collection_sources import RANGES, make_pack, range_path, write_range
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.laws import examples

_PARTS = st.text("abcXY19_-", min_size=1, max_size=4)
_PATHS = st.lists(_PARTS, min_size=1, max_size=3).map(lambda parts: "d/" * (len(parts) - 1) + parts[-1] + ".csv")
_PACKS = st.dictionaries(_PATHS, st.text("abc\n", max_size=8), min_size=1, max_size=5)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def encode(files: dict[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def list_lines(files: dict[str, str]) -> dict[str, str]:
    lines = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n" for path, text in files.items())
    return {**files, "pack_sha256.txt": lines}


@given(_PACKS, st.booleans())
def test_a_pack_as_it_was_written_has_no_problem(files: dict[str, str], as_lines: bool) -> None:
    check = check_pack(encode(list_lines(files) if as_lines else make_pack(files)))
    assert check.problems == ()
    assert check.listed == files.keys()


@given(_PACKS, st.booleans(), st.data())
def test_any_change_of_a_listed_file_or_of_the_list_is_a_problem(
    files: dict[str, str], as_lines: bool, data: st.DataObject
) -> None:
    pack = encode(list_lines(files) if as_lines else make_pack(files))
    decisive = [*files, "pack_sha256.txt", *([] if as_lines else ["manifest.json"])]
    path = data.draw(st.sampled_from(sorted(decisive)))
    kind = data.draw(st.sampled_from(["remove", "append", "add beside"]))
    if kind == "remove":
        del pack[path]
    elif kind == "append":
        pack[path] += b"x"
    else:
        pack[f"more/{path}"] = b"x"
    assert check_pack(pack).problems != ()


_ENTRIES = st.builds(
    lambda member, day, root: IndexEntry(
        member,
        SealedRef(str(RunId(START + timedelta(days=day), f"{member}__tag")), ".codex/RUNS", None, root),
        root,
        1,
        2,
    ),
    st.sampled_from(["a", "b", "c-1"]),
    st.integers(0, 9),
    st.sampled_from(["0" * 64, "f" * 64]),
)


@given(st.lists(_ENTRIES, unique_by=lambda entry: entry.ref.run_id))
def test_an_index_is_the_same_in_any_order_and_reads_back(entries: list[IndexEntry]) -> None:
    (data,) = build_index(entries, 0).files.values()
    assert data == next(iter(build_index(entries[::-1], 0).files.values()))
    assert sorted(parse_index(data)) == sorted(entries)


@pytest.mark.parametrize("line", [b"{}", b"[]", b"null", b"{", b'{"index_version": "0.1"}', b"\xff"])
def test_a_line_that_is_no_entry_is_named(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"line 1|utf-8"):
        parse_index(line + b"\n")
    with pytest.raises(ValueError, match=r"newline is missing|utf-8"):
        parse_index(line)


def make_repository(root: Path) -> Repository:
    (root / ".codex/RUNS").mkdir(parents=True)
    return load_repository(root)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("abc"), st.integers(1, 3)),
        st.tuples(st.just("remove"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.sampled_from(["lose the cache", "lose the index", "build"]), st.just(""), st.just(0)),
    ),
    max_size=8,
)


@examples(15)
@given(_STEPS)
def test_after_every_build_each_source_has_one_sealed_run_with_its_content(steps: list[tuple[str, str, int]]) -> None:
    spec = SHIPPED.spec_of(RANGES)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        repository = make_repository(root)
        seen: set[str] = set()
        for minute, (step, member_id, days) in enumerate([*steps, ("build", "", 0), ("build", "", 0)]):
            indexes = [p for p in repository.publish_root.iterdir() if p.name[TAG_START:] == spec.tag]
            if step == "write":
                write_range(root, member_id, days)
            elif step == "remove":
                (root / range_path(member_id)).unlink(missing_ok=True)
            elif step == "lose the cache":
                (repository.state_root / "cache" / f"members_{RANGES}").unlink(missing_ok=True)
            elif step == "lose the index" and indexes:
                make_removable(root)
                for path in indexes:
                    path.rename(root / f"{minute}_{path.name}")
            else:
                run = BuildRun(START + timedelta(minutes=minute), GitState(None, None))
                result = build_collection(repository, run, spec)
                state = read_members(repository, spec)
                assert {member.status for member in state.members} <= {"sealed", "missing_source"}
                assert seen <= state.index.entries.keys()
                seen |= state.index.entries.keys()
                assert not state.index.unlisted
                if minute == len(steps) + 1:
                    assert result.sealed == ()
        make_removable(root)


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from registry_pipeline.config import load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.collection import build_collection
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs import writer

root, point = sys.argv[1], int(sys.argv[2])
renames, rename = [], writer.rename_noreplace

def die(source, target):
    renames.append(target)
    if len(renames) == point:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

writer.rename_noreplace = die
run = BuildRun(datetime(2026, 3, 1, 12, tzinfo=UTC), GitState(None, None))
build_collection(load_repository(Path(root)), run, SHIPPED.spec_of("validation_range_results"))
"""


# The first, in the middle of a batch, the first of the second batch, and the index.
@pytest.mark.parametrize("point", [1, 20, 33, 41])
def test_a_build_that_is_killed_leaves_complete_members_and_the_next_build_lists_them(
    tmp_path: Path, point: int
) -> None:
    spec = SHIPPED.spec_of(RANGES)
    repository = make_repository(tmp_path)
    for number in range(40):
        write_range(tmp_path, f"{number:02}")

    result = fork_server().run(_KILLED, str(tmp_path), str(point))

    assert result.returncode == -9
    folders = sorted(repository.publish_root.iterdir())
    assert len(folders) == point - 1
    assert {verify_folder(folder).verdict for folder in folders} <= {"pass"}
    run = BuildRun(START + timedelta(minutes=1), GitState(None, None))
    built = build_collection(repository, run, spec)
    assert len(built.sealed) == 40 - min(point - 1, 40)
    assert len(read_members(repository, spec).index.entries) == 40
