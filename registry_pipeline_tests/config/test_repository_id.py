"""The key `repository_id` of the toml: which texts it takes, and that it is documented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository, parse_config
from registry_pipeline.errors import ConfigError
from registry_pipeline.schema import schema_bytes

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "text", ["c4c4b3da-cf92-4f7d-a746-3e8f02d2149d", "shop-harbour", "12345678", "a" * 64, "--------"]
)
def test_a_uuid_or_a_name_in_lower_case_is_an_id(text: str) -> None:
    assert parse_config(f'repository_id = "{text}"'.encode(), Path("/nowhere")).repository_id == text


@pytest.mark.parametrize(
    "value",
    [
        '""',
        '"short-7"',
        '"C4C4B3DA-CF92-4F7D-A746-3E8F02D2149D"',
        '"with a blank"',
        '"under_score"',
        f'"{"a" * 65}"',
        '"twelve-chars\\n"',
        '"émigré-shop"',
        "12345678",
        '["shop-harbour"]',
    ],
)
def test_anything_else_is_refused_with_the_key_and_the_form(value: str) -> None:
    with pytest.raises(ConfigError, match="repository_id"):
        parse_config(f"repository_id = {value}\n".encode(), Path("/nowhere"))


def test_a_repository_needs_no_id() -> None:
    assert parse_config(b"", Path("/nowhere")).repository_id is None


def test_a_misspelt_key_is_refused_with_the_right_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'repository_id'"):
        parse_config(b'repositoryid = "shop-harbour"', Path("/nowhere"))


def test_the_schema_of_run_json_takes_the_same_texts() -> None:
    envelope = json.loads(schema_bytes("RUN_ENVELOPE_v0_1.schema.json"))

    assert envelope["properties"]["repository_id"]["pattern"] == r"^[a-z0-9-]{8,64}(?!\n)$"
    assert "repository_id" not in envelope["required"]


def test_this_project_has_an_id_and_the_key_is_documented() -> None:
    assert load_repository(ROOT).config.repository_id is not None
    assert "| `repository_id` |" in (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
