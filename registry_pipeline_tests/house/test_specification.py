"""The tables of docs/reference/specification.md that repeat names and numbers of the code have the same ones."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from registry_pipeline.cli.exit_codes import FAIL_ON_CONDITIONS, combine_exit_codes
from registry_pipeline.cli.settings import FORMATS
from registry_pipeline.findings.words import WORDS
from registry_pipeline.pointers.chain import Action, State
from registry_pipeline.pointers.checkpoint import CHECKPOINT_EVERY
from registry_pipeline.registries.base.reader import Contracts, Kind
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.system_health.build import HealthName
from registry_pipeline.values import asdict, fields

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs/reference/specification.md").read_text(encoding="utf-8")


def read_section(heading: str) -> str:
    """Return what is below a heading, up to the next one."""
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(section)


def read_column(heading: str, table: int = 0, column: int = 0) -> list[str]:
    """Return the cells of one column of a table below a heading; a cell is without backticks and links."""
    rows = re.findall(r"^\|[-|]+\|\n((?:\|.*\n)+)", read_section(heading), re.MULTILINE)[table].splitlines()
    cells = [re.split(r"(?<!\\) ?\| ?", row)[column + 1] for row in rows]
    return [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cell).replace("`", "").strip() for cell in cells]


def split(cells: list[str]) -> list[str]:
    """Return the names of cells that have several."""
    return [name for cell in cells for name in cell.split(", ")]


def read_keys(schema: str, *path: str) -> list[str]:
    """Return the names of the properties of a schema, or of the part of it with that path, in order."""
    part: Any = json.loads((ROOT / "schemas" / schema).read_text(encoding="utf-8"))
    for name in path:
        part = part[name]
    return list(part["properties"])


@pytest.mark.parametrize(
    ("heading", "table", "schema", "path"),
    [
        ("run.json", 0, "RUN_ENVELOPE_v0_1.schema.json", ()),
        ("Pointer file", 0, "ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", ("$defs", "pointer")),
        ("Activation record", 0, "REGISTRY_pointer_activation_v0_1.schema.json", ()),
        ("Activation record", 1, "REGISTRY_pointer_activation_v0_1.schema.json", ("properties", "checkpoint")),
        ("run_registry", 0, "REGISTRY_run_registry_v0_1.schema.json", ()),
        ("op_status_table", 0, "REGISTRY_op_status_table_v0_1.schema.json", ("$defs", "operation_status")),
    ],
)
def test_a_table_of_keys_has_those_of_the_schema(heading: str, table: int, schema: str, path: tuple[str, ...]) -> None:
    documented, keys = split(read_column(heading, table)), read_keys(schema, *path)

    assert sorted(documented) == sorted(keys)
    assert documented == keys or "in this order" not in read_section(heading)


def test_the_kinds_of_registries_are_those_of_the_table() -> None:
    assert sorted(read_column("Registry table")) == sorted(get_args(Kind))


def test_the_words_of_the_catalog_are_those_of_its_registries() -> None:
    keys, values = read_column("Registry table", 1), read_column("Registry table", 1, 1)
    documented: dict[str, set[str]] = {}
    for key, value in zip(keys, values, strict=True):
        documented.setdefault(key or list(documented)[-1], set()).add(value)

    shipped = [asdict(row.contracts) for row in SHIPPED.registries.values()]
    assert list(documented) == list(fields(Contracts))
    for key, words in documented.items():
        assert {row[key] for row in shipped} - {"none"} == words - {"none"}


def test_the_actions_and_states_of_the_chain_are_those_of_the_code() -> None:
    names, values = read_column("Activation record"), read_column("Activation record", 0, 1)
    states = {state.replace("not chained", "not_chained") for state in read_column("Chain", 0, 2)}

    assert values[names.index("action")].split(", ") == list(get_args(Action))
    assert states == set(get_args(State))
    assert f"makes {CHECKPOINT_EVERY} records since the last checkpoint" in read_section("Chain")


def test_the_health_states_are_in_the_order_of_the_code() -> None:
    assert read_column("Health states") == list(get_args(HealthName))


def test_the_formats_and_conditions_are_those_of_the_options() -> None:
    documented = split(read_column("Conditions of `--fail-on`"))

    assert read_column("Findings", 1) == list(FORMATS)
    assert documented == [*FAIL_ON_CONDITIONS, *get_args(HealthName)[1:]]


def test_the_first_of_several_exit_codes_is_the_one_that_is_used() -> None:
    (order,) = re.findall(r"If several apply, the first of ([\d, ]+) is used\.", read_section("Exit codes"))
    codes = [int(code) for code in order.split(", ")]

    assert all(combine_exit_codes(pair) == pair[0] for pair in combinations(codes, 2))


def test_the_tags_of_registries_are_documented_where_the_page_names_a_folder() -> None:
    tags = {row.tag for row in SHIPPED.registries.values() if row.tag}
    named = set(re.findall(r"with the tag `(\w+)`", PAGE))

    assert named <= tags | {"pointer_activation"}
    assert named


def test_the_glossary_has_every_word_that_explain_knows() -> None:
    page = (
        (ROOT / "docs/reference/glossary.md").read_text(encoding="utf-8").partition("## Words that commands print")[2]
    )

    assert re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE) == list(WORDS)
