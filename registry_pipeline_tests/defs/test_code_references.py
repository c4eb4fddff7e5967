"""The page of each asset links to the code that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import LocalFileCodeReference

from registry_pipeline.config import CONFIG_NAME
from registry_pipeline.defs.build import build_defs
from registry_pipeline_tests.defs.conftest import REGISTRIES, DagsterRepo

BUILT = [*REGISTRIES, "drift_signals_daily", "active_registry_pointers", "system_health_report"]
PACKAGE = Path(__file__).resolve().parents[2] / "registry_pipeline"


@pytest.fixture
def links(fresh: DagsterRepo) -> dict[str, list[tuple[str, str | None, str]]]:
    """Return by asset the file in the package, the label and the line of text of each link."""
    with (fresh.repository.root / CONFIG_NAME).open("a", encoding="utf-8") as toml:
        toml.write("history_start = 2026-01-01\n")
    links: dict[str, list[tuple[str, str | None, str]]] = {}
    for spec in build_defs(fresh.repository.root).resolve_all_asset_specs():
        if spec.key.to_user_string() not in BUILT:
            continue
        entries = links.setdefault(spec.key.to_user_string(), [])
        for reference in spec.metadata["dagster/code_references"].code_references:
            assert isinstance(reference, LocalFileCodeReference)
            file = Path(reference.file_path)
            line = file.read_text(encoding="utf-8").splitlines()[(reference.line_number or 0) - 1]
            entries.append((file.relative_to(PACKAGE).as_posix(), reference.label, line))
    return {asset: entries for asset, entries in links.items() if entries}


def test_every_asset_that_is_built_links_to_the_line_of_each_function_that_reads_and_builds_it(
    links: dict[str, list[tuple[str, str | None, str]]],
) -> None:
    assert set(links) == set(BUILT)
    for asset, entries in links.items():
        for _, label, line in entries:
            assert line.startswith((f"def {label}(", f"{label} = ", f"{label}: ")), asset


def test_a_registry_links_to_its_own_package(links: dict[str, list[tuple[str, str | None, str]]]) -> None:
    files = {asset: [file for file, _, _ in entries] for asset, entries in links.items()}

    assert files["run_registry"] == ["registries/run_registry/read.py", "registries/run_registry/build.py"]
    assert files["drift_signals_daily"] == ["registries/drift_signals_daily/build.py"]
    assert files["active_registry_pointers"] == ["pointers/activation.py"]
    assert files["system_health_report"] == ["pipeline/rebuild.py"]
