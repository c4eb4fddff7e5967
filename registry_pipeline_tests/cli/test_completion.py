"""Shells complete commands, options, registries, run ids and codes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from registry_pipeline.cli.completion import SHELLS
from registry_pipeline_tests.cli.conftest import PROGRAM, Repository, environment

VARIABLE = "_REGISTRY_PIPELINE_COMPLETE"
DRIFT = "2026-03-01__120000__drift_signals_build"


def complete(repository: Repository, *words: str, cwd: Path | None = None) -> list[str]:
    """Return what bash would offer for the last word of a line."""
    line = {"COMP_WORDS": " ".join(("registry-pipeline", *words)), "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        PROGRAM,
        cwd=cwd or repository.root,
        env=environment(repository.home, **line, **{VARIABLE: "bash_complete"}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [answer.removeprefix("plain,") for answer in done.stdout.splitlines() if answer]


@pytest.mark.process
def test_commands_and_options_are_completed(seen: Repository) -> None:
    assert complete(seen, "roll") == ["rollback"]
    assert complete(seen, "roles", "c") == ["check"]
    assert "--fail-on" in complete(seen, "status", "--f")


@pytest.mark.process
def test_registries_are_completed(seen: Repository) -> None:
    assert complete(seen, "build", "drift") == ["drift_signals", "drift_signals_daily"]
    assert complete(seen, "rollback", "--registry", "op") == ["op_status_table"]
    assert complete(seen, "log", "role") == ["role_registry"]


@pytest.mark.process
def test_run_ids_are_completed_and_those_of_one_registry_if_it_is_named(seen: Repository) -> None:
    shown = complete(seen, "show", "2026-03-01__120000")

    assert DRIFT in shown
    assert len(shown) > 1
    assert complete(seen, "activate", "drift_signals", "2026-03-01") == [DRIFT]
    assert "latest" in complete(seen, "verify", "l")


@pytest.mark.process
def test_codes_and_words_are_completed(seen: Repository) -> None:
    assert complete(seen, "explain", "hash_m") == ["HASH_MISMATCH"]
    assert complete(seen, "explain", "unseal") == ["UNSEALED", "unsealed"]


@pytest.mark.process
def test_the_repository_of_the_option_is_used_and_a_missing_one_completes_nothing(
    seen: Repository, tmp_path: Path
) -> None:
    assert DRIFT in complete(seen, "-C", str(seen.root), "show", "2026-03-01", cwd=tmp_path)
    assert complete(seen, "show", "2026-03-01", cwd=tmp_path) == []
    assert complete(seen, "-C", "/nowhere", "show", "2026-03-01") == []
    assert complete(seen, "nonsense", "x") == []


@pytest.mark.process
def test_bash_runs_the_script(seen: Repository) -> None:
    program = f'registry-pipeline() {{ {" ".join(PROGRAM)} "$@"; }}; export -f registry-pipeline'
    script = "\n".join(
        (
            program,
            'eval "$(registry-pipeline completion bash)"',
            "complete -p registry-pipeline",
            # The function of the script starts its first argument, which is the program.
            f"printf '#!/bin/sh\\nexec {' '.join(PROGRAM)} \"$@\"\\n' > program; chmod +x program",
            "COMP_WORDS=(registry-pipeline build drift); COMP_CWORD=2",
            "_registry_pipeline_completion ./program",
            'echo "${COMPREPLY[@]}"',
        )
    )
    folder = seen.home / "completion"
    folder.mkdir()
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment(seen.home), capture_output=True, text=True, check=True
    )

    first, last = done.stdout.splitlines()
    assert first.endswith("-F _registry_pipeline_completion registry-pipeline")
    assert last == "drift_signals drift_signals_daily"


@pytest.mark.process
@pytest.mark.parametrize(
    ("shell", "line", "answer"),
    [
        ("zsh", {"COMP_WORDS": "registry-pipeline anch", "COMP_CWORD": "1"}, "plain\nanchor\nPrint the hash"),
        ("fish", {"COMP_WORDS": "registry-pipeline anch", "COMP_CWORD": "anch"}, "plain,anchor\tPrint the hash"),
    ],
)
def test_zsh_and_fish_get_the_help_too(seen: Repository, shell: str, line: dict[str, str], answer: str) -> None:
    env = environment(seen.home, **line, **{VARIABLE: f"{shell}_complete"})
    done = subprocess.run(PROGRAM, cwd=seen.root, env=env, capture_output=True, text=True, check=True)

    assert done.stdout.startswith(answer) or answer.replace(",", "\n").replace("\t", "\n") in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_asks_the_program(seen: Repository, shell: str) -> None:
    script = seen("completion", shell).out

    assert f"{VARIABLE}={shell}_complete" in script
    assert script == seen("completion", shell, "--json").document("completion")["script"]
    assert seen("completion", "tcsh").code == 2
