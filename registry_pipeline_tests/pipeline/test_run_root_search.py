"""The search for run roots: what it proposes, what it leaves out, and what the toml says of it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Adapter, load_repository
from registry_pipeline.pipeline import run_root_search
from registry_pipeline.pipeline.init import initialize
from registry_pipeline.pipeline.run_root_search import find_run_roots
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.pipeline.conftest import NOON

TIME = "2026-01-01T00:00:00Z"


def write(root: Path, *paths: str, content: object = None) -> None:
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("x" if content is None else json.dumps(content), encoding="utf-8")


def found(root: Path, known: tuple[str, ...] = ()) -> list[str]:
    return [run_root.path for run_root in find_run_roots(root, known).roots]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("a/x/run.json", "a/y/run.json"), ["a"]),
        (("a/x/run.json", "a/y/meta.json"), ["a"]),
        (("a/x/run.json", "a/y/z"), []),
        (("a/x/run.json", "a/y/run.json", *(f"a/o{n}/z" for n in range(9))), ["a"]),
        (("a/2026-01-01/z", "a/2026-01-02/z"), ["a"]),
        (("a/run_20260101_x/z", "a/run_20260102_x/z"), ["a"]),
        (("a/2026-01-01/z", "a/2026-01-02/z", "a/o1/z", "a/o2/z", "a/o3/z"), []),
        (("a/2026-13-01/z", "a/2026-01-32/z"), []),
        (("a/120260101/z", "a/202601011/z"), []),
        (("a/2026-01-01/r1/run.json", "a/2026-01-01/r2/run.json", "a/2026-01-02/z"), ["a"]),
        (("a/run.json", "b/run.json"), []),
        (("a/node_modules/x/run.json", "a/node_modules/y/run.json"), []),
        (("env/pyvenv.cfg", "env/a/x/run.json", "env/a/y/run.json"), []),
        (("cache/CACHEDIR.TAG", "cache/a/x/run.json", "cache/a/y/run.json"), []),
        (("other/.git/HEAD", "other/a/x/run.json", "other/a/y/run.json"), []),
        ((".hidden/x/run.json", ".hidden/y/run.json"), [".hidden"]),
        (("a b/ü/x/run.json", "a b/ü/y/run.json"), ["a b/ü"]),
    ],
)
def test_a_run_root_has_several_run_folders(tmp_path: Path, paths: tuple[str, ...], expected: list[str]) -> None:
    write(tmp_path, *paths)

    assert found(tmp_path) == expected


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside/x/run.json", "outside/y/run.json", "repository/z")
    (tmp_path / "repository/link").symlink_to(tmp_path / "outside")
    (tmp_path / "repository/loop").symlink_to(tmp_path / "repository")

    assert found(tmp_path / "repository") == []


def test_a_known_root_is_a_root_whatever_it_contains_and_nothing_around_it_is(tmp_path: Path) -> None:
    write(tmp_path, "a/2026-01-01/z", "a/2026-01-02/z", "a/2026-01-03/z")

    result = find_run_roots(tmp_path, ["a/2026-01-01", "missing"])

    assert [run_root.path for run_root in result.roots] == ["a/2026-01-01"]
    assert result.notes == ("a (3 folders: 3 dated) cannot be a run root, because it contains another one",)


def test_run_folders_at_the_top_are_explained(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01/z", "2026-01-02/z")

    assert "move its run folders into a folder of their own" in find_run_roots(tmp_path, ()).notes[0]


def test_a_search_that_ends_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *(f"f{n}/z" for n in range(9)))
    monkeypatch.setattr(run_root_search, "_MOST_FOLDERS", 8)

    assert find_run_roots(tmp_path, ()).notes == (
        "the search ended after 8 folders: add other run roots to `run_roots` by hand",
    )


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ({"r1": {"id": "r1"}, "r2": {"id": "r2"}}, {"run_id": "id"}),
        (
            {"r1": {"id": "other"}, "r2": {"id": "r2"}, "r3": {"op": "A"}, "r4": {"op": "B"}, "r5": {"op": "C"}},
            {"operation_id": "op"},
        ),
        (
            {"r1": {"started": TIME}, "r2": {"started": "2026-01-01 00:00:00+01:00"}},
            {"created_utc": "started"},
        ),
        ({"r1": {"started": "yesterday"}, "r2": {"started": TIME}}, {}),
        (
            {
                "r1": {"created": 3, "a": {"Started": "2026-01-01T00:00:00Z"}},
                "r2": {"a": {"Started": "2026-01-01T00:00:00Z"}},
            },
            {"created_utc": "a.Started"},
        ),
        ({"r1": {"commit": "a" * 40}, "r2": {"commit": None}, "r3": {"commit": "b" * 40}}, {"git_commit": "commit"}),
        ({"r1": {"commit": "main"}, "r2": {"commit": "main"}}, {}),
        ({"r1": {"a.b": {"option": "X"}}, "r2": {"a.b": {"option": "X"}}}, {}),
        ({"r1": {"run_type": "a"}, "r2": {"run_type": "b"}}, {"run_type": "run_type"}),
        ({"r1": [], "r2": 3}, {}),
    ],
)
def test_an_adapter_has_only_keys_with_usable_values(
    tmp_path: Path, documents: dict[str, Any], expected: dict[str, Any]
) -> None:
    for name, document in documents.items():
        write(tmp_path, f"runs/{name}/meta.json", content=document)

    (run_root,) = find_run_roots(tmp_path, ()).roots

    assert run_root.adapter == (Adapter("runs", "meta.json", **expected) if expected else None)


def test_a_meta_json_that_is_too_large_or_broken_is_no_sample(tmp_path: Path) -> None:
    write(tmp_path, "runs/r1/meta.json", content={"id": "r1", "big": "x" * (1 << 20)})
    write(tmp_path, "runs/r2/meta.json", content={"id": "r2"})
    (tmp_path / "runs/r3").mkdir()
    (tmp_path / "runs/r3/meta.json").write_bytes(b"{" * 5000)

    (run_root,) = find_run_roots(tmp_path, ()).roots

    assert run_root.adapter == Adapter("runs", "meta.json", run_id="id")


_NAMES = st.sampled_from(
    [
        "runs",
        "2026-01-01",
        "2026-01-02",
        'quo"te',
        "back\\slash",
        "new\nline",
        "\x7f",
        "ü",
        "run.json",
        "meta.json",
        "a b",
    ]
)
_TREES = st.recursive(st.just(None), lambda inner: st.dictionaries(_NAMES, inner, max_size=4), max_leaves=25)


def write_tree(folder: Path, tree: Any) -> None:
    for name, inner in (tree or {}).items():
        if inner is None:
            (folder / name).write_text('{"id": "runs"}', encoding="utf-8")
        else:
            (folder / name).mkdir()
            write_tree(folder / name, inner)


@examples(60)
@given(tree=_TREES)
def test_whatever_a_repository_contains_its_new_toml_can_be_read_and_names_what_was_found(tree: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_tree(Path(folder), tree)

        outcome = initialize(Path(folder), track_runs=None, now=NOON)

        config = load_repository(Path(folder)).config
        roots = {run_root.path for run_root in outcome.search.roots}
        assert roots <= set(config.run_roots)
        assert not any(a != b and PurePosixPath(a).is_relative_to(b) for a in roots for b in roots)
        assert {adapter.root for adapter in config.adapters} <= roots
        assert initialize(Path(folder), track_runs=None, now=NOON).created == ()


def test_the_source_of_a_captured_registry_is_no_run_root(tmp_path: Path) -> None:
    write(tmp_path, "artifacts/derived_validation/a/meta.json", "artifacts/derived_validation/b/meta.json")

    assert [root.path for root in initialize(tmp_path, track_runs=None, now=NOON).search.roots] == []
