"""Laws of the seal: what one side makes the other accepts, and nothing can change unseen."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import PublishError
from registry_pipeline.files.path_policy import find_collisions, path_codes
from registry_pipeline.runs.manifest import build_manifest, make_entry
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import seal_folder
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.runs.case_specs import RUN_ID, sealed_files, write_tree
from registry_pipeline_tests.runs.small_run import WANTED, files_for

NAMES = st.text("abAB01._- é", min_size=1, max_size=8)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PAYLOADS = st.dictionaries(PATHS, st.binary(max_size=40), max_size=5)


def _sealable(files: Mapping[str, bytes]) -> bool:
    return not any(path_codes(path) for path in files) and not find_collisions([*files, "run.json"])


@given(PAYLOADS)
@examples(60)
def test_what_is_sealed_verifies_and_what_may_not_be_sealed_is_refused(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "RUNS"
        root.mkdir()
        try:
            published = seal_folder(root, Path(scratch) / ".staging", WANTED, files_for(files))
        except PublishError:
            assert not _sealable(files)
            assert [*root.iterdir(), *root.with_name(".staging").glob("*")] == []
        else:
            assert _sealable(files)
            report = verify_folder(published.path, keep=tuple(files))
            assert (report.verdict, report.root_sha256) == ("pass", published.root_sha256)
            assert report.kept == files


@given(PAYLOADS, st.randoms(use_true_random=False))
def test_the_order_in_which_files_come_does_not_matter(files: dict[str, bytes], chance: random.Random) -> None:
    entries = [make_entry(path, data) for path, data in files.items()]
    shuffled = list(entries)
    chance.shuffle(shuffled)

    assert build_manifest(shuffled) == build_manifest(entries)


@given(st.data())
@examples(150)
def test_any_flipped_byte_of_any_file_is_found(data: st.DataObject) -> None:
    files = sealed_files(order=data.draw(st.sampled_from(["manifest_last", "whole_line", "relpath"])))
    victim = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[victim]) - 1))
    flipped = bytearray(files[victim])
    flipped[at] ^= data.draw(st.integers(1, 255))

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN_ID
        write_tree(folder, files | {victim: bytes(flipped)})

        assert verify_folder(folder).verdict == "fail"


@given(st.data())
@examples(60)
def test_any_file_cut_short_or_lengthened_is_found(data: st.DataObject) -> None:
    files = sealed_files()
    victim = data.draw(st.sampled_from(sorted(files)))
    kept = data.draw(st.integers(0, len(files[victim]) - 1))
    changed = data.draw(st.sampled_from([files[victim][:kept], files[victim] + files[victim][kept:]]))

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN_ID
        write_tree(folder, files | {victim: changed})

        assert verify_folder(folder).verdict == "fail"


@given(st.binary(max_size=200), st.sampled_from(["manifest.json", "MANIFEST.sha256", "run.json"]))
@examples(150)
def test_arbitrary_bytes_in_a_seal_file_give_findings_and_no_traceback(garbage: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN_ID
        write_tree(folder, sealed_files() | {name: garbage})

        assert verify_folder(folder).verdict == "fail"


def _listed(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files with a list of their hashes, as `sha256sum` writes it."""
    lines = "".join(f"{sha256_hex(data)}  {path}\n" for path, data in files.items())
    return {**files, "MANIFEST.sha256": lines.encode()}


@given(PAYLOADS.filter(bool), st.data())
@examples(80)
def test_a_list_of_hashes_verifies_and_any_flipped_byte_that_it_lists_is_found(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    assume(_sealable(files))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN_ID
        write_tree(folder, _listed(files))
        sound = verify_folder(folder)
        assert (sound.verdict, sound.root_sha256, {f.code for f in sound.findings}) == (
            "partial",
            None,
            {"HASHES_VERIFIED"},
        )

        victim = data.draw(st.sampled_from(sorted(files)))
        changed = data.draw(st.binary(max_size=40).filter(lambda other: other != files[victim]))
        write_tree(folder, {victim: changed})
        assert verify_folder(folder).verdict == "fail"


@given(st.binary(max_size=200) | st.text("0af *./\\\n\r", max_size=200).map(str.encode))
@examples(150)
def test_arbitrary_bytes_for_a_list_give_findings_and_no_traceback(garbage: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN_ID
        write_tree(folder, {"a": b"a", "MANIFEST.sha256": sha256_hex(b"a").encode() + b"  a\n" + garbage})

        assert verify_folder(folder).verdict in ("partial", "fail")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["relpath", "bytes", "sha256", "x"]), children, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
@examples(150)
def test_arbitrary_json_in_manifest_json_gives_findings_and_no_traceback(document: object) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN_ID
        write_tree(folder, sealed_files() | {"manifest.json": json.dumps(document, indent=2).encode()})

        assert verify_folder(folder).verdict == "fail"
