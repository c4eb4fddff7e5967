"""`config show` and `config check` name file and line; a quoted date is a date; registries get suggestions."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Config, parse_config
from registry_pipeline.errors import ConfigError
from registry_pipeline.pipeline.config_report import find_config_problems, locate_keys
from registry_pipeline_tests.cli.conftest import CommandResult, Repository, call, environment
from registry_pipeline_tests.laws import examples

TOML = """\
# a comment
stale_days = 3
options = [
    "A",
    "B",
]

[roles]
baseline = "trunk"

[[adapters]]
root = "reports/runs"
file = "meta.json"
run_id = "id"

[[adapters]]
root = "reports/runs"
file = "other.json"
run_id = "id"
[entries]
"stages" = ["plan"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "registry-pipeline.toml").write_text(TOML)
    return tmp_path


def run(folder: Path, *words: str) -> CommandResult:
    return call(*words, cwd=folder, env=environment(folder))


def test_show_names_value_and_line_of_every_option(folder: Path) -> None:
    document = run(folder, "config", "show", "--json").document("config-show")
    options = {o["key"]: (o["value"], o["line"]) for o in document["options"]}

    assert document["file"] == f"{folder}/registry-pipeline.toml"
    assert options["stale_days.default"] == (3, 2)
    assert options["options"] == (["A", "B"], 3)
    assert options["roles.baseline"] == ("trunk", 9)
    assert options["roles.pack"][1] is None
    assert options["adapters.0.file"] == ("meta.json", 13)
    assert options["adapters.1.file"] == ("other.json", 18)
    assert options["entries.stages"] == (["plan"], 21)
    assert "stale_days" in run(folder, "config", "show").out


def test_an_option_of_an_inline_table_has_the_line_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "registry-pipeline.toml").write_text('\nroles = { baseline = "x", pack = "p.json" }\n')

    options = run(tmp_path, "config", "show", "--json").document("config-show")["options"]

    assert [(o["key"], o["line"]) for o in options if o["line"]] == [("roles.pack", 2), ("roles.baseline", 2)]


def test_check_passes_a_valid_file(folder: Path) -> None:
    result = run(folder, "config", "check")

    assert (result.code, result.out) == (0, "pass: registry-pipeline.toml: 0 problems\n")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("stale_days = 3", "stale_days = -1", "registry-pipeline.toml:2: stale_days: "),
        (
            'baseline = "trunk"',
            'basline = "trunk"',
            "registry-pipeline.toml:9: unknown key roles.basline; did you mean",
        ),
        ('"B",', "2,", "registry-pipeline.toml:3: options.1: "),
        ('file = "other.json"', "file = 7", "registry-pipeline.toml:18: adapters.1.file: "),
        ('file = "other.json"', 'file = "meta.json"', "registry-pipeline.toml:16: adapters.1: a second adapter"),
        ('    "B",', '    "A",', "registry-pipeline.toml:3: options must list"),
        ("[roles]", "[roles", "registry-pipeline.toml:8: registry-pipeline.toml is not TOML"),
    ],
)
def test_check_names_file_and_line_of_a_problem(folder: Path, old: str, new: str, expected: str) -> None:
    (folder / "registry-pipeline.toml").write_text(TOML.replace(old, new, 1))

    result = run(folder, "config", "check")

    assert result.code == 2
    assert result.out.splitlines()[0].startswith(expected)
    assert result.out.splitlines()[-1] == "fail: registry-pipeline.toml: 1 problem"
    assert run(folder, "config", "check", "-q").out.startswith(expected)


def test_check_lists_every_problem(folder: Path) -> None:
    (folder / "registry-pipeline.toml").write_text("a = 1\nb = 2\nstale_days = 'x'\n")

    problems = run(folder, "config", "check", "--json").document("config-check")["problems"]

    assert sorted(problem["line"] for problem in problems) == [1, 2, 3]


def test_check_without_a_file_is_no_pass(tmp_path: Path) -> None:
    result = run(tmp_path, "-C", str(tmp_path), "config", "check")

    assert (result.code, "none: " in result.out) == (7, True)


KEYS = st.text("abc_", min_size=1, max_size=4)
VALUES = st.sampled_from(["1", '"x"', "[1,\n 2]", '"""a\nb"""', "{a = 1, b = 2}", "2026-03-01"])


@examples(60)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.dictionaries(KEYS, VALUES, max_size=5))
def test_the_line_of_a_key_is_that_on_which_its_statement_starts(top: dict[str, str], inner: dict[str, str]) -> None:
    lines = [f"{key} = {value}" for key, value in top.items()] + ["[zz]"]
    lines += [f"{key} = {value}" for key, value in inner.items()]
    text = "\n# comment\n".join(lines)
    tomllib.loads(text)

    located = locate_keys(text.encode())

    for place, line in located.items():
        assert text.split("\n")[line - 1].startswith(f"{place[-1]} =" if place != ("zz",) else "[zz]")
    assert len(located) == len(lines)


@given(st.binary(max_size=60))
def test_any_bytes_are_checked_without_a_failure(data: bytes) -> None:
    problems = find_config_problems(data, Path("/nowhere"))
    try:
        parse_config(data, Path("/nowhere"))
    except ConfigError:
        assert problems
    else:
        assert problems == []


def test_a_quoted_date_is_a_date() -> None:
    bare, quoted = (
        parse_config(f"history_start = {text}".encode(), Path("/")) for text in ("2026-03-01", '"2026-03-01"')
    )

    assert bare == quoted != Config()


@pytest.mark.parametrize(
    "text", ['"2026-3-1"', '"20260301"', '"2026-02-30"', '"2026-W01-1"', '"soon"', '"1969-12-31"', "7"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="history_start"):
        parse_config(f"history_start = {text}".encode(), Path("/"))


@pytest.mark.parametrize(
    "words",
    [
        ("build", "op_status_tabl"),
        ("activate", "op_status_tabl", "latest", "--reason", "x"),
        ("rollback", "--registry", "op_status_tabl", "--reason", "x"),
        ("log", "op_status_tabl"),
        ("diff", "active", "--registry", "op_status_tabl"),
    ],
    ids=lambda words: words[0],
)
def test_a_misspelt_registry_gets_a_suggestion(seen: Repository, words: tuple[str, ...]) -> None:
    result = seen(*words)

    assert (result.code, "did you mean op_status_table?" in result.err) == (7, True)
