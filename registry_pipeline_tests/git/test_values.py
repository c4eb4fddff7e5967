"""Law: the paths that commits touched since a run are those that a search through the history finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.git.values import TouchGraph
from registry_pipeline_tests.laws import examples


@st.composite
def graphs(draw: st.DrawFn) -> TouchGraph:
    """A history of up to twelve commits; each has parents after it in the list, as in git's topological order."""
    size = draw(st.integers(1, 12))
    parents = [
        draw(st.lists(st.integers(place + 1, size - 1), max_size=3, unique=True)) if place + 1 < size else []
        for place in range(size)
    ]
    touched = draw(st.dictionaries(st.integers(0, size - 1), st.frozensets(st.sampled_from("abc"), min_size=1)))
    return TouchGraph({str(place): place for place in range(size)}, parents, touched, draw(st.booleans()))


def ancestors(graph: TouchGraph, place: int) -> set[int]:
    """Return a commit and all that it leads to, by looking everywhere."""
    return {place}.union(*(ancestors(graph, parent) for parent in graph.parents[place]))


@given(graphs(), st.data())
@examples(150)
def test_what_was_touched_since_is_what_the_definition_says(graph: TouchGraph, data: st.DataObject) -> None:
    commit, head = (data.draw(st.sampled_from(sorted(graph.places))) for _ in range(2))
    old, new = ancestors(graph, graph.places[commit]), ancestors(graph, graph.places[head])
    since = new - old
    cut_off = graph.is_cut and any(not graph.parents[place] for place in since)
    expected = None
    if graph.places[commit] in new and not cut_off:
        expected = frozenset[str]().union(*(graph.touched.get(place, frozenset()) for place in since))

    assert graph.touched_since(commit, head) == expected


def test_a_commit_that_the_history_does_not_have_is_unknown() -> None:
    graph = TouchGraph({"a": 0}, [[]], {0: frozenset("x")})

    assert graph.touched_since("a", "a") == frozenset()
    assert graph.touched_since("b", "a") is None
    assert graph.touched_since("a", "b") is None


def test_only_what_is_newer_is_walked() -> None:
    """A long history behind the run costs nothing: it is not there to be walked."""
    parents = [[1], [2], *([] for _ in range(3))]
    parents[2] = [10**9]

    touched = TouchGraph({"c": 0, "b": 1, "a": 2}, parents, {0: frozenset("x")}).touched_since("b", "c")

    assert touched == frozenset("x")
