"""The functions of `registry_pipeline.entries` that add and update entries, by family."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline import entries
from registry_pipeline.config import load_repository
from registry_pipeline.entries import (
    InvalidEntriesError,
    WriteResult,
    add_ability,
    add_hook,
    add_module,
    add_route,
    update_ability,
    update_hook,
    update_module,
    update_route,
)
from registry_pipeline.errors import BusyError, ConfigError, NotFoundError, RefusedError
from registry_pipeline.files.transaction import hold_stage
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.entries import service
from registry_pipeline.registries.entries.library import read_library
from registry_pipeline.registries.entries.service import stage_folder
from registry_pipeline.yaml.compose import parse_yaml_values
from registry_pipeline_tests.entries.harbour import DRILL, LEDGER, MATURITY, ROUTE, make_harbour
from registry_pipeline_tests.entries.small import contents_of

Function = Callable[..., WriteResult]

TYPE = {"id": "salvage", "summary": "Lift what sank."}
INSTANCE = {"module_id": "tugs", "description": "The tugs.", "module_type": "display", "status": "active"}
LEVEL = {"module_id": "drill/storms", "module_type": "display", "maturity": "IN_PROGRESS"}
INTERFACE = {"id": "tugs.call", "module_id": "berths.api", "summary": "Call a tug.", "lifecycle": "DESIGNED"}
NIGHT = {
    "scope": "traffic.night_watch",
    "topic": "pilots",
    "routes": [{"when_to_use": "A pilot is late", "related_docs": [{"path": "/docs/storm.md"}]}],
}
TUG = {"operation_key": "tug.call", "summary": "Calls a tug.", "scope": {"modules": ["berths.api"]}}
QUIET = {"id": "quiet_night", "type": "agent", "summary": "Keeps the night quiet."}
TALLY = {
    "id": "tally",
    "event_type": "PostAbilityCall",
    "summary": "Counts.",
    "match": {"ability_scope": "*"},
    "effects": ["count", {"append_to": "calls.log"}],
}
NEW: dict[str, tuple[Function, dict[str, Any], str]] = {
    "a module type": (add_module, TYPE, "modules/overview/type_registry.yaml"),
    "a module instance": (add_module, INSTANCE, "modules/overview/instance_registry.yaml"),
    "a maturity": (add_module, LEVEL, MATURITY),
    "an interface": (add_module, INTERFACE, "modules/overview/interfaces.yaml"),
    "a route": (add_route, NIGHT, "modules/routes/traffic.night_watch.pilots.yaml"),
    "a low ability": (add_ability, TUG, ".system/registry/low-level/tug.call.yaml"),
    "a high ability": (add_ability, QUIET, ".system/registry/high-level/quiet_night.yaml"),
    "a hook": (add_hook, TALLY, ".system/hooks/tally.yaml"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_harbour(tmp_path / "harbour").root


@pytest.mark.parametrize(("add", "entry", "path"), NEW.values(), ids=NEW)
def test_an_entry_is_added_to_the_file_of_its_type_and_nothing_else_changes(
    root: Path, add: Function, entry: dict[str, Any], path: str
) -> None:
    before = contents_of(root)

    result = add(entry, repository=root)

    after = contents_of(root)
    assert result.written
    assert list(result.change.files) == [path]
    assert {name for name in after if after[name] != before.get(name)} == {path}
    assert entry in [dict(known.value) for known in read_library(load_repository(root)).entries]
    assert add(entry, repository=root).change.files == {}


CHANGED: dict[str, tuple[Function, dict[str, Any], str, str, str]] = {
    "a module": (
        update_module,
        {"module_id": "berths.board", "module_type": "display", "maturity": "DEPRECATED"},
        MATURITY,
        "maturity: FUNCTIONAL",
        "maturity: DEPRECATED",
    ),
    "a route": (
        update_route,
        {
            "scope": "traffic.night_watch",
            "topic": "berth_changes",
            "routes": [{"when_to_use": "Fog", "related_docs": [{"path": "docs/storm.md"}]}],
        },
        ROUTE,
        "",
        "  - when_to_use: Fog\n",
    ),
    "an ability": (
        update_ability,
        {"id": "storm_drill", "type": "agent", "version": "2.1.0", "summary": "Moves all ships."},
        DRILL,
        "type: workflow",
        "type: agent",
    ),
    "a hook": (
        update_hook,
        {"id": "call_ledger", "event_type": "PostAbilityCall", "summary": "Counts each call."},
        LEDGER,
        "summary: >",
        "summary: Counts each call.",
    ),
}


@pytest.mark.parametrize(("update", "entry", "path", "old", "new"), CHANGED.values(), ids=CHANGED)
def test_an_existing_entry_is_replaced(
    root: Path, update: Function, entry: dict[str, Any], path: str, old: str, new: str
) -> None:
    before = (root / path).read_text()

    result = update(entry, repository=root)

    after = (root / path).read_text()
    assert list(result.change.files) == [path]
    assert old in before
    assert new not in before
    assert new in after


@pytest.mark.parametrize(
    ("update", "entry"),
    [(update_module, INSTANCE), (update_route, NIGHT), (update_ability, TUG), (update_hook, TALLY)],
)
def test_an_update_of_an_entry_that_does_not_exist_is_refused(
    root: Path, update: Function, entry: dict[str, Any]
) -> None:
    before = contents_of(root)

    with pytest.raises(NotFoundError, match="there is no"):
        update(entry, repository=root)

    assert contents_of(root) == before


def test_an_update_of_a_route_of_another_owner_names_the_file_of_the_existing_one(root: Path) -> None:
    entry = {**NIGHT, "topic": "berth_changes", "module_id": "berths.api"}

    with pytest.raises(NotFoundError, match=re.escape(f"with this module_id; {ROUTE} has another")):
        update_route(entry, repository=root)


def test_several_entries_are_one_change(root: Path) -> None:
    result = add_module(TYPE, {**INSTANCE, "module_type": "salvage"}, repository=root)

    assert len(result.change.files) == 2


def test_one_invalid_entry_refuses_all_and_the_error_has_the_findings(root: Path) -> None:
    before = contents_of(root)

    with pytest.raises(InvalidEntriesError, match="did you mean display") as caught:
        add_module(TYPE, {**INSTANCE, "module_type": "displai"}, repository=root)

    assert contents_of(root) == before
    assert [(found.code, found.severity) for found in caught.value.findings] == [("EN010", Severity.ERROR)]
    assert caught.value.exit_code == 5
    assert caught.value.advice


def test_the_message_names_three_errors_and_counts_the_others(root: Path) -> None:
    with pytest.raises(InvalidEntriesError, match=r"; and 1 more$"):
        add_hook(*({"id": name, "event_type": "SessionStop"} for name in "abcd"), repository=root)


def test_another_entry_with_the_key_is_added_by_an_update_only(root: Path) -> None:
    entry = {"id": "salvage", "description": "Lift it."}
    add_module(TYPE, repository=root)

    with pytest.raises(InvalidEntriesError, match="EN002"):
        add_module(entry, repository=root)

    assert update_module(entry, repository=root).written


def test_a_failure_is_overridden_by_name_and_recorded(root: Path) -> None:
    add_module({**INSTANCE, "module_type": "displai"}, repository=root, override_by="Ada")

    (document,) = parse_yaml_values((root / "modules/overview/instance_registry.yaml").read_bytes())
    (override,) = [entry["x-override"] for entry in document["instances"] if entry["module_id"] == "tugs"]
    assert (override["codes"], override["by"]) == (["EN010"], "Ada")


def test_a_release_needs_an_approval(root: Path) -> None:
    entry = {**INTERFACE, "lifecycle": "RELEASED"}

    with pytest.raises(InvalidEntriesError, match="EN015"):
        add_module(entry, repository=root)

    assert add_module(entry, repository=root, approved_by="Ada").written


def test_a_blank_name_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="override_by is blank"):
        add_module(TYPE, repository=root, override_by=" ")
    with pytest.raises(ConfigError, match="approved_by is blank"):
        add_module(TYPE, repository=root, approved_by="")


def test_a_dry_run_plans_and_writes_nothing(root: Path) -> None:
    before = contents_of(root)

    result = add_hook(TALLY, repository=root, dry_run=True)

    assert not result.written
    assert list(result.change.files) == [".system/hooks/tally.yaml"]
    assert contents_of(root) == before


def test_an_entry_that_may_be_of_two_types_needs_the_name_of_its_type(root: Path) -> None:
    entry = {"ability_id": "tug.call", "summary": "Calls a tug.", "type": "agent", "kind": "api"}

    with pytest.raises(RefusedError, match="may be of the types ability_low and ability_high"):
        add_ability(entry, repository=root)

    with pytest.raises(InvalidEntriesError, match="unknown keys: kind"):
        add_ability(entry, type_name="ability_high", repository=root)


BAD: dict[str, Any] = {
    "a date": {**TALLY, "x-since": date(2026, 3, 1)},
    "a key that is no text": {**TALLY, "match": {1: 2}},
    "a list": [TALLY],
    "a text": "tally",
    "none": None,
    "a mapping without fields": {},
}


@pytest.mark.parametrize("entry", BAD.values(), ids=BAD)
@pytest.mark.parametrize("function", [add_module, add_route, add_ability, add_hook])
def test_bad_values_are_refused_with_one_of_the_documented_errors(root: Path, function: Function, entry: Any) -> None:
    before = contents_of(root)

    with pytest.raises(RefusedError):
        function(entry, repository=root)

    assert contents_of(root) == before


def test_no_entry_is_refused(root: Path) -> None:
    with pytest.raises(RefusedError, match="no entry is given"):
        add_hook(repository=root)


def test_without_a_repository_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGISTRY_PIPELINE_REPO", raising=False)

    with pytest.raises(NotFoundError):
        add_hook(TALLY)


def test_a_change_that_another_one_keeps_waiting_is_busy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WAIT_SECONDS", 0.0)
    repository = load_repository(root)

    with hold_stage(stage_folder(repository), wait_seconds=0), pytest.raises(BusyError):
        add_hook(TALLY, repository=root)


def test_data_of_load_yaml_can_be_changed_and_passed_on(root: Path) -> None:
    hook = entries.load_yaml(root / LEDGER)
    hook["enabled"] = False
    lines = (root / LEDGER).read_text().splitlines()

    update_hook(hook, repository=root)

    after = (root / LEDGER).read_text().splitlines()
    assert [line for line in after if line not in lines] == ["enabled: false"]
    assert len(after) == len(lines)
