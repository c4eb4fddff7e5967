"""Every job has a limit of time."""

from __future__ import annotations

import re
from pathlib import Path

from registry_pipeline.config import CONFIG_NAME
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.job_limits import MAX_RUNTIME_SECONDS, MAX_RUNTIME_TAG
from registry_pipeline_tests.defs.conftest import DagsterRepo

ROOT = Path(__file__).resolve().parents[2]


def test_every_job_is_in_the_table_of_limits_and_its_runs_are_tagged_with_its_limit(fresh: DagsterRepo) -> None:
    with (fresh.repository.root / CONFIG_NAME).open("a", encoding="utf-8") as toml:
        toml.write("history_start = 2026-01-01\n[dagster]\nshards = true\n")
    definitions = build_defs(fresh.repository.root)

    names = [name for name in definitions.get_repository_def().job_names if not name.startswith("__")]

    tags = {name: definitions.resolve_job_def(name).run_tags[MAX_RUNTIME_TAG] for name in names}
    assert tags == {name: str(seconds) for name, seconds in MAX_RUNTIME_SECONDS.items()}


def test_the_documents_state_the_limits_of_the_table() -> None:
    page = (ROOT / "docs/explanation/on-dagster.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+_job)` \| (\d+) (hour|minute)s? \|$", page, re.MULTILINE)

    stated = {job: int(number) * {"hour": 3600, "minute": 60}[unit] for job, number, unit in rows}
    assert stated == dict(MAX_RUNTIME_SECONDS)
