"""Rewrite what the cases expect: python -m registry_pipeline_tests.cases.regenerate, then read the diff."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.run_index.playing import case_folders as run_index_cases
from registry_pipeline_tests.run_index.playing import play
from registry_pipeline_tests.runbook.delta_stories import Story, outcome, story_folders
from registry_pipeline_tests.seal.recipes import case_folders, judge_case, told


def regenerate_seal_cases() -> None:
    """Judge every seal case and store what the verifier said."""
    for case in case_folders():
        with tempfile.TemporaryDirectory() as scratch:
            text = json.dumps(told(judge_case(case, Path(scratch))), indent=2) + "\n"
        (case / "expected.json").write_text(text, encoding="utf-8")


def regenerate_delta_cases() -> None:
    """Tell every story of the delta log and store how it ended."""
    for case in story_folders():
        with tempfile.TemporaryDirectory() as scratch:
            story = Story.begin(Path(scratch) / "governed")
            story.tell(json.loads((case / "story.json").read_bytes()))
            story.minutes += 1
            text = json.dumps(outcome(story.read()), indent=2) + "\n"
            make_removable(Path(scratch))
        (case / "expected.json").write_text(text, encoding="utf-8")


def regenerate_run_index_cases() -> None:
    """Play every case of the run index and store what came of it."""
    for case in run_index_cases():
        with tempfile.TemporaryDirectory() as scratch:
            text = json.dumps(play(case, Path(scratch) / "repository"), indent=2) + "\n"
        (case / "expected.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    regenerate_seal_cases()
    regenerate_delta_cases()
    regenerate_run_index_cases()
