"""`config show` and `config check`: the options in effect, and the problems of the toml file."""

from __future__ import annotations

import json

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import CONFIG_NAME, find_repository, find_root
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.config_report import find_config_problems, list_options, read_config_bytes


@command(
    "show",
    ("config show", "every option with its value, and the line that sets it"),
    ("config show --json", "the same as JSON"),
)
def show_command(reporter: Reporter, /) -> int:
    """Show every option with its value and origin.

    The origin is the line of registry-pipeline.toml, or `default`. docs/reference/configuration.md describes the
    options. An invalid file is a usage error (exit 2); `config check` lists all of its problems.
    """
    repository = find_repository(reporter.settings.repo)
    options = list_options(repository)
    document = {"file": str(repository.root / CONFIG_NAME), "options": [option.to_json() for option in options]}

    def print_text(page: Page) -> None:
        columns = [Column("option"), Column("origin"), Column("value", below=True)]
        rows = [
            [
                option.key,
                "default" if option.line is None else f"{CONFIG_NAME}:{option.line}",
                json.dumps(option.value, ensure_ascii=False),
            ]
            for option in options
        ]
        page.table(columns, rows)

    reporter.print_result(document, (), print_text)
    return 0


@command("check", ("config check", "every problem of the toml file, with its line"))
def check_command(reporter: Reporter, /) -> int:
    """Check registry-pipeline.toml.

    Prints each problem as `file:line: problem`. Exits 2 if there is one, and 7 if there is no file, because the
    defaults are then used and nothing was checked.
    """
    root = find_root(reporter.settings.repo)
    data = read_config_bytes(root)
    problems = [] if data is None else find_config_problems(data, root)
    verdict = "none" if data is None else "fail" if problems else "pass"
    document = {"file": str(root / CONFIG_NAME), "verdict": verdict, "problems": [p.to_json() for p in problems]}

    def print_text(page: Page) -> None:
        for problem in problems:
            page.error(problem.to_text())
        if data is None:
            page.line(f"none: {root} has no {CONFIG_NAME}; the defaults are used -> registry-pipeline init")
        else:
            page.line(f"{'fail' if problems else 'pass'}: {CONFIG_NAME}: {plural(len(problems), 'problem')}")

    reporter.print_result(document, (), print_text)
    if data is None:
        return ExitCode.NOT_FOUND
    return ExitCode.USAGE if problems else ExitCode.FINE
