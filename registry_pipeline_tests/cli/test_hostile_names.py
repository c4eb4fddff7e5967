"""Names from other tools are escaped on the terminal, in annotations and in the report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.hostile_names import FOLDER, HOSTILE, hidden_in, make_hostile

LATER = "2026-03-02T12:00:00Z"
REPORT = "SYSTEM_HEALTH_REPORT_v0_1.md"


@pytest.fixture
def hostile(known: Repository) -> Repository:
    make_hostile(known.root)
    return known


def test_no_command_prints_a_hidden_character(hostile: Repository) -> None:
    folder = f"reports/runs/{FOLDER}"
    commands = [
        ("init",),
        ("build",),
        ("status",),
        ("runs",),
        ("show", folder),
        ("show", FOLDER[:1]),
        ("verify", folder),
        ("verify", "--all"),
        ("verify", "--all", "--format", "github"),
        ("verify", "--all", "--format", "markdown"),
        ("verify", "--all", "--format", "junit"),
        ("verify", "--all", "--format", "sarif"),
        ("status", "--format", "markdown"),
        ("mark-bad", "latest", "--reason", HOSTILE, "--actor", HOSTILE),
        ("rollback", "--reason", HOSTILE, "--actor", HOSTILE),
        ("rollback", "--redo", "--reason", HOSTILE, "--format", "github"),
        ("log",),
        ("doctor",),
        ("diff", "op_status_table"),
        ("explain", HOSTILE),
        ("explain", HOSTILE, "--format", "github"),
        (HOSTILE,),
        ("registries",),
        ("run-index", "show", HOSTILE),
        ("status", "--verbose", "-C", HOSTILE),
    ]
    printed = ""
    for number, words in enumerate(commands):
        result = hostile(*words, now=f"2026-03-02T12:{number:02}:00Z", REGISTRY_PIPELINE_ACTOR="")

        assert hidden_in(result.out) == [], words
        assert hidden_in(result.err) == [], words
        assert "Traceback (most" not in result.err or "--verbose" in words
        printed += result.out + result.err

    assert printed.count("\\u202egpj.exe\\u2066\\u3164\\x9b1m") > 8


def test_the_log_names_the_author_of_git_with_escapes(hostile: Repository) -> None:
    assert hostile("init").code == 0
    assert hostile("build", REGISTRY_PIPELINE_ACTOR="").code == 0

    log = hostile("log")

    assert "\\x1b[2J\\u202egpj.exe" in log.out
    assert hidden_in(log.out) == []


def test_the_verifier_alone_prints_no_hidden_character(hostile: Repository) -> None:
    sealed = next(path for path in sorted(hostile.runs.iterdir()) if (path / "MANIFEST.sha256").exists())
    copied = hostile.root / FOLDER / sealed.name
    shutil.copytree(sealed, copied)
    for folder, said in ((copied, "SEAL_VALID"), (hostile.root / "reports/runs" / FOLDER, "UNSEALED")):
        words = [sys.executable, "-m", "registry_pipeline.seal.verify", str(folder)]
        out = subprocess.run(words, capture_output=True, check=False).stdout.decode()

        assert said in out
        assert hidden_in(out) == []
        assert "\\u202egpj.exe" in out


def test_the_health_report_shows_a_hostile_name_as_text(hostile: Repository) -> None:
    assert hostile("init").code == 0
    assert hostile("build").code == 0

    (report,) = hostile.runs.glob(f"*/{REPORT}")
    text = report.read_text()
    rows = [line for line in text.splitlines() if "gpj.exe" in line]

    assert hidden_in(text) == []
    assert rows
    for row in rows:
        assert r"\|\<img src=x\>\`\[a\](b)" in row
        assert "\\\\u202egpj.exe\\\\u2066\\\\u3164\\\\x9b1m" in row


def test_a_sealed_artifact_and_a_json_document_keep_the_name(hostile: Repository) -> None:
    assert hostile("init").code == 0
    assert hostile("build").code == 0

    (table,) = hostile.runs.glob("*__op_status_table_build/OPERATION_STATUS_TABLE_v0_1.json")

    rows = json.loads(table.read_bytes())
    assert [row["operation_name"] for row in rows if row["operation_id"] == "OP-A01"] == [HOSTILE]
