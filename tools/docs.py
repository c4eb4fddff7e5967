"""Write the generated parts of the documents, or with --check tell which of them are out of date.

Four pages of `docs/reference/` come from the tables in code, from `--help` and from `schemas/`, and so do the tables
between comments such as `<!-- options -->` in other pages. The drawings come from the import graph and from the results
of the benchmarks. In every other page and in the README, a block that begins with ```console is a session: each line
after `$ ` is run, in order, in one folder a document, with the clock at a fixed instant, and what it prints is written
below it. The notebook of the page on Python is made by running its examples.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import click
from architecture_picture import draw_architecture
from benchmark_tables import draw_charts, fill_page, read_results
from concept_pictures import draw_concepts
from notebook_page import make_notebook
from scale_tables import CURVE, draw_curve, make_tables
from schema_page import escape_cell, find_anchor, make_schemas_page

from registry_pipeline.cli.group import CommandGroup
from registry_pipeline.cli.program import program as command_line
from registry_pipeline.config import (
    Adapter,
    AdapterConstants,
    Anchors,
    Captured,
    Config,
    DagsterTable,
    Entries,
    OwnRegistry,
    Roles,
    RunIndex,
    Signing,
)
from registry_pipeline.config_types import REQUIRED, Option, options_of
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import PREFIXES
from registry_pipeline.findings.words import WORDS
from registry_pipeline.registries.base.reader import Contracts
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.stale_limits import StaleLimits
from registry_pipeline.values import asdict, fields
from registry_pipeline_tests.memory_disk import use_memory_disk

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results"
CLOCK: Final = "2026-03-01T12:00:00Z"
# Of a shell: a command is missing (127), or was ended by a signal (128 and more).
NOT_RUN: Final = 127
_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# So that a session's commits have the same ids each time.
_COMMITS: Final = {"NAME": "Ada", "EMAIL": "ada@example.invalid", "DATE": CLOCK}
_HEAD: Final = "<!-- made by `make docs` from the code; do not edit -->\n\n"


def findings_page() -> str:
    """Return the page of every code with its weight, clause, meaning and remedy."""
    lines = [
        "# Findings",
        "",
        "Every way in which evidence can fail. `registry-pipeline explain CODE` prints a row.",
        "",
    ]
    lines += ["| code | severity | clause | meaning | what to do |", "|---|---|---|---|---|"]
    for row in CODES.values():
        clause = f"[{row.clause}](specification.md#{find_anchor(row.clause)})"
        cells = (f"`{row.code}`", row.severity.value, clause, row.message, row.hint)
        lines.append("| " + " | ".join(escape_cell(cell) for cell in cells) + " |")
    return _HEAD + "\n".join(lines) + "\n"


def registries_page() -> str:
    """Return the page of the registry table."""
    lines = ["# Registries", "", "One row a registry; assets, checks and commands are made from the same table.", ""]
    lines += [
        "| registry | kind | artifacts | operation | tag | built from | pointer |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in SHIPPED.registries.values():
        pointer = "yes" if row.pointer and row.kind != "external" else f"no: {row.excluded_because}"
        built_from = ", ".join((*row.depends_on, *row.sources)) or "-"
        artifacts = ", ".join(f"`{name}`" for name in row.artifacts) or "-"
        cells = (row.registry_id, row.kind, artifacts, row.operation_id or "-", row.tag or "-", built_from, pointer)
        lines.append("| " + " | ".join(escape_cell(cell) for cell in cells) + " |")
    lines += [
        "",
        "How each is written, sealed and read, and what its content decides: the words are in the",
        "[specification](specification.md#registry-table). `registry-pipeline registries --json` prints both tables.",
        "",
        f"| registry | {' | '.join(f'`{name}`' for name in fields(Contracts))} |",
        f"|{'---|' * (len(fields(Contracts)) + 1)}",
    ]
    for row in SHIPPED.registries.values():
        lines.append(f"| {row.registry_id} | {' | '.join(asdict(row.contracts).values())} |")
    return _HEAD + "\n".join(lines) + "\n"


def configuration_page() -> str:
    """Return the page on the toml file with the table of its options."""
    text = _read("docs/reference/configuration.md")
    classes: dict[str, type] = {
        "": Config,
        "captured.<registry_id>.": Captured,
        "registries.<registry_id>.": OwnRegistry,
        "adapters[].": Adapter,
        "adapters[].constants.": AdapterConstants,
        "roles.": Roles,
        "entries.": Entries,
        "run_index.": RunIndex,
        "stale_days.": StaleLimits,
        "signing.": Signing,
        "anchors.": Anchors,
        "dagster.": DagsterTable,
    }
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | {default} | {escape_cell(meaning)} |" for key, default, meaning in option_rows(classes)]
    return _fill(text, "options", "\n".join(lines))


def default_text(row: Option) -> str:
    """Return the default of an option as the reference page shows it."""
    if row.default is REQUIRED or row.default is None or row.default == ():
        return "none" if row.default is not REQUIRED or row.default_factory is not None else "required"
    if isinstance(row.default, bool):
        return f"`{str(row.default).lower()}`"
    if isinstance(row.default, tuple):
        return ", ".join(f"`{value}`" for value in row.default)
    return "see its keys" if hasattr(row.default, "__value_fields__") else f"`{row.default}`"


def glossary_page() -> str:
    """Return the glossary with the words that `explain` knows."""
    lines = ["| word | meaning |", "|---|---|"]
    lines += [
        f"| `{row.word}` | {escape_cell(row.meaning)}. [{row.clause}](specification.md#{find_anchor(row.clause)}) |"
        for row in WORDS.values()
    ]
    return _fill(_read("docs/reference/glossary.md"), "words", "\n".join(lines))


def specification_page() -> str:
    """Return the specification with the prefix that a finding's line has, and the codes that have it."""
    codes: dict[str, dict[str, None]] = {}
    for row in CODES.values():
        start, _, rest = row.code.partition("_")
        shown = f"{start}_…" if rest else row.code if start.isalpha() else f"{start.rstrip('0123456789')}…"
        codes.setdefault(PREFIXES[row.family], {})[f"`{shown}`"] = None
    lines = ["| prefix | codes |", "|---|---|"]
    lines += [f"| `{prefix}` | {', '.join(shown)} |" for prefix, shown in codes.items()]
    return _fill(_read("docs/reference/specification.md"), "prefixes", "\n".join(lines))


def decisions_page() -> str:
    """Return the table of decisions."""
    lines = [
        "# Decisions",
        "",
        "What was decided, and why. A decision is superseded by a later one, not rewritten.",
        "",
    ]
    lines += ["| | decision |", "|---|---|"]
    for path in sorted((ROOT / "docs/decisions").glob("0*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0]
        number, _, subject = title.removeprefix("# ").partition(". ")
        lines.append(f"| {number} | [{escape_cell(subject)}]({path.name}) |")
    return _HEAD + "\n".join(lines) + "\n"


def home_page() -> str:
    """Return the first page of the site, which says what the README says first."""
    first = _read("README.md").split("\n\n")[1]
    return _fill(_read("docs/index.md"), "sentence", first)


def benchmarks_page() -> str:
    """Return the page of benchmarks with the tables of their results."""
    return fill_page(_read("docs/benchmarks.md"), read_results(RESULTS))


def scale_page() -> str:
    """Return the page on scale with the tables of its model."""
    text = _read("docs/explanation/scale.md")
    for name, table in make_tables(read_results(RESULTS)["scale"]).items():
        text = _fill(text, name, table)
    return text


def scale_curve() -> str:
    """Return the curve of the model of scale."""
    return draw_curve(read_results(RESULTS)["scale"])


def benchmark_charts() -> dict[str, str]:
    """Return every growth curve of the benchmarks, by its path."""
    charts = [draw_charts(name, results) for name, results in read_results(RESULTS).items()]
    return {f"docs/images/{name}": text for part in charts for name, text in part.items()}


def python_notebook() -> str:
    """Return the notebook of the page on Python, run in the example repository."""
    page = _read("docs/how-to/read-from-python.md")
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder, contextlib.chdir(folder):
        for command in ("registry-pipeline example tides --quiet", "registry-pipeline -C tides build --quiet"):
            if printed := _run(command, Path(folder)):
                sys.exit("\n".join([command, *printed]))
        return make_notebook(page)


def option_rows(classes: Mapping[str, type]) -> list[tuple[str, str, str]]:
    """Return key, default and help of every option; `classes` maps a prefix such as `roles.` to its class."""
    return [
        (prefix + key, default_text(row), row.help)
        for prefix, cls in classes.items()
        for key, row in options_of(cls).items()
    ]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _fill(text: str, name: str, content: str) -> str:
    """Return a document with other content between `<!-- NAME ... -->` and `<!-- end of NAME -->`."""
    start, end = text.index(f"<!-- {name}"), text.index(f"\n\n<!-- end of {name} -->")
    start = text.index("-->\n\n", start, end) + len("-->\n\n")
    return text[:start] + content + text[end:]


def command_line_page() -> str:
    """Return the page of every verb's help, as the program prints it."""
    lines = ["# Command line", ""]
    for title, command, context in _commands():
        help_text = command.get_help(context)
        lines += [f"## {title}", "", "```text", help_text.replace("\b\n", "").rstrip(), "```", ""]
        schema = f"cli/{'-'.join(title.split()[1:])}.schema.json"
        if (ROOT / "schemas" / schema).is_file():
            link = f"[`schemas/{schema}`](schemas.md#{find_anchor(schema)})"
            lines += [f"With `--json` it prints one document: {link}.", ""]
    return _HEAD + "\n".join(lines)


def schemas_page() -> str:
    """Return the page of the shipped schemas."""
    return _HEAD + make_schemas_page(ROOT / "schemas")


def _commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    name = "registry-pipeline"
    root = click.Context(command_line, info_name=name, terminal_width=100, max_content_width=100)
    yield name, command_line, root
    yield from _commands_of(command_line, root)


def _commands_of(group: CommandGroup, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield the commands of a group, and after a group its own commands."""
    for name in group.help_lines:
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            inner = click.Context(command, parent=context, info_name=name)
            yield inner.command_path, command, inner
            if isinstance(command, CommandGroup):
                yield from _commands_of(command, inner)


def find_sessions() -> list[str]:
    """Return the documents with sessions."""
    pages = (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
    names = [page.relative_to(ROOT).as_posix() for page in pages]
    return [name for name in names if _BLOCK.search(_read(name))]


def with_sessions(text: str) -> str:
    """Return a document with what its sessions print today."""
    with tempfile.TemporaryDirectory(prefix="session-") as folder:
        return _BLOCK.sub(lambda block: "```console\n" + _played(block[1], Path(folder)) + "```", text)


def _played(block: str, folder: Path) -> str:
    shown: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            shown += [line, *_run(line[2:], folder)]
    return "\n".join(shown) + "\n"


def _run(command: str, folder: Path) -> list[str]:
    bin_folder = Path(sys.executable).parent
    environment = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),  # the sessions run the code that they document
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _COMMITS.items()},
        "REGISTRY_PIPELINE_ACTOR": "Ada <ada@example.invalid>",
    }
    script = f'registry-pipeline() {{ command registry-pipeline --now {CLOCK} "$@"; }}\n{command}\n'
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode >= NOT_RUN:
        raise SystemExit(f"{command}: exit {done.returncode}: {done.stderr.strip()}")
    output = (done.stdout + done.stderr).replace(str(folder), "…")
    output = re.sub(r"(?m)(?<= )\d+\.\d\d(?=$|  )", "0.05", output)  # seconds, which no clock holds still
    lines = [line.rstrip() for line in output.splitlines()]
    return [*lines, *([f"[exit {done.returncode}]"] if done.returncode else [])]


PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/reference/findings.md": findings_page,
    "docs/reference/glossary.md": glossary_page,
    "docs/reference/registries.md": registries_page,
    "docs/reference/command-line.md": command_line_page,
    "docs/reference/configuration.md": configuration_page,
    "docs/reference/schemas.md": schemas_page,
    "docs/reference/specification.md": specification_page,
    "docs/benchmarks.md": benchmarks_page,
    "docs/decisions/README.md": decisions_page,
    "docs/explanation/scale.md": scale_page,
    CURVE: scale_curve,
    "docs/images/architecture.svg": draw_architecture,
    "docs/index.md": home_page,
    "docs/how-to/from-python.ipynb": python_notebook,
}


def main() -> int:
    """Write or check every page; return 1 where a check finds one out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    check = parser.parse_args().check
    use_memory_disk()  # a third of the time of the sessions on a disk is spent in fsync
    wanted = {name: make() for name, make in PAGES.items()} | benchmark_charts()
    wanted |= {f"docs/images/{name}": text for name, text in draw_concepts().items()}
    sessions = find_sessions()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each document has a folder of its own
        texts = pool.map(with_sessions, (wanted.get(name) or _read(name) for name in sessions))
        wanted |= dict(zip(sessions, texts, strict=True))
    stale = []
    for name, text in wanted.items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    print(("out of date: " if check else "written: ") + ", ".join(stale) if stale else "documents are up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
