"""The four consistency functions of `registry_pipeline.entries`, on an entry that is not written yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.entries.modules import (
    check_ability_addition_consistency,
    check_hook_addition_consistency,
    check_module_instance_consistency,
)
from registry_pipeline.registries.entries.routes import check_route_addition_consistency
from registry_pipeline_tests.cases.layout import Case
from registry_pipeline_tests.entries.run_cases import write_repository

Check = Callable[[Mapping[str, Any]], list[Finding]]

ROUTE = {"scope": "tides", "topic": "surge", "module_id": "tide_service", "routes": []}
ENTRIES: dict[str, tuple[Check, dict[str, Any], dict[str, Any], list[str]]] = {
    "instance": (
        check_module_instance_consistency,
        {"module_id": "new", "module_type": "service", "dependencies": {"modules": ["heron_sluice"]}},
        {"module_id": "new", "module_type": "sensor", "parent_module": "new", "dependencies": {"modules": ["no"]}},
        ["EN010", "EN011", "EN012"],
    ),
    "route": (
        check_route_addition_consistency,
        ROUTE,
        {
            **ROUTE,
            "topic": "heights",
            "module_id": "nobody",
            "routes": [{"when_to_use": "x", "related_docs": [{"path": "/etc/passwd", "stage": ["no"]}]}],
        },
        ["EN020", "EN021", "EN022", "EN023"],
    ),
    "ability": (
        check_ability_addition_consistency,
        {
            "ability_id": "tides.read",
            "ability_ids": ["tides.report"],
            "scope": {"modules": ["tide_service"]},
            "hooks": {"pre_call": ["tracker"]},
        },
        {
            "ability_id": "tides.new",
            "ability_ids": ["no"],
            "scope": {"modules": ["no"]},
            "hooks": {"post_call": ["tracker"], "pre_call": ["no"]},
        },
        ["EN030", "EN031", "EN032", "EN033", "EN033"],
    ),
    "hook": (
        check_hook_addition_consistency,
        {"id": "new", "event_type": "PreAbilityCall", "stage": "plan", "match": {"ability_scope": ["tides.read"]}},
        {
            "id": "new",
            "event_type": "SessionStop",
            "stage": "no",
            "blocking": True,
            "match": {"ability_scope": ["no", "no.*"]},
        },
        ["EN040", "EN041", "EN042", "EN043"],
    ),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory below the top of a repository, of which the functions load the content themselves."""
    write_repository(Case("entries", "EN010__a_misspelt_type"), tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "repository/modules")
    monkeypatch.delenv("REGISTRY_PIPELINE_REPO", raising=False)
    return tmp_path


@pytest.mark.parametrize(("check", "good", "bad", "codes"), ENTRIES.values(), ids=ENTRIES)
def test_problems_have_codes_and_a_valid_entry_has_none(
    here: Path, check: Check, good: dict[str, Any], bad: dict[str, Any], codes: list[str]
) -> None:
    problems = check(bad)

    assert check(good) == []
    assert sorted(each.code for each in problems) == codes
    assert all(isinstance(each, Finding) for each in problems)
    assert {each.severity for each in problems} >= {Severity.ERROR}


@pytest.mark.parametrize("check", [row[0] for row in ENTRIES.values()], ids=ENTRIES)
@pytest.mark.parametrize("entry", [{}, {"match": 1, "hooks": [], "routes": {}, "scope": "x", "dependencies": None}])
def test_an_entry_of_any_shape_does_not_crash(here: Path, check: Check, entry: dict[str, Any]) -> None:
    assert isinstance(check(entry), list)


def test_without_a_repository_nothing_can_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGISTRY_PIPELINE_REPO", raising=False)

    with pytest.raises(NotFoundError):
        check_hook_addition_consistency({"id": "a"})
