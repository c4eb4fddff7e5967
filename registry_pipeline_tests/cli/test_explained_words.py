"""`explain` takes the first word of the lines that commands print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from registry_pipeline.findings.finding import PREFIXES, Severity
from registry_pipeline.findings.words import WORDS
from registry_pipeline.pipeline.runs import STATES
from registry_pipeline.pointers.chain import Action, State
from registry_pipeline.registries.base.reader import Kind
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.system_health.build import SEVERITY
from registry_pipeline.runs.sealed_run import RunVerdict
from registry_pipeline_tests.archived_runs import ARCHIVE, OLD, add_sealed_runs, remove_runs
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.signing.keys import make_key

LATER = "2026-03-02T12:00:00Z"
SPECIFICATION = Path(__file__).parents[2] / "docs/reference/specification.md"
# Continuations of a line above, the titles of tables, and commands.
NO_FIRST_WORDS = {"and", "no", "the", "it", "registry", "repository", "state", "after", "…", "registry-pipeline", "git"}


def list_first_words(text: str) -> set[str]:
    """Return the first words of lines that are no paths, times, numbers, runs or operations."""
    words = {line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("    ")}
    return {word for word in words if not re.search("[0-9/]", word)} - NO_FIRST_WORDS


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--all"),
        ("overview", "."),
        ("build", "--no-activate"),
        ("build", "--dry-run"),
        ("rollback", "--reason", "wrong", "--dry-run"),
        ("status", "--fail-on", "drift,UNKNOWN"),
        ("seal", ".codex/RUNS"),
        ("init",),
        ("build",),
        ("verify", "--all"),
        ("verify", "latest", "--inputs"),
        ("rollback", "--reason", "wrong"),
        ("mark-bad", "2026-03-01__120000__drift_signals_build", "--reason", "wrong"),
        ("doctor",),
        ("diff", "active", "--registry", "run_registry"),
        ("log",),
        ("registries",),
        ("export", *OLD, ARCHIVE),
        ("export", "--older-than", "2025-02-01", ARCHIVE),
        ("import", "--dry-run", "archives/first.tar"),
        ("import", "archives/first.tar"),
        ("attest", "latest", "--key", "attest.key", "-o", "../run.intoto.jsonl"),
        ("attest", "2026-02-05__050000__op-d01", "--key", "attest.key"),
    ],
    ids=" ".join,
)
def test_every_first_word_of_the_output_is_explained(built: Repository, words: tuple[str, ...]) -> None:
    if words[0] in ("export", "import"):
        add_sealed_runs(built, *OLD)
        assert built("export", *OLD, "archives/first.tar").code == 0
        remove_runs(built, *OLD[:1] * (words[0] == "import"))

    if words[0] == "attest":
        make_key(built.root, "attest.key")

    printed = list_first_words(built(*words, now=LATER).out)

    assert printed or words[0] == "log"
    assert {word: built("explain", "--", word).code for word in printed} == dict.fromkeys(printed, 0)


def test_the_tables_of_words_are_complete() -> None:
    names = {*get_args(RunVerdict), *get_args(State), *get_args(Action), *get_args(Kind), *STATES, *SEVERITY}

    assert names | {severity.value for severity in Severity} <= set(WORDS)


def test_every_heading_of_a_word_exists() -> None:
    headings = set(re.findall("(?m)^#+ (.+)$", SPECIFICATION.read_text()))

    assert {row.clause for row in WORDS.values()} <= headings


@pytest.mark.parametrize("word", ["moved", "unchanged", "HEALTHY", "unsealed", "FAIL:", "drift_signals", "-"])
def test_a_word_has_a_meaning_and_a_heading(seen: Repository, word: str) -> None:
    (row,) = seen("explain", "--json", "--", word).document("explain")["words"]

    assert f"  meaning    {row['meaning']}\n" in seen("explain", "--", word).out


def test_the_line_of_a_finding_can_be_pasted(seen: Repository) -> None:
    line = "SEAL_INVALID: HASH_MISMATCH .codex/RUNS/x: the content differs"

    assert seen("explain", *line.split()).out == seen("explain", line).out == seen("explain", "HASH_MISMATCH").out


def test_a_prefix_lists_its_codes(seen: Repository) -> None:
    for prefix in PREFIXES.values():
        rows = seen("explain", f"{prefix}:", "--json").document("explain")["codes"]
        assert {row["prefix"] for row in rows} == {prefix}


def test_an_unknown_word_gets_a_suggestion(seen: Repository) -> None:
    for word, suggestion in (("unchangd", "unchanged"), ("drift_signal", "drift_signals")):
        result = seen("explain", word)
        assert (result.code, f"did you mean {suggestion}?" in result.err) == (7, True)


def test_every_registry_is_explained(seen: Repository) -> None:
    for name in SHIPPED.registries:
        assert "a registry (" in seen("explain", name).out
