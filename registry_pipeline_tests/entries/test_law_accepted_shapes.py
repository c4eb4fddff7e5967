"""Law: an entry of any accepted shape is written with its values, and the bytes outside the entry do not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Repository
from registry_pipeline.entries import WriteResult, add_ability, add_hook, add_module, add_route, update_module
from registry_pipeline.registries.entries.library import read_library
from registry_pipeline.registries.entries.routes import make_slug
from registry_pipeline.registries.entries.service import remove_entries
from registry_pipeline.yaml.compose import is_same_value
from registry_pipeline_tests.entries.harbour import MATURITY, ROUTE, make_harbour
from registry_pipeline_tests.entries.small import contents_of
from registry_pipeline_tests.laws import examples

TEXTS = st.one_of(
    st.text(min_size=1, max_size=20), st.sampled_from(["no", "a: b", "x\ny\n", "# a", "2.10", "…"])
).filter(lambda text: "\x00" not in text)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
DOTTED = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
PATHS = st.sampled_from(["/docs/storm.md", "docs/storm.md", "/docs/policy/berths.md#night"])
STAGES = st.lists(st.sampled_from(["understand", "plan", "act", "review"]), min_size=1, max_size=3, unique=True)
SCOPES = st.one_of(
    st.sampled_from(["*", "berth.*", "storm_drill"]),
    st.lists(st.sampled_from(["*", "berth.write.*", "storm_drill"]), max_size=3, unique=True),
)
EFFECTS = st.lists(
    st.one_of(NAMES, st.dictionaries(NAMES, st.one_of(TEXTS, st.none(), st.integers(0, 9)), min_size=1, max_size=2)),
    max_size=3,
    unique_by=str,
)


def mappings(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An entry with the required fields, some of the optional ones, and a description, a summary or both."""
    texts = st.sampled_from([("description",), ("summary",), ("summary", "description")])
    fields = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(fields, texts, TEXTS).map(lambda row: {**row[0], **dict.fromkeys(row[1], row[2])})


HOOKS = mappings(
    {"id": NAMES.map("new_{}".format), "event_type": st.sampled_from(["PromptSubmit", "PreAbilityCall"])},
    {"match": st.fixed_dictionaries({"ability_scope": SCOPES}), "effects": EFFECTS, "enabled": st.booleans()},
)
ABILITIES = st.one_of(
    mappings(
        {"operation_key": DOTTED.map("new.{}".format)},
        {
            "version": st.one_of(st.integers(1, 9), st.just("1.0.2")),
            "kind": st.sampled_from(["script", "mcp", "api"]),
            "scope": st.fixed_dictionaries({"modules": st.lists(st.just("drill/storms"), max_size=1)}),
            "routing_hints": st.fixed_dictionaries({"keywords": st.lists(TEXTS, max_size=2)}),
        },
    ),
    mappings(
        {"id": NAMES.map("new_{}".format), "type": st.sampled_from(["workflow", "agent"])},
        {"ability_ids": st.just(["storm_drill"]), "scope": st.just({"environments": ["staging"]})},
    ),
)
DOCUMENTS = st.fixed_dictionaries({"path": PATHS}, optional={"stage": STAGES, "doc_usage": TEXTS})
SITUATIONS = TEXTS.map("When {}".format)
ROUTE_ITEMS: dict[str, Any] = {
    "when_to_use": SITUATIONS,
    "related_docs": st.lists(DOCUMENTS, min_size=1, max_size=2),
}
ROUTE_FIELDS: dict[str, Any] = {
    "scope": DOTTED,
    "topic": NAMES,
    "routes": st.lists(st.fixed_dictionaries(ROUTE_ITEMS), min_size=1, max_size=2, unique_by=make_slug),
}
ROUTES = st.fixed_dictionaries(ROUTE_FIELDS, optional={"module_id": st.just("berths.api"), "description": TEXTS})
MATURITIES = st.fixed_dictionaries(
    {
        "module_id": st.just("drill/storms"),
        "module_type": st.just("display"),
        "maturity": st.sampled_from(["IN_PROGRESS", "FUNCTIONAL", "READY_FOR_INTEGRATION"]),
    },
    optional={"summary": TEXTS, "tests": st.just({"unit": "PASSED", "e2e": "NOT_REQUIRED"})},
)


def check_round_trip(add: Callable[..., WriteResult], entry: dict[str, Any], type_name: str) -> None:
    """Add an entry, read it, add it again, and remove it: only its own bytes come and go."""
    with TemporaryDirectory() as folder:
        repository = make_harbour(Path(folder) / "harbour")
        before = contents_of(repository.root)

        add(entry, repository=repository.root)

        known = find_entry(repository, entry)
        assert known.type.name == type_name
        assert is_same_value(dict(known.value), entry)
        assert all(contents_of(repository.root)[path] == data for path, data in before.items() if path != known.path)
        assert add(entry, repository=repository.root).change.files == {}

        remove_entries(repository, [(type_name, known.key)], dry_run=False)
        # The empty line that separated a new entry from the last one of a list stays.
        after = {path: data.rstrip(b"\n") for path, data in contents_of(repository.root).items()}
        assert after == {path: data.rstrip(b"\n") for path, data in before.items()}


def find_entry(repository: Repository, value: dict[str, Any]) -> Any:
    """Return the entry that has the key of a value."""
    library = read_library(repository)
    (found,) = [
        entry
        for entry in library.entries
        if entry.type.is_same_entry(entry.value, value) and is_same_value(dict(entry.value), value)
    ]
    return found


@examples(25)
@given(HOOKS)
def test_a_hook_of_any_accepted_shape_is_kept_as_it_is(entry: dict[str, Any]) -> None:
    check_round_trip(add_hook, entry, "hook")


@examples(25)
@given(ABILITIES)
def test_an_ability_of_any_accepted_shape_is_kept_as_it_is(entry: dict[str, Any]) -> None:
    check_round_trip(add_ability, entry, "ability_low" if "operation_key" in entry else "ability_high")


@examples(25)
@given(ROUTES)
def test_a_route_of_any_accepted_shape_is_kept_as_it_is(entry: dict[str, Any]) -> None:
    check_round_trip(add_route, entry, "route")


@examples(25)
@given(MATURITIES)
def test_a_maturity_of_any_accepted_shape_is_kept_as_it_is(entry: dict[str, Any]) -> None:
    check_round_trip(add_module, entry, "module_maturity")


@examples(25)
@given(st.sampled_from(["IN_PROGRESS", "READY_FOR_RELEASE"]), TEXTS)
def test_an_update_of_a_list_changes_the_lines_of_its_entry_only(maturity: str, text: str) -> None:
    entry = {"module_id": "berths.board", "module_type": "display", "maturity": maturity, "description": text}
    with TemporaryDirectory() as folder:
        repository = make_harbour(Path(folder) / "harbour")
        before = (repository.root / MATURITY).read_bytes()

        update_module(entry, repository=repository.root)

        after = (repository.root / MATURITY).read_bytes()
        start = before.index(b"  - module_id: berths.board")
        assert after[:start] == before[:start]
        assert is_same_value(dict(find_entry(repository, entry).value), entry)


@examples(25)
@given(SITUATIONS, DOCUMENTS)
def test_a_route_that_joins_two_documents_leaves_their_bytes(situation: str, document: dict[str, Any]) -> None:
    entry = {
        "scope": "traffic.night_watch",
        "topic": "berth_changes",
        "routes": [{"when_to_use": situation, "related_docs": [document]}],
    }
    with TemporaryDirectory() as folder:
        repository = make_harbour(Path(folder) / "harbour")
        before = (repository.root / ROUTE).read_bytes()

        add_route(entry, repository=repository.root)

        assert (repository.root / ROUTE).read_bytes().startswith(before)
