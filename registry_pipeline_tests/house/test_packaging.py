"""What a clone and a wheel hold."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\0") if done.returncode == 0 else []
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_the_lock_names_files_and_hashes_and_no_host() -> None:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")

    assert "://" not in text
    assert text.count("hash = ") > 100


def test_no_tracked_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    home = re.compile(rb"/(root|home/[a-z]+|work/main)/")

    offenders = [path.name for path in tracked() if home.search(path.read_bytes()) and path != Path(__file__)]

    assert offenders == []


def test_the_wheel_holds_the_package_its_schemas_and_what_ui_needs(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    schemas = {
        f"registry_pipeline/schemas/{p.relative_to(ROOT / 'schemas')}" for p in (ROOT / "schemas").rglob("*.json")
    }

    assert schemas <= names
    assert {"registry_pipeline/runbook/building.py", "registry_pipeline/dagster.yaml"} <= names
    assert not [name for name in names if name.startswith("registry_pipeline_tests")]
