"""What a delta log is built from: a folder of `cases/delta` with a story for each thing that can have happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.model.verdict import Built
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.runbook.delta_stories import Story, outcome, story_folders


@pytest.mark.parametrize("case", story_folders(), ids=lambda case: case.name)
def test_a_story_ends_as_expected(case: Path, tmp_path: Path) -> None:
    expected = json.loads((case / "expected.json").read_text())
    story = Story.begin(tmp_path / "governed")
    story.tell(json.loads((case / "story.json").read_text()))
    story.minutes += 1

    built = story.read()

    assert expected == outcome(built)
    assert case.name.startswith("good__") == (built.findings == ())
    assert case.name.split("__")[0] in {"good", *(f.code for f in built.findings)}
    if isinstance(built, Built):
        story.minutes -= 1
        story.log()  # sealed and judged, it passes
    make_removable(tmp_path)
