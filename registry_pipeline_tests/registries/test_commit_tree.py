"""The files of a commit, read without a working tree, against the working tree that a checkout of it has."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.errors import NotFoundError
from registry_pipeline.git.blob_digests import BlobDigests
from registry_pipeline.git.repository import read_tracked_digests
from registry_pipeline.git.tree import CommittedFiles, CommitTree, WorkingTree, parse_tree
from registry_pipeline.registries.drift_signals.build import canon_tree_hash
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.registries.repositories import commit, git, repository, write


@contextmanager
def committed(root: Path, id_bytes: int = 20) -> Iterator[CommittedFiles]:
    with CommittedFiles(root, BlobDigests(None, id_bytes)) as files:
        yield files


def tracked_at(root: Path, revision: str = "HEAD", id_bytes: int = 20) -> dict[bytes, str]:
    with committed(root, id_bytes) as files:
        return by_path(files.list_tracked_lines(files.root_tree(git(root, "rev-parse", revision))))


def by_path(blocks: tuple[bytes, ...]) -> dict[bytes, str]:
    """Return the digests by path; a path may contain a line feed, but nothing here like the start of a line."""
    lines = [line for block in blocks for line in re.split(rb"\n(?=[0-9a-f]{64} )", block)]
    assert canon_tree_hash(blocks) == canon_tree_hash(lines)
    return {line[65:]: line[:64].decode() for line in lines}


def in_the_working_tree(root: Path) -> dict[bytes, str]:
    tracked = read_tracked_digests(root)
    assert tracked is not None
    assert not tracked.some_missing
    return dict(tracked.digests)


def odd_repository(root: Path) -> Path:
    """Make a checkout with everything that a tree can hold."""
    repository(root)
    commit(repository(root / "module"), {"inside": "1"})
    write(root, {"a": "1", "a.b": "2", "a-b/c": "3", "folder/deep/er/file": "4", "run.sh": "5", "empty": ""})
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("folder/deep")
    (root / "nowhere").symlink_to("not there at all")
    (root / "with\nnewline \u00e9").write_text("6", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(root) + b"/not utf-8 \xff")).write_text("7", encoding="utf-8")
    commit(root, {})
    return root


def test_every_file_is_hashed_as_a_clean_checkout_is(tmp_path: Path) -> None:
    root = odd_repository(tmp_path)

    assert tracked_at(root) == in_the_working_tree(root)
    assert tracked_at(root)[b"link"] == hashlib.sha256(b"folder/deep").hexdigest()
    assert b"module" not in tracked_at(root)


def test_a_folder_inside_a_checkout_has_its_own_files_by_its_own_names(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"top": "1"})
    commit(tmp_path, {"in side/gov/a": "2", "in side/gov/b/c": "3", "in side/else": "4"})
    root = tmp_path / "in side/gov"

    assert tracked_at(root) == in_the_working_tree(root)
    assert tracked_at(root, "HEAD~1") == {}, "the folder was not there yet"
    with committed(root) as files:
        tree = CommitTree(files, files.root_tree(git(root, "rev-parse", "HEAD")))
        assert tree.read("b/c") == b"3"
        assert not tree.is_file("../else")


def test_a_repository_of_sha256_objects_is_read_alike(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "--object-format=sha256")
    commit(tmp_path, {"a": "1", "b/c": "2"})

    assert tracked_at(tmp_path, id_bytes=32) == in_the_working_tree(tmp_path)


def test_objects_that_git_replace_puts_forward_are_not_what_was_committed(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1", "b": "2"})
    git(tmp_path, "replace", git(tmp_path, "rev-parse", "HEAD:a"), git(tmp_path, "rev-parse", "HEAD:b"))

    assert tracked_at(tmp_path)[b"a"] == hashlib.sha256(b"1").hexdigest()


NAMES = st.sampled_from(["a", "b", "b/c", "b/d", "b/e/f", "g/h", "g/h/i"])
SNAPSHOTS = st.lists(st.dictionaries(NAMES, st.sampled_from("12345"), max_size=5), min_size=2, max_size=4)


@examples(15)
@given(snapshots=SNAPSHOTS, order=st.randoms(use_true_random=False))
def test_from_any_commit_to_any_other_the_files_are_those_of_the_commit(
    tmp_path_factory: pytest.TempPathFactory, snapshots: list[dict[str, str]], order: object
) -> None:
    """Law: what is walked is the difference, what comes out is the whole."""
    root = repository(tmp_path_factory.mktemp("law"))
    wanted = {}
    for snapshot in snapshots:
        kept = {n: t for n, t in snapshot.items() if not any(other.startswith(f"{n}/") for other in snapshot)}
        git(root, "rm", "-rq", "--ignore-unmatch", ".")
        made = commit(root, kept)
        wanted[made] = {n.encode(): hashlib.sha256(text.encode()).hexdigest() for n, text in kept.items()}
    walk = [*wanted, *wanted]
    order.shuffle(walk)  # type: ignore[attr-defined]

    with committed(root) as files:
        for each in walk:
            assert by_path(files.list_tracked_lines(files.root_tree(each))) == wanted[each]


def test_many_files_have_the_hash_of_all_their_lines_after_every_commit(tmp_path: Path) -> None:
    """So many that most blocks have several lines, and some lose or gain one."""
    root = repository(tmp_path)
    commits = [commit(root, {f"{number % 9}/file{number}": str(number) for number in range(600)})]
    commits.append(commit(root, {f"{number % 9}/file{number}": "changed" for number in range(0, 600, 50)}))
    git(root, "rm", "-q", *(f"{number % 9}/file{number}" for number in range(1, 600, 7)))
    commits.append(commit(root, {}))
    expected = {}
    for each in commits:
        git(root, "checkout", "-q", each)
        tracked = read_tracked_digests(root)
        assert tracked is not None
        expected[each] = canon_tree_hash(tracked.lines())

    with committed(root) as files:
        for each in (*commits, *reversed(commits), commits[0], commits[2]):
            assert canon_tree_hash(files.list_tracked_lines(files.root_tree(each))) == expected[each]


def test_documents_are_read_as_the_working_tree_shows_them(tmp_path: Path) -> None:
    root = odd_repository(tmp_path)
    write(root, {"docs/a.md": "A", "docs/sub/b.md": "B"})
    (root / "docs/up.md").symlink_to("../a.b")
    (root / "docs/round").symlink_to("round")
    (root / "docs/out.md").symlink_to("../../out.md")
    (root / "papers").symlink_to("docs/sub/..")
    head = commit(root, {})
    paths = ["a", "a.b", "docs/a.md", "docs/up.md", "docs/round", "docs/out.md", "docs", "papers", "papers/a.md"]
    paths += ["docs/sub/../a.md", "docs/a.md/b", "missing", "missing/too", "link", "link/er/file", "nowhere", "module"]

    there = WorkingTree(root)
    with committed(root) as files:
        tree = CommitTree(files, files.root_tree(head))
        for path in paths:
            assert tree.is_file(path) == there.is_file(path), path
            assert path == "module" or tree.is_folder(path) == there.is_folder(path), path
            if there.is_file(path):
                assert tree.read(path) == there.read(path)
            else:
                with pytest.raises(OSError, match=r".+"):
                    tree.read(path)
        for folder in ("docs", "papers", "folder", "missing", "a"):
            assert tree.files_under(folder) == there.files_under(folder), folder


def test_a_document_that_is_too_large_is_refused_and_what_follows_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(repository(tmp_path), {"large": "x" * 100, "small": "y"})
    monkeypatch.setattr("registry_pipeline.git.tree.MAX_BYTES", 99)

    with committed(tmp_path) as files:
        tree = CommitTree(files, files.root_tree(head))
        with pytest.raises(OSError, match="larger than"):
            tree.read("large")
        assert tree.read("small") == b"y"


def test_many_blobs_of_any_size_are_hashed_in_batches(tmp_path: Path) -> None:
    sizes = [0, 1, 65_536, 1 << 20, (1 << 20) + 1, *range(2, 600)]
    commit(repository(tmp_path), {f"f{number}": "z" * size for number, size in enumerate(sizes)})

    assert tracked_at(tmp_path) == in_the_working_tree(tmp_path)


def test_a_partial_clone_is_reported_with_the_command_that_fetches_the_blobs(tmp_path: Path) -> None:
    commit(repository(tmp_path / "whole"), {"a": "1", "b": "2"})
    git(tmp_path / "whole", "config", "uploadpack.allowFilter", "true")
    clone = ["git", "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{tmp_path / 'whole'}"]
    subprocess.run([*clone, tmp_path / "partial"], check=True)

    with pytest.raises(NotFoundError, match="not its bytes") as caught:
        tracked_at(tmp_path / "partial")
    assert "git fetch --refetch --no-filter" in caught.value.advice


def test_a_damaged_object_is_reported_and_not_hashed(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"})
    blob = git(tmp_path, "rev-parse", "HEAD:a")
    place = tmp_path / ".git/objects" / blob[:2] / blob[2:]
    place.chmod(0o644)
    place.write_bytes(b"not zlib")

    with pytest.raises(NotFoundError, match=f"object {blob}") as caught:
        tracked_at(tmp_path)
    assert caught.value.advice


@pytest.mark.parametrize("data", [b"100644 a", b"100644 a\0short", b"no mode\0" + b"x" * 20, b"\0" + b"x" * 20])
def test_what_is_no_tree_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_tree(data, 20)


def test_a_folder_deeper_than_the_stack_of_python_is_read(tmp_path: Path) -> None:
    repository(tmp_path)
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=tmp_path, input=b"1", capture_output=True, check=True
    )
    path = "/".join(["d"] * 1100) + "/file"
    entry = f"100644,{blob.stdout.decode().strip()},{path}"
    git(tmp_path, "update-index", "--add", "--cacheinfo", entry)
    git(tmp_path, "commit", "-q", "-m", "x")

    assert list(tracked_at(tmp_path)) == [path.encode()]
