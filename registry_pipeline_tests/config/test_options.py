"""The table of options: every option is documented, and problems are collected in the order of the table."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from registry_pipeline.config import (
    Adapter,
    AdapterConstants,
    Anchors,
    Captured,
    Config,
    DagsterTable,
    Entries,
    OwnRegistry,
    Roles,
    RunIndex,
    Signing,
    parse_config,
)
from registry_pipeline.config_types import options_of
from registry_pipeline.errors import ConfigError
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline.values import fields

CLASSES = {"": Config, "captured.<registry_id>.": Captured, "registries.<registry_id>.": OwnRegistry}
CLASSES |= {"adapters[].": Adapter, "adapters[].constants.": AdapterConstants}
CLASSES |= {"roles.": Roles, "entries.": Entries, "run_index.": RunIndex}
CLASSES |= {"stale_days.": StaleLimits, "signing.": Signing, "anchors.": Anchors, "dagster.": DagsterTable}
PAGE = Path(__file__).parents[2] / "docs/reference/configuration.md"
GENERATOR = Path(__file__).parents[2] / "tools/docs.py"
NOWHERE = Path("/nowhere")


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), NOWHERE)
    return caught.value.message


@pytest.mark.parametrize("cls", CLASSES.values())
def test_every_field_is_an_option_with_a_line_of_help(cls: type) -> None:
    rows = options_of(cls)

    assert tuple(rows) == fields(cls)
    assert all(row.help and "\n" not in row.help for row in rows.values())


def test_the_page_documents_every_option_with_its_default() -> None:
    documented = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert documented == runpy.run_path(str(GENERATOR))["option_rows"](CLASSES)


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse_config(b"", NOWHERE) == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("captured = 3", "captured: Input should be a valid dictionary"),
        ("captured.x = 3", "captured.x: Input should be a valid dictionary or instance of Captured"),
        ("adapters = {a = 1}", "adapters: Input should be a valid tuple"),
        ('[[adapters]]\nroot = "x"', "adapters.0.file: Field required"),
        ("roles = 3", "roles: Input should be a valid dictionary or instance of Roles"),
        ('roles.baseline = ""', "roles.baseline: String should have at least 1 character"),
        ('roles.pack = "x"', "roles.pack: Value error, a role pack is a file whose name ends with .json"),
        ("stale_days = -1", "stale_days: Input should be greater than or equal to 0"),
        ("stale_days = 9999999", "stale_days: Input should be less than or equal to 1000000"),
        ("stale_days = true", "stale_days: Input should be a valid integer"),
        ("stale_days = 2.0", "stale_days: Input should be a valid integer"),
        ("[stale_days]\ndefault = -1", "stale_days.default: Input should be greater than or equal to 0"),
        ("[stale_days]\noperation = 1", "unknown key stale_days.operation; did you mean 'operations'?"),
        ("[stale_days]\noperations = 3", "stale_days.operations: Input should be a valid dictionary"),
        ("[stale_days.options]\nA = '3'", "stale_days.options.A: Input should be a valid integer"),
        ("history_start = 1969-12-31", "history_start: Input should be greater than or equal to 1970-01-01"),
        ("history_start = 2020-01-01T10:00:00Z", "history_start: Input should be a valid date"),
        ('op_drift = "x"', "op_drift: Input should be 'commit' or 'paths'"),
        ('run_index.ids = ["dash"]', "run_index.ids: Input should be 'dash' or 'ulid'"),
        (
            'run_roots = [3, ".."]',
            (
                "run_roots.0: Input should be a valid string; "
                "run_roots.1: Value error, must be a relative POSIX path inside the repository"
            ),
        ),
        (
            "sorce = 2\nroles.pak = 3\nstale_days = -1",
            (
                "unknown key roles.pak; did you mean 'pack'?; stale_days: Input should be greater than or equal to 0; "
                "unknown key sorce"
            ),
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(text: str, message: str) -> None:
    assert refused(text) == message


def test_ten_problems_are_listed_and_the_others_counted() -> None:
    message = refused("\n".join(f"key{number} = 1" for number in range(12)))

    assert message.count("unknown key") == 10
    assert message.endswith("; and 2 more")


@pytest.mark.parametrize("name", ["payments", "a", "billing-eu_2", "a" * 32])
def test_a_location_is_a_short_plain_name(name: str) -> None:
    assert parse_config(f'[dagster]\nlocation = "{name}"\n'.encode(), NOWHERE).dagster.location == name


@pytest.mark.parametrize("name", ["", "Payments", "2", "-a", "a/b", "a.b", "a b", "\u00e9", "sources", "a" * 33])
def test_another_location_is_refused_with_what_it_may_be(name: str) -> None:
    assert "dagster.location: Value error, must be at most 32 of a-z, 0-9, `_` and `-`" in refused(
        f'[dagster]\nlocation = "{name}"\n'
    )
