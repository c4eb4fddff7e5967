"""Names from other tools are shown as text on every page of Dagster, without hidden characters and markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster import MarkdownMetadataValue, MetadataValue, PathMetadataValue, TextMetadataValue

from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import metadata
from registry_pipeline.defs.assets import check_result, check_result_of_many
from registry_pipeline.errors import RefusedError
from registry_pipeline.findings.codes import finding
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline_tests.defs.conftest import DagsterRepo, copy_of
from registry_pipeline_tests.hostile_names import HOSTILE, hidden_in, make_hostile


@pytest.fixture
def hostile(known_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    with copy_of(known_repository, tmp_path / "repository") as repo:
        make_hostile(repo.repository.root)
        yield repo


def texts_of(metadata: Mapping[str, MetadataValue[Any]]) -> Iterator[str]:
    for name, value in metadata.items():
        if isinstance(value, MarkdownMetadataValue | TextMetadataValue | PathMetadataValue):
            yield f"{name}: {value.value}"


def markup_in(text: str) -> list[str]:
    """Return what of the hostile name Markdown would obey: its tag, link or bar outside of code and not escaped."""
    outside = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", re.sub(r"\\[\\`*\[\]<>|&]", "", text))
    return re.findall(r"<img|\[a\]|m\|", outside)


def test_a_materialization_and_its_checks_show_a_hostile_name_as_text(hostile: DagsterRepo) -> None:
    result = hostile.rebuild()
    assert result.success
    activated = hostile.execute_request(hostile.requested())
    assert activated.success

    texts: list[str] = []
    for done in (result, activated):
        for event in done.get_asset_materialization_events():
            texts += texts_of(event.materialization.metadata)
        for evaluation in done.get_asset_check_evaluations():
            texts += [*texts_of(evaluation.metadata), evaluation.description or ""]

    assert any("gpj.exe" in text for text in texts if text.startswith("preview"))
    assert any("gpj.exe" in text for text in texts if "# System Health Report" in text)
    for text in texts:
        assert hidden_in(text) == [], text
        assert markup_in(text) == [], text


def test_a_note_of_the_pointer_file_is_shown_with_escapes(hostile: DagsterRepo) -> None:
    assert hostile.rebuild().success
    assert hostile.execute_request(hostile.requested()).success
    path = hostile.repository.pointer_path
    document = json.loads(path.read_bytes())
    document["pointers"][0]["notes"] = HOSTILE
    path.write_text(json.dumps(document))

    done = hostile.materialize("active_registry_pointers")

    assert done.success
    (event,) = done.get_asset_materialization_events()
    notes = [text for text in texts_of(event.materialization.metadata) if "gpj.exe" in text]
    assert len(notes) == 1
    assert hidden_in(notes[0]) == []


def test_findings_of_a_hostile_folder_are_text() -> None:
    mismatch = finding("HASH_MISMATCH", f"runs/{HOSTILE}", location=HOSTILE, expected=HOSTILE, got=HOSTILE)
    schema = finding("SCHEMA_VIOLATION", "runs/a", detail=HOSTILE)
    verdict = Verdict(f"runs/{HOSTILE}", "a", "run_registry", "fail", "0" * 64, (mismatch, schema))

    for result in (
        *(check_result(name, verdict) for name in ("seal", "schema")),
        check_result_of_many("seal", [verdict], "checked", {}),
    ):
        for text in (*texts_of(result.metadata), result.description or ""):
            assert hidden_in(text) == []
        for text in texts_of({n: v for n, v in result.metadata.items() if isinstance(v, MarkdownMetadataValue)}):
            assert markup_in(text) == [], text


def test_a_failure_shows_its_message_and_advice_with_escapes() -> None:
    with pytest.raises(Exception, match="gpj") as raised, as_dagster_failure():
        raise RefusedError(f"no {HOSTILE}", f"see {HOSTILE}")

    assert hidden_in(str(raised.value)) == []
    assert [hidden_in(text) for text in texts_of(raised.value.metadata)] == [[], []]  # type: ignore[attr-defined]


def test_a_raw_artifact_cannot_end_its_block_of_code() -> None:
    page = metadata.format_preview("a.yaml", f"a: 1\n```\n{HOSTILE}\n".encode())

    assert page.startswith("````json\n")
    assert page.endswith("\n````")
    assert hidden_in(page) == []
