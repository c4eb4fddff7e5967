"""`[captured.<registry_id>]` in the toml: what may be configured of a captured registry (decision 6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline.capture_table import CAPTURES, OWN_TABLES, is_reserved_name
from registry_pipeline.config import Captured, Config, parse_config
from registry_pipeline.errors import ConfigError
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.schema import has_schema
from registry_pipeline.values import fields


def parsed(text: str, root: Path) -> Config:
    return parse_config(text.encode(), root)


def refused(text: str, root: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text, root)
    assert caught.value.advice
    return caught.value.message


def test_the_table_of_captures_and_the_catalog_agree() -> None:
    rows = {name: row for name, row in SHIPPED.registries.items() if row.kind == "captured" and row.builder is not None}

    assert CAPTURES.keys() | OWN_TABLES.keys() == rows.keys()
    assert CAPTURES.keys().isdisjoint(OWN_TABLES)
    for name, row in rows.items():
        if name in CAPTURES:
            assert CAPTURES[name].artifact == row.relpath
            assert CAPTURES[name].may_be_renamed == row.is_one_capture
        assert row.schemas[0][1] == f"REGISTRY_{name}_v0_1.schema.json"
        assert has_schema(row.schemas[0][1])
        assert name in row.previous_inputs


@pytest.mark.parametrize(("registry_id", "table"), OWN_TABLES.items())
def test_a_registry_with_a_table_of_its_own_is_described_there(tmp_path: Path, registry_id: str, table: str) -> None:
    assert refused(f'[captured.{registry_id}]\nsource = "x"\n', tmp_path) == (
        f"captured.{registry_id}: the table [{table}] describes that registry"
    )
    assert table in fields(Config)


def test_source_artifact_and_schema_are_used(tmp_path: Path) -> None:
    text = '[captured.fingerprint_index]\nsource = "a/b.csv"\nartifact = "b.csv"\nschema = "s/row.json"\n'

    assert parsed(text, tmp_path).captured == {
        "fingerprint_index": Captured(source="a/b.csv", artifact="b.csv", schema="s/row.json")
    }


@pytest.mark.parametrize(
    ("registry_id", "meant"),
    [
        ("migration_leger", "did you mean 'migration_ledger'?"),
        ("threshold_packs", "did you mean 'threshold_packs_file'?"),
        ("pointer_activation", "these are: ability_registry, derived_validation_reports"),
        ("threshold_registry_db", "no captured registry has that name"),
    ],
)
def test_a_registry_that_is_not_captured_is_refused_with_what_may_be_meant(
    tmp_path: Path, registry_id: str, meant: str
) -> None:
    message = refused(f"[captured.{registry_id}]\n", tmp_path)

    assert message.startswith(f"captured.{registry_id}: no captured registry has that name")
    assert meant in message


def test_an_unknown_key_is_refused_with_what_may_be_meant(tmp_path: Path) -> None:
    assert refused('[captured.migration_ledger]\nsorce = "x"\n', tmp_path) == (
        "unknown key captured.migration_ledger.sorce; did you mean 'source'?"
    )


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.json", "a\\\\b", ""])
def test_a_path_that_leaves_the_repository_is_refused(tmp_path: Path, path: str) -> None:
    for key in ("source", "schema"):
        assert "inside the repository" in refused(f'[captured.migration_ledger]\n{key} = "{path}"\n', tmp_path)


def test_expected_versions_have_a_key_of_their_own(tmp_path: Path) -> None:
    assert "captured.expected_versions.source: `expected_versions` names it" in refused(
        '[captured.expected_versions]\nsource = "x.json"\n', tmp_path
    )


@pytest.mark.parametrize(
    ("registry_id", "name", "reason"),
    [
        ("threshold_packs_file", "packs.json", "its files keep their own names"),
        ("derived_validation_reports", "report.json", "its files keep their own names"),
        ("migration_ledger", "ledger.csv", "a name ends with .json"),
        ("fingerprint_index", "index.csv.json", "a name ends with .csv"),
        ("migration_ledger", "a/ledger.json", "as a file has it"),
        ("migration_ledger", "", "as a file has it"),
        ("migration_ledger", ".json", "as a file has it"),
        ("migration_ledger", "é.json", "as a file has it"),
        ("migration_ledger", "run.json", "the name is reserved in run folders"),
        ("migration_ledger", "Manifest.json", "the name is reserved in run folders"),
        ("migration_ledger", "x.schema.json", "the name is reserved in run folders"),
        ("migration_ledger", "EXPECTED_VERSIONS_v0_1_snapshot.json", "another registry's artifact has that name"),
        ("migration_ledger", "derived_validation_report.json", "another registry's artifact has that name"),
    ],
)
def test_a_name_that_an_artifact_cannot_have_is_refused(
    tmp_path: Path, registry_id: str, name: str, reason: str
) -> None:
    message = refused(f'[captured.{registry_id}]\nartifact = "{name}"\n', tmp_path)

    assert message.startswith(f"captured.{registry_id}.artifact: {name!r}: ")
    assert reason in message


def test_two_artifacts_may_not_share_a_name(tmp_path: Path) -> None:
    text = '[captured.migration_ledger]\nartifact = "x.json"\n[captured.expected_versions]\nartifact = "x.json"\n'

    assert "another registry's artifact has that name" in refused(text, tmp_path)


def test_the_names_that_a_run_folder_needs_are_known_in_any_case() -> None:
    own = ("run.json", "RUN.JSON", "manifest.json", "Manifest.SHA256", "ROOT_SHA256", "a.schema.json", "A.Schema.JSON")

    assert all(is_reserved_name(name) for name in own)
    assert not any(is_reserved_name(name) for name in ("runs.json", "a.json", "schema.json", "sub/manifest.json"))
