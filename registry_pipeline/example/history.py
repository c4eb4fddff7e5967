"""The commits of the example repository: thirty over 120 days, on one branch.

`data/commits.toml` lists them. A commit adds the files of its folder in `data/commits` and those that are generated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from string import Template
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.example.adapter_runs import RIG_ROOT
from registry_pipeline.example.registries import (
    OVERRIDES_PATH,
    PACK_PATH,
    RUN_INDEX_PATH,
    STEPS,
    make_role_pack,
    make_run_index_files,
)
from registry_pipeline.example.sources import (
    CODEX,
    OPERATIONS,
    OPTIONS,
    REPORTS,
    read_commit_files,
    read_data_file,
    read_table,
)
from registry_pipeline.pipeline.init import (
    COVERAGE_ADDENDUM_PATH,
    OPERATIONS_ADDENDUM_PATH,
    format_coverage_addendum,
    format_operations_addendum,
    list_git_attributes,
    list_git_ignores,
)
from registry_pipeline.values import value_type

CATALOG_PATH: Final = "docs/governance/ALLOWED_OPERATIONS_CATALOG_v0_1.md"
PLANTED_PATH: Final = "docs/PLANTED_FINDINGS.json"
_POINTERS_PATH: Final = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"
_LOGS: Final = (RUN_INDEX_PATH, OVERRIDES_PATH)
_MOMENT: Final = re.compile(r"\{\{(\d+)d (\d+)h ago: ([^}]*)\}\}")


@value_type
class ExampleCommit:
    """One commit; `files` is the full content of every file that it writes, by path."""

    author: str
    email: str
    at: datetime
    message: str
    files: Mapping[str, bytes]


def describe_commits(seed: int, end: datetime, planted: bytes) -> tuple[ExampleCommit, ...]:
    """Return the commits before `end`, oldest first; `planted` is the content of PLANTED_PATH."""
    generated = _generate_files(end, planted)
    job = Template(read_data_file("job.py.template"))
    options: list[str] = []
    revisions: Counter[str] = Counter()
    commits = []
    for row in read_table("commits.toml")["commits"]:
        texts = {path: _fill_in(text, seed, end) for path, text in read_commit_files(row["name"]).items()}
        added_option = row.get("adds")
        if added_option:
            options.append(added_option)
            texts |= {"README.md": _format_readme(options), CATALOG_PATH: _format_catalog(options)}
        for operation in OPERATIONS:
            if operation.option == added_option or operation.operation_id in row.get("revises", ()):
                revisions[operation.job] += 1
                texts[operation.executable] = job.substitute(
                    operation_id=operation.operation_id,
                    name=operation.name,
                    purpose=operation.purpose,
                    revision=revisions[operation.job],
                )
        files = {path: text.encode() for path, text in texts.items()} | generated.get(row["name"], {})
        at = end - timedelta(days=row["days"], hours=row.get("hours", 0))
        email = f"{row['author'].split()[0].lower()}@example.invalid"
        commits.append(ExampleCommit(row["author"], email, at, row["message"], dict(sorted(files.items()))))
    return tuple(commits)


def _fill_in(text: str, seed: int, end: datetime) -> str:
    """Return a text with `{{3d 2h ago: FORMAT}}` (a moment before `end`) and `{{repository id}}` replaced."""
    repository_id = f"example-{sha256_hex(str(seed).encode())[:16]}"
    return _MOMENT.sub(
        lambda match: (end - timedelta(days=int(match[1]), hours=int(match[2]))).strftime(match[3]),
        text.replace("{{repository id}}", repository_id),
    )


def _generate_files(end: datetime, planted: bytes) -> dict[str, dict[str, bytes]]:
    """Return the generated files of some commits, by the name of the commit."""
    governance = {
        OPERATIONS_ADDENDUM_PATH: format_operations_addendum(),
        COVERAGE_ADDENDUM_PATH: format_coverage_addendum(),
        ".gitignore": _join_lines(
            "__pycache__/",
            f"/{REPORTS}/",
            f"/{RIG_ROOT}/",
            *list_git_ignores(CODEX, _POINTERS_PATH, _LOGS, track_runs=False),
        ),
        ".gitattributes": _join_lines(
            *list_git_attributes((CODEX,), _POINTERS_PATH, _LOGS),
            f"{REPORTS}/** -text",
            f"{RIG_ROOT}/** -text",
        ),
    }
    return {
        "ingest": {".gitignore": _join_lines("__pycache__/", f"/{CODEX}/", f"/{REPORTS}/", f"/{RIG_ROOT}/").encode()},
        "governance": {
            **{path: text.encode() for path, text in governance.items()},
            **make_run_index_files(end, end - timedelta(days=12, hours=6)),
        },
        "evidence": {PLANTED_PATH: planted, **make_run_index_files(end, end - timedelta(hours=30))},
        **{f"roles_{step}": {PACK_PATH: make_role_pack(step)} for step in range(1, STEPS + 1)},
    }


def _join_lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def _format_readme(options: Iterable[str]) -> str:
    """Return the README, with the options that exist so far."""
    listed = _join_lines(*(f"- {option}: {OPTIONS[option].title}" for option in options))
    return (
        "# Saltmarsh tides\n\nTide heights, surge forecasts and warnings for five gauges of one estuary.\n"
        f"An example: neither the gauges nor the people exist.\n\n{listed}"
    )


def _format_catalog(options: Sequence[str]) -> str:
    """Return the operations catalog, with the options that exist so far."""
    sections = ["# Allowed Operations Catalog\n\n**Version**: 0.1\n\nWhat is not listed here may not run.\n"]
    for option in sorted(options):
        sections.append(f"## Option {option} — {OPTIONS[option].title}\n")
        sections += [
            f"### {operation.operation_id}: {operation.name}\n\nOption: {option}\nPurpose: {operation.purpose}\n"
            f"Bound Executables:\n- `{operation.executable}`\n"
            for operation in OPERATIONS
            if operation.option == option
        ]
    sections.append("## NON_CANONICAL operations\n\n### OP-NC01: Spreadsheet Import\n\nPurpose: retired.\n")
    return "\n".join(sections)
