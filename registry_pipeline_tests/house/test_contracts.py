"""Each import contract is broken once, in a copy of the package, and reports it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

BREAKS = {
    "layers": ("runs/manifest.py", "import registry_pipeline.pipeline.status"),
    "registries": ("registries/run_registry/build.py", "import registry_pipeline.registries.drift_signals.build"),
    "root": ("__init__.py", "import registry_pipeline.errors"),
    "pure": ("registries/drift_signals/build.py", "import os"),
    "dagster": ("pipeline/runs.py", "import dagster"),
    "standalone": ("runs/pointer_file.py", "import registry_pipeline.schema"),
    "package": ("dagster/failure.py", "import registry_pipeline.config"),
    "writers": ("cli/commands/status.py", "import registry_pipeline.runs.writer"),
    "example": ("cli/commands/status.py", "import registry_pipeline.example.make"),
    "yaml": ("config.py", "import yaml"),
    "processes": ("pipeline/runs.py", "import subprocess"),
    "canonical": ("canonical.py", "import rfc8785"),
    "envelopes": ("runs/manifest.py", "import cryptography"),
    "dataclasses": ("pipeline/runs.py", "import dataclasses"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "registry_pipeline", tmp_path / "registry_pipeline")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [part for contract in contracts for part in ("--contract", contract)]
    return subprocess.run(
        [LINT, "--no-cache", *chosen],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_are_kept(copy: Path) -> None:
    done = lint(copy)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("contract", BREAKS)
def test_an_import_in_the_wrong_package_breaks_its_contract(copy: Path, contract: str) -> None:
    place, line = BREAKS[contract]
    file = copy / "registry_pipeline" / place
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")

    done = lint(copy, contract)

    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout


def test_every_contract_has_a_break() -> None:
    import tomllib

    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["id"] for contract in document["tool"]["importlinter"]["contracts"]}

    assert contracts == set(BREAKS)
