"""The Python of "Attest a run" verifies what `attest` writes, and refuses what was changed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from securesystemslib.exceptions import VerificationError

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import flip_byte

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/attest-a-run.md"
SIGNALS: Final = "2026-03-01__120000__drift_signals_build"


@pytest.fixture
def folder(built: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a reader of the page, after its first session."""
    make = "openssl genpkey -algorithm ed25519 -out attest.key && openssl pkey -in attest.key -pubout -out attest.pub"
    subprocess.run(["sh", "-c", make], cwd=tmp_path, check=True, capture_output=True)
    output = str(tmp_path / "drift.intoto.jsonl")
    assert built("attest", SIGNALS, "--key", str(tmp_path / "attest.key"), "-o", output).code == 0
    (tmp_path / "tides").symlink_to(built.root)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_python_of_page() -> None:
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE.read_text("utf-8"))
    assert len(blocks) == 1
    exec(compile(blocks[0], str(PAGE), "exec"), {})  # noqa: S102 - the page is ours


def test_the_python_of_the_page_verifies_an_attestation_and_its_files(folder: Path) -> None:
    run_python_of_page()


def test_the_python_of_the_page_finds_a_changed_envelope(folder: Path) -> None:
    path = folder / "drift.intoto.jsonl"
    text = path.read_text("utf-8")
    path.write_text(text.replace('"payload":"ey', '"payload":"eY', 1), "utf-8")

    with pytest.raises(VerificationError):
        run_python_of_page()


def test_the_python_of_the_page_finds_a_changed_file(folder: Path) -> None:
    flip_byte(folder / f"tides/.codex/RUNS/{SIGNALS}/DRIFT_SIGNALS_v0_1.json")

    with pytest.raises(AssertionError):
        run_python_of_page()
