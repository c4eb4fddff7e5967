"""The verifier runs with Python and the checkout alone: no environment, no package, no installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from registry_pipeline_tests.runs.case_specs import RUN_ID, sealed_files, write_tree

CHECKOUT = Path(__file__).parents[2]

pytestmark = pytest.mark.process


def _verify(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the verifier without `site`, so that no third-party package can be found, and in an empty environment."""
    return subprocess.run(
        [sys.executable, "-S", "-s", "-m", "registry_pipeline.seal.verify", *map(str, arguments)],
        env={"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / RUN_ID
    write_tree(folder, sealed_files())
    return folder


def test_a_valid_folder_is_reported_with_its_root_hash(sealed: Path) -> None:
    root = (sealed / "MANIFEST.sha256").read_text(encoding="utf-8").split()[-1]

    done = _verify(sealed)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"SEAL_VALID: {sealed} ROOT_SHA256 {root}\n", "")


def test_a_broken_folder_is_3_even_beside_a_valid_and_an_absent_one(sealed: Path) -> None:
    broken = sealed.parent / "broken"
    write_tree(broken, sealed_files() | {"data.jsonl": b"?"})

    done = _verify(sealed, broken, sealed.parent / "absent")

    assert (done.returncode, done.stderr) == (3, "")
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["SEAL_VALID"] + ["SEAL_INVALID"] * 3
    assert "SIZE_MISMATCH" in done.stdout


def test_a_list_of_hashes_is_checked_and_is_no_seal(sealed: Path) -> None:
    (sealed / "manifest.json").unlink()
    lines = (sealed / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines(keepends=True)
    (sealed / "MANIFEST.sha256").write_text("".join(line for line in lines[:-1] if "manifest.json" not in line))

    done = _verify(sealed)

    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(f"INFO: HASHES_VERIFIED {sealed}: 3 files match")


def test_an_absent_folder_is_7(sealed: Path) -> None:
    done = _verify(sealed, sealed.parent / "absent")

    assert (done.returncode, done.stderr) == (7, "")


def test_no_folder_is_a_usage_error(sealed: Path) -> None:
    done = _verify()

    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: python -m registry_pipeline.seal.verify" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_packages_of_this_environment_are_out_of_reach() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import pydantic"], env={}, capture_output=True, text=True, check=False
    )

    assert "ModuleNotFoundError" in done.stderr
