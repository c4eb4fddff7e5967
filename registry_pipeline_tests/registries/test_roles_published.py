"""Which pack a check compares with: main, the remote's main, a name, the parent of HEAD; and when it is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from registry_pipeline.config import Roles, load_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.registries.roles import baselines
from registry_pipeline.registries.roles.baselines import (
    add_publishers,
    is_commit,
    read_commit_baseline,
    read_git_baseline,
    read_pack_blobs,
    read_pack_commits,
)
from registry_pipeline.values import replace
from registry_pipeline_tests.registries.repositories import commit, git, repository, write

PACK = "assets/pack.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "r")


def published(root: Path, *texts: str | None) -> list[str]:
    """Commit the pack with each text in turn; None is a commit without it."""
    commits = []
    for text in texts:
        if text is None:
            (root / PACK).unlink(missing_ok=True)
        commits.append(commit(root, {} if text is None else {PACK: text}))
    return commits


def baseline(root: Path, current: str, name: str = "main") -> tuple[str, str] | None:
    """Return where the baseline comes from and its text, None on a first publish."""
    found = read_git_baseline(root, PACK, name, current.encode()).published
    return None if found is None else (found.source, found.pack.data.decode())


def unknown(root: Path, current: str = "new", name: str = "main") -> str:
    with pytest.raises(NotFoundError) as caught:
        baseline(root, current, name)
    return caught.value.message


def test_a_branch_is_compared_with_main_whatever_it_committed(root: Path) -> None:
    published(root, "one")
    git(root, "checkout", "-q", "-b", "work")
    published(root, "two", "three")

    assert baseline(root, "three") == (f"main:{PACK}", "one")


def test_the_remote_main_is_used_if_main_is_missing_or_has_no_pack(root: Path) -> None:
    only, one = published(root, None, "one")
    git(root, "update-ref", "refs/remotes/origin/main", one)
    git(root, "checkout", "-q", "--detach", one)
    git(root, "branch", "-q", "-f", "main", only)

    assert baseline(root, "two") == (f"origin/main:{PACK}", "one")

    git(root, "branch", "-q", "-D", "main")
    assert baseline(root, "two") == (f"origin/main:{PACK}", "one")


def test_what_is_not_committed_on_main_is_compared_with_main(root: Path) -> None:
    published(root, "one", "two")

    assert baseline(root, "two, edited") == (f"main:{PACK}", "two")


def test_the_commit_that_main_is_at_is_compared_with_its_first_parent(root: Path) -> None:
    published(root, "one", "two")
    git(root, "checkout", "-q", "-b", "side", "HEAD~1")
    published(root, "three")
    git(root, "checkout", "-q", "main")
    git(root, "merge", "-q", "--no-ff", "-s", "ours", "-m", "x", "side")

    assert baseline(root, "two") == (f"main~1:{PACK}", "two")

    published(root, "four")
    assert baseline(root, "four") == (f"main~1:{PACK}", "two")


def test_any_revision_is_a_baseline_by_name(root: Path) -> None:
    first, _ = published(root, "one", "two")
    git(root, "tag", "v1", first)

    assert baseline(root, "two", "v1") == (f"v1:{PACK}", "one")
    assert baseline(root, "two", first[:8]) == (f"{first[:8]}:{PACK}", "one")
    assert baseline(root, "two", "HEAD~1") == (f"HEAD~1:{PACK}", "one")
    assert is_commit(root, "v1")
    assert not is_commit(root, "v2")
    assert not is_commit(root, PACK)
    assert "'v2'" in unknown(root, name="v2")


@pytest.mark.parametrize("history", ["outside", "empty", "without", "first"])
def test_what_nobody_published_is_a_first_publish(tmp_path: Path, history: str) -> None:
    """Outside git, before the first commit, where no commit has it, and where the first that has it is judged."""
    root = tmp_path / "r"
    if history == "outside":
        root.mkdir()
    else:
        repository(root)
    if history in ("without", "first"):
        published(root, None)
    if history == "first":
        published(root, "one")

    assert baseline(root, "one") is None


def test_a_branch_that_declares_the_first_pack_is_a_first_publish(root: Path) -> None:
    published(root, None)
    git(root, "checkout", "-q", "-b", "work")
    published(root, "one", "two")

    assert baseline(root, "two") is None


def test_a_pack_that_only_another_ref_has_is_no_first_publish(root: Path) -> None:
    published(root, None)
    git(root, "checkout", "-q", "-b", "other")
    published(root, "one")
    git(root, "checkout", "-q", "main")

    assert "published the pack elsewhere" in unknown(root)

    git(root, "branch", "-q", "-D", "other")
    assert baseline(root, "new") is None


def test_a_pack_that_main_had_and_removed_is_no_first_publish(root: Path) -> None:
    published(root, "one", None)

    assert "published the pack elsewhere" in unknown(root)

    published(root, "two")
    assert "published the pack elsewhere" in unknown(root, "two")


def test_a_repository_whose_main_has_another_name_is_not_known(root: Path) -> None:
    published(root, "one", "two")
    git(root, "branch", "-q", "-m", "main", "trunk")

    assert "published the pack elsewhere" in unknown(root)
    assert baseline(root, "two", "trunk") == (f"trunk~1:{PACK}", "one")


def test_what_lies_in_a_stash_was_never_published(root: Path) -> None:
    published(root, None)
    write(root, {PACK: "one"})
    git(root, "add", "-A")
    git(root, "stash", "-q")

    assert baseline(root, "one") is None


def shallow(root: Path, target: Path, *, branch: str = "main") -> Path:
    git(target.parent, "clone", "-q", "--depth", "1", "--branch", branch, f"file://{root}", str(target))
    return target


def test_a_shallow_clone_is_enough_where_main_has_the_pack(root: Path, tmp_path: Path) -> None:
    published(root, "one", "two")
    clone = shallow(root, tmp_path / "clone")

    assert baseline(clone, "three") == (f"main:{PACK}", "two")


def test_a_shallow_clone_does_not_know_a_first_publish_or_a_parent(root: Path, tmp_path: Path) -> None:
    published(root, "one", "two")
    clone = shallow(root, tmp_path / "clone")

    assert "shallow" in unknown(clone, "two")
    with pytest.raises(NotFoundError, match="shallow"):
        read_pack_commits(clone, None, PACK)

    published(root, None)
    assert "shallow" in unknown(shallow(root, tmp_path / "later"))


def test_a_committed_link_or_folder_is_no_baseline(root: Path) -> None:
    (root / "assets").mkdir()
    (root / PACK).symlink_to("elsewhere")
    commit(root, {})
    assert "is a link" in unknown(root)

    (root / PACK).unlink()
    commit(root, {f"{PACK}/inner": "x"})
    assert "not a file" in unknown(root)


def test_the_pack_of_a_governed_folder_inside_a_checkout_is_found(root: Path) -> None:
    commit(root, {f"inner/{PACK}": "one", PACK: "other"})
    commit(root, {f"inner/{PACK}": "two"})

    assert baseline(root / "inner", "three") == (f"main:{PACK}", "two")
    blobs = [each.blob_id or "" for each in read_pack_commits(root / "inner", None, PACK)]
    assert [data for _, data in read_pack_blobs(root / "inner", blobs)] == [b"one", b"two"]


def test_a_path_is_taken_literally(root: Path) -> None:
    odd = "assets/*.json"
    commit(root, {odd: "one", "assets/other.json": "x"})
    commit(root, {"assets/other.json": "y"})

    found = read_git_baseline(root, odd, "main", b"new").published
    assert found is not None
    assert found.pack.data == b"one"
    assert len(read_pack_commits(root, None, odd)) == 1


def test_the_history_lists_every_commit_that_changed_the_pack_oldest_first(root: Path) -> None:
    one, gone, two = published(root, "one", None, "two")
    commit(root, {"other.txt": "x"})

    walked = read_pack_commits(root, None, PACK)

    assert [each.commit for each in walked] == [one, gone, two]
    assert [each.parents for each in walked] == [(), (one,), (gone,)]
    blobs = [each.blob_id for each in walked if each.blob_id is not None]
    assert [data for _, data in read_pack_blobs(root, blobs)] == [b"one", b"two"]
    assert walked[1].blob_id is None


def test_an_id_has_the_commit_that_published_it_first_and_the_baseline_is_not_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = [json.dumps({"roles": [{"role_id": name} for name in names]}) for names in ("a", "ab", "abc")]
    commits = published(root, *roles, "later")
    config = replace(load_repository(root).config, roles=Roles(pack=PACK))
    found = read_git_baseline(root, PACK, commits[2], b"new")
    assert found.published is not None
    wanted = found.published.blob_id
    read: list[str] = []

    def read_and_note(folder: Path, blob_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        read.extend(blob_ids)
        return read_pack_blobs(folder, blob_ids)

    monkeypatch.setattr(baselines, "read_pack_blobs", read_and_note)
    result = add_publishers(replace(load_repository(root), config=config), found, {"a", "b", "c", "unknown"})

    assert result is not None
    assert result.published_by == dict(zip("abc", commits, strict=False))
    assert len(read) == 2
    assert wanted not in read


def test_the_history_of_a_merged_branch_is_walked_too(root: Path) -> None:
    (one,) = published(root, "one")
    git(root, "checkout", "-q", "-b", "side")
    two, three = published(root, "two", "three")
    git(root, "checkout", "-q", "main")
    commit(root, {"other.txt": "x"})
    git(root, "merge", "-q", "--no-ff", "-m", "x", "side")

    walked = {each.commit: each.parents for each in read_pack_commits(root, None, PACK)}

    assert walked[two] == (one,)
    assert walked[three] == (two,)


def test_outside_git_there_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no git history"):
        read_pack_commits(tmp_path, None, PACK)


def sealed_at(root: Path, commit_id: str, current: str, name: str = "main") -> str | None:
    found = read_commit_baseline(root, PACK, commit_id, current.encode(), name).published
    return None if found is None else found.pack.data.decode()


def test_a_sealed_pack_is_compared_with_what_its_commit_knew_whatever_came_later(root: Path) -> None:
    one, two, three = published(root, "one", "two", "three")

    assert sealed_at(root, two, "two") == "one"
    assert sealed_at(root, two, "edited") == "two"
    assert sealed_at(root, one, "one") is None
    assert sealed_at(root, three, "three") == "two"


def test_a_pack_sealed_on_a_branch_is_compared_with_where_it_left_main(root: Path) -> None:
    published(root, "one")
    git(root, "checkout", "-q", "-b", "work")
    _, three = published(root, "two", "three")
    git(root, "checkout", "-q", "main")
    published(root, "four")

    assert sealed_at(root, three, "three") == "one"

    git(root, "branch", "-q", "-m", "main", "trunk")
    assert sealed_at(root, three, "three", "trunk") == "one"
    assert sealed_at(root, three, "three") == "two"


def test_a_commit_that_the_clone_lacks_is_reported(root: Path) -> None:
    published(root, "one")

    with pytest.raises(NotFoundError, match="does not have the commit"):
        sealed_at(root, "0" * 40, "one")


CONFIG = "registry-pipeline.toml"


def rolled_back_runs(root: Path, config: str = f'[roles]\npack = "{PACK}"\n') -> None:
    """Publish the pack at its place, and name another one in the working tree."""
    commit(root, {PACK: "one", CONFIG: config})
    write(root, {CONFIG: '[roles]\npack = "new.json"\n', "new.json": "two"})


def test_a_pack_that_moves_is_compared_with_where_the_baseline_has_it(root: Path) -> None:
    rolled_back_runs(root)

    found = read_git_baseline(root, "new.json", "main", b"two").published

    assert found is not None
    assert (found.source, found.pack.data) == (f"main:{PACK}", b"one")


def test_a_move_that_was_just_committed_is_compared_with_the_first_parent(root: Path) -> None:
    rolled_back_runs(root)
    commit(root, {CONFIG: '[roles]\npack = "new.json"\n', "new.json": "two", PACK: "left behind"})

    found = read_git_baseline(root, "new.json", "main", b"two").published

    assert found is not None
    assert (found.source, found.pack.data) == (f"main~1:{PACK}", b"one")


@pytest.mark.parametrize("config", ["", "[", "roles = 1", "[roles]\npack = 1", '[roles]\npack = "../x.json"'])
def test_a_configuration_that_names_no_other_pack_leads_nowhere(root: Path, config: str) -> None:
    rolled_back_runs(root, config)

    assert read_git_baseline(root, "new.json", "main", b"two").published is None
